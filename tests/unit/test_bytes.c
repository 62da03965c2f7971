/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/bytes.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct reader reader_over(const char *bytes, size_t n)
{
    return reader_init(view_of(bytes, n));
}

Test(bytes, views_compare_by_content)
{
    cr_assert(view_equal(view_from_string("abc"), view_of("abcd", 3)));
    cr_assert(!view_equal(view_from_string("abc"), view_from_string("abd")));
    cr_assert(view_equal(view_from_string(NULL), view_of("x", 0)));
    cr_assert(view_is(view_from(view_from_string("hello"), 2), "llo"));
    cr_assert(view_is(view_from(view_from_string("hello"), 9), ""));
}

Test(bytes, fixed_integers_are_big_endian)
{
    struct reader r = reader_over("\xff\x80\x00\xff\xfe\x01\x02\x03\x04\x80\0\0\0\0\0\0\1\2", 18);
    int8_t i8;
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    int64_t i64;
    bool flag;
    cr_assert(reader_i8(&r, &i8) && i8 == -1);
    cr_assert(reader_i16(&r, &i16) && i16 == INT16_MIN);
    cr_assert(reader_u16(&r, &u16) && u16 == 0xfffe);
    cr_assert(reader_i32(&r, &i32) && i32 == 0x01020304);
    cr_assert(reader_i64(&r, &i64) && i64 == INT64_MIN + 1);
    cr_assert(reader_bool(&r, &flag) && flag);
    cr_assert_eq(r.left, 0);
    cr_assert(!reader_i8(&r, &i8) && !reader_bool(&r, &flag) && !r.malformed);
}

Test(bytes, what_is_too_short_consumes_nothing)
{
    struct reader r = reader_over("\1\2\3", 3);
    int32_t i32 = 77;
    int64_t i64 = 77;
    uint8_t uuid[16];
    struct view v = {NULL, 77};
    cr_assert(!reader_i32(&r, &i32) && !reader_i64(&r, &i64) && !reader_uuid(&r, uuid));
    cr_assert(!reader_take(&r, 4, &v) && !reader_skip(&r, SIZE_MAX));
    cr_assert(r.left == 3 && !r.malformed && i32 == 77 && i64 == 77 && v.length == 77);
    cr_assert(reader_take(&r, 3, &v) && v.length == 3 && r.left == 0);
    cr_assert(reader_take(&r, 0, &v) && v.length == 0);
}

Test(bytes, varints_round_trip_at_every_edge)
{
    static const int64_t edges[] = {
        0,     1,     -1,        63,        64,        127,       128,       -64,         -65,
        16383, 16384, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1LL << 40, -(1LL << 40)};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        uint8_t memory[32];
        struct writer w;
        writer_init_fixed(&w, memory, sizeof memory);
        writer_varlong(&w, edges[i]);
        writer_varint(&w, (int32_t)edges[i]);
        writer_uvarint(&w, (uint32_t)edges[i]);
        cr_assert(writer_ok(&w));
        struct reader r = reader_init(writer_view(&w));
        int64_t v64;
        int32_t v32;
        uint32_t u32;
        cr_assert(reader_varlong(&r, &v64) && v64 == edges[i]);
        cr_assert(reader_varint(&r, &v32) && v32 == (int32_t)edges[i]);
        cr_assert(reader_uvarint(&r, &u32) && u32 == (uint32_t)edges[i]);
        cr_assert_eq(r.left, 0);
    }
}

Test(bytes, varints_are_known_bytes)
{
    uint8_t memory[16];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    writer_uvarint(&w, 300);
    writer_varint(&w, -1);
    writer_uvarint(&w, UINT32_MAX);
    cr_assert(view_equal(writer_view(&w), view_of("\xac\x02\x01\xff\xff\xff\xff\x0f", 8)));
}

/* T06 */
Test(bytes, a_varint_with_too_many_bits_is_malformed_and_a_short_one_is_not)
{
    uint32_t v;
    struct reader r = reader_over("\xff\xff\xff\xff\x1f", 5);
    cr_assert(!reader_uvarint(&r, &v) && r.malformed && r.left == 5);
    r = reader_over("\x80\x80\x80\x80\x80\x00", 6);
    cr_assert(!reader_uvarint(&r, &v) && r.malformed);
    r = reader_over("\x80\x80\x80\x80", 4);
    cr_assert(!reader_uvarint(&r, &v) && !r.malformed && r.left == 4);
    int64_t v64;
    r = reader_over("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    cr_assert(!reader_varlong(&r, &v64) && r.malformed);
    r = reader_over("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    cr_assert(reader_varlong(&r, &v64) && v64 == INT64_MIN);
}

Test(bytes, strings_in_both_spellings)
{
    struct view v;
    bool null;
    struct reader r = reader_over("\0\2hi\xff\xff\3hi\0", 10);
    cr_assert(reader_string(&r, false, &v, &null) && view_is(v, "hi") && !null);
    cr_assert(reader_string(&r, false, &v, &null) && v.length == 0 && null);
    cr_assert(reader_string(&r, true, &v, NULL) && view_is(v, "hi"));
    cr_assert(reader_string(&r, true, &v, &null) && null);
    cr_assert_eq(r.left, 0);
}

Test(bytes, a_null_that_is_not_allowed_and_a_negative_length_are_malformed)
{
    struct view v;
    bool null;
    struct reader r = reader_over("\xff\xff", 2);
    cr_assert(!reader_string(&r, false, &v, NULL) && r.malformed && r.left == 2);
    r = reader_over("\xff\xfe", 2);
    cr_assert(!reader_string(&r, false, &v, &null) && r.malformed);
    r = reader_over("\0", 1);
    cr_assert(!reader_string(&r, true, &v, NULL) && r.malformed);
    r = reader_over("\x81\x80\x02xxxxxxxx", 11); /* compact 32768 */
    cr_assert(!reader_string(&r, true, &v, &null) && r.malformed);
    r = reader_over("\x80\0\0\0", 4);
    cr_assert(!reader_bytes(&r, false, &v, &null) && r.malformed);
    r = reader_over("\xff\xff\xff\xff\x0f", 5);
    cr_assert(!reader_bytes(&r, true, &v, &null) && r.malformed);
}

/* T06 */
Test(bytes, array_counts_are_bounded_by_the_input)
{
    int32_t count;
    struct reader r = reader_over("\0\0\0\3abc", 7);
    cr_assert(reader_array(&r, false, false, &count) && count == 3);
    r = reader_over("\0\0\0\4abc", 7);
    cr_assert(!reader_array(&r, false, false, &count) && !r.malformed && r.left == 7);
    r = reader_over("\4abc", 4);
    cr_assert(reader_array(&r, true, false, &count) && count == 3);
    r = reader_over("\5abc", 4);
    cr_assert(!reader_array(&r, true, false, &count) && !r.malformed);
    r = reader_over("\0", 1);
    cr_assert(reader_array(&r, true, true, &count) && count == -1);
    r = reader_over("\0", 1);
    cr_assert(!reader_array(&r, true, false, &count) && r.malformed);
    r = reader_over("\x7f\xff\xff\xff", 4);
    cr_assert(!reader_array(&r, false, false, &count) && !r.malformed);
}

/* A tagged section with tags 0 and 200, the second of 3 bytes. */
static const char section[] = "\2\0\0\xc8\1\3xyz";

Test(bytes, tags_are_read_and_skipped)
{
    struct reader r = reader_over(section, sizeof section - 1);
    uint32_t count;
    uint32_t number;
    struct view content;
    cr_assert(reader_uvarint(&r, &count) && count == 2);
    cr_assert(reader_tag(&r, &number, &content) && number == 0 && content.length == 0);
    cr_assert(reader_tag(&r, &number, &content) && number == 200 && view_is(content, "xyz"));
    r = reader_over(section, sizeof section - 1);
    cr_assert(reader_tags_skip(&r) && r.left == 0);
}

Test(bytes, every_prefix_of_a_tagged_section_is_short_not_malformed)
{
    for (size_t n = 0; n < sizeof section - 1; n++) {
        struct reader r = reader_over(section, n);
        cr_assert(!reader_tags_skip(&r) && !r.malformed && r.left == n, "prefix %zu", n);
    }
}

/* T05 */
Test(bytes, tagged_sections_have_limits)
{
    uint8_t memory[256] = {0};
    memory[0] = BYTES_TAGS_MAX;
    struct reader r = reader_init(view_of(memory, sizeof memory));
    cr_assert(reader_tags_skip(&r));
    memory[0] = BYTES_TAGS_MAX + 1;
    r = reader_init(view_of(memory, sizeof memory));
    cr_assert(!reader_tags_skip(&r) && r.malformed);
    r = reader_over("\1\0\x81\x80\4", 5); /* one tag of 65537 bytes */
    cr_assert(!reader_tags_skip(&r) && r.malformed);
}

Test(bytes, the_writer_writes_what_the_reader_reads)
{
    struct writer w;
    writer_init_growing(&w, 1 << 20);
    static const uint8_t uuid[16] = {1, 2, 3};
    writer_i8(&w, -2);
    writer_i16(&w, -3);
    writer_u16(&w, 65535);
    writer_i32(&w, INT32_MIN);
    writer_u32(&w, UINT32_MAX);
    writer_i64(&w, INT64_MIN);
    writer_bool(&w, true);
    writer_put(&w, view_of(uuid, 16));
    for (int compact = 0; compact < 2; compact++) {
        writer_string(&w, compact, view_from_string("topic"));
        writer_null_string(&w, compact);
        writer_bytes(&w, compact, view_from_string(""));
        writer_null_bytes(&w, compact);
        writer_array(&w, compact, -1);
        writer_array(&w, compact, 1);
    }
    writer_no_tags(&w);
    cr_assert(writer_ok(&w));

    struct reader r = reader_init(writer_view(&w));
    int8_t i8;
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    bool flag;
    uint8_t id[16];
    cr_assert(reader_i8(&r, &i8) && i8 == -2);
    cr_assert(reader_i16(&r, &i16) && i16 == -3);
    cr_assert(reader_u16(&r, &u16) && u16 == 65535);
    cr_assert(reader_i32(&r, &i32) && i32 == INT32_MIN);
    cr_assert(reader_u32(&r, &u32) && u32 == UINT32_MAX);
    cr_assert(reader_i64(&r, &i64) && i64 == INT64_MIN);
    cr_assert(reader_bool(&r, &flag) && flag);
    cr_assert(reader_uuid(&r, id) && memcmp(id, uuid, 16) == 0);
    for (int compact = 0; compact < 2; compact++) {
        struct view v;
        bool null;
        cr_assert(reader_string(&r, compact, &v, NULL) && view_is(v, "topic"));
        cr_assert(reader_string(&r, compact, &v, &null) && null);
        cr_assert(reader_bytes(&r, compact, &v, &null) && v.length == 0 && !null);
        cr_assert(reader_bytes(&r, compact, &v, &null) && null);
        cr_assert(reader_array(&r, compact, true, &i32) && i32 == -1);
        cr_assert(reader_array(&r, compact, true, &i32) && i32 == 1);
    }
    cr_assert(reader_tags_skip(&r) && r.left == 0);
    writer_free(&w);
    writer_free(&w);
}

Test(bytes, a_full_writer_stays_failed)
{
    uint8_t memory[3];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    writer_i16(&w, 7);
    writer_i16(&w, 8);
    cr_assert(!writer_ok(&w) && writer_view(&w).length == 2);
    writer_i8(&w, 1);
    cr_assert(writer_view(&w).length == 2, "nothing is written after a failure");
    writer_reset(&w);
    writer_i8(&w, 1);
    cr_assert(writer_ok(&w) && writer_view(&w).length == 1);
}

Test(bytes, a_growing_writer_stops_exactly_at_its_cap)
{
    for (size_t cap = 1; cap < 1200; cap += 37) {
        struct writer w;
        writer_init_growing(&w, cap);
        for (size_t i = 0; i < cap; i++) {
            writer_i8(&w, (int8_t)i);
        }
        cr_assert(writer_ok(&w) && w.capacity <= cap);
        for (size_t i = 0; i < cap; i++) {
            cr_assert_eq(w.at[i], (uint8_t)i);
        }
        writer_i8(&w, 0);
        cr_assert(!writer_ok(&w));
        writer_free(&w);
    }
}

Test(bytes, strings_that_no_length_can_say_fail_the_writer)
{
    static uint8_t big[32768];
    struct writer w;
    writer_init_growing(&w, 1 << 20);
    writer_string(&w, true, view_of(big, 32767));
    cr_assert(writer_ok(&w));
    writer_string(&w, true, view_of(big, 32768));
    cr_assert(!writer_ok(&w));
    writer_free(&w);
}

Test(bytes, patch_and_insert)
{
    uint8_t memory[16];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    writer_i32(&w, 0);
    writer_put(&w, view_from_string("head--tail"));
    writer_patch_i32(&w, 0, 10);
    writer_insert(&w, 8, view_from_string("<>"));
    cr_assert(view_equal(writer_view(&w), view_of("\0\0\0\xahead<>--tail", 16)));
    writer_insert(&w, 16, view_of(NULL, 0));
    cr_assert(writer_ok(&w));
    writer_insert(&w, 0, view_from_string("x"));
    cr_assert(!writer_ok(&w));
    writer_reset(&w);
    writer_patch_i32(&w, 0, 1);
    cr_assert(!writer_ok(&w));
}

Test(bytes, a_wiping_writer_leaves_nothing_behind)
{
    uint8_t memory[8];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    w.wipe = true;
    writer_put(&w, view_from_string("password"));
    writer_free(&w);
    for (size_t i = 0; i < sizeof memory; i++) {
        cr_assert_eq(memory[i], 0);
    }
}
