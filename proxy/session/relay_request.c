/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/relay_request.h"

#include <stdio.h>

#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "proxy/cluster/cluster.h"
#include "proxy/cluster/served.h"
#include "proxy/ops/log.h"
#include "proxy/session/bridge.h"
#include "proxy/session/evidence.h"
#include "proxy/session/reauth.h"
#include "proxy/session/reauth_client.h"
#include "proxy/session/relay_records.h"
#include "proxy/session/relay_response.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

static struct inflight_entry request_entry(const struct flow *flow)
{
    return (struct inflight_entry){
        .api_key = flow->api_key,
        .api_version = flow->api_version,
        .correlation_id = flow->correlation_id,
        .question = {.type = -1},
    };
}

static bool request_push_entry(struct session *s, const struct inflight_entry *entry)
{
    if (inflight_push(&s->relay.inflight, entry)) {
        return true;
    }
    session_close(s, CLOSE_INTERNAL);
    return false;
}

static bool request_push(struct session *s, const struct flow *flow)
{
    struct inflight_entry entry = request_entry(flow);
    return request_push_entry(s, &entry);
}

static bool request_refuse(struct session *s, const struct flow *flow, enum close_reason reason)
{
    char api[64];
    snprintf(api, sizeof api, "%s (%d) v%d", api_name(flow->api_key), flow->api_key,
             flow->api_version);
    evidence_request_refused(s, close_reason_name(reason), api);
    session_close(s, reason);
    return false;
}

static bool request_hold(struct session *s, struct flow *flow, size_t bytes_max)
{
    if (flow->frame_bytes > bytes_max) {
        session_close(s, CLOSE_FRAME_TOO_LARGE);
        return false;
    }
    flow->mode = FLOW_HOLD;
    return true;
}

/* Some clients take the answer of one broker for that of all, or keep it while nodes change. */
static bool request_is_served(struct session *s, const struct flow *flow)
{
    if (s->served == NULL || served_takes(s->served, flow->api_key, flow->api_version)) {
        return true;
    }
    struct log_field extra[] = {log_str("api", api_name(flow->api_key)),
                                log_int("version", flow->api_version)};
    session_log(s, LOG_LEVEL_WARN, "version_not_served", extra, 2);
    session_close(s, CLOSE_VERSIONS_OUTDATED);
    return false;
}

/* The answer does not say what was asked for, and only that tells who could answer. */
static bool request_is_question(const struct session *s, const struct flow *flow)
{
    return flow->api_key == API_FIND_COORDINATOR && cluster_merges(s->gate->cluster);
}

static bool request_verdict(struct session *s, struct flow *flow)
{
    const struct conf_limits *limits = &session_shared(s)->config->limits;
    bool bridged = bridge_is(s);
    enum api_action action = bridged ? bridge_request_action(flow->api_key, flow->api_version)
                                     : api_request_action(flow->api_key, flow->api_version);
    if (flow->api_key == API_API_VERSIONS && !bridged) {
        return request_hold(
            s, flow,
            limits->login_frame_max_bytes); /* any version: the answer to a newer one is ours */
    }
    bool forwarded = action == API_FORWARD || action == API_REWRITE || action == API_WATCH;
    if (!bridged && forwarded && !request_is_served(s, flow)) {
        return false;
    }
    if (!bridged && forwarded && request_is_question(s, flow)) {
        return request_hold(s, flow, limits->rewrite_max_bytes);
    }
    switch (action) {
    case API_FORWARD:
    case API_REWRITE:
        flow->mode = FLOW_STREAM;
        return request_push(s, flow);
    case API_WATCH:
        flow->mode = FLOW_WATCH;
        relay_records_begin_produce(s, flow);
        return true;
    case API_INSPECT:
        return request_hold(s, flow, limits->rewrite_max_bytes);
    case API_ANSWER:
        /* SASL again: the login is renewed, or never ends. */
        flow->secret = true;
        return reauth_client_takes(s, flow->api_key, flow->api_version)
                   ? request_hold(s, flow, limits->login_frame_max_bytes)
                   : request_refuse(s, flow, CLOSE_LOGIN_ORDER);
    case API_HIDE:
        break;
    }
    return request_refuse(s, flow, CLOSE_API_NOT_ADMITTED);
}

static bool request_head(struct session *s, struct flow *flow, const uint8_t *at)
{
    struct frame_head head;
    if (frame_request_head(view_of(at, FRAME_HEAD_BYTES), &head) != FRAME_OK) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return false;
    }
    if ((size_t)head.length > session_shared(s)->config->limits.frame_max_bytes) {
        session_close(s, CLOSE_FRAME_TOO_LARGE);
        return false;
    }
    flow->api_key = head.api_key;
    flow->api_version = head.api_version;
    flow->correlation_id = head.correlation_id;
    flow->frame_bytes = (size_t)head.length + FRAME_SIZE_BYTES;
    stats_api(&s->world->stats, head.api_key);
    if (s->reauth != NULL && !reauth_admits(s, head.api_key)) {
        return false;
    }
    return request_verdict(s, flow);
}

static bool request_watch(struct session *s, struct flow *flow, uint8_t *at, size_t length)
{
    return relay_records_feed(s, flow, at, length);
}

/* ---- ApiVersions ---- */

static bool request_versions(struct session *s, struct flow *flow, struct view payload,
                             struct writer *w)
{
    struct request_header header;
    struct api_versions_request request;
    struct api_versions versions;
    if (!api_admits(API_API_VERSIONS, flow->api_version)) {
        api_versions_unsupported(w, flow->correlation_id);
        return true;
    }
    if (request_header_decode(payload, &header) != FRAME_OK ||
        !api_versions_decode_request(header.api_version, view_from(payload, header.length),
                                     &request)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return false;
    }
    if (!cluster_api_versions(s->gate->cluster, s->target, &versions)) {
        session_close(s, CLOSE_NOT_READY);
        return false;
    }
    if (s->served != NULL) {
        served_limit(s->served, &versions);
    }
    if (header.api_version >= 3 && (!api_versions_software_valid(request.software_name) ||
                                    !api_versions_software_valid(request.software_version))) {
        versions = (struct api_versions){.error_code = HANDSHAKE_INVALID_REQUEST};
    }
    api_versions_encode_response(w, header.api_version, header.correlation_id, &versions);
    return true;
}

/* The answer takes its place behind the requests before it: clients match strictly in order. */
static bool request_answer(struct session *s, struct flow *flow, struct view payload)
{
    uint8_t memory[4096];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    if (!request_versions(s, flow, payload, &w)) {
        return false;
    }
    if (!writer_ok(&w)) {
        session_close(s, CLOSE_INTERNAL);
        return false;
    }
    return relay_answer(s, flow->api_key, flow->api_version, flow->correlation_id, writer_view(&w));
}

/* ---- requests that are looked at, and sent as they came ---- */

static bool request_pass(struct session *s, struct flow *flow, struct view payload)
{
    if (!leg_write(&s->broker, payload.at - FRAME_SIZE_BYTES, payload.length + FRAME_SIZE_BYTES)) {
        session_broker_failed(s);
        return false;
    }
    flow->sent_bytes += payload.length + FRAME_SIZE_BYTES;
    return true;
}

static bool request_question(struct session *s, struct flow *flow, struct view payload)
{
    struct inflight_entry entry = request_entry(flow);
    if (!gaps_question_read(flow->api_version, payload, &entry.question)) {
        entry.question.type = -1; /* the broker judges it */
    }
    return request_push_entry(s, &entry) && request_pass(s, flow, payload);
}

static bool request_inspect(struct session *s, struct flow *flow, struct view payload)
{
    int32_t replica_id = -1;
    if (request_replica_id(flow->api_key, flow->api_version, payload, &replica_id) != ENDPOINT_OK) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return false;
    }
    if (replica_id >= 0) {
        return request_refuse(
            s, flow, CLOSE_REPLICA_REQUEST); /* CVE-2018-1288: a client posing as a follower */
    }
    return request_is_served(s, flow) && request_push(s, flow) && request_pass(s, flow, payload);
}

static bool request_held(struct session *s, struct flow *flow, uint8_t *at)
{
    struct view payload = view_of(at + FRAME_SIZE_BYTES, flow->frame_bytes - FRAME_SIZE_BYTES);
    switch (flow->api_key) {
    case API_API_VERSIONS:
        return request_answer(s, flow, payload);
    case API_FIND_COORDINATOR:
        return request_question(s, flow, payload);
    case API_SASL_HANDSHAKE:
    case API_SASL_AUTHENTICATE:
        return reauth_client_request(s, payload);
    default:
        return request_inspect(s, flow, payload);
    }
}

static bool request_end(struct session *s, struct flow *flow)
{
    bool answered =
        flow->api_key == API_API_VERSIONS ? !bridge_is(s) : flow->secret && !s->passthrough;
    stats_add(&s->world->stats.requests, answered ? 0 : 1);
    return true;
}

static struct leg *request_to(struct session *s)
{
    return &s->broker;
}

const struct flow_direction relay_request_direction = {
    .head_bytes = FRAME_HEAD_BYTES,
    .head = request_head,
    .watch = request_watch,
    .held = request_held,
    .end = request_end,
    .to = request_to,
    .to_failed = session_broker_failed,
};
