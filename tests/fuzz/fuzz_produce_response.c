/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a Produce response or a Metadata response. First byte: which, and its version; the rest: the payload.
 * What is told lies within the bytes, and no response tells more partitions than it has room for.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/metadata_topics.h"
#include "protocol/produce_response.h"

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
        (void)!produce_response_read(version, told.payload, on_answer, &told);
    }
    if (told.count > size / 14) {
        abort();
    }
    return 0;
}
