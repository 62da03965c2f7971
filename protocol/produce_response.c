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

/* ---- items: nearly every length is one byte; what is not goes to the general reader ---- */

static void pass(struct reading *in, size_t n)
{
    in->r.at += n;
    in->r.left -= n;
}

static bool skip_fixed(struct reading *in, size_t n)
{
    if (in->r.left < n) {
        return reader_skip(&in->r, n);
    }
    pass(in, n);
    return true;
}

/* A zero byte there: no tags, or null. */
static bool skip_zero(struct reading *in)
{
    if (!in->flexible || in->r.left == 0 || in->r.at[0] != 0) {
        return false;
    }
    pass(in, 1);
    return true;
}

static bool skip_tags(struct reading *in)
{
    return !in->flexible || skip_zero(in) || reader_tags_skip(&in->r);
}

/* So long, and so many bytes are there, is what follows a prefix of one byte; else -1. */
static int32_t short_length(const struct reading *in)
{
    const int32_t length = in->flexible && in->r.left > 0 ? in->r.at[0] - 1 : -1;
    return length < 0x7f && (size_t)length < in->r.left ? length : -1;
}

static bool read_array(struct reading *in, int32_t *count_r)
{
    const int32_t count = short_length(in); /* an element takes a byte at least */
    if (count < 0) {
        return reader_array(&in->r, in->flexible, false, count_r);
    }
    pass(in, 1);
    *count_r = count;
    return true;
}

static bool read_string(struct reading *in, struct view *text_r)
{
    const int32_t length = short_length(in);
    if (length < 0) {
        return reader_string(&in->r, in->flexible, text_r, NULL);
    }
    *text_r = view_of(in->r.at + 1, (size_t)length);
    pass(in, (size_t)length + 1);
    return true;
}

static bool skip_nullable_string(struct reading *in)
{
    struct view text;
    bool null = false;
    return skip_zero(in) || reader_string(&in->r, in->flexible, &text, &null);
}

/* ---- the message ---- */

static bool skip_record_errors(struct reading *in)
{
    int32_t count = 0;
    bool ok = read_array(in, &count);
    for (int32_t i = 0; ok && i < count; i++) {
        ok = skip_fixed(in, sizeof(int32_t)) && skip_nullable_string(in) && skip_tags(in);
    }
    return ok;
}

static bool read_partition(struct reading *in, struct produce_answer *answer)
{
    const uint8_t *fixed = in->r.at;
    size_t length = 14;
    length += in->version >= APPEND_TIME_SINCE ? 8 : 0;
    length += in->version >= START_OFFSET_SINCE ? 8 : 0;
    if (!skip_fixed(in, length)) {
        return false;
    }
    answer->partition = (int32_t)bytes_load_u32(fixed);
    answer->error_code = (int16_t)bytes_load_u16(fixed + 4);
    answer->base_offset = (int64_t)bytes_load_u64(fixed + 6);
    answer->log_append_time_ms =
        in->version >= APPEND_TIME_SINCE ? (int64_t)bytes_load_u64(fixed + 14) : -1;
    answer->log_start_offset =
        in->version >= START_OFFSET_SINCE ? (int64_t)bytes_load_u64(fixed + 22) : -1;
    if (in->version >= RECORD_ERRORS_SINCE &&
        (!skip_record_errors(in) || !skip_nullable_string(in))) {
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
        ok = read_string(in, &answer.topic);
    }
    ok = ok && read_array(in, &count);
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
    if (version < 0 || version > VERSION_MAX || !skip_fixed(&in, sizeof(int32_t)) ||
        !skip_tags(&in) || !read_array(&in, &count)) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (!read_topic(&in)) {
            return false;
        }
    }
    return (version < THROTTLE_SINCE || skip_fixed(&in, sizeof(int32_t))) && skip_tags(&in) &&
           in.r.left == 0;
}
