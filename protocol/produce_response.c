/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/produce_response.h"

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/schema_tables.h"

struct reading {
    produce_answer_fn answer;
    void *context;
    struct produce_answer now;
    bool begun; /* `now` holds a partition that was not told yet */
};

static void tell(struct reading *reading)
{
    if (reading->begun) {
        reading->answer(reading->context, &reading->now);
    }
    reading->begun = false;
}

static void begin(struct reading *reading, int32_t partition)
{
    tell(reading);
    reading->now.partition = partition;
    reading->now.error_code = 0;
    reading->now.base_offset = -1;
    reading->now.log_append_time_ms = -1;
    reading->now.log_start_offset = -1;
    reading->begun = true;
}

/* A partition is told when the next one, the next topic or the end shows that all of it is known. */
static bool read_field(void *context, const struct schema_field *field,
                       const struct schema_value *value)
{
    struct reading *reading = context;
    switch (field->role) {
    case SCHEMA_TOPIC:
        tell(reading);
        reading->now.topic = value->text;
        break;
    case SCHEMA_TOPIC_ID:
        tell(reading);
        reading->now.topic_id = value->text.at;
        break;
    case SCHEMA_PARTITION:
        begin(reading, (int32_t)value->number);
        break;
    case SCHEMA_ERROR_CODE:
        reading->now.error_code = (int16_t)value->number;
        break;
    case SCHEMA_BASE_OFFSET:
        reading->now.base_offset = value->number;
        break;
    case SCHEMA_LOG_APPEND_TIME:
        reading->now.log_append_time_ms = value->number;
        break;
    case SCHEMA_LOG_START_OFFSET:
        reading->now.log_start_offset = value->number;
        break;
    default:
        break;
    }
    return true;
}

static const struct schema_visitor visitor = {.field = read_field};

bool produce_response_read(int16_t version, struct view payload, produce_answer_fn answer,
                           void *context)
{
    struct reading reading = {.answer = answer, .context = context};
    const struct schema_message *message = schema_find(API_PRODUCE, false);
    size_t header = 0;
    int32_t correlation_id;
    if (!schema_span_has(message->versions, version) ||
        response_header_decode(payload, API_PRODUCE, version, &correlation_id, &header) !=
            FRAME_OK ||
        schema_walk(message, version, api_is_flexible(API_PRODUCE, version),
                    view_from(payload, header), &visitor, &reading) != SCHEMA_OK) {
        return false;
    }
    tell(&reading);
    return true;
}
