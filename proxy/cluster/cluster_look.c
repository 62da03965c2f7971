/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/cluster_private.h"

#include <stdio.h>
#include <string.h>

#include "auth/audit.h"
#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "proxy/cluster/probe.h"
#include "proxy/cluster/reach.h"
#include "proxy/io/io.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats.h"

enum { LOOKS_AT_ONCE = 8 };

static void on_timer(uv_timer_t *timer);
static void look(struct cluster *cluster, struct broker *broker);

/* ---- when ---- */

bool cluster_seed_is_retired(const struct cluster *cluster, const struct broker *seed)
{
    const struct broker_endpoint *at = &seed->endpoints[0];
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct broker *node = cluster->nodes[i];
        for (size_t n = 0; node->live && n < node->endpoint_count; n++) {
            if (node->endpoints[n].port == at->port &&
                strcmp(node->endpoints[n].host, at->host) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_due(const struct cluster *cluster, const struct broker *broker, uint64_t now_ms)
{
    return broker->next_look_ms <= now_ms && broker->probe == NULL && broker->resolve == NULL &&
           !(broker->node_id < 0 && cluster_seed_is_retired(cluster, broker));
}

/* Arms the timer for whoever is due next. While all slots are taken the next end re-arms. */
static void arm(struct cluster *cluster)
{
    uint64_t next = UINT64_MAX;
    if (cluster->closing || cluster->looking >= LOOKS_AT_ONCE) {
        return;
    }
    for (size_t i = 0; i < cluster->node_count + cluster->seed_count; i++) {
        const struct broker *broker = cluster_broker_at(cluster, i);
        if (broker->probe == NULL && broker->resolve == NULL && broker->next_look_ms < next) {
            next = broker->next_look_ms;
        }
    }
    if (next != UINT64_MAX) {
        uint64_t now_ms = cluster_now_ms(cluster);
        uv_timer_start(&cluster->timer, on_timer, next > now_ms ? next - now_ms : 0, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct cluster *cluster = timer->data;
    uint64_t now_ms = cluster_now_ms(cluster);
    for (size_t i = 0; i < cluster->node_count + cluster->seed_count; i++) {
        struct broker *broker = cluster_broker_at(cluster, i);
        if (is_due(cluster, broker, now_ms) && cluster->looking < LOOKS_AT_ONCE) {
            look(cluster, broker);
        } else if (broker->next_look_ms <= now_ms && broker->node_id < 0 &&
                   cluster_seed_is_retired(cluster, broker)) {
            /* Ask again later whether it still is. */
            broker->next_look_ms = now_ms + cluster->params.conf->refresh_ms;
        }
    }
    arm(cluster);
}

void cluster_look_at(struct cluster *cluster, struct broker *broker, uint64_t at_ms)
{
    if (at_ms < broker->next_look_ms) {
        broker->next_look_ms = at_ms;
        arm(cluster);
    }
}

void cluster_look_start(struct cluster *cluster)
{
    arm(cluster);
}

/* ---- what was seen ---- */

static void log_broker(const struct broker *broker, enum log_level level, const char *event,
                       const struct log_field *extra, size_t count)
{
    const struct broker_endpoint *endpoint = &broker->endpoints[broker->endpoint];
    struct log_field fields[16] = {
        log_str("cluster", broker->cluster->params.conf->name), log_int("node", broker->node_id),
        log_str("host", endpoint->host), log_uint("port", endpoint->port),
        log_str("generation", broker->generation != NULL ? broker->generation->name : NULL)};
    for (size_t i = 0; i < count && i < 11; i++) {
        fields[5 + i] = extra[i];
    }
    log_write(level, event, fields, 5 + (count < 11 ? count : 11));
}

/* A bootstrap address is some node's too, which is counted under its own id; the one broker of a
 * cluster that is not followed has no other name. */
static bool is_counted(const struct broker *broker)
{
    return broker->node_id >= 0 || !broker->cluster->params.conf->follow;
}

static void audit_generation(const struct broker *broker, enum audit_code code,
                             const struct conf_generation *before)
{
    struct audit_log *audit = broker->cluster->params.audit;
    if (audit == NULL || !is_counted(broker)) {
        return;
    }
    const struct broker_endpoint *endpoint = &broker->endpoints[broker->endpoint];
    char address[ROUTE_HOST_MAX + 8];
    snprintf(address, sizeof address, "%s:%u", endpoint->host, endpoint->port);
    struct audit_event event = audit_event_init(code);
    event.cluster = broker->cluster->params.conf->name;
    event.broker_node = broker->node_id;
    event.broker_address = address;
    event.generation = broker->generation->name;
    event.generation_before = before != NULL ? before->name : NULL;
    (void)audit_log_append(audit, &event);
}

/* The broker answered under `generation`. */
static void note_generation(struct broker *broker, const struct conf_generation *generation)
{
    const struct conf_generation *before = broker->last_good;
    broker->generation = generation;
    broker->last_good = generation;
    if (before == generation) {
        return;
    }
    if (before == NULL) {
        log_broker(broker, LOG_LEVEL_INFO, "generation_learned", NULL, 0);
        audit_generation(broker, AUDIT_GENERATION_LEARNED, NULL);
        return;
    }
    struct log_field was = log_str("generation_before", before->name);
    broker->flips++;
    stats_add(&broker->cluster->params.stats->generation_flips, is_counted(broker) ? 1 : 0);
    log_broker(broker, LOG_LEVEL_WARN, "generation_flipped", &was, 1);
    audit_generation(broker, AUDIT_GENERATION_FLIPPED, before);
}

static void note_error(struct broker *broker, const struct probe_result *result)
{
    const char *outcome = probe_outcome_name(result->outcome);
    char error[BROKER_ERROR_SIZE];
    snprintf(error, sizeof error, "%s%s%s", outcome, result->text[0] != '\0' ? ": " : "",
             result->text);
    /* The same failure again and again is one line, and debug after that. */
    bool same = strcmp(error, broker->last_error) == 0;
    memcpy(broker->last_error, error, sizeof error);
    struct log_field extra[] = {
        log_str("outcome", outcome),
        log_str("reason", result->reason != BROKER_LOGIN_NO_REASON
                              ? broker_login_reason_name(result->reason)
                              : NULL),
        log_int("error_code", result->error_code),
        log_bool("identity_refused", result->login_failed),
        log_str("text", result->text),
    };
    log_broker(broker, same ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "probe_failed", extra, 5);
}

static void note_success(struct broker *broker, const struct probe_result *result)
{
    struct log_field extra[] = {
        log_uint("elapsed_ms", result->elapsed_ms),
        log_str("tls", result->tls_version[0] != '\0' ? result->tls_version : NULL),
        log_uint("apis", result->versions != NULL ? result->versions->count : 0),
        log_str("outcome", probe_outcome_name(result->outcome)),
    };
    bool news = !broker->live || broker->last_error[0] != '\0';
    log_broker(broker, news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "broker_up", extra, 4);
    broker->last_error[0] = '\0';
}

static void count_probe(struct stats *stats, const struct probe_result *result)
{
    if (result->login_failed) {
        stats_add(&stats->probes_login_failed, 1);
    } else if (result->outcome == PROBE_OK || result->outcome == PROBE_VERSIONS_ONLY) {
        stats_add(&stats->probes_ok, 1);
    } else {
        stats_add(&stats->probes_failed, 1);
    }
}

static bool learn_endpoint(void *context, const struct endpoint *endpoint)
{
    struct cluster *cluster = context;
    struct broker *named = cluster_find_node(cluster, endpoint->node_id);
    if (named != NULL) {
        named->named = cluster->naming;
    }
    struct view rack = endpoint->rack_null ? view_from_string("") : endpoint->rack;
    if (!cluster_learn_from(cluster, endpoint->node_id, endpoint->host, endpoint->port, rack)) {
        struct log_field fields[] = {
            log_str("cluster", cluster->params.conf->name), log_int("node", endpoint->node_id),
            log_view("host", endpoint->host), log_int("port", endpoint->port)};
        log_write(LOG_LEVEL_WARN, "broker_not_acceptable", fields, 4);
    }
    return true;
}

/* A node of another generation that had answered before this broker was asked, and is left out. */
static const struct broker *left_out(const struct broker *broker)
{
    const struct cluster *cluster = broker->cluster;
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct broker *node = cluster->nodes[i];
        if (node->live && node->confirmed && node->named != cluster->naming &&
            node->generation != NULL && node->generation != broker->generation &&
            node->last_answer_ms < broker->last_look_ms) {
            return node;
        }
    }
    return NULL;
}

/* Twice in a row: once may be a broker that has only just come. */
static void warn_of_gaps(struct broker *broker)
{
    const struct broker *node =
        broker->cluster->params.conf->metadata == CONF_METADATA_AS_IS ? left_out(broker) : NULL;
    broker->partial = node != NULL ? broker->partial + 1 : 0;
    if (broker->partial == 2) {
        struct log_field extra[] = {
            log_int("other_node", node->node_id),
            log_str("other_generation", node->generation->name),
            log_str("text", "it does not tell of the other: where listeners differ in name clients "
                            "see half of the cluster (set clusters[].metadata: merged)")};
        log_broker(broker, LOG_LEVEL_WARN, "listeners_differ", extra, 3);
    }
}

static void learn_metadata(struct broker *broker, const struct probe_result *result)
{
    if (result->metadata.at == NULL || !broker->cluster->params.conf->follow) {
        return;
    }
    broker->cluster->naming++;
    enum endpoint_status status = endpoint_visit(API_METADATA, result->metadata_version,
                                                 result->metadata, learn_endpoint, broker->cluster);
    if (status != ENDPOINT_OK) {
        log_broker(broker, LOG_LEVEL_WARN, "metadata_not_decodable", NULL, 0);
        return;
    }
    warn_of_gaps(broker);
}

/* Reached: it is up, whatever it thinks of Setu's own identity. */
static void on_reached(struct broker *broker, const struct probe_result *result)
{
    struct cluster *cluster = broker->cluster;
    note_generation(broker, result->generation);
    if (result->versions != NULL) {
        broker->versions = *result->versions;
        broker->versions_known = true;
        cluster->advertised_stale = true;
    }
    if (result->lifetime_ms > 0) {
        /* By another mechanism it may give none: that says nothing. */
        broker->lifetime_ms = result->lifetime_ms;
    }
    if (result->outcome == PROBE_OK || !result->login_failed) {
        note_success(broker, result);
    } else {
        note_error(broker, result);
    }
    broker->live = true;
    cluster_dials_welcome(cluster, broker);
    broker->failures = 0;
    broker->last_answer_ms = cluster_now_ms(cluster);
}

static void on_not_reached(struct broker *broker, const struct probe_result *result)
{
    struct cluster *cluster = broker->cluster;
    note_error(broker, result);
    broker->live = false;
    cluster->advertised_stale = true;
    if (broker->failures < 100) {
        broker->failures++;
    }
    if (result->outcome == PROBE_UNREACHABLE) {
        broker->confirmed = false;
    }
    if (result->outcome == PROBE_UNDECIDED && broker->by_look) {
        broker->generation = NULL;
    }
    broker_endpoint(broker)->address = 0;
    if (broker_try_other(broker)) {
        broker_decide(broker, cluster->params.conf);
    }
}

/* Reached, but by another node than the one that was looked for: nothing it says is of that one. */
static void on_stranger(struct broker *broker)
{
    snprintf(broker->last_error, sizeof broker->last_error, "another node answers there");
    if (broker->failures < 100) {
        broker->failures++;
    }
}

static bool is_reached(const struct probe_result *result)
{
    return result->outcome == PROBE_OK || result->outcome == PROBE_VERSIONS_ONLY ||
           result->outcome == PROBE_REFUSED;
}

static void conclude(struct broker *broker, const struct probe_result *result)
{
    struct broker_endpoint *endpoint = broker_endpoint(broker);
    if (result->outcome == PROBE_LOCAL) {
        note_error(broker, result); /* it says nothing about the broker */
        return;
    }
    if (!is_reached(result)) {
        on_not_reached(broker, result);
        return;
    }
    /* At another address of its name it has yet to say who it is, and perhaps just did. */
    broker->confirmed = broker->confirmed && endpoint->address == result->address;
    endpoint->address = result->address;
    if (cluster_check_identity(broker, endpoint->host, endpoint->port, result->metadata_version,
                               result->metadata) == BROKER_ANOTHER) {
        on_stranger(broker);
    } else {
        on_reached(broker, result);
    }
}

static void on_probed(void *context, const struct probe_result *result)
{
    struct broker *broker = context;
    struct cluster *cluster = broker->cluster;
    broker->probe = NULL;
    broker->looked = true;
    broker->looks++;
    cluster->looking--;
    count_probe(cluster->params.stats, result);
    uint64_t flips = broker->flips;
    conclude(broker, result);
    broker->vain = broker->asked && broker->flips == flips ? broker->vain + 1 : 0;
    broker->asked = false;
    broker->next_look_ms = cluster_now_ms(cluster) +
                           broker_delay_ms(broker->failures, cluster->params.conf->refresh_ms,
                                           cluster_random(cluster));
    learn_metadata(broker, result);
    cluster_changed(cluster);
    arm(cluster);
}

/* ---- how ---- */

static void probe_now(struct cluster *cluster, struct broker *broker)
{
    struct probe_params params = {
        .io = cluster->params.io,
        .conf = cluster->params.conf,
        .identity = &cluster->identity,
        .subject = broker_subject(broker),
        .addresses = broker_endpoint(broker)->resolved,
        .generation = broker->generation,
        .relook = broker->by_look,
        .timeout_ms = cluster->limits.connect_timeout_ms,
    };
    broker->probe = probe_start(&params, on_probed, broker);
    if (broker->probe != NULL) {
        cluster->looking++;
    }
}

/* Who wrote the configuration may dial this machine. */
static void limit(struct cluster *cluster, struct broker *broker, struct resolve_result *result)
{
    bool seed = broker->node_id < 0;
    if (reach_limit(cluster->params.conf, seed || cluster->ours, result) > 0) {
        struct log_field why = log_str("why", "see allowed_addresses");
        log_broker(broker, LOG_LEVEL_WARN, "broker_address_refused", &why, 1);
    }
}

bool cluster_resolve_literal(struct cluster *cluster, struct broker *broker)
{
    struct broker_endpoint *endpoint = broker_endpoint(broker);
    if (!resolve_literal(endpoint->host, endpoint->port, &endpoint->resolved)) {
        return false;
    }
    limit(cluster, broker, &endpoint->resolved);
    endpoint->resolved_ms = cluster_now_ms(cluster);
    return true;
}

static void not_resolved(struct broker *broker, const char *error)
{
    struct probe_result failed = {.outcome = PROBE_UNREACHABLE, .text = error};
    broker->cluster->looking++;
    on_probed(broker, &failed);
}

static void on_resolved(void *context, const struct resolve_result *found)
{
    struct broker *broker = context;
    struct cluster *cluster = broker->cluster;
    struct broker_endpoint *endpoint = broker_endpoint(broker);
    struct resolve_result result = *found;
    broker->resolve = NULL;
    cluster->looking--;
    endpoint->resolved_ms = cluster_now_ms(cluster);
    limit(cluster, broker, &result);
    if (result.count > 0) {
        endpoint->resolved = result;
        endpoint->address = 0;
        broker->confirmed = false; /* the name may lead elsewhere now; the look that follows says */
    } else {
        struct log_field error = log_str("error", result.error);
        log_broker(broker, LOG_LEVEL_WARN, "resolve_failed", &error, 1);
    }
    /* A name that does not resolve now leaves the addresses it had: better than none. */
    if (endpoint->resolved.count > 0) {
        probe_now(cluster, broker);
    } else {
        not_resolved(broker, result.error);
        return;
    }
    cluster_changed(cluster);
    arm(cluster);
}

static void look(struct cluster *cluster, struct broker *broker)
{
    struct broker_endpoint *endpoint = broker_endpoint(broker);
    uint64_t now_ms = cluster_now_ms(cluster);
    broker->last_look_ms = now_ms;
    broker->next_look_ms = now_ms + cluster->params.conf->refresh_ms;
    if (cluster_resolve_literal(cluster, broker)) {
        if (endpoint->resolved.count > 0) {
            probe_now(cluster, broker);
        } else {
            not_resolved(broker, endpoint->resolved.error);
        }
        return;
    }
    broker->resolve = resolve_start(cluster->params.io->loop, endpoint->host, endpoint->port,
                                    on_resolved, broker);
    if (broker->resolve != NULL) {
        cluster->looking++;
    }
}

void cluster_look_cancel(struct cluster *cluster, struct broker *broker)
{
    if (broker->probe != NULL) {
        cluster->open++;
        probe_cancel(&broker->probe, cluster_part_gone, cluster);
    }
    if (broker->resolve != NULL) {
        cluster->open++;
        resolve_cancel(&broker->resolve, cluster_part_gone, cluster);
    }
}
