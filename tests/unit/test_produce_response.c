/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/produce_response.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/metadata_topics.h"

enum { ROOM = 4096, ANSWERS = 8, VERSIONS = 14 };

static const uint8_t ids[2][16] = {"0123456789abcde", "fedcba987654321"};

/* ---- a response by hand: two topics, the first of two partitions ---- */

static void tags(struct writer *w, bool flexible)
{
    if (flexible) {
        writer_no_tags(w);
    }
}

static void partition(struct writer *w, int16_t v, int32_t number, int16_t error, int64_t offset)
{
    bool flexible = v >= 9;
    writer_i32(w, number);
    writer_i16(w, error);
    writer_i64(w, offset);
    if (v >= 2) {
        writer_i64(w, 1700000000000 + number);
    }
    if (v >= 5) {
        writer_i64(w, 10 + number);
    }
    if (v >= 8) {
        writer_array(w, flexible, error != 0 ? 1 : 0);
        if (error != 0) {
            writer_i32(w, 3);
            writer_string(w, flexible, view_from_string("no"));
            tags(w, flexible);
        }
        writer_null_string(w, flexible);
    }
    if (v >= 10 && error != 0) { /* CurrentLeader */
        writer_uvarint(w, 1);
        writer_uvarint(w, 0);
        writer_uvarint(w, 9);
        writer_i32(w, 2);
        writer_i32(w, 7);
        writer_no_tags(w);
    } else {
        tags(w, flexible);
    }
}

static void topic(struct writer *w, int16_t v, int which, int32_t partitions)
{
    static const char *const names[] = {"orders", "payments"};
    bool flexible = v >= 9;
    if (v >= 13) {
        writer_put(w, view_of(ids[which], 16));
    } else {
        writer_string(w, flexible, view_from_string(names[which]));
    }
    writer_array(w, flexible, partitions);
    partition(w, v, 4, 0, 1000);
    if (partitions > 1) {
        partition(w, v, 0, 6, -1);
    }
    tags(w, flexible);
}

static struct view response(int16_t v, uint8_t *memory)
{
    struct writer w;
    bool flexible = v >= 9;
    writer_init_fixed(&w, memory, ROOM);
    size_t frame = frame_response_begin(&w, API_PRODUCE, v, 77);
    writer_array(&w, flexible, 2);
    topic(&w, v, 0, 2);
    topic(&w, v, 1, 1);
    if (v >= 1) {
        writer_i32(&w, 5);
    }
    if (v >= 10) { /* NodeEndpoints */
        writer_uvarint(&w, 1);
        writer_uvarint(&w, 0);
        writer_uvarint(&w, 1 + 4 + 3 + 4 + 1 + 1);
        writer_array(&w, true, 1);
        writer_i32(&w, 2);
        writer_string(&w, true, view_from_string("b2"));
        writer_i32(&w, 9092);
        writer_null_string(&w, true);
        writer_no_tags(&w);
    } else {
        tags(&w, flexible);
    }
    frame_end(&w, frame);
    cr_assert(writer_ok(&w));
    return view_from(writer_view(&w), FRAME_SIZE_BYTES);
}

struct seen {
    struct produce_answer answers[ANSWERS];
    size_t count;
};

static void see(void *context, const struct produce_answer *answer)
{
    struct seen *seen = context;
    cr_assert(seen->count < ANSWERS);
    seen->answers[seen->count++] = *answer;
}

static void check(const struct produce_answer *a, int16_t v, int which, int32_t number,
                  int16_t error, int64_t offset)
{
    cr_assert_eq(a->partition, number);
    cr_assert_eq(a->error_code, error);
    cr_assert_eq(a->base_offset, offset);
    cr_assert_eq(a->log_append_time_ms, v >= 2 ? 1700000000000 + number : -1);
    cr_assert_eq(a->log_start_offset, v >= 5 ? 10 + number : -1);
    if (v >= 13) {
        cr_assert(a->topic.length == 0 && memcmp(a->topic_id, ids[which], 16) == 0);
    } else {
        cr_assert(a->topic_id == NULL && view_is(a->topic, which == 0 ? "orders" : "payments"));
    }
}

Test(produce_response, tells_every_partition_in_every_version)
{
    for (int16_t v = 0; v < VERSIONS; v++) {
        uint8_t memory[ROOM];
        struct seen seen = {0};
        cr_assert(produce_response_read(v, response(v, memory), see, &seen), "v%d", v);
        cr_assert_eq(seen.count, 3);
        check(&seen.answers[0], v, 0, 4, 0, 1000);
        check(&seen.answers[1], v, 0, 0, 6, -1);
        check(&seen.answers[2], v, 1, 4, 0, 1000);
    }
}

Test(produce_response, refuses_every_prefix_and_anything_behind)
{
    for (int16_t v = 0; v < VERSIONS; v++) {
        uint8_t memory[ROOM];
        struct view whole = response(v, memory);
        for (size_t n = 0; n < whole.length; n++) {
            /* A copy of its own, so that a sanitizer sees a read beyond it. */
            uint8_t *copy = malloc(n + 1);
            struct seen seen = {0};
            memcpy(copy, whole.at, n);
            cr_assert_not(produce_response_read(v, view_of(copy, n), see, &seen), "v%d %zu", v, n);
            free(copy);
        }
        struct seen seen = {0};
        memory[FRAME_SIZE_BYTES + whole.length] = 0;
        cr_assert_not(produce_response_read(v, view_of(whole.at, whole.length + 1), see, &seen));
    }
}

Test(produce_response, knows_no_other_versions)
{
    uint8_t memory[ROOM];
    struct seen seen = {0};
    cr_assert_not(produce_response_read(-1, response(0, memory), see, &seen));
    cr_assert_not(produce_response_read(VERSIONS, response(13, memory), see, &seen));
    cr_assert_eq(seen.count, 0);
}

/* ---- Metadata: names and ids ---- */

static struct view metadata(int16_t v, uint8_t *memory)
{
    struct writer w;
    static const uint8_t none[16] = {0};
    writer_init_fixed(&w, memory, ROOM);
    size_t frame = frame_response_begin(&w, API_METADATA, v, 1);
    writer_i32(&w, 0);
    writer_array(&w, true, 0);
    writer_null_string(&w, true);
    writer_i32(&w, 1);
    writer_array(&w, true, 3);
    for (int i = 0; i < 3; i++) {
        writer_i16(&w, 0);
        if (i == 2 && v >= 12) {
            writer_null_string(&w, true); /* asked for by an id that nobody has */
        } else {
            writer_string(&w, true, view_from_string(i == 0 ? "orders" : "payments"));
        }
        writer_put(&w, view_of(i == 0 ? ids[0] : i == 1 ? none : ids[1], 16));
        writer_bool(&w, false);
        writer_array(&w, true, 0);
        writer_i32(&w, 0);
        writer_no_tags(&w);
    }
    if (v == 10) {
        writer_i32(&w, 0);
    }
    if (v >= 13) {
        writer_i16(&w, 0);
    }
    writer_no_tags(&w);
    frame_end(&w, frame);
    cr_assert(writer_ok(&w));
    return view_from(writer_view(&w), FRAME_SIZE_BYTES);
}

static void see_topic(void *context, struct view name, const uint8_t *id)
{
    size_t *count = context;
    bool first = view_is(name, "orders") && memcmp(id, ids[0], 16) == 0;
    bool last = view_is(name, "payments") && memcmp(id, ids[1], 16) == 0;
    cr_assert(first || last);
    ++*count;
}

Test(metadata_topics, tells_names_with_their_ids_only)
{
    for (int16_t v = 10; v <= 13; v++) {
        uint8_t memory[ROOM];
        size_t count = 0;
        struct view whole = metadata(v, memory);
        cr_assert(metadata_topics_read(v, whole, see_topic, &count), "v%d", v);
        cr_assert_eq(count, v >= 12 ? 1 : 2);
        for (size_t n = 0; n < whole.length; n++) {
            cr_assert_not(metadata_topics_read(v, view_of(whole.at, n), see_topic, &count));
        }
    }
}
