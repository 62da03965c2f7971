/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "protocol/batch.h"
#include "tests/broker/answers.h"
#include "tests/broker/broker.h"
#include "tests/broker/conn.h"
#include "tests/broker/store.h"

enum { PRODUCE_IDS_SINCE = 13, PRODUCE_LEADERS_SINCE = 10 };

/* What became of one partition's records. */
struct outcome {
    int16_t error;
    int64_t base;
};

static int16_t records_check(struct view records)
{
    while (records.length > 0) {
        struct batch_head head;
        if (!batch_head_decode(records, &head) || batch_total(&head) > records.length) {
            return ERROR_CORRUPT_MESSAGE;
        }
        if (head.magic != 2) {
            return ERROR_UNSUPPORTED_FORMAT;
        }
        if (!batch_crc_holds(view_of(records.at, batch_total(&head)))) {
            return ERROR_CORRUPT_MESSAGE;
        }
        records = view_from(records, batch_total(&head));
    }
    return ERROR_NONE;
}

static int64_t records_append(struct store *store, struct partition *partition, struct view records)
{
    int64_t base = -1;
    while (records.length > 0) {
        struct batch_head head;
        if (!batch_head_decode(records, &head)) {
            break; /* records_check has seen them all */
        }
        int64_t at = store_append(store, partition, view_of(records.at, batch_total(&head)));
        base = base < 0 ? at : base;
        records = view_from(records, batch_total(&head));
    }
    return base;
}

static struct outcome partition_produce(struct request *request, const struct topic_ref *ref,
                                        int32_t index, struct view records, int16_t acks)
{
    struct broker *broker = request->conn->broker;
    struct outcome outcome = {topic_ref_error(request, ref, index), -1};
    if (outcome.error == ERROR_NONE && (acks < -1 || acks > 1)) {
        outcome.error = ERROR_INVALID_REQUIRED_ACKS;
    }
    if (outcome.error == ERROR_NONE) {
        outcome.error = records_check(records);
    }
    if (outcome.error == ERROR_NONE) {
        outcome.base = records_append(&broker->store, store_partition(ref->topic, index), records);
    }
    if (broker->options->trace || outcome.error == ERROR_CORRUPT_MESSAGE) {
        struct view name = ref->topic != NULL ? view_from_string(ref->topic->name) : ref->name;
        printf("produced node=%d principal=%s topic=%.*s partition=%d bytes=%zu error=%d base=%lld"
               " acks=%d\n",
               broker->options->node_id, request->conn->session.principal, (int)name.length,
               (const char *)name.at, index, records.length, outcome.error, (long long)outcome.base,
               acks);
    }
    return outcome;
}

static void outcome_write(const struct request *request, int32_t index, struct outcome outcome,
                          struct writer *out)
{
    writer_i32(out, index);
    writer_i16(out, outcome.error);
    writer_i64(out, outcome.base);
    if (request->version >= 2) {
        writer_i64(out, -1);
    }
    if (request->version >= 5) {
        writer_i64(out, outcome.error == ERROR_NONE ? 0 : -1);
    }
    if (request->version >= 8) {
        writer_array(out, request->flexible, 0);
        writer_null_string(out, request->flexible);
    }
    if (outcome.error == ERROR_NOT_LEADER_OR_FOLLOWER &&
        request->version >= PRODUCE_LEADERS_SINCE) {
        leader_write_tag(request, 0, index, out);
    } else {
        answer_no_tags(request, out);
    }
}

static bool topic_produce(struct request *request, int16_t acks, struct writer *out, bool *moved_r,
                          bool *failed_r)
{
    struct topic_ref ref;
    int32_t count = 0;
    if (!topic_ref_read(request, request->version >= PRODUCE_IDS_SINCE, &ref) ||
        !reader_array(&request->body, request->flexible, false, &count)) {
        return false;
    }
    topic_ref_write(request, &ref, out);
    writer_array(out, request->flexible, count);
    for (int32_t i = 0; i < count; i++) {
        int32_t index = 0;
        struct view records;
        bool null = false;
        if (!reader_i32(&request->body, &index) ||
            !reader_bytes(&request->body, request->flexible, &records, &null) ||
            !answer_skip_tags(request)) {
            return false;
        }
        struct outcome outcome = partition_produce(request, &ref, index, records, acks);
        *moved_r = *moved_r || outcome.error == ERROR_NOT_LEADER_OR_FOLLOWER;
        *failed_r = *failed_r || outcome.error != ERROR_NONE;
        outcome_write(request, index, outcome, out);
    }
    answer_no_tags(request, out);
    return answer_skip_tags(request);
}

enum answer answer_produce(struct request *request, struct writer *out)
{
    struct reader *body = &request->body;
    struct view transaction;
    int16_t acks = 0;
    int32_t timeout_ms = 0, count = 0;
    bool null = false, moved = false, failed = false;
    if (!reader_string(body, request->flexible, &transaction, &null) || !reader_i16(body, &acks) ||
        !reader_i32(body, &timeout_ms) || !reader_array(body, request->flexible, false, &count)) {
        return ANSWER_CLOSE;
    }
    writer_array(out, request->flexible, count);
    for (int32_t i = 0; i < count; i++) {
        if (!topic_produce(request, acks, out, &moved, &failed)) {
            return ANSWER_CLOSE;
        }
    }
    if (!answer_skip_tags(request) || body->left > 0) {
        return ANSWER_CLOSE;
    }
    broker_wake(request->conn->broker);
    if (acks == 0) {
        return failed ? ANSWER_CLOSE : ANSWER_NOTHING; /* the only sign of an error there is */
    }
    writer_i32(out, 0);
    if (moved && request->version >= PRODUCE_LEADERS_SINCE) {
        leader_write_endpoints(request, out);
    } else {
        answer_no_tags(request, out);
    }
    return ANSWER_SEND;
}
