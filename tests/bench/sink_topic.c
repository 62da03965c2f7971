/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"
#include "tests/bench/common.h"
#include "tests/bench/sink.h"

enum { NO_ERROR = 0, CORRUPT_MESSAGE = 2, NODE_ID = 1 };

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
    conn->produced[conn->produced_count++] =
        (struct sink_produced){.partition = partition->partition,
                               .base_offset = topic->ends[partition->partition]};
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
