/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a Produce response or a Metadata response. First byte: which, and its version; the rest: the payload.
 * What is told lies within the bytes, no response tells more partitions than it has room for, and a Produce response
 * that schema_walk finds good is read, with as many partitions.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/metadata_topics.h"
#include "protocol/produce_response.h"
#include "protocol/schema_tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    struct view payload;
    size_t count;
};

static void check_within(const struct told *told, struct view part)
{
    if (part.length > 0 && (part.at < told->payload.at ||
                            part.at + part.length > told->payload.at + told->payload.length)) {
        abort();
    }
}

static void on_answer(void *context, const struct produce_answer *answer)
{
    struct told *told = context;
    check_within(told, answer->topic);
    check_within(told, view_of(answer->topic_id, answer->topic_id != NULL ? 16 : 0));
    told->count++;
}

static void on_topic(void *context, struct view name, const uint8_t *topic_id)
{
    struct told *told = context;
    check_within(told, name);
    check_within(told, view_of(topic_id, METADATA_TOPIC_ID_BYTES));
    told->count++;
}

static bool on_field(void *context, const struct schema_field *field,
                     const struct schema_value *value)
{
    (void)value;
    *(size_t *)context += field->role == SCHEMA_PARTITION ? 1 : 0;
    return true;
}

/* By the tables. False: not decodable, or more tags than are accepted of a peer. */
static bool walk_partitions(int16_t version, struct view payload, size_t *count_r)
{
    static const struct schema_visitor visitor = {.field = on_field};
    const struct schema_message *message = schema_find(API_PRODUCE, false);
    size_t header = 0;
    int32_t id;
    *count_r = 0;
    return schema_span_has(message->versions, version) &&
           response_header_decode(payload, API_PRODUCE, version, &id, &header) == FRAME_OK &&
           schema_walk(message, version, api_is_flexible(API_PRODUCE, version),
                       view_from(payload, header), &visitor, count_r) == SCHEMA_OK;
}

static void check_produce(int16_t version, struct told *told)
{
    size_t count = 0;
    bool good = walk_partitions(version, told->payload, &count);
    bool read = produce_response_read(version, told->payload, on_answer, told);
    /* A section of tags may be longer than reader_tags_skip accepts; then the payload is long. */
    if (good && told->payload.length < BYTES_TAGS_MAX && (!read || told->count != count)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct told told = {.payload = view_of(data + 1, size - 1)};
    int16_t version = (int16_t)(data[0] & 0x0f);
    if ((data[0] & 0x80) != 0) {
        (void)!metadata_topics_read(version, told.payload, on_topic, &told);
    } else {
        check_produce(version, &told);
    }
    if (told.count > size / 14) {
        abort();
    }
    return 0;
}
