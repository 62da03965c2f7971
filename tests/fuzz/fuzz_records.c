/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a Produce request or Fetch response that streams by. First byte: which, second:
 * version, third: the size of the pieces. In one piece and in many, the same must be reported. What
 * the tables accept the walk must accept, and where it has neutralised, no address can be found any
 * more.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "protocol/frame.h"
#include "protocol/records.h"
#include "protocol/schema_tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All events, hashed (FNV-1a), and how it ended. */
struct report {
    uint64_t hash;
    enum records_status status;
};

static void mix(struct report *r, uint64_t v)
{
    r->hash = (r->hash ^ v) * 1099511628211U;
}

static void on_acks(void *context, int16_t acks)
{
    mix(context, (uint64_t)(uint16_t)acks);
}

static void on_partition(void *context, const struct records_partition *p)
{
    for (size_t i = 0; i < p->topic.length; i++) {
        mix(context, p->topic.at[i]);
    }
    for (size_t i = 0; p->topic_id != NULL && i < 16; i++) {
        mix(context, p->topic_id[i]);
    }
    mix(context, (uint64_t)p->partition);
    mix(context, (uint64_t)p->error_code);
    mix(context, (uint64_t)p->high_watermark);
    mix(context, (uint64_t)p->last_stable_offset);
    mix(context, (uint64_t)p->log_start_offset);
    mix(context, (uint64_t)p->records_length);
}

static void on_batch(void *context, const struct batch_head *head, enum batch_verdict verdict)
{
    mix(context, verdict);
    mix(context, (uint64_t)head->base_offset);
    mix(context, (uint64_t)head->length);
    mix(context, (uint64_t)head->magic);
    mix(context, head->crc);
    mix(context, (uint64_t)head->count);
}

static const struct records_events events = {on_acks, on_partition, on_batch};

static struct report walk(enum records_kind kind, int16_t version, struct view payload,
                          size_t piece, bool neutralise, uint8_t *copy)
{
    struct report report = {.hash = 14695981039346656037U, .status = RECORDS_OK};
    struct records_walk walk;
    records_walk_begin(&walk, kind, version, payload.length, &events, &report);
    walk.neutralise_endpoints = neutralise;
    memcpy(copy, payload.at, payload.length);
    size_t at = 0;
    do {
        size_t n = payload.length - at < piece ? payload.length - at : piece;
        report.status = records_walk_feed(&walk, copy + at, n);
        at += n;
    } while (at < payload.length && report.status == RECORDS_OK);
    if (report.status == RECORDS_OK || (report.status == RECORDS_DONE && at != payload.length)) {
        abort();
    }
    if (!neutralise && memcmp(copy, payload.at, payload.length) != 0) {
        abort();
    }
    return report;
}

static bool tables_accept(enum records_kind kind, int16_t version, struct view payload)
{
    static const struct schema_visitor nobody;
    bool request = kind == RECORDS_PRODUCE_REQUEST;
    int16_t key = request ? API_PRODUCE : API_FETCH;
    const struct schema_message *message = schema_find(key, request);
    struct request_header header = {.length = 0};
    int32_t id;
    size_t length;
    if (request) {
        if (request_header_decode(payload, &header) != FRAME_OK || header.api_key != key ||
            header.api_version != version) {
            return false;
        }
        length = header.length;
    } else if (response_header_decode(payload, key, version, &id, &length) != FRAME_OK) {
        return false;
    }
    return schema_walk(message, version, api_is_flexible(key, version), view_from(payload, length),
                       &nobody, NULL) == SCHEMA_OK;
}

static bool count_one(void *context, const struct endpoint *endpoint)
{
    (void)endpoint;
    ++*(size_t *)context;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    enum records_kind kind = data[0] % 2 == 0 ? RECORDS_PRODUCE_REQUEST : RECORDS_FETCH_RESPONSE;
    int16_t version = (int16_t)(data[1] % (kind == RECORDS_PRODUCE_REQUEST ? 14 : 19));
    struct view payload = view_of(data + 3, size - 3);
    uint8_t *copy = malloc(payload.length);
    if (copy == NULL) {
        return 0;
    }
    struct report whole = walk(kind, version, payload, SIZE_MAX, false, copy);
    struct report pieces = walk(kind, version, payload, (size_t)data[2] + 1, false, copy);
    if (whole.status != pieces.status || whole.hash != pieces.hash) {
        abort();
    }
    if (whole.status == RECORDS_BAD && tables_accept(kind, version, payload)) {
        abort();
    }
    if (kind == RECORDS_FETCH_RESPONSE) {
        size_t found = 0;
        struct report after = walk(kind, version, payload, (size_t)data[2] + 1, true, copy);
        if (after.status == RECORDS_DONE) {
            struct view changed = view_of(copy, payload.length);
            (void)!endpoint_visit(API_FETCH, version, changed, count_one, &found);
        }
        if (found > 0 || (after.status == RECORDS_DONE && whole.status != RECORDS_DONE)) {
            abort();
        }
    }
    free(copy);
    return 0;
}
