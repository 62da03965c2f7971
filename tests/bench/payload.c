/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/payload.h"

#include <string.h>

#include "protocol/api.h"
#include "protocol/batch.h"
#include "protocol/frame.h"
#include "tests/bench/common.h"

enum { FRAME_BYTES_MAX = 256 * 1024 * 1024, FETCH_WAIT_MS = 500 };
static const int64_t timestamp_ms = 1600000000000;

/* Incompressible enough that nothing on the way gains by looking at it, and the same every run. */
static void fill(uint8_t *at, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        at[i] = (uint8_t)(seed >> 24);
    }
}

static int32_t write_batch(struct writer *out, size_t batch_bytes)
{
    struct writer records;
    uint8_t bytes[PAYLOAD_RECORD_BYTES];
    int32_t count = 0;
    size_t one = 0;
    writer_init_growing(&records, FRAME_BYTES_MAX);
    do {
        size_t before = records.length;
        fill(bytes, sizeof bytes, (uint32_t)count);
        struct view value = view_of(bytes, sizeof bytes);
        batch_encode_record(&records, count++, 0, NULL, &value);
        one = records.length - before;
    } while (BATCH_HEAD_BYTES + records.length + one <= batch_bytes && writer_ok(&records));
    struct batch_head head = {
        .magic = 2,
        .last_offset_delta = count - 1,
        .base_timestamp = timestamp_ms,
        .max_timestamp = timestamp_ms,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .count = count,
    };
    batch_encode(out, &head, writer_view(&records));
    writer_free(&records);
    return count;
}

/* A batch as compact bytes. */
static void put_batch(struct payload *payload, size_t batch_bytes)
{
    struct writer batch;
    writer_init_growing(&batch, FRAME_BYTES_MAX);
    payload->records = write_batch(&batch, batch_bytes);
    payload->bytes = batch.length;
    writer_bytes(&payload->frame, true, writer_view(&batch));
    payload->batch_at = payload->frame.length - batch.length;
    writer_free(&batch);
}

static void finish(struct payload *payload, size_t frame)
{
    frame_end(&payload->frame, frame);
    if (!writer_ok(&payload->frame)) {
        die("a frame that large cannot be made");
    }
}

struct payload payload_produce(const char *topic, size_t batch_bytes)
{
    struct payload payload = {.records = 0};
    struct writer *w = &payload.frame;
    struct view client = view_from_string("setu-gen");
    writer_init_growing(w, FRAME_BYTES_MAX);
    size_t frame = frame_request_begin(w, API_PRODUCE, PAYLOAD_PRODUCE_VERSION, 0, &client);
    writer_null_string(w, true); /* transactional id */
    writer_i16(w, 1);            /* acks */
    writer_i32(w, 30000);        /* timeout */
    writer_array(w, true, 1);
    writer_string(w, true, view_from_string(topic));
    writer_array(w, true, 1);
    writer_i32(w, 0); /* partition */
    put_batch(&payload, batch_bytes);
    writer_no_tags(w); /* partition, topic, request */
    writer_no_tags(w);
    writer_no_tags(w);
    finish(&payload, frame);
    return payload;
}

struct payload payload_fetch(const char *topic, size_t batch_bytes)
{
    struct payload payload = {.records = 0};
    struct writer *w = &payload.frame;
    struct view client = view_from_string("setu-gen");
    writer_init_growing(w, FRAME_BYTES_MAX);
    size_t frame = frame_request_begin(w, API_FETCH, PAYLOAD_FETCH_VERSION, 0, &client);
    writer_i32(w, -1); /* replica id: a client */
    writer_i32(w, FETCH_WAIT_MS);
    writer_i32(w, 1); /* min bytes */
    writer_i32(w, (int32_t)batch_bytes);
    writer_i8(w, 0);   /* read uncommitted */
    writer_i32(w, 0);  /* no fetch session … */
    writer_i32(w, -1); /* … and none wanted */
    writer_array(w, true, 1);
    writer_string(w, true, view_from_string(topic));
    writer_array(w, true, 1);
    writer_i32(w, 0);  /* partition */
    writer_i32(w, -1); /* leader epoch */
    writer_i64(w, 0);  /* offset */
    writer_i32(w, -1); /* last fetched epoch */
    writer_i64(w, -1); /* log start */
    writer_i32(w, (int32_t)batch_bytes);
    writer_no_tags(w); /* partition, topic */
    writer_no_tags(w);
    writer_array(w, true, 0); /* forgotten topics */
    writer_string(w, true, view_from_string(""));
    writer_no_tags(w);
    finish(&payload, frame);
    return payload;
}

struct payload payload_produce_answer(const char *topic)
{
    struct payload payload = {.records = 0};
    struct writer *w = &payload.frame;
    writer_init_growing(w, FRAME_BYTES_MAX);
    size_t frame = frame_response_begin(w, API_PRODUCE, PAYLOAD_PRODUCE_VERSION, 0);
    writer_array(w, true, 1);
    writer_string(w, true, view_from_string(topic));
    writer_array(w, true, 1);
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_i64(w, 0);            /* base offset */
    writer_i64(w, -1);           /* log append time */
    writer_i64(w, 0);            /* log start offset */
    writer_array(w, true, 0);    /* record errors */
    writer_null_string(w, true); /* error message */
    writer_no_tags(w);           /* partition, topic */
    writer_no_tags(w);
    writer_i32(w, 0); /* throttle time */
    writer_no_tags(w);
    finish(&payload, frame);
    return payload;
}

struct payload payload_fetch_answer(const char *topic, size_t batch_bytes)
{
    struct payload payload = {.records = 0};
    struct writer *w = &payload.frame;
    writer_init_growing(w, FRAME_BYTES_MAX);
    size_t frame = frame_response_begin(w, API_FETCH, PAYLOAD_FETCH_VERSION, 0);
    writer_i32(w, 0); /* throttle time */
    writer_i16(w, 0);
    writer_i32(w, 0); /* session */
    writer_array(w, true, 1);
    writer_string(w, true, view_from_string(topic));
    writer_array(w, true, 1);
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_i64(w, (int64_t)1 << 40); /* high watermark */
    writer_i64(w, (int64_t)1 << 40); /* last stable offset */
    writer_i64(w, 0);                /* log start offset */
    writer_array(w, true, -1);       /* aborted transactions */
    writer_i32(w, -1);               /* preferred read replica */
    put_batch(&payload, batch_bytes);
    writer_no_tags(w); /* partition, topic, answer */
    writer_no_tags(w);
    writer_no_tags(w);
    finish(&payload, frame);
    return payload;
}

/* Size, correlation id, tags | array, name, array, partition, error. */
int16_t payload_produce_error(const uint8_t *at, size_t topic_length)
{
    return (int16_t)bytes_load_u16(at + 9 + 1 + 1 + topic_length + 1 + 4);
}

/* Size, correlation id, tags | throttle, error, session, array, name, array, partition, error. */
int16_t payload_fetch_error(const uint8_t *at, size_t topic_length)
{
    int16_t whole = (int16_t)bytes_load_u16(at + 9 + 4);
    return whole != 0 ? whole : (int16_t)bytes_load_u16(at + 9 + 10 + 1 + 1 + topic_length + 1 + 4);
}
