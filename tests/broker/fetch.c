/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/broker/answers.h"
#include "tests/broker/broker.h"
#include "tests/broker/conn.h"
#include "tests/broker/store.h"

enum {
    FETCH_IDS_SINCE = 13,
    FETCH_LEADER_TAG_SINCE = 12,
    FETCH_ENDPOINTS_SINCE = 16,
    FETCH_PARTITIONS_MAX = 100000
};
static const int64_t source_end = (int64_t)1 << 40;

/* One partition asked for, and what it will get. */
struct want {
    int32_t index;
    int32_t bytes_max;
    int64_t offset;
    int16_t error;
    size_t bytes; /* of records in the answer */
    size_t first; /* index of their first batch */
    int64_t start, end;
};

struct want_topic {
    struct topic_ref ref;
    struct want *wants;
    int32_t count;
};

struct fetch {
    int32_t wait_ms, bytes_min, bytes_max;
    struct want_topic *topics;
    int32_t topic_count;
    size_t bytes; /* of all records in the answer */
    bool urgent;  /* an error somewhere: no waiting */
    bool moved;   /* NOT_LEADER somewhere */
};

static void fetch_free(struct fetch *fetch)
{
    for (int32_t i = 0; i < fetch->topic_count; i++) {
        free(fetch->topics[i].wants);
    }
    free(fetch->topics);
}

/* ---- what is asked ---- */

static bool want_read(struct request *request, struct want *want)
{
    struct reader *body = &request->body;
    int32_t epoch = 0;
    int64_t log_start = 0;
    return reader_i32(body, &want->index) && (request->version < 9 || reader_i32(body, &epoch)) &&
           reader_i64(body, &want->offset) && (request->version < 12 || reader_i32(body, &epoch)) &&
           (request->version < 5 || reader_i64(body, &log_start)) &&
           reader_i32(body, &want->bytes_max) && answer_skip_tags(request);
}

static bool topic_read(struct request *request, struct want_topic *topic)
{
    int32_t count = 0;
    if (!topic_ref_read(request, request->version >= FETCH_IDS_SINCE, &topic->ref) ||
        !reader_array(&request->body, request->flexible, false, &count) ||
        count > FETCH_PARTITIONS_MAX) {
        return false;
    }
    topic->wants = calloc((size_t)count + 1, sizeof *topic->wants);
    topic->count = topic->wants != NULL ? count : 0;
    for (int32_t i = 0; i < topic->count; i++) {
        if (!want_read(request, &topic->wants[i])) {
            return false;
        }
    }
    return answer_skip_tags(request);
}

static bool head_read(struct request *request, struct fetch *fetch)
{
    struct reader *body = &request->body;
    int32_t number = 0;
    int8_t isolation = 0;
    return (request->version >= 15 || reader_i32(body, &number)) &&
           reader_i32(body, &fetch->wait_ms) && reader_i32(body, &fetch->bytes_min) &&
           reader_i32(body, &fetch->bytes_max) && reader_i8(body, &isolation) &&
           (request->version < 7 || (reader_i32(body, &number) && reader_i32(body, &number)));
}

static bool fetch_read(struct request *request, struct fetch *fetch)
{
    int32_t count = 0;
    if (!head_read(request, fetch) ||
        !reader_array(&request->body, request->flexible, false, &count) ||
        count > FETCH_PARTITIONS_MAX) {
        return false;
    }
    fetch->topics = calloc((size_t)count + 1, sizeof *fetch->topics);
    fetch->topic_count = fetch->topics != NULL ? count : 0;
    for (int32_t i = 0; i < fetch->topic_count; i++) {
        if (!topic_read(request, &fetch->topics[i])) {
            return false;
        }
    }
    return true; /* forgotten topics, rack and tags say nothing we need */
}

/* ---- what there is ---- */

static void want_measure(const struct request *request, struct fetch *fetch,
                         const struct topic_ref *ref, struct want *want)
{
    struct partition *partition = NULL;
    want->error = topic_ref_error(request, ref, want->index);
    want->start = want->end = -1;
    fetch->moved = fetch->moved || want->error == ERROR_NOT_LEADER_OR_FOLLOWER;
    if (want->error == ERROR_NONE) {
        partition = store_partition(ref->topic, want->index);
        bool source = ref->topic->source_bytes > 0;
        want->start = source ? 0 : partition->start;
        want->end = source ? source_end : partition->end;
        if (want->offset < want->start || want->offset > want->end) {
            want->error = ERROR_OFFSET_OUT_OF_RANGE;
        } else if (source) {
            want->bytes = ref->topic->source_bytes;
        } else {
            want->bytes =
                store_measure(partition, want->offset, (size_t)want->bytes_max, &want->first);
        }
    }
    fetch->urgent = fetch->urgent || want->error != ERROR_NONE;
    fetch->bytes += want->bytes;
}

static void fetch_measure(const struct request *request, struct fetch *fetch)
{
    for (int32_t i = 0; i < fetch->topic_count; i++) {
        struct want_topic *topic = &fetch->topics[i];
        for (int32_t k = 0; k < topic->count; k++) {
            want_measure(request, fetch, &topic->ref, &topic->wants[k]);
        }
    }
}

static bool fetch_must_wait(const struct request *request, const struct fetch *fetch)
{
    size_t bytes_min = fetch->bytes_min > 0 ? (size_t)fetch->bytes_min : 0;
    return !request->last_chance && !fetch->urgent && fetch->wait_ms > 0 &&
           fetch->bytes < bytes_min;
}

/* ---- what is answered ---- */

static void records_write(const struct request *request, const struct topic_ref *ref,
                          const struct want *want, struct writer *out)
{
    const struct store *store = &request->conn->broker->store;
    if (request->flexible) {
        writer_uvarint(out, (uint32_t)want->bytes + 1);
    } else {
        writer_i32(out, (int32_t)want->bytes);
    }
    if (want->bytes == 0) {
        return;
    }
    if (ref->topic->source_bytes > 0) {
        store_write_source(store, want->offset, want->bytes, out);
    } else {
        store_write(store_partition(ref->topic, want->index), want->first, want->bytes, out);
    }
}

static void want_write(const struct request *request, const struct topic_ref *ref,
                       const struct want *want, struct writer *out)
{
    writer_i32(out, want->index);
    writer_i16(out, want->error);
    writer_i64(out, want->end);
    writer_i64(out, want->end);
    if (request->version >= 5) {
        writer_i64(out, want->start);
    }
    writer_array(out, request->flexible, request->flexible ? -1 : 0);
    if (request->version >= 11) {
        writer_i32(out, -1);
    }
    records_write(request, ref, want, out);
    if (want->error == ERROR_NOT_LEADER_OR_FOLLOWER && request->version >= FETCH_LEADER_TAG_SINCE) {
        leader_write_tag(request, 1, want->index, out);
    } else {
        answer_no_tags(request, out);
    }
}

static void fetch_write(const struct request *request, const struct fetch *fetch,
                        struct writer *out)
{
    writer_i32(out, 0);
    if (request->version >= 7) {
        writer_i16(out, ERROR_NONE);
        writer_i32(out, 0); /* no fetch sessions here */
    }
    writer_array(out, request->flexible, fetch->topic_count);
    for (int32_t i = 0; i < fetch->topic_count; i++) {
        const struct want_topic *topic = &fetch->topics[i];
        topic_ref_write(request, &topic->ref, out);
        writer_array(out, request->flexible, topic->count);
        for (int32_t k = 0; k < topic->count; k++) {
            want_write(request, &topic->ref, &topic->wants[k], out);
        }
        answer_no_tags(request, out);
    }
    if (fetch->moved && request->version >= FETCH_ENDPOINTS_SINCE) {
        leader_write_endpoints(request, out);
    } else {
        answer_no_tags(request, out);
    }
}

/* v0-3 would need records of magic 0 or 1. */
enum answer answer_fetch(struct request *request, struct writer *out)
{
    struct fetch fetch = {0};
    enum answer answer = ANSWER_CLOSE;
    if (request->version >= 4 && fetch_read(request, &fetch)) {
        fetch_measure(request, &fetch);
        if (fetch_must_wait(request, &fetch)) {
            request->wait_ms = (uint64_t)fetch.wait_ms;
            answer = ANSWER_WAIT;
        } else {
            fetch_write(request, &fetch, out);
            answer = ANSWER_SEND;
        }
    }
    fetch_free(&fetch);
    return answer;
}
