/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"
#include "tests/bench/common.h"
#include "tests/bench/sink.h"

enum { NO_ERROR = 0, CORRUPT_MESSAGE = 2, NODE_ID = 1 };
/* Of a Fetch v12 before its topics: replica, wait, min bytes, max bytes, isolation, session, its
 * epoch. */
enum { FETCH_HEAD_BYTES = 4 + 4 + 4 + 4 + 1 + 4 + 4 };
static const int64_t end_offset = (int64_t)1 << 40;

void sink_topic_from(struct sink_topic *topic, char *text)
{
    char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon - text > RECORDS_TOPIC_BYTES_MAX) {
        die("--topic: %s is not NAME:PARTITIONS", text);
    }
    topic->partitions = (int32_t)number_of("topic", colon + 1, 1, SINK_PARTITIONS_MAX);
    *colon = '\0';
    topic->name = text;
}

/* ---- Produce ---- */

static void on_acks(void *context, int16_t acks)
{
    struct sink_conn *conn = context;
    conn->acks = acks;
}

static void on_partition(void *context, const struct records_partition *partition)
{
    struct sink_conn *conn = context;
    struct sink_topic *topic = &conn->sink->topic;
    bool ours = view_is(partition->topic, topic->name) && partition->partition >= 0 &&
                partition->partition < topic->partitions;
    if (!ours || conn->produced_count == SINK_PARTITIONS_MAX) {
        die("a Produce to partition %d of a topic that Metadata did not name",
            partition->partition);
    }
    conn->produced[conn->produced_count++] = (struct sink_produced){
        .partition = partition->partition, .base_offset = topic->ends[partition->partition]};
}

/* Offsets are given out as batches come: this sink is one thread, and a batch refused leaves a
 * gap in them, as in a compacted log. */
static void on_batch(void *context, const struct batch_head *head, enum batch_verdict verdict)
{
    struct sink_conn *conn = context;
    struct sink_produced *row = &conn->produced[conn->produced_count - 1];
    if (verdict != BATCH_GOOD) {
        sink_frames_wrong(conn, head, verdict);
        row->error = CORRUPT_MESSAGE;
    } else if (row->error == NO_ERROR) {
        conn->sink->topic.ends[row->partition] += head->count;
        conn->sink->records += (uint64_t)head->count;
    }
}

const struct records_events sink_topic_events = {
    .on_acks = on_acks, .on_partition = on_partition, .on_batch = on_batch};

void sink_topic_answer_produce(struct sink_conn *conn)
{
    struct writer *out = &conn->out;
    if (conn->acks == 0) {
        return;
    }
    size_t frame = frame_response_begin(out, API_PRODUCE, PAYLOAD_PRODUCE_VERSION, conn->id);
    writer_array(out, true, 1);
    writer_string(out, true, view_from_string(conn->sink->topic.name));
    writer_array(out, true, (int32_t)conn->produced_count);
    for (size_t i = 0; i < conn->produced_count; i++) {
        const struct sink_produced *row = &conn->produced[i];
        writer_i32(out, row->partition);
        writer_i16(out, row->error);
        writer_i64(out, row->error == NO_ERROR ? row->base_offset : -1);
        writer_i64(out, -1);           /* log append time */
        writer_i64(out, 0);            /* log start offset */
        writer_array(out, true, 0);    /* record errors */
        writer_null_string(out, true); /* error message */
        writer_no_tags(out);
    }
    writer_no_tags(out); /* topic */
    writer_i32(out, 0);  /* throttle time */
    writer_no_tags(out);
    frame_end(out, frame);
}

/* ---- Fetch ---- */

/* What a partition of a Fetch v12 says, and its answer. */
static bool fetch_partition(struct sink_conn *conn, struct reader *in)
{
    const struct payload *made = &conn->sink->fetch_answer;
    struct writer *out = &conn->out;
    int32_t partition, epoch;
    int64_t offset;
    if (!reader_i32(in, &partition) || !reader_i32(in, &epoch) || !reader_i64(in, &offset) ||
        !reader_skip(in, 2 * sizeof(int32_t) + sizeof(int64_t)) || !reader_tags_skip(in)) {
        return false;
    }
    writer_i32(out, partition);
    writer_i16(out, NO_ERROR);
    writer_i64(out, end_offset); /* high watermark */
    writer_i64(out, end_offset); /* last stable offset */
    writer_i64(out, 0);          /* log start offset */
    writer_array(out, true, -1); /* aborted transactions */
    writer_i32(out, -1);         /* preferred read replica */
    writer_bytes(out, true, view_of(made->frame.at + made->batch_at, made->bytes));
    if (writer_ok(out)) {
        bytes_store_u64(out->at + out->length - made->bytes, (uint64_t)offset);
    }
    writer_no_tags(out);
    return true;
}

static bool fetch_topics(struct sink_conn *conn, struct reader *in)
{
    int32_t topics, partitions;
    struct view name;
    bool good = reader_array(in, true, false, &topics);
    writer_array(&conn->out, true, good ? topics : 0);
    while (good && topics-- > 0) {
        good = reader_string(in, true, &name, NULL) && reader_array(in, true, false, &partitions);
        writer_string(&conn->out, true, name);
        writer_array(&conn->out, true, good ? partitions : 0);
        while (good && partitions-- > 0) {
            good = fetch_partition(conn, in);
        }
        good = good && reader_tags_skip(in);
        writer_no_tags(&conn->out);
    }
    return good;
}

bool sink_topic_answer_fetch(struct sink_conn *conn, const struct request_header *header)
{
    struct writer *out = &conn->out;
    struct reader in = reader_init(view_from(writer_view(&conn->small), header->length));
    size_t frame = frame_response_begin(out, API_FETCH, PAYLOAD_FETCH_VERSION, conn->id);
    writer_i32(out, 0); /* throttle time */
    writer_i16(out, NO_ERROR);
    writer_i32(out, 0); /* no session: each Fetch names all it wants */
    bool good = reader_skip(&in, FETCH_HEAD_BYTES) && fetch_topics(conn, &in);
    writer_no_tags(out);
    frame_end(out, frame);
    return good;
}

/* ---- Metadata ---- */

static void put_nodes(struct writer *out)
{
    writer_array(out, true, 1);
    writer_i32(out, NODE_ID);
}

void sink_topic_metadata(const struct sink_topic *topic, struct writer *out)
{
    if (topic->name == NULL) {
        writer_array(out, true, 0);
        return;
    }
    writer_array(out, true, 1);
    writer_i16(out, NO_ERROR);
    writer_string(out, true, view_from_string(topic->name));
    writer_bool(out, false); /* internal */
    writer_array(out, true, topic->partitions);
    for (int32_t i = 0; i < topic->partitions; i++) {
        writer_i16(out, NO_ERROR);
        writer_i32(out, i);
        writer_i32(out, NODE_ID);
        writer_i32(out, 0); /* leader epoch */
        put_nodes(out);     /* replicas */
        put_nodes(out);     /* in sync */
        writer_array(out, true, 0);
        writer_no_tags(out);
    }
    writer_i32(out, INT32_MIN); /* authorised operations: not asked */
    writer_no_tags(out);
}
