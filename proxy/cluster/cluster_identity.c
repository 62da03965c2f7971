/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/config.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats.h"

static struct broker_endpoint *find_endpoint(struct broker *broker, const char *host, uint16_t port)
{
    for (size_t i = 0; i < broker->endpoint_count; i++) {
        struct broker_endpoint *endpoint = &broker->endpoints[i];
        if (endpoint->port == port && strcmp(endpoint->host, host) == 0) {
            return endpoint;
        }
    }
    return NULL;
}

static void log_identity(const struct broker *broker, enum log_level level, const char *event,
                         const struct broker_endpoint *endpoint, int32_t other)
{
    struct log_field fields[] = {log_str("cluster", broker->cluster->params.conf->name),
                                 log_int("node", broker->node_id), log_str("host", endpoint->host),
                                 log_uint("port", endpoint->port), log_int("other_node", other)};
    log_write(level, event, fields, sizeof fields / sizeof fields[0]);
}

/* Another node has this address. What the broker itself said earlier stays true of it. */
static void lose_address(struct broker *broker, struct broker_endpoint *endpoint, int32_t other)
{
    struct cluster *cluster = broker->cluster;
    if (!endpoint->strange) {
        endpoint->strange = true;
        stats_add(&cluster->params.stats->nodes_mistaken, 1);
        log_identity(broker, LOG_LEVEL_WARN, "broker_is_another", endpoint, other);
    }
    broker->confirmed = false;
    if (endpoint == broker_endpoint(broker)) {
        broker->live = false;
        bool busy = broker->probe != NULL || broker->resolve != NULL;
        endpoint->address = endpoint->resolved.count > 0 ? endpoint->resolved.count - 1 : 0;
        if (!busy && broker_try_other(broker)) {
            broker_decide(broker, cluster->params.conf);
        }
    }
    cluster_changed(cluster);
}

static void keep_address(struct broker *broker, struct broker_endpoint *endpoint)
{
    if (endpoint->strange) {
        endpoint->strange = false;
        log_identity(broker, LOG_LEVEL_INFO, "broker_is_back", endpoint, broker->node_id);
        cluster_changed(broker->cluster);
    }
    broker->confirmed = broker->confirmed || endpoint == broker_endpoint(broker);
}

enum broker_identity cluster_check_identity(struct broker *broker, const char *host, uint16_t port,
                                            int16_t version, struct view metadata)
{
    struct broker_endpoint *endpoint = find_endpoint(broker, host, port);
    int32_t other = -1;
    if (broker->node_id < 0 || endpoint == NULL) {
        return BROKER_UNTOLD;
    }
    enum broker_identity identity =
        broker_identify(broker->node_id, host, port, version, metadata, &other);
    if (identity == BROKER_ANOTHER) {
        lose_address(broker, endpoint, other);
    } else if (identity == BROKER_ITSELF) {
        keep_address(broker, endpoint);
    }
    return identity;
}

bool cluster_identify(struct cluster *cluster, const struct route *route, int16_t version,
                      struct view metadata)
{
    struct broker *broker = cluster_find_route(cluster, route);
    if (broker == NULL) {
        return true;
    }
    bool itself = cluster_check_identity(broker, route->host, route->port, version, metadata) !=
                  BROKER_ANOTHER;
    if (!itself) {
        uint64_t now_ms = cluster_now_ms(cluster);
        cluster_look_at(cluster, broker, broker_soon_ms(broker, now_ms, cluster_random(cluster)));
    }
    return itself;
}
