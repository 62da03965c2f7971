/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/api.h"
#include "tests/broker/answers.h"
#include "tests/broker/broker.h"
#include "tests/broker/conn.h"
#include "tests/broker/store.h"

enum { NO_OPERATIONS = INT32_MIN };

static const char cluster_id[] = "setu-test-cluster";

/* ---- brokers ---- */

static void brokers_write(const struct request *request, bool fenced, struct writer *out)
{
    const struct broker *broker = request->conn->broker;
    writer_array(out, request->flexible, (int32_t)broker->node_count);
    for (size_t i = 0; i < broker->node_count; i++) {
        const struct address *address = broker_address(request->conn->door, &broker->nodes[i]);
        writer_i32(out, broker->nodes[i].id);
        writer_string(out, request->flexible, view_from_string(address->host));
        writer_i32(out, address->port);
        if (request->key != API_METADATA || request->version >= 1) {
            writer_null_string(out, request->flexible);
        }
        if (fenced) {
            writer_bool(out, false);
        }
        answer_no_tags(request, out);
    }
}

/* ---- topics ---- */

static void nodes_write(const struct request *request, int32_t node_id, struct writer *out)
{
    writer_array(out, request->flexible, 1);
    writer_i32(out, node_id);
}

static void partition_write(const struct request *request, int32_t index, struct writer *out)
{
    int32_t leader = broker_leader(request->conn->broker, index)->id;
    writer_i16(out, ERROR_NONE);
    writer_i32(out, index);
    writer_i32(out, leader);
    if (request->version >= 7) {
        writer_i32(out, 0);
    }
    nodes_write(request, leader, out);
    nodes_write(request, leader, out);
    if (request->version >= 5) {
        writer_array(out, request->flexible, 0);
    }
    answer_no_tags(request, out);
}

static void topic_write(const struct request *request, const struct topic_ref *ref,
                        struct writer *out)
{
    const struct topic *topic = ref->topic;
    struct view name = topic != NULL ? view_of(topic->name, topic->name_length) : ref->name;
    int16_t missing = ref->by_id ? ERROR_UNKNOWN_TOPIC_ID : ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    writer_i16(out, topic != NULL ? ERROR_NONE : missing);
    if (name.length == 0 && request->version >= 12) {
        writer_null_string(out, true);
    } else {
        writer_string(out, request->flexible, name);
    }
    if (request->version >= 10) {
        writer_put(out, view_of(topic != NULL ? topic->id : ref->id, STORE_ID_BYTES));
    }
    if (request->version >= 1) {
        writer_bool(out, false);
    }
    writer_array(out, request->flexible, topic != NULL ? topic->partition_count : 0);
    for (int32_t i = 0; topic != NULL && i < topic->partition_count; i++) {
        partition_write(request, i, out);
    }
    if (request->version >= 8) {
        writer_i32(out, NO_OPERATIONS);
    }
    answer_no_tags(request, out);
}

static void all_topics_write(const struct request *request, struct writer *out)
{
    const struct store *store = &request->conn->broker->store;
    struct topic *topic = NULL, *next = NULL;
    writer_array(out, request->flexible, (int32_t)store_count(store));
    HASH_ITER(by_name, store->names, topic, next)
    {
        struct topic_ref ref = {.topic = topic};
        topic_write(request, &ref, out);
    }
}

/* ---- the request ---- */

static bool topic_read(struct request *request, struct topic_ref *ref)
{
    struct broker *broker = request->conn->broker;
    bool null = false, by_id = false;
    *ref = (struct topic_ref){0};
    if (request->version >= 10 && !reader_uuid(&request->body, ref->id)) {
        return false;
    }
    if (!reader_string(&request->body, request->flexible, &ref->name,
                       request->version >= 10 ? &null : NULL) ||
        !answer_skip_tags(request)) {
        return false;
    }
    by_id = null;
    ref->by_id = by_id;
    ref->topic =
        by_id ? store_find_id(&broker->store, ref->id) : store_find(&broker->store, ref->name);
    return true;
}

/* The array comes before the flag that says whether unknown topics may be made. */
static bool may_create(const struct request *request, struct reader rest, int32_t count)
{
    struct request ahead = *request;
    struct topic_ref ref;
    bool create = true;
    ahead.body = rest;
    for (int32_t i = 0; i < count; i++) {
        if (!topic_read(&ahead, &ref)) {
            return false;
        }
    }
    return request->version < 4 || (reader_bool(&ahead.body, &create) && create);
}

static bool named_topics(struct request *request, int32_t count, struct writer *out)
{
    struct broker *broker = request->conn->broker;
    bool create = broker->options->partitions > 0 && may_create(request, request->body, count);
    writer_array(out, request->flexible, count);
    for (int32_t i = 0; i < count; i++) {
        struct topic_ref ref;
        if (!topic_read(request, &ref)) {
            return false;
        }
        if (ref.topic == NULL && create && !ref.by_id) {
            ref.topic = store_add(&broker->store, ref.name, broker->options->partitions);
        }
        topic_write(request, &ref, out);
    }
    return true;
}

enum answer answer_metadata(struct request *request, struct writer *out)
{
    int32_t count = 0;
    bool good = reader_array(&request->body, request->flexible, request->version >= 1, &count);
    if (request->version >= 3) {
        writer_i32(out, 0);
    }
    brokers_write(request, false, out);
    if (request->version >= 2) {
        writer_string(out, request->flexible, view_from_string(cluster_id));
    }
    if (request->version >= 1) {
        writer_i32(out, request->conn->broker->nodes[0].id);
    }
    if (count < 0 || (count == 0 && request->version == 0)) {
        all_topics_write(request, out);
    } else {
        good = good && named_topics(request, count, out);
    }
    if (request->version >= 8 && request->version <= 10) {
        writer_i32(out, NO_OPERATIONS);
    }
    if (request->version >= 13) {
        writer_i16(out, ERROR_NONE);
    }
    answer_no_tags(request, out);
    return good ? ANSWER_SEND : ANSWER_CLOSE;
}

enum answer answer_describe_cluster(struct request *request, struct writer *out)
{
    bool operations = false;
    int8_t type = 1;
    if (!reader_bool(&request->body, &operations) ||
        (request->version >= 1 && !reader_i8(&request->body, &type))) {
        return ANSWER_CLOSE;
    }
    writer_i32(out, 0);
    writer_i16(out, ERROR_NONE);
    writer_null_string(out, true);
    if (request->version >= 1) {
        writer_i8(out, type);
    }
    writer_string(out, true, view_from_string(cluster_id));
    writer_i32(out, request->conn->broker->nodes[0].id);
    brokers_write(request, request->version >= 2, out);
    writer_i32(out, NO_OPERATIONS);
    writer_no_tags(out);
    return ANSWER_SEND;
}
