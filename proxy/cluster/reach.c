/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/reach.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "conf/blocks.h"
#include "conf/config.h"

static const char refused[] = "its address may not be dialled (see allowed_addresses)";

static struct in6_addr address_of(const struct sockaddr_storage *storage)
{
    struct in6_addr address = {0};
    if (storage->ss_family == AF_INET6) {
        memcpy(&address, &((const struct sockaddr_in6 *)storage)->sin6_addr, sizeof address);
    } else {
        address.s6_addr[10] = 0xff;
        address.s6_addr[11] = 0xff;
        memcpy(&address.s6_addr[12], &((const struct sockaddr_in *)storage)->sin_addr, 4);
    }
    return address;
}

static bool is_listed(const struct conf_cluster *conf, const struct in6_addr *address)
{
    for (size_t i = 0; i < conf->allowed_addresses_count; i++) {
        if (block_holds(conf->allowed_addresses[i], address)) {
            return true;
        }
    }
    return false;
}

static bool is_allowed(const struct conf_cluster *conf, bool ours, const struct in6_addr *address)
{
    if (conf->allowed_addresses_count > 0) {
        return is_listed(conf, address);
    }
    return !block_is_no_broker(address) && (ours || !block_is_loopback(address));
}

size_t reach_limit(const struct conf_cluster *conf, bool ours, struct resolve_result *result)
{
    size_t kept = 0, count = result->count;
    for (size_t i = 0; i < count; i++) {
        const struct in6_addr address = address_of(&result->addresses[i]);
        if (is_allowed(conf, ours, &address)) {
            result->addresses[kept++] = result->addresses[i];
        }
    }
    result->count = kept;
    if (count > 0 && kept == 0) {
        result->error = refused;
    }
    return count - kept;
}

bool reach_is_here(const char *host)
{
    struct resolve_result literal = {0};
    if (strcasecmp(host, "localhost") == 0) {
        return true;
    }
    if (!resolve_literal(host, 1, &literal)) {
        return false;
    }
    const struct in6_addr address = address_of(&literal.addresses[0]);
    return block_is_loopback(&address);
}
