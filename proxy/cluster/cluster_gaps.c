/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/config.h"
#include "protocol/api.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/cluster/leaders.h"
#include "proxy/cluster/probe.h"
#include "proxy/io/io.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats.h"

enum {
    NAMES_BYTES_MAX = 48 * 1024, /* topics of one question */
    PAUSE_MS = 50,               /* between two questions */
    NOBODY_MS = 1000,            /* until it is looked again for somebody to ask */
    TOLD_EVERY_MS = 60000,
    TOPIC_AUTHORIZATION_FAILED = 29
};

static void on_ask(uv_timer_t *timer);

bool cluster_merges(const struct cluster *cluster)
{
    return cluster != NULL && cluster->leaders != NULL;
}

/* Another kind of broker may have no listener of the name that this one was asked under. Of its own
 * kind a broker knows best who is there. */
static bool is_apart(const struct broker *broker, const struct conf_generation *kind)
{
    return broker->live && broker->generation != NULL && broker->generation != kind &&
           !broker->endpoints[broker->endpoint].strange;
}

/* ---- questions ---- */

static void ask_at(struct cluster *cluster, uint64_t at_ms)
{
    uint64_t now_ms = cluster_now_ms(cluster);
    at_ms = at_ms > cluster->ask_after_ms ? at_ms : cluster->ask_after_ms;
    bool sooner = !uv_is_active((uv_handle_t *)&cluster->ask) || at_ms < cluster->ask_ms;
    if (!cluster->closing && cluster->asking == NULL && sooner) {
        cluster->ask_ms = at_ms;
        uv_timer_start(&cluster->ask, on_ask, at_ms > now_ms ? at_ms - now_ms : 0, 0);
    }
}

static void ask_when_due(struct cluster *cluster, uint64_t pause_ms)
{
    uint64_t due_ms = leaders_due_ms(cluster->leaders);
    cluster->ask_after_ms = cluster_now_ms(cluster) + pause_ms;
    if (due_ms != UINT64_MAX) {
        ask_at(cluster, due_ms);
    }
}

static void log_asked(struct cluster *cluster, const char *event, const struct log_field *extra,
                      size_t count)
{
    const struct broker *broker = cluster->asked;
    struct log_field fields[8] = {
        log_str("cluster", cluster->params.conf->name), log_int("node", broker->node_id),
        log_str("generation", broker->generation != NULL ? broker->generation->name : NULL)};
    uint64_t now_ms = cluster_now_ms(cluster);
    bool lately = cluster->ask_told_ms != 0 && now_ms - cluster->ask_told_ms < TOLD_EVERY_MS;
    for (size_t i = 0; i < count && i < 5; i++) {
        fields[3 + i] = extra[i];
    }
    cluster->ask_told_ms = lately ? cluster->ask_told_ms : now_ms;
    log_write(lately ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, event, fields, 3 + count);
}

static void hear_topic(void *context, struct view name, int16_t error_code, int32_t partitions)
{
    struct cluster *cluster = context;
    leaders_heard(cluster->leaders, name, error_code, partitions);
    if (error_code == TOPIC_AUTHORIZATION_FAILED) {
        struct log_field extra[] = {
            log_view("topic", name), log_int("error_code", error_code),
            log_str("text", "Setu's own identity may not describe the topic there")};
        log_asked(cluster, "leaders_not_told", extra, 3);
    }
}

static void hear_partition(void *context, const struct gaps_partition *partition)
{
    struct cluster *cluster = context;
    leaders_learn(cluster->leaders, partition->topic, partition->partition, partition->leader,
                  partition->epoch, cluster_now_ms(cluster));
}

static const struct gaps_filler hearing = {.topic = hear_topic, .partition = hear_partition};

static void on_asked(void *context, const struct probe_result *result)
{
    struct cluster *cluster = context;
    struct broker *broker = cluster->asked;
    bool unchanged;
    cluster->asking = NULL;
    bool told = result->outcome == PROBE_OK && result->metadata.at != NULL &&
                gaps_fill(API_METADATA, result->metadata_version, result->metadata, NULL, &hearing,
                          cluster, NULL, &unchanged) == ENDPOINT_OK;
    stats_add(told ? &cluster->params.stats->leaders_asked
                   : &cluster->params.stats->leaders_not_told,
              1);
    if (!told) {
        struct log_field extra[] = {log_str("outcome", probe_outcome_name(result->outcome)),
                                    log_str("text", result->text)};
        uint64_t now_ms = cluster_now_ms(cluster);
        log_asked(cluster, "leaders_ask_failed", extra, 2);
        cluster_look_at(cluster, broker,
                        broker_soon_ms(broker, now_ms, cluster_random(cluster)));
    }
    ask_when_due(cluster, PAUSE_MS);
}

/* The next node that is not of this kind, in turn. */
static struct broker *somebody(struct cluster *cluster, const struct conf_generation *kind)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        size_t at = (cluster->ask_cursor + i) % cluster->node_count;
        struct broker *broker = cluster->nodes[at];
        if (is_apart(broker, kind) && broker_endpoint(broker)->resolved.count > 0 &&
            identity_serves(&cluster->identity, broker->generation)) {
            cluster->ask_cursor = at + 1;
            return broker;
        }
    }
    return NULL;
}

static void on_ask(uv_timer_t *timer)
{
    struct cluster *cluster = timer->data;
    const void *kind = NULL;
    struct writer names;
    writer_init_growing(&names, NAMES_BYTES_MAX);
    size_t count =
        leaders_next(cluster->leaders, cluster_now_ms(cluster), NAMES_BYTES_MAX, &kind, &names);
    struct broker *broker = count > 0 ? somebody(cluster, kind) : NULL;
    if (broker != NULL && writer_ok(&names)) {
        struct probe_params params = {
            .io = cluster->params.io,
            .conf = cluster->params.conf,
            .identity = &cluster->identity,
            .subject = broker_subject(broker),
            .addresses = broker_endpoint(broker)->resolved,
            .generation = broker->generation,
            .timeout_ms = cluster->limits.connect_timeout_ms,
            .topics = writer_view(&names),
            .frame_max = cluster->limits.rewrite_max_bytes,
        };
        cluster->asked = broker;
        cluster->asking = probe_start(&params, on_asked, cluster);
    }
    writer_free(&names);
    if (cluster->asking == NULL) {
        ask_when_due(cluster, NOBODY_MS);
    }
}

static void want(struct cluster *cluster, struct view topic, const struct conf_generation *kind)
{
    uint64_t at_ms = leaders_want(cluster->leaders, topic, kind, cluster_now_ms(cluster));
    if (at_ms != UINT64_MAX) {
        ask_at(cluster, at_ms);
    }
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
    return broker->confirmed && is_apart(broker, filling->kind) &&
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
        want(cluster, topic, filling->kind);
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
 * of that partition is the coordinator. */
static bool on_coordinator(void *context, int8_t type, int32_t hash, struct endpoint *endpoint_r)
{
    struct filling *filling = context;
    struct cluster *cluster = filling->cluster;
    if (type != GAPS_GROUP && type != GAPS_TRANSACTION) {
        return false;
    }
    struct view topic =
        view_from_string(type == GAPS_GROUP ? "__consumer_offsets" : "__transaction_state");
    int32_t partition = gaps_partition_of(hash, leaders_partitions(cluster->leaders, topic));
    int32_t leader = find_leader(filling, topic, partition, -1);
    const struct broker *broker = leader >= 0 ? cluster_find_node(cluster, leader) : NULL;
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
        return cluster->leaders != NULL;
    }
    return true;
}

void cluster_gaps_cancel(struct cluster *cluster)
{
    if (cluster->asking != NULL) {
        cluster->open++;
        probe_cancel(&cluster->asking, cluster_part_gone, cluster);
    }
}
