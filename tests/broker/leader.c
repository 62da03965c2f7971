/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/broker/answers.h"
#include "tests/broker/broker.h"
#include "tests/broker/conn.h"
#include "tests/broker/store.h"

enum { LEADER_EPOCH = 0, ENDPOINTS_TAG = 0 };

bool topic_ref_read(struct request *request, bool by_id, struct topic_ref *ref)
{
    struct broker *broker = request->conn->broker;
    *ref = (struct topic_ref){.by_id = by_id};
    if (by_id) {
        bool good = reader_uuid(&request->body, ref->id);
        ref->topic = good ? store_find_id(&broker->store, ref->id) : NULL;
        return good;
    }
    bool good = reader_string(&request->body, request->flexible, &ref->name, NULL);
    ref->topic = good ? store_find(&broker->store, ref->name) : NULL;
    return good;
}

void topic_ref_write(const struct request *request, const struct topic_ref *ref, struct writer *out)
{
    if (ref->by_id) {
        writer_put(out, view_of(ref->id, sizeof ref->id));
    } else {
        writer_string(out, request->flexible, ref->name);
    }
}

int16_t topic_ref_error(const struct request *request, const struct topic_ref *ref,
                        int32_t partition)
{
    const struct broker *broker = request->conn->broker;
    if (ref->topic == NULL) {
        return ref->by_id ? ERROR_UNKNOWN_TOPIC_ID : ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (store_partition(ref->topic, partition) == NULL) {
        return ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    bool ours = broker_leader(broker, partition)->id == broker->options->node_id;
    return ours ? ERROR_NONE : ERROR_NOT_LEADER_OR_FOLLOWER;
}

void leader_write_tag(const struct request *request, uint32_t tag, int32_t partition,
                      struct writer *out)
{
    writer_uvarint(out, 1);
    writer_uvarint(out, tag);
    writer_uvarint(out, 9);
    writer_i32(out, broker_leader(request->conn->broker, partition)->id);
    writer_i32(out, LEADER_EPOCH);
    writer_no_tags(out);
}

void leader_write_endpoints(const struct request *request, struct writer *out)
{
    const struct broker *broker = request->conn->broker;
    uint8_t memory[(OPTIONS_NODES_MAX + 1) * 300];
    struct writer content;
    writer_init_fixed(&content, memory, sizeof memory);
    writer_array(&content, true, (int32_t)broker->node_count);
    for (size_t i = 0; i < broker->node_count; i++) {
        const struct address *address = broker_address(request->conn->door, &broker->nodes[i]);
        writer_i32(&content, broker->nodes[i].id);
        writer_string(&content, true, view_from_string(address->host));
        writer_i32(&content, address->port);
        writer_null_string(&content, true);
        writer_no_tags(&content);
    }
    writer_uvarint(out, 1);
    writer_uvarint(out, ENDPOINTS_TAG);
    writer_uvarint(out, (uint32_t)content.length);
    writer_put(out, writer_view(&content));
}

void answer_no_tags(const struct request *request, struct writer *out)
{
    if (request->flexible) {
        writer_no_tags(out);
    }
}

bool answer_skip_tags(struct request *request)
{
    return !request->flexible || reader_tags_skip(&request->body);
}
