/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/node_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "conf/config.h"

static bool has_network(const struct conf_listener *conf)
{
    return conf->node_network_count > 0;
}

int32_t node_address_limit(const struct conf_listener *conf)
{
    return has_network(conf) ? (int32_t)conf->node_network_count : conf->node_ports_max;
}

static bool is_inside(const struct conf_listener *conf, int32_t node_id)
{
    return node_id >= 0 && node_id < node_address_limit(conf);
}

static bool put(const char *ip, int port, struct sockaddr_storage *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        return true;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    return inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1;
}

static void put_alias(const struct conf_listener *conf, int32_t node_id,
                      struct sockaddr_storage *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    memset(address, 0, sizeof *address);
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)conf->port);
    in->sin_addr.s_addr = htonl(conf->node_network_first + (uint32_t)node_id);
}

size_t node_address_sockets(const struct conf_listener *conf, int32_t node_id,
                            struct sockaddr_storage sockets_r[NODE_ADDRESS_SOCKETS_MAX])
{
    bool node = node_id != NODE_ADDRESS_BOOTSTRAP;
    if (node && !is_inside(conf, node_id)) {
        return 0;
    }
    if (node && has_network(conf)) {
        put_alias(conf, node_id, &sockets_r[0]);
        return 1;
    }
    int port = node ? conf->node_base_port + node_id : conf->port;
    size_t count = 0;
    for (size_t i = 0; i < conf->bind_count && count < NODE_ADDRESS_SOCKETS_MAX; i++) {
        count += put(conf->bind[i], port, &sockets_r[count]) ? 1 : 0;
    }
    return count;
}

bool node_address_shown(const struct conf_listener *conf, int32_t node_id,
                        char text[NODE_ADDRESS_TEXT_SIZE], struct view *host_r, uint16_t *port_r)
{
    if (!is_inside(conf, node_id)) {
        return false;
    }
    if (!has_network(conf)) {
        *host_r = view_from_string(conf->advertised_host);
        *port_r = (uint16_t)(conf->node_base_port + node_id);
        return true;
    }
    struct in_addr alias = {htonl(conf->node_network_first + (uint32_t)node_id)};
    inet_ntop(AF_INET, &alias, text, NODE_ADDRESS_TEXT_SIZE);
    *host_r = view_from_string(text);
    *port_r = (uint16_t)conf->port;
    return true;
}

/* ---- the inverse ---- */

static bool same_ip(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family) {
        return false;
    }
    if (a->sa_family == AF_INET) {
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    }
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static bool is_bound(const struct conf_listener *conf, const struct sockaddr *address)
{
    struct sockaddr_storage own[NODE_ADDRESS_SOCKETS_MAX];
    size_t count = node_address_sockets(conf, NODE_ADDRESS_BOOTSTRAP, own);
    for (size_t i = 0; i < count; i++) {
        if (same_ip((const struct sockaddr *)&own[i], address)) {
            return true;
        }
    }
    return false;
}

static int port_of(const struct sockaddr *address)
{
    return ntohs(address->sa_family == AF_INET
                     ? ((const struct sockaddr_in *)address)->sin_port
                     : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static bool find_alias(const struct conf_listener *conf, const struct sockaddr *address,
                       int32_t *node_id_r)
{
    if (address->sa_family != AF_INET || port_of(address) != conf->port) {
        return false;
    }
    uint32_t ip = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);
    uint32_t at = ip - conf->node_network_first;
    *node_id_r = (int32_t)at;
    return ip >= conf->node_network_first && at < conf->node_network_count;
}

bool node_address_find(const struct conf_listener *conf, const struct sockaddr *address,
                       int32_t *node_id_r)
{
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6) {
        return false;
    }
    bool bound = is_bound(conf, address);
    if (bound && port_of(address) == conf->port) {
        *node_id_r = NODE_ADDRESS_BOOTSTRAP;
        return true;
    }
    if (has_network(conf)) {
        return find_alias(conf, address, node_id_r);
    }
    *node_id_r = port_of(address) - conf->node_base_port;
    return bound && conf->node_base_port > 0 && is_inside(conf, *node_id_r);
}

bool node_address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr *left = (const struct sockaddr *)a, *right = (const struct sockaddr *)b;
    return same_ip(left, right) && port_of(left) == port_of(right);
}

bool node_address_same_bootstrap(const struct conf_listener *a, const struct conf_listener *b)
{
    bool same = a->port == b->port && a->bind_count == b->bind_count;
    for (size_t i = 0; same && i < a->bind_count; i++) {
        same = strcmp(a->bind[i], b->bind[i]) == 0;
    }
    return same;
}

bool node_address_same_nodes(const struct conf_listener *a, const struct conf_listener *b)
{
    return a->node_base_port == b->node_base_port &&
           a->node_network_first == b->node_network_first &&
           (a->node_network_count > 0) == (b->node_network_count > 0);
}
