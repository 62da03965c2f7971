/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is put into gaps is asked for here, one question at a time, with Setu's own identity: a broker of another kind
 * who leads what, and one of the client's own kind who holds replicas of what coordinators lead.
 */
#include "conf/config.h"
#include "protocol/api.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/cluster/leaders.h"
#include "proxy/cluster/probe.h"
#include "proxy/cluster/replicas.h"
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
    uint64_t leaders_ms = leaders_due_ms(cluster->leaders);
    uint64_t replicas_ms = replicas_due_ms(cluster->replicas);
    uint64_t due_ms = leaders_ms < replicas_ms ? leaders_ms : replicas_ms;
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

/*
 * The gap of one kind shows that the other has one, too, where this one leads: it is filled before a client asks.
 * kafkajs takes the first gap that it meets in a group for the end of its membership, and the group waits for it.
 */
static void hear_leaders_of(struct cluster *cluster, struct view name, int16_t error_code,
                            int32_t partitions)
{
    /* What it is now: it may have been looked at since. */
    const struct conf_generation *kind = cluster->asked->generation;
    if (leaders_heard(cluster->leaders, name, error_code, partitions) && kind != NULL) {
        (void)leaders_want(cluster->leaders, name, kind, cluster_now_ms(cluster));
    }
}

static void hear_topic(void *context, struct view name, int16_t error_code, int32_t partitions)
{
    struct cluster *cluster = context;
    if (cluster->asking_own && error_code == 0) {
        replicas_heard(cluster->replicas, cluster->asked_for, name, cluster_now_ms(cluster));
    } else if (!cluster->asking_own) {
        hear_leaders_of(cluster, name, error_code, partitions);
    }
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
    if (cluster->asking_own) {
        replicas_learn(cluster->replicas, cluster->asked_for, partition->topic,
                       partition->partition, partition->replicas);
    } else {
        leaders_learn(cluster->leaders, partition->topic, partition->partition, partition->leader,
                      partition->epoch, cluster_now_ms(cluster));
    }
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

/* ---- whom ---- */

bool cluster_is_apart(const struct broker *broker, const struct conf_generation *kind)
{
    return broker->live && broker->generation != NULL && broker->generation != kind &&
           !broker->endpoints[broker->endpoint].strange;
}

/* The next node that is not of this kind, or is, in turn; NULL: none. */
static struct broker *somebody(struct cluster *cluster, const struct conf_generation *kind,
                               bool own)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct broker *broker = cluster->nodes[(cluster->ask_cursor + i) % cluster->node_count];
        bool fits = own ? broker->live && broker->generation == kind
                        : cluster_is_apart(broker, kind);
        if (fits && broker_endpoint(broker)->resolved.count > 0 &&
            identity_serves(&cluster->identity, broker->generation)) {
            return broker;
        }
    }
    return NULL;
}

static bool has_others(void *context, const void *kind)
{
    return somebody(context, kind, false) != NULL;
}

static bool has_own(void *context, const void *kind)
{
    return somebody(context, kind, true) != NULL;
}

/* ---- when ---- */

/* Each kind of question in turn, if there is one. NULL: nobody is to be asked now. */
static struct broker *next_asked(struct cluster *cluster, struct writer *names)
{
    uint64_t now_ms = cluster_now_ms(cluster);
    const void *kind = NULL;
    for (int turn = 0; turn < 2 && kind == NULL; turn++) {
        cluster->asking_own = !cluster->asking_own;
        if (cluster->asking_own) {
            (void)replicas_next(cluster->replicas, now_ms, has_own, cluster, &kind, names);
        } else {
            (void)leaders_next(cluster->leaders, now_ms, NAMES_BYTES_MAX, has_others, cluster,
                               &kind, names);
        }
    }
    cluster->asked_for = kind;
    return kind != NULL ? somebody(cluster, kind, cluster->asking_own) : NULL;
}

static void on_ask(uv_timer_t *timer)
{
    struct cluster *cluster = timer->data;
    struct writer names;
    writer_init_growing(&names, NAMES_BYTES_MAX);
    struct broker *broker = next_asked(cluster, &names);
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
        cluster->ask_cursor++;
        cluster->asked = broker;
        cluster->asking = probe_start(&params, on_asked, cluster);
    }
    writer_free(&names);
    if (cluster->asking == NULL) {
        ask_when_due(cluster, NOBODY_MS);
    }
}

/* ---- for cluster_gaps.c ---- */

void cluster_ask_leaders(struct cluster *cluster, struct view topic,
                         const struct conf_generation *kind)
{
    uint64_t at_ms = leaders_want(cluster->leaders, topic, kind, cluster_now_ms(cluster));
    if (at_ms != UINT64_MAX) {
        ask_at(cluster, at_ms);
    }
}

bool cluster_is_replica(struct cluster *cluster, const char *topic, int32_t partition,
                        int32_t node_id, const struct conf_generation *kind)
{
    bool holds = replicas_hold(cluster->replicas, kind, topic, partition, node_id,
                               cluster_now_ms(cluster));
    uint64_t at_ms = replicas_due_ms(cluster->replicas);
    if (at_ms != UINT64_MAX) {
        ask_at(cluster, at_ms);
    }
    return holds;
}

void cluster_ask_cancel(struct cluster *cluster)
{
    if (cluster->asking != NULL) {
        cluster->open++;
        probe_cancel(&cluster->asking, cluster_part_gone, cluster);
    }
}
