/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By hand and not with schema_walk, which costs four times as much: with a ledger this is read for every frame that a
 * client produces. The fuzz target holds the two against each other.
 */
#include "protocol/produce_response.h"

enum {
    VERSION_MAX = 13,
    THROTTLE_SINCE = 1,
    APPEND_TIME_SINCE = 2,
    START_OFFSET_SINCE = 5,
    RECORD_ERRORS_SINCE = 8,
    FLEXIBLE_SINCE = 9,
    TOPIC_ID_SINCE = 13,
    TOPIC_ID_BYTES = 16,
};

struct reading {
    struct reader r;
    int16_t version;
    bool flexible;
    produce_answer_fn answer;
    void *context;
};

static bool skip_tags(struct reading *in)
{
    /* Nearly always there are none. */
    if (in->flexible && in->r.left > 0 && in->r.at[0] == 0) {
        return reader_skip(&in->r, 1);
    }
    return !in->flexible || reader_tags_skip(&in->r);
}

static bool skip_record_errors(struct reading *in)
{
    int32_t count = 0;
    bool ok = reader_array(&in->r, in->flexible, false, &count);
    for (int32_t i = 0; ok && i < count; i++) {
        struct view message;
        bool null = false;
        ok = reader_skip(&in->r, sizeof(int32_t)) &&
             reader_string(&in->r, in->flexible, &message, &null) && skip_tags(in);
    }
    return ok;
}

static bool read_partition(struct reading *in, struct produce_answer *answer)
{
    struct view fixed, message;
    bool null = false;
    size_t length = 14;
    length += in->version >= APPEND_TIME_SINCE ? 8 : 0;
    length += in->version >= START_OFFSET_SINCE ? 8 : 0;
    if (!reader_take(&in->r, length, &fixed)) {
        return false;
    }
    answer->partition = (int32_t)bytes_load_u32(fixed.at);
    answer->error_code = (int16_t)bytes_load_u16(fixed.at + 4);
    answer->base_offset = (int64_t)bytes_load_u64(fixed.at + 6);
    answer->log_append_time_ms =
        in->version >= APPEND_TIME_SINCE ? (int64_t)bytes_load_u64(fixed.at + 14) : -1;
    answer->log_start_offset =
        in->version >= START_OFFSET_SINCE ? (int64_t)bytes_load_u64(fixed.at + 22) : -1;
    if (in->version >= RECORD_ERRORS_SINCE &&
        (!skip_record_errors(in) || !reader_string(&in->r, in->flexible, &message, &null))) {
        return false;
    }
    if (!skip_tags(in)) {
        return false;
    }
    in->answer(in->context, answer);
    return true;
}

static bool read_topic(struct reading *in)
{
    struct produce_answer answer = {0};
    struct view id;
    int32_t count = 0;
    bool ok;
    if (in->version >= TOPIC_ID_SINCE) {
        ok = reader_take(&in->r, TOPIC_ID_BYTES, &id);
        answer.topic_id = ok ? id.at : NULL;
    } else {
        ok = reader_string(&in->r, in->flexible, &answer.topic, NULL);
    }
    ok = ok && reader_array(&in->r, in->flexible, false, &count);
    for (int32_t i = 0; ok && i < count; i++) {
        ok = read_partition(in, &answer);
    }
    return ok && skip_tags(in);
}

bool produce_response_read(int16_t version, struct view payload, produce_answer_fn answer,
                           void *context)
{
    struct reading in = {.r = reader_init(payload),
                         .version = version,
                         .flexible = version >= FLEXIBLE_SINCE,
                         .answer = answer,
                         .context = context};
    int32_t count = 0;
    if (version < 0 || version > VERSION_MAX || !reader_skip(&in.r, sizeof(int32_t)) ||
        !skip_tags(&in) || !reader_array(&in.r, in.flexible, false, &count)) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (!read_topic(&in)) {
            return false;
        }
    }
    return (version < THROTTLE_SINCE || reader_skip(&in.r, sizeof(int32_t))) && skip_tags(&in) &&
           in.r.left == 0;
}
