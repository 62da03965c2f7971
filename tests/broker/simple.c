/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/answers.h"
#include "tests/broker/broker.h"
#include "tests/broker/conn.h"
#include "tests/broker/store.h"

/* ---- ListOffsets ---- */

enum { TIMESTAMP_EARLIEST = -2, LIST_SOURCE_BITS = 40 };

struct question {
    int32_t index;
    int64_t timestamp;
};

static bool question_read(struct request *request, struct question *question)
{
    int32_t number = 0;
    return reader_i32(&request->body, &question->index) &&
           (request->version < 4 || reader_i32(&request->body, &number)) &&
           reader_i64(&request->body, &question->timestamp) &&
           (request->version >= 1 || reader_i32(&request->body, &number)) &&
           answer_skip_tags(request);
}

static int64_t offset_at(const struct topic *topic, const struct question *question)
{
    const struct partition *partition = store_partition(topic, question->index);
    bool earliest = question->timestamp == TIMESTAMP_EARLIEST;
    if (topic->source_bytes > 0) {
        return earliest ? 0 : (int64_t)1 << LIST_SOURCE_BITS;
    }
    return earliest ? partition->start : partition->end;
}

static void offset_write(const struct request *request, const struct topic_ref *ref,
                         const struct question *question, struct writer *out)
{
    int16_t error = topic_ref_error(request, ref, question->index);
    int64_t offset = error == ERROR_NONE ? offset_at(ref->topic, question) : -1;
    writer_i32(out, question->index);
    writer_i16(out, error);
    if (request->version == 0) {
        writer_array(out, false, 1);
        writer_i64(out, offset);
        return;
    }
    writer_i64(out, -1);
    writer_i64(out, offset);
    if (request->version >= 4) {
        writer_i32(out, 0);
    }
    answer_no_tags(request, out);
}

static bool topic_offsets(struct request *request, struct writer *out)
{
    struct topic_ref ref;
    int32_t count = 0;
    if (!topic_ref_read(request, false, &ref) ||
        !reader_array(&request->body, request->flexible, false, &count)) {
        return false;
    }
    topic_ref_write(request, &ref, out);
    writer_array(out, request->flexible, count);
    for (int32_t i = 0; i < count; i++) {
        struct question question;
        if (!question_read(request, &question)) {
            return false;
        }
        offset_write(request, &ref, &question, out);
    }
    answer_no_tags(request, out);
    return answer_skip_tags(request);
}

enum answer answer_list_offsets(struct request *request, struct writer *out)
{
    int32_t replica = 0, count = 0;
    int8_t isolation = 0;
    if (!reader_i32(&request->body, &replica) ||
        (request->version >= 2 && !reader_i8(&request->body, &isolation)) ||
        !reader_array(&request->body, request->flexible, false, &count)) {
        return ANSWER_CLOSE;
    }
    if (request->version >= 2) {
        writer_i32(out, 0);
    }
    writer_array(out, request->flexible, count);
    for (int32_t i = 0; i < count; i++) {
        if (!topic_offsets(request, out)) {
            return ANSWER_CLOSE;
        }
    }
    answer_no_tags(request, out);
    return ANSWER_SEND;
}

/* ---- FindCoordinator: the first node is everybody's ---- */

static void coordinator_write(const struct request *request, struct writer *out)
{
    const struct node *node = &request->conn->broker->nodes[0];
    const struct address *address = broker_address(request->conn->door, node);
    writer_i32(out, node->id);
    writer_string(out, request->flexible, view_from_string(address->host));
    writer_i32(out, address->port);
}

static bool coordinators_write(struct request *request, struct writer *out)
{
    int32_t count = 0;
    if (!reader_array(&request->body, true, false, &count)) {
        return false;
    }
    writer_array(out, true, count);
    for (int32_t i = 0; i < count; i++) {
        struct view key;
        if (!reader_string(&request->body, true, &key, NULL)) {
            return false;
        }
        writer_string(out, true, key);
        coordinator_write(request, out);
        writer_i16(out, ERROR_NONE);
        writer_null_string(out, true);
        writer_no_tags(out);
    }
    return true;
}

enum answer answer_find_coordinator(struct request *request, struct writer *out)
{
    int8_t type = 0;
    if (request->version >= 1) {
        writer_i32(out, 0);
    }
    if (request->version >= 4) {
        bool good = reader_i8(&request->body, &type) && coordinators_write(request, out);
        writer_no_tags(out);
        return good ? ANSWER_SEND : ANSWER_CLOSE;
    }
    writer_i16(out, ERROR_NONE);
    if (request->version >= 1) {
        writer_null_string(out, request->flexible);
    }
    coordinator_write(request, out);
    answer_no_tags(request, out);
    return ANSWER_SEND;
}

/* ---- InitProducerId ---- */

enum answer answer_init_producer_id(struct request *request, struct writer *out)
{
    struct broker *broker = request->conn->broker;
    writer_i32(out, 0);
    writer_i16(out, ERROR_NONE);
    writer_i64(out, broker->options->node_id * 1000000 + broker->producer_ids++);
    writer_i16(out, 0);
    answer_no_tags(request, out);
    return ANSWER_SEND;
}

/* ---- EndTxn: committed, whatever it was ---- */

enum answer answer_end_txn(struct request *request, struct writer *out)
{
    struct reader *body = &request->body;
    struct view transaction;
    int64_t producer_id = 0;
    int16_t epoch = 0;
    int8_t committed = 0;
    if (!reader_string(body, request->flexible, &transaction, NULL) ||
        !reader_i64(body, &producer_id) || !reader_i16(body, &epoch) ||
        !reader_i8(body, &committed) || !answer_skip_tags(request)) {
        return ANSWER_CLOSE;
    }
    writer_i32(out, 0);
    writer_i16(out, ERROR_NONE);
    if (request->version >= 5) {
        writer_i64(out, producer_id);
        writer_i16(out, epoch);
    }
    answer_no_tags(request, out);
    return ANSWER_SEND;
}
