/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/metadata_topics.h"

#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/schema_tables.h"

struct reading {
    metadata_topic_fn topic;
    void *context;
    struct view name; /* of the topic whose id comes next */
};

static bool read_field(void *context, const struct schema_field *field,
                       const struct schema_value *value)
{
    static const uint8_t none[METADATA_TOPIC_ID_BYTES] = {0};
    struct reading *reading = context;
    if (field->role == SCHEMA_TOPIC) {
        reading->name = value->text;
    }
    if (field->role == SCHEMA_TOPIC_ID && reading->name.length > 0 &&
        memcmp(value->text.at, none, sizeof none) != 0) {
        reading->topic(reading->context, reading->name, value->text.at);
    }
    return true;
}

static const struct schema_visitor visitor = {.field = read_field};

bool metadata_topics_read(int16_t version, struct view payload, metadata_topic_fn topic,
                          void *context)
{
    struct reading reading = {.topic = topic, .context = context};
    const struct schema_message *message = schema_find(API_METADATA, false);
    size_t header = 0;
    int32_t correlation_id;
    return schema_span_has(message->versions, version) &&
           response_header_decode(payload, API_METADATA, version, &correlation_id, &header) ==
               FRAME_OK &&
           schema_walk(message, version, api_is_flexible(API_METADATA, version),
                       view_from(payload, header), &visitor, &reading) == SCHEMA_OK;
}
