/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/relay_records.h"

#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/records.h"
#include "proxy/ops/log.h"
#include "proxy/session/relay_ledger.h"
#include "proxy/session/session.h"

enum { CRC_LOG_EVERY_MS = 1000 };

static void log_bad_batch(struct session *s, const struct flow *flow, const struct batch_head *head)
{
    uint64_t now_ms = uv_now(s->world->io.loop);
    if (s->world->crc_logged_ms != 0 && now_ms - s->world->crc_logged_ms < CRC_LOG_EVERY_MS) {
        return; /* every one is counted; one a second is told */
    }
    s->world->crc_logged_ms = now_ms;
    const struct view topic = flow->walk->partition.topic;
    struct log_field extra[] = {
        log_str("api", api_name(flow->api_key)),
        log_view("topic", topic),
        log_int("partition", flow->walk->partition.partition),
        log_int("base_offset", head->base_offset),
        log_int("records", head->count),
        log_int("producer_id", head->producer_id),
    };
    session_log(s, LOG_LEVEL_ERROR, "batch_crc_wrong", extra, sizeof extra / sizeof extra[0]);
}

static void count_batch(struct session *s, const struct flow *flow, const struct batch_head *head,
                        enum batch_verdict verdict)
{
    struct stats *stats = &s->world->stats;
    bool produce = flow->api_key == API_PRODUCE;
    if (verdict == BATCH_TRUNCATED || verdict == BATCH_MALFORMED) {
        return; /* not a whole batch: fetched again, or refused by the broker */
    }
    stats_add(produce ? &stats->produce_batches : &stats->fetch_batches, 1);
    if (head->count > 0) {
        stats_add(produce ? &stats->produce_records : &stats->fetch_records, (uint64_t)head->count);
    }
    if (verdict == BATCH_CRC_WRONG) {
        stats_add(produce ? &stats->produce_crc_errors : &stats->fetch_crc_errors, 1);
        log_bad_batch(s, flow, head);
        s->relay.crc_wrong = session_shared(s)->config->integrity.crc == CONF_CRC_ENFORCE;
    }
}

static void on_produce_batch(void *context, const struct batch_head *head,
                             enum batch_verdict verdict)
{
    struct session *s = context;
    count_batch(s, &s->relay.requests, head, verdict);
}

static void on_fetch_batch(void *context, const struct batch_head *head, enum batch_verdict verdict)
{
    struct session *s = context;
    count_batch(s, &s->relay.responses, head, verdict);
}

/* acks=0 has no response: only what is answered goes into flight. */
static void on_acks(void *context, int16_t acks)
{
    struct session *s = context;
    const struct flow *flow = &s->relay.requests;
    struct inflight_entry entry = {
        .api_key = flow->api_key,
        .api_version = flow->api_version,
        .correlation_id = flow->correlation_id,
    };
    s->relay.acks_known = acks == 0 || inflight_push(&s->relay.inflight, &entry);
}

/* ---- the same, and the ledger is told ---- */

static void on_acks_told(void *context, int16_t acks)
{
    relay_ledger_acks(context, acks);
    on_acks(context, acks);
}

static void on_produce_partition_told(void *context, const struct records_partition *partition)
{
    relay_ledger_sent_partition(context, partition);
}

static void on_produce_batch_told(void *context, const struct batch_head *head,
                                  enum batch_verdict verdict)
{
    on_produce_batch(context, head, verdict);
    relay_ledger_sent(context, head, verdict);
}

static void on_fetch_partition_told(void *context, const struct records_partition *partition)
{
    relay_ledger_fetched_partition(context, partition);
}

static void on_fetch_batch_told(void *context, const struct batch_head *head,
                                enum batch_verdict verdict)
{
    on_fetch_batch(context, head, verdict);
    relay_ledger_fetched(context, head, verdict);
}

static const struct records_events produce_events = {.on_acks = on_acks,
                                                     .on_batch = on_produce_batch};
static const struct records_events fetch_events = {.on_batch = on_fetch_batch};
static const struct records_events produce_events_told = {.on_acks = on_acks_told,
                                                          .on_partition = on_produce_partition_told,
                                                          .on_batch = on_produce_batch_told};
static const struct records_events fetch_events_told = {.on_partition = on_fetch_partition_told,
                                                        .on_batch = on_fetch_batch_told};

static void walk_begin(struct session *s, struct flow *flow, enum records_kind kind,
                       const struct records_events *events)
{
    struct records_walk *walk = flow_walk(flow);
    records_walk_begin(walk, kind, flow->api_version, flow->frame_bytes - 4, events, s);
    walk->check_crc = session_shared(s)->config->integrity.crc != CONF_CRC_OFF;
    s->relay.crc_wrong = false;
}

void relay_records_begin_produce(struct session *s, struct flow *flow)
{
    const bool told = relay_ledger_wants(s);
    s->relay.acks_known = false;
    if (told) {
        relay_ledger_request(s);
    }
    walk_begin(s, flow, RECORDS_PRODUCE_REQUEST, told ? &produce_events_told : &produce_events);
}

void relay_records_begin_fetch(struct session *s, struct flow *flow, bool neutralise)
{
    const bool told = relay_ledger_wants(s);
    if (told) {
        relay_ledger_fetch(s);
    }
    walk_begin(s, flow, RECORDS_FETCH_RESPONSE, told ? &fetch_events_told : &fetch_events);
    flow->walk->neutralise_endpoints = neutralise;
}

bool relay_records_feed(struct session *s, struct flow *flow, uint8_t *at, size_t length)
{
    bool produce = flow->api_key == API_PRODUCE;
    enum records_status status = records_walk_feed(flow->walk, at, length);
    if (s->relay.crc_wrong) {
        session_close(s, CLOSE_CRC_MISMATCH);
        return false;
    }
    bool last = flow->remaining == length;
    if (status == RECORDS_BAD || last != (status == RECORDS_DONE) ||
        (produce && last && !s->relay.acks_known)) {
        session_close(s, produce ? CLOSE_FRAME_MALFORMED : CLOSE_RESPONSE_MALFORMED);
        return false;
    }
    if (status == RECORDS_DONE && flow->walk->neutralised > 0) {
        stats_add(&s->world->stats.rewrites_streamed, 1);
    }
    return true;
}
