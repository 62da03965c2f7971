/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/relay_response.h"

#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "protocol/frame.h"
#include "protocol/gaps.h"
#include "protocol/records.h"
#include "proxy/cluster/cluster.h"
#include "proxy/ops/log.h"
#include "proxy/session/bridge.h"
#include "proxy/session/relay_ledger.h"
#include "proxy/session/node_address.h"
#include "proxy/session/reauth_broker.h"
#include "proxy/session/reauth_pass.h"
#include "proxy/session/relay_records.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

enum {
    /* Smaller Fetch responses that may name brokers are held, larger ones streamed. */
    FETCH_HELD_BYTES_MAX = 64 * 1024,
    REWRITE_KEPT_BYTES_MAX = 256 * 1024 /* of memory kept between two rewrites */
};

static bool response_verdict_bridged(struct session *s, struct flow *flow)
{
    flow->mode = FLOW_STREAM;
    if (bridge_response_action(flow->api_key, flow->api_version) == API_WATCH) {
        flow->mode = FLOW_WATCH;
        relay_records_begin_fetch(s, flow, false);
    }
    return true;
}

static bool response_verdict(struct session *s, struct flow *flow)
{
    if (bridge_is(s)) {
        return response_verdict_bridged(s, flow);
    }
    enum api_action action = api_response_action(flow->api_key, flow->api_version);
    bool addresses = endpoint_in(flow->api_key, flow->api_version);
    if (action == API_WATCH) {
        bool hold = addresses && flow->frame_bytes <= FETCH_HELD_BYTES_MAX;
        flow->mode = hold ? FLOW_HOLD : FLOW_WATCH;
        relay_records_begin_fetch(s, flow, addresses && !hold);
        return true;
    }
    if (!addresses) {
        const bool read = flow->api_key == API_PRODUCE && relay_ledger_reads(s, flow->frame_bytes);
        flow->mode = read ? FLOW_WATCH : FLOW_STREAM;
        return true;
    }
    flow->mode = FLOW_HOLD;
    if (flow->frame_bytes > session_shared(s)->config->limits.rewrite_max_bytes) {
        session_close(s, CLOSE_RESPONSE_TOO_LARGE);
        return false;
    }
    return true;
}

static bool is_sasl(int16_t api_key)
{
    return api_key == API_SASL_HANDSHAKE || api_key == API_SASL_AUTHENTICATE;
}

/* Of a renewal: Setu's own at the broker, or the client's that passes through. */
static bool response_hold_sasl(struct session *s, struct flow *flow)
{
    if (flow->frame_bytes > session_shared(s)->config->limits.login_frame_max_bytes) {
        session_close(s, CLOSE_RESPONSE_TOO_LARGE);
        return false;
    }
    flow->mode = FLOW_HOLD;
    return true;
}

static bool response_head(struct session *s, struct flow *flow, const uint8_t *at)
{
    int32_t length;
    const struct inflight_entry *oldest = inflight_front(&s->relay.inflight);
    if (frame_response_head(view_of(at, FRAME_RESPONSE_HEAD_BYTES), &length,
                            &flow->correlation_id) != FRAME_OK) {
        session_close(s, CLOSE_RESPONSE_MALFORMED);
        return false;
    }
    if (oldest == NULL || oldest->answer != NULL ||
        oldest->correlation_id != flow->correlation_id) {
        session_close(s, CLOSE_RESPONSE_UNEXPECTED);
        return false;
    }
    flow->api_key = oldest->api_key;
    flow->api_version = oldest->api_version;
    flow->frame_bytes = (size_t)length + FRAME_SIZE_BYTES;
    return is_sasl(flow->api_key) ? response_hold_sasl(s, flow) : response_verdict(s, flow);
}

static bool response_watch(struct session *s, struct flow *flow, uint8_t *at, size_t length)
{
    if (flow->api_key == API_PRODUCE) {
        relay_ledger_answer(s, flow->api_version, view_of(at, length), flow->remaining - length);
        return true;
    }
    return relay_records_feed(s, flow, at, length);
}

/* ---- addresses ---- */

/* The port is open before the response that names it leaves (law 3). */
static bool response_map(void *context, const struct endpoint *from, struct endpoint *to)
{
    struct session *s = context;
    struct gate *gate = s->gate;
    if (!cluster_learn(gate->cluster, from->node_id, from->host, from->port, from->rack)) {
        return false;
    }
    uint16_t port = gate->node_port(gate, from->node_id);
    to->port = port;
    return port != 0 &&
           node_address_shown(gate->conf, from->node_id, gate->alias, &to->host, &port);
}

static enum close_reason rewrite_reason(enum endpoint_status status)
{
    switch (status) {
    case ENDPOINT_REFUSED:
    case ENDPOINT_FORBIDDEN:
        return CLOSE_ADDRESS_REFUSED;
    case ENDPOINT_TOO_LARGE:
        return CLOSE_RESPONSE_TOO_LARGE;
    default:
        return CLOSE_RESPONSE_MALFORMED;
    }
}

static void rewrite_done(struct writer *w)
{
    if (w->capacity > REWRITE_KEPT_BYTES_MAX) {
        writer_free(w);
    } else {
        writer_reset(w);
    }
}

static bool response_reaches(void *context, int32_t node_id)
{
    struct session *s = context;
    /* What is out of range is no news in an answer that need not name it. */
    return node_id < node_address_limit(s->gate->conf) && s->gate->node_port(s->gate, node_id) != 0;
}

/* What the broker leaves out for want of a listener name is put in first; then all is rewritten alike. */
static enum endpoint_status response_fill(struct session *s, const struct flow *flow,
                                          struct view *payload)
{
    struct cluster *cluster = s->gate->cluster;
    struct writer *w = &s->world->filled;
    bool changed = false;
    if (!cluster_merges(cluster) || !gaps_in(flow->api_key)) {
        return ENDPOINT_OK;
    }
    const struct cluster_audience audience = {.reaches = response_reaches, .context = s};
    enum endpoint_status status =
        cluster_fill_gaps(cluster, &s->route, flow->api_key, flow->api_version,
                          &inflight_front(&s->relay.inflight)->question, &audience, *payload, w,
                          &changed);
    *payload = changed ? writer_view(w) : *payload;
    return status == ENDPOINT_BAD ? ENDPOINT_OK : status; /* the rewriter is the judge of that */
}

static enum endpoint_status response_write(struct session *s, const struct flow *flow,
                                           struct view *payload)
{
    enum endpoint_status status = response_fill(s, flow, payload);
    return status != ENDPOINT_OK ? status
                                 : endpoint_rewrite(flow->api_key, flow->api_version, *payload,
                                                    response_map, s, &s->world->rewrite);
}

static bool response_rewrite(struct session *s, struct flow *flow, struct view payload)
{
    struct writer *w = &s->world->rewrite;
    struct stats *stats = &s->world->stats;
    enum endpoint_status status = response_write(s, flow, &payload);
    if (status != ENDPOINT_OK) {
        struct log_field extra[] = {log_str("api", api_name(flow->api_key)),
                                    log_int("version", flow->api_version)};
        session_log(s, LOG_LEVEL_ERROR, "rewrite_failed", extra, 2);
        rewrite_done(w);
        rewrite_done(&s->world->filled);
        stats_add(&stats->rewrites_refused, 1);
        session_close(s, rewrite_reason(status));
        return false;
    }
    if (flow->api_key == API_METADATA && relay_ledger_wants(s)) {
        relay_ledger_metadata(s, flow->api_version, payload);
    }
    rewrite_done(&s->world->filled);
    struct view frame = writer_view(w);
    bool sent = leg_write(&s->client, frame.at, frame.length);
    stats_add(&stats->rewrites, 1);
    flow->sent_bytes += frame.length;
    rewrite_done(w);
    if (!sent) {
        session_client_failed(s);
    }
    return sent;
}

/* A Fetch response names brokers only where a leader has moved: nearly all leave as they came. */
static bool response_pass(struct session *s, struct flow *flow, const uint8_t *at)
{
    flow->sent_bytes += flow->frame_bytes;
    if (leg_write(&s->client, at, flow->frame_bytes)) {
        return true;
    }
    session_client_failed(s);
    return false;
}

static bool response_held(struct session *s, struct flow *flow, uint8_t *at)
{
    uint8_t *payload = at + FRAME_SIZE_BYTES;
    size_t length = flow->frame_bytes - FRAME_SIZE_BYTES;
    if (is_sasl(flow->api_key)) {
        return inflight_front(&s->relay.inflight)->own ? reauth_broker_response(s, flow, at)
                                                       : reauth_pass_response(s, flow, at);
    }
    if (flow->api_key == API_FETCH) {
        flow->remaining = length;
        if (!relay_records_feed(s, flow, payload, length)) {
            return false;
        }
        if (flow->walk->endpoints == 0) {
            return response_pass(s, flow, at);
        }
    }
    if (flow->api_key == API_PRODUCE) {
        relay_ledger_answer(s, flow->api_version, view_of(payload, length), 0);
    }
    return response_rewrite(s, flow, view_of(payload, length));
}

/* ---- order ---- */

static bool response_answer_due(const struct session *s)
{
    const struct inflight_entry *oldest = inflight_front(&s->relay.inflight);
    return oldest != NULL && oldest->answer != NULL;
}

bool relay_send_answers(struct session *s)
{
    const struct inflight_entry *oldest = inflight_front(&s->relay.inflight);
    while (oldest != NULL && oldest->answer != NULL) {
        if (!leg_write(&s->client, oldest->answer, oldest->answer_length)) {
            session_client_failed(s);
            return false;
        }
        stats_add(&s->world->stats.answered, 1);
        inflight_pop(&s->relay.inflight);
        oldest = inflight_front(&s->relay.inflight);
    }
    if (!leg_flush(&s->client)) {
        session_client_failed(s);
        return false;
    }
    return true;
}

bool relay_answer(struct session *s, int16_t api_key, int16_t api_version, int32_t correlation_id,
                  struct view frame)
{
    struct inflight_entry entry = {.api_key = api_key,
                                   .api_version = api_version,
                                   .correlation_id = correlation_id,
                                   .answer = malloc(frame.length),
                                   .answer_length = (uint32_t)frame.length};
    if (entry.answer == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return false;
    }
    memcpy(entry.answer, frame.at, frame.length);
    if (!inflight_push(&s->relay.inflight, &entry)) {
        free(entry.answer);
        session_close(s, CLOSE_LOGIN_ORDER);
        return false;
    }
    /* Who does not take what was sent gets no more: the answers that wait are bounded. */
    return leg_backlog(&s->client) > 0 || relay_send_answers(s);
}

static bool response_end(struct session *s, struct flow *flow)
{
    (void)flow;
    stats_add(&s->world->stats.responses, inflight_front(&s->relay.inflight)->own ? 0 : 1);
    s->relay.answered = true;
    inflight_pop(&s->relay.inflight);
    return true;
}

static struct leg *response_to(struct session *s)
{
    return &s->client;
}

const struct flow_direction relay_response_direction = {
    .head_bytes = FRAME_RESPONSE_HEAD_BYTES,
    .head = response_head,
    .watch = response_watch,
    .held = response_held,
    .end = response_end,
    .between_due = response_answer_due,
    .between = relay_send_answers,
    .to = response_to,
    .to_failed = session_client_failed,
};
