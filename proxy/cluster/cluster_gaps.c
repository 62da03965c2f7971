/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/config.h"
#include "protocol/api.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/cluster/leaders.h"
#include "proxy/cluster/replicas.h"
#include "proxy/io/io.h"
#include "proxy/ops/stats.h"

bool cluster_merges(const struct cluster *cluster)
{
    return cluster != NULL && cluster->leaders != NULL;
}

/* ---- filling ---- */

struct filling {
    struct cluster *cluster;
    const struct conf_generation *kind; /* of the broker that answered */
    const struct cluster_audience *audience;
    size_t next;                        /* node to be looked at for `missing` */
    uint64_t left;                      /* gaps that stay */
};

static void on_named(void *context, int32_t node_id)
{
    struct filling *filling = context;
    struct broker *broker = cluster_find_node(filling->cluster, node_id);
    if (broker != NULL) {
        broker->named = filling->cluster->naming;
    }
}

static void tell(const struct broker *broker, struct endpoint *endpoint_r)
{
    const struct broker_endpoint *endpoint = &broker->endpoints[broker->endpoint];
    *endpoint_r = (struct endpoint){
        .node_id = broker->node_id,
        .host = view_from_string(endpoint->host),
        .port = endpoint->port,
        .rack = view_from_string(broker->rack),
        .rack_null = !broker->rack_known || broker->rack[0] == '\0',
    };
}

/*
 * A node that the client's listener has no place for is left out: an answer with it would be refused whole, and so
 * one broker could end what clients ask all others. And only who has said at that address that it is this node.
 */
static bool may_be_told(const struct filling *filling, const struct broker *broker)
{
    const struct cluster_audience *audience = filling->audience;
    return broker->confirmed && cluster_is_apart(broker, filling->kind) &&
           (audience == NULL || audience->reaches(audience->context, broker->node_id));
}

static bool on_missing(void *context, struct endpoint *endpoint_r)
{
    struct filling *filling = context;
    struct cluster *cluster = filling->cluster;
    while (filling->next < cluster->node_count) {
        struct broker *broker = cluster->nodes[filling->next++];
        if (broker->named != cluster->naming && may_be_told(filling, broker)) {
            broker->named = cluster->naming;
            tell(broker, endpoint_r);
            return true;
        }
    }
    return false;
}

static int32_t find_leader(struct filling *filling, struct view topic, int32_t partition,
                           int32_t epoch)
{
    struct cluster *cluster = filling->cluster;
    bool fresh = false;
    int32_t leader = leaders_find(cluster->leaders, topic, partition, epoch,
                                  cluster_now_ms(cluster), &fresh);
    if (leader < 0 || !fresh) {
        cluster_ask_leaders(cluster, topic, filling->kind);
    }
    return leader;
}

static int32_t on_leader(void *context, const struct gaps_partition *partition)
{
    struct filling *filling = context;
    int32_t leader =
        find_leader(filling, partition->topic, partition->partition, partition->epoch);
    const struct broker *broker =
        leader >= 0 ? cluster_find_node(filling->cluster, leader) : NULL;
    /* A leader that is not among the brokers would be none to a client. */
    bool named = broker != NULL && broker->named == filling->cluster->naming;
    filling->left += named ? 0 : 1;
    return named ? leader : -1;
}

/* Kafka keeps what a coordinator is for in the partition that the key's hash says, and the leader
 * of that partition is the coordinator. That it leads is the word of its own kind; that it can, of the
 * kind that the client asked. */
static bool on_coordinator(void *context, int8_t type, int32_t hash, struct endpoint *endpoint_r)
{
    struct filling *filling = context;
    struct cluster *cluster = filling->cluster;
    if (type != GAPS_GROUP && type != GAPS_TRANSACTION) {
        return false;
    }
    const char *kept_in = type == GAPS_GROUP ? "__consumer_offsets" : "__transaction_state";
    struct view topic = view_from_string(kept_in);
    int32_t partition = gaps_partition_of(hash, leaders_partitions(cluster->leaders, topic));
    int32_t leader = find_leader(filling, topic, partition, -1);
    bool holds = cluster_is_replica(cluster, kept_in, partition, leader, filling->kind);
    const struct broker *broker = holds ? cluster_find_node(cluster, leader) : NULL;
    if (broker == NULL || !may_be_told(filling, broker)) {
        filling->left++;
        return false;
    }
    tell(broker, endpoint_r);
    return true;
}

static const struct gaps_filler filler = {.broker = on_named,
                                          .missing = on_missing,
                                          .leader = on_leader,
                                          .coordinator = on_coordinator};

enum endpoint_status cluster_fill_gaps(struct cluster *cluster, const struct route *route,
                                       int16_t key, int16_t version,
                                       const struct gaps_question *question,
                                       const struct cluster_audience *audience, struct view payload,
                                       struct writer *out, bool *changed_r)
{
    struct stats *stats = cluster->params.stats;
    struct filling filling = {
        .cluster = cluster, .kind = route->generation, .audience = audience};
    *changed_r = false;
    if (cluster->leaders == NULL) {
        return ENDPOINT_OK;
    }
    cluster->naming++;
    enum endpoint_status status =
        gaps_fill(key, version, payload, question, &filler, &filling, out, changed_r);
    stats_add(&stats->gaps_filled, *changed_r ? 1 : 0);
    stats_add(&stats->gaps_left, filling.left);
    return status;
}

/* ---- life ---- */

bool cluster_gaps_start(struct cluster *cluster)
{
    const struct conf_cluster *conf = cluster->params.conf;
    if (conf->metadata == CONF_METADATA_MERGED && conf->follow) {
        cluster->leaders = leaders_new();
        cluster->replicas = replicas_new();
        return cluster->leaders != NULL && cluster->replicas != NULL;
    }
    return true;
}

void cluster_gaps_free(struct cluster *cluster)
{
    leaders_free(&cluster->leaders);
    replicas_free(&cluster->replicas);
}
