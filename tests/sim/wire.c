/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/wire.h"

#include "protocol/api.h"
#include "protocol/batch.h"
#include "protocol/frame.h"
#include "tests/sim/sim.h"

enum { HEARTBEAT = 12, LEADER_AND_ISR = 4, HEAD_BYTES = 12, VALUE_MAX = 512 * 1024 };

static const char topic[] = "sim";

static struct view topic_name(void)
{
    return view_from_string(topic);
}

/* Topic ids from Fetch v13 on. */
static void topic_ref(struct writer *w, int16_t key, int16_t version)
{
    static const uint8_t id[16] = {0x53, 0x49, 0x4d, 1};
    if (key == API_FETCH && version >= 13) {
        writer_put(w, view_of(id, sizeof id));
    } else {
        writer_string(w, api_is_flexible(key, version), topic_name());
    }
}

static void no_tags(struct writer *w, int16_t key, int16_t version)
{
    if (api_is_flexible(key, version)) {
        writer_no_tags(w);
    }
}

/* ---- batches ---- */

void wire_batch(struct writer *w, const struct wire_batch *batch)
{
    static uint8_t value_bytes[VALUE_MAX];
    struct writer records;
    size_t length = batch->value_bytes < HEAD_BYTES ? HEAD_BYTES : batch->value_bytes;
    length = length > VALUE_MAX ? VALUE_MAX : length;
    bytes_store_u64(value_bytes, batch->number);
    bytes_store_u32(value_bytes + 8, batch->book);
    rng_fill(&sim.rng, value_bytes + HEAD_BYTES, length - HEAD_BYTES);
    struct view value = view_of(value_bytes, length);
    writer_init_growing(&records, WIRE_FRAME_MAX);
    batch_encode_record(&records, 0, 0, NULL, &value);
    struct batch_head head = {
        .magic = 2,
        .base_timestamp = 1600000000000,
        .max_timestamp = 1600000000000,
        .producer_id = batch->producer_id,
        .producer_epoch = (int16_t)(batch->producer_id < 0 ? -1 : 0),
        .base_sequence = batch->producer_id < 0 ? -1 : batch->sequence,
        .count = 1,
    };
    size_t start = w->length;
    batch_encode(w, &head, writer_view(&records));
    writer_free(&records);
    if (batch->bad_crc && writer_ok(w)) {
        w->at[start + 17] ^= 1;
    }
}

bool wire_batch_read(struct view batch, uint64_t *number_r, uint32_t *book_r)
{
    struct batch_head head;
    int32_t length, delta, key, value;
    int64_t time;
    int8_t attributes;
    if (!batch_head_decode(batch, &head) || batch_total(&head) != batch.length) {
        return false;
    }
    struct reader r = reader_init(view_from(batch, batch_head_bytes(2)));
    if (!reader_varint(&r, &length) || !reader_i8(&r, &attributes) || !reader_varlong(&r, &time) ||
        !reader_varint(&r, &delta) || !reader_varint(&r, &key) || !reader_varint(&r, &value) ||
        r.left < HEAD_BYTES) {
        return false;
    }
    *number_r = bytes_load_u64(r.at);
    *book_r = bytes_load_u32(r.at + 8);
    return true;
}

/* ---- requests ---- */

void wire_produce(struct writer *w, int16_t version, int32_t id, struct view client, int16_t acks,
                  int32_t partition, struct view batch)
{
    bool compact = api_is_flexible(API_PRODUCE, version);
    size_t frame = frame_request_begin(w, API_PRODUCE, version, id, &client);
    writer_null_string(w, compact);
    writer_i16(w, acks);
    writer_i32(w, 30000);
    writer_array(w, compact, 1);
    topic_ref(w, API_PRODUCE, version);
    writer_array(w, compact, 1);
    writer_i32(w, partition);
    writer_bytes(w, compact, batch);
    no_tags(w, API_PRODUCE, version); /* partition, topic, request */
    no_tags(w, API_PRODUCE, version);
    no_tags(w, API_PRODUCE, version);
    frame_end(w, frame);
}

bool wire_produce_read(int16_t version, struct view body, struct wire_produce_request *produced_r)
{
    bool compact = api_is_flexible(API_PRODUCE, version), null = false;
    struct reader r = reader_init(body);
    struct view skipped;
    int32_t timeout, topics, partitions;
    return reader_string(&r, compact, &skipped, &null) && reader_i16(&r, &produced_r->acks) &&
           reader_i32(&r, &timeout) && reader_array(&r, compact, false, &topics) && topics == 1 &&
           reader_string(&r, compact, &skipped, NULL) &&
           reader_array(&r, compact, false, &partitions) && partitions == 1 &&
           reader_i32(&r, &produced_r->partition) &&
           reader_bytes(&r, compact, &produced_r->batch, &null);
}

void wire_fetch(struct writer *w, int16_t version, int32_t id, struct view client,
                int32_t replica_id, int32_t partition, int64_t offset)
{
    bool compact = api_is_flexible(API_FETCH, version);
    size_t frame = frame_request_begin(w, API_FETCH, version, id, &client);
    if (version < 15) {
        writer_i32(w, replica_id);
    }
    writer_i32(w, 500);
    writer_i32(w, 1);
    writer_i32(w, 1 << 20);
    writer_i8(w, 0);
    if (version >= 7) {
        writer_i32(w, 0);
        writer_i32(w, -1);
    }
    writer_array(w, compact, 1);
    topic_ref(w, API_FETCH, version);
    writer_array(w, compact, 1);
    writer_i32(w, partition);
    if (version >= 9) {
        writer_i32(w, -1);
    }
    writer_i64(w, offset);
    if (version >= 12) {
        writer_i32(w, -1);
    }
    if (version >= 5) {
        writer_i64(w, -1);
    }
    writer_i32(w, 1 << 20);
    no_tags(w, API_FETCH, version); /* partition, topic */
    no_tags(w, API_FETCH, version);
    if (version >= 7) {
        writer_array(w, compact, 0);
    }
    if (version >= 11) {
        writer_string(w, compact, view_from_string(""));
    }
    no_tags(w, API_FETCH, version);
    frame_end(w, frame);
}

/* As written above, and nothing else. */
bool wire_fetch_read(int16_t version, struct view body, struct wire_fetch_request *fetched_r)
{
    bool compact = api_is_flexible(API_FETCH, version);
    struct reader r = reader_init(body);
    struct view skipped;
    int32_t topics, partitions, epoch;
    size_t first = (version < 15 ? 4u : 0u) + 13u + (version >= 7 ? 8u : 0u);
    bool good = reader_skip(&r, first) && reader_array(&r, compact, false, &topics) && topics == 1;
    good =
        good && (version >= 13 ? reader_skip(&r, 16) : reader_string(&r, compact, &skipped, NULL));
    return good && reader_array(&r, compact, false, &partitions) && partitions == 1 &&
           reader_i32(&r, &fetched_r->partition) && (version < 9 || reader_i32(&r, &epoch)) &&
           reader_i64(&r, &fetched_r->offset);
}

void wire_list_offsets(struct writer *w, int32_t id, struct view client, int32_t replica_id)
{
    size_t frame = frame_request_begin(w, API_LIST_OFFSETS, 1, id, &client);
    writer_i32(w, replica_id);
    writer_array(w, false, 1);
    writer_string(w, false, topic_name());
    writer_array(w, false, 1);
    writer_i32(w, 0);
    writer_i64(w, -1);
    frame_end(w, frame);
}

void wire_metadata(struct writer *w, int16_t version, int32_t id, struct view client)
{
    bool compact = api_is_flexible(API_METADATA, version);
    size_t frame = frame_request_begin(w, API_METADATA, version, id, &client);
    writer_array(w, compact, version == 0 ? 0 : -1);
    if (version >= 4) {
        writer_bool(w, false);
    }
    if (version >= 8 && version <= 10) {
        writer_bool(w, false);
    }
    if (version >= 8) {
        writer_bool(w, false);
    }
    no_tags(w, API_METADATA, version);
    frame_end(w, frame);
}

void wire_find_coordinator(struct writer *w, int16_t version, int32_t id, struct view client)
{
    bool compact = api_is_flexible(API_FIND_COORDINATOR, version);
    size_t frame = frame_request_begin(w, API_FIND_COORDINATOR, version, id, &client);
    if (version < 4) {
        writer_string(w, compact, view_from_string("group"));
    }
    if (version >= 1) {
        writer_i8(w, 0);
    }
    if (version >= 4) {
        writer_array(w, compact, 1);
        writer_string(w, compact, view_from_string("group"));
    }
    no_tags(w, API_FIND_COORDINATOR, version);
    frame_end(w, frame);
}

void wire_describe_cluster(struct writer *w, int32_t id, struct view client)
{
    size_t frame = frame_request_begin(w, API_DESCRIBE_CLUSTER, 0, id, &client);
    writer_bool(w, false);
    writer_no_tags(w);
    frame_end(w, frame);
}

void wire_heartbeat(struct writer *w, int32_t id, struct view client)
{
    size_t frame = frame_request_begin(w, HEARTBEAT, 0, id, &client);
    writer_string(w, false, view_from_string("group"));
    writer_i32(w, 1);
    writer_string(w, false, view_from_string("member"));
    frame_end(w, frame);
}

void wire_hidden(struct writer *w, int32_t id, struct view client)
{
    size_t frame = frame_request_begin(w, LEADER_AND_ISR, 2, id, &client);
    writer_i32(w, 0);
    frame_end(w, frame);
}

/* ---- answers ---- */

void wire_produced(struct writer *w, int16_t version, int32_t id, int32_t partition, int64_t base)
{
    bool compact = api_is_flexible(API_PRODUCE, version);
    size_t frame = frame_response_begin(w, API_PRODUCE, version, id);
    writer_array(w, compact, 1);
    topic_ref(w, API_PRODUCE, version);
    writer_array(w, compact, 1);
    writer_i32(w, partition);
    writer_i16(w, (int16_t)(base < 0 ? 1 : 0));
    writer_i64(w, base);
    if (version >= 2) {
        writer_i64(w, -1);
    }
    if (version >= 5) {
        writer_i64(w, 0);
    }
    if (version >= 8) {
        writer_array(w, compact, 0);
        writer_null_string(w, compact);
    }
    no_tags(w, API_PRODUCE, version);
    no_tags(w, API_PRODUCE, version);
    writer_i32(w, 0);
    no_tags(w, API_PRODUCE, version);
    frame_end(w, frame);
}

int16_t wire_produced_error(int16_t version, struct view frame)
{
    bool compact = api_is_flexible(API_PRODUCE, version);
    size_t name = sizeof topic - 1;
    size_t at = compact ? 4 + 4 + 1 + 1 + 1 + name + 1 + 4 : 4 + 4 + 4 + 2 + name + 4 + 4;
    return frame.length < at + 2 ? -1 : (int16_t)bytes_load_u16(frame.at + at);
}

static void node_endpoints(struct writer *w, const struct wire_nodes *nodes)
{
    struct writer field;
    writer_init_growing(&field, WIRE_FRAME_MAX);
    writer_array(&field, true, nodes->count);
    for (int32_t i = 0; i < nodes->count; i++) {
        struct wire_address address = nodes->address(nodes->context, nodes->ids[i]);
        writer_i32(&field, nodes->ids[i]);
        writer_string(&field, true, address.host);
        writer_i32(&field, address.port);
        writer_null_string(&field, true);
        writer_no_tags(&field);
    }
    writer_uvarint(w, 1); /* one tag, number 0 */
    writer_uvarint(w, 0);
    writer_uvarint(w, (uint32_t)field.length);
    writer_put(w, writer_view(&field));
    writer_free(&field);
}

void wire_fetched(struct writer *w, int16_t version, int32_t id, int32_t partition,
                  struct view records, const struct wire_nodes *nodes)
{
    bool compact = api_is_flexible(API_FETCH, version);
    size_t frame = frame_response_begin(w, API_FETCH, version, id);
    writer_i32(w, 0);
    if (version >= 7) {
        writer_i16(w, 0);
        writer_i32(w, 0);
    }
    writer_array(w, compact, 1);
    topic_ref(w, API_FETCH, version);
    writer_array(w, compact, 1);
    writer_i32(w, partition);
    writer_i16(w, 0);
    writer_i64(w, 1 << 20);
    writer_i64(w, 1 << 20);
    if (version >= 5) {
        writer_i64(w, 0);
    }
    writer_array(w, compact, -1);
    if (version >= 11) {
        writer_i32(w, -1);
    }
    writer_bytes(w, compact, records);
    no_tags(w, API_FETCH, version); /* partition, topic */
    no_tags(w, API_FETCH, version);
    if (nodes != NULL && version >= 16) {
        node_endpoints(w, nodes);
    } else {
        no_tags(w, API_FETCH, version);
    }
    frame_end(w, frame);
}

void wire_offsets(struct writer *w, int32_t id)
{
    size_t frame = frame_response_begin(w, API_LIST_OFFSETS, 1, id);
    writer_array(w, false, 1);
    writer_string(w, false, topic_name());
    writer_array(w, false, 1);
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_i64(w, -1);
    writer_i64(w, 7);
    frame_end(w, frame);
}

static void one_broker(struct writer *w, bool compact, const struct wire_nodes *nodes, int32_t id)
{
    struct wire_address address = nodes->address(nodes->context, id);
    writer_i32(w, id);
    writer_string(w, compact, address.host);
    writer_i32(w, address.port);
}

static void one_topic(struct writer *w, int16_t version, const struct wire_nodes *nodes,
                      int32_t number)
{
    bool compact = api_is_flexible(API_METADATA, version);
    uint8_t name[] = {'s',
                      'i',
                      'm',
                      (uint8_t)('a' + number % 26),
                      (uint8_t)('a' + number / 26 % 26),
                      (uint8_t)('a' + number / 676 % 26)};
    writer_i16(w, 0);
    writer_string(w, compact, view_of(name, number == 0 ? 3 : sizeof name));
    if (version >= 1) {
        writer_bool(w, false);
    }
    writer_array(w, compact, WIRE_PARTITIONS);
    for (int32_t i = 0; i < WIRE_PARTITIONS; i++) {
        int32_t leader = nodes->ids[i % nodes->count];
        writer_i16(w, 0);
        writer_i32(w, i);
        writer_i32(w, leader);
        if (version >= 7) {
            writer_i32(w, 0);
        }
        for (int k = 0; k < 2; k++) { /* replicas, those in sync */
            writer_array(w, compact, 1);
            writer_i32(w, leader);
        }
        if (version >= 5) {
            writer_array(w, compact, 0);
        }
        no_tags(w, API_METADATA, version);
    }
    if (version >= 8) {
        writer_i32(w, INT32_MIN);
    }
    no_tags(w, API_METADATA, version);
}

void wire_brokers(struct writer *w, int16_t version, int32_t id, const struct wire_nodes *nodes,
                  int32_t topics)
{
    bool compact = api_is_flexible(API_METADATA, version);
    size_t frame = frame_response_begin(w, API_METADATA, version, id);
    if (version >= 3) {
        writer_i32(w, 0);
    }
    writer_array(w, compact, nodes->count);
    for (int32_t i = 0; i < nodes->count; i++) {
        one_broker(w, compact, nodes, nodes->ids[i]);
        if (version >= 1) {
            writer_null_string(w, compact);
        }
        no_tags(w, API_METADATA, version);
    }
    if (version >= 2) {
        writer_string(w, compact, view_from_string("sim-cluster"));
    }
    if (version >= 1) {
        writer_i32(w, nodes->ids[0]);
    }
    writer_array(w, compact, topics + 1);
    for (int32_t i = 0; i <= topics; i++) {
        one_topic(w, version, nodes, i);
    }
    if (version >= 8 && version <= 10) {
        writer_i32(w, INT32_MIN);
    }
    no_tags(w, API_METADATA, version);
    frame_end(w, frame);
}

void wire_coordinator(struct writer *w, int16_t version, int32_t id, const struct wire_nodes *nodes)
{
    bool compact = api_is_flexible(API_FIND_COORDINATOR, version);
    size_t frame = frame_response_begin(w, API_FIND_COORDINATOR, version, id);
    if (version >= 1) {
        writer_i32(w, 0);
    }
    if (version >= 4) {
        writer_array(w, compact, 1);
        writer_string(w, compact, view_from_string("group"));
        one_broker(w, compact, nodes, nodes->ids[0]);
    }
    writer_i16(w, 0);
    if (version >= 1) {
        writer_null_string(w, compact);
    }
    if (version < 4) {
        one_broker(w, compact, nodes, nodes->ids[0]);
    } else {
        writer_no_tags(w);
    }
    no_tags(w, API_FIND_COORDINATOR, version);
    frame_end(w, frame);
}

void wire_cluster(struct writer *w, int32_t id, const struct wire_nodes *nodes)
{
    size_t frame = frame_response_begin(w, API_DESCRIBE_CLUSTER, 0, id);
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_null_string(w, true);
    writer_string(w, true, view_from_string("sim-cluster"));
    writer_i32(w, nodes->ids[0]);
    writer_array(w, true, nodes->count);
    for (int32_t i = 0; i < nodes->count; i++) {
        one_broker(w, true, nodes, nodes->ids[i]);
        writer_null_string(w, true);
        writer_no_tags(w);
    }
    writer_i32(w, INT32_MIN);
    writer_no_tags(w);
    frame_end(w, frame);
}

void wire_heartbeat_answer(struct writer *w, int32_t id)
{
    size_t frame = frame_response_begin(w, HEARTBEAT, 0, id);
    writer_i16(w, 0);
    frame_end(w, frame);
}
