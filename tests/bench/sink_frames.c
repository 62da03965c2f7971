/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"
#include "tests/bench/sink.h"

/* ---- the checks of --decrypt ---- */

void sink_frames_wrong(struct sink_conn *conn, const struct batch_head *head,
                       enum batch_verdict verdict)
{
    conn->sink->batches_wrong++;
    fprintf(stderr, "setu-sink: a batch of %d records: verdict %d\n", head->count, (int)verdict);
}

static void on_batch(void *context, const struct batch_head *head, enum batch_verdict verdict)
{
    if (verdict != BATCH_GOOD) {
        sink_frames_wrong(context, head, verdict);
    }
}

static const struct records_events events = {.on_batch = on_batch};

static void walk(struct sink_conn *conn, uint8_t *at, size_t n)
{
    if (conn->sink->decrypt && records_walk_feed(&conn->walk, at, n) == RECORDS_BAD) {
        fprintf(stderr, "setu-sink: a Produce that cannot be read\n");
        conn->broken = true;
    }
}

/* ---- frames ---- */

static void frame_begin(struct sink_conn *conn)
{
    struct frame_head head;
    if (frame_request_head(view_of(conn->head, FRAME_HEAD_BYTES), &head) != FRAME_OK ||
        (head.api_key == API_PRODUCE && head.api_version != PAYLOAD_PRODUCE_VERSION) ||
        (head.api_key != API_PRODUCE && head.length > SINK_FRAME_BYTES_MAX)) {
        fprintf(stderr, "setu-sink: a request that no sink takes\n");
        conn->broken = true;
        return;
    }
    conn->key = head.api_key;
    conn->id = head.correlation_id;
    conn->left = (size_t)head.length + FRAME_SIZE_BYTES - FRAME_HEAD_BYTES;
    uint8_t *payload = conn->head + FRAME_SIZE_BYTES;
    size_t payload_have = FRAME_HEAD_BYTES - FRAME_SIZE_BYTES;
    if (conn->key == API_PRODUCE) {
        conn->produce_bytes = (size_t)head.length + FRAME_SIZE_BYTES;
        records_walk_begin(&conn->walk, RECORDS_PRODUCE_REQUEST, head.api_version,
                           (size_t)head.length,
                           conn->sink->topic.name != NULL ? &sink_topic_events : &events, conn);
        conn->produced_count = 0;
        walk(conn, payload, payload_have);
    } else {
        writer_reset(&conn->small);
        writer_put(&conn->small, view_of(payload, payload_have));
    }
}

static void frame_end_of(struct sink_conn *conn)
{
    conn->head_have = 0;
    if (conn->key == API_PRODUCE) {
        conn->sink->batches++;
        conn->sink->bytes += conn->produce_bytes;
        if (conn->sink->topic.name != NULL) {
            sink_topic_answer_produce(conn);
        } else {
            sink_answer_produce(conn);
        }
    } else {
        sink_answer_small(conn);
    }
}

void sink_frames_take(struct sink_conn *conn, uint8_t *at, size_t n)
{
    while (n > 0 && !conn->broken) {
        bool in_head = conn->head_have < FRAME_HEAD_BYTES;
        size_t wanted = in_head ? FRAME_HEAD_BYTES - conn->head_have : conn->left;
        size_t piece = wanted < n ? wanted : n;
        if (in_head) {
            memcpy(conn->head + conn->head_have, at, piece);
            conn->head_have += piece;
            if (conn->head_have == FRAME_HEAD_BYTES) {
                frame_begin(conn);
            }
        } else {
            if (conn->key == API_PRODUCE) {
                walk(conn, at, piece);
            } else {
                writer_put(&conn->small, view_of(at, piece));
            }
            conn->left -= piece;
        }
        if (conn->head_have == FRAME_HEAD_BYTES && conn->left == 0 && !conn->broken) {
            frame_end_of(conn);
        }
        at += piece;
        n -= piece;
    }
}

/* ---- blind ---- */

bool sink_frames_may_skip(const struct sink_conn *conn)
{
    bool whole_head = conn->head_have == 0 || conn->head_have == FRAME_HEAD_BYTES;
    return !conn->sink->decrypt && conn->produce_bytes > 0 && conn->key == API_PRODUCE &&
           whole_head;
}

void sink_frames_skip(struct sink_conn *conn, size_t n)
{
    while (n > 0) {
        if (conn->head_have == 0) {
            conn->head_have = FRAME_HEAD_BYTES;
            conn->left = conn->produce_bytes;
            conn->id++;
        }
        size_t piece = conn->left < n ? conn->left : n;
        conn->left -= piece;
        n -= piece;
        if (conn->left == 0) {
            frame_end_of(conn);
        }
    }
}
