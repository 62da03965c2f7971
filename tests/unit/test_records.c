/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/records.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"

enum { ROOM = 1 << 20 };

static uint8_t memory[ROOM];

/* ---- writing ---- */

static void batch(struct writer *w, int64_t base_offset, size_t bytes, int64_t producer_id)
{
    static uint8_t filler[1 << 18];
    for (size_t i = 0; i < bytes; i++) {
        filler[i] = (uint8_t)(i * 7 + bytes);
    }
    struct batch_head head = {.base_offset = base_offset,
                              .producer_id = producer_id,
                              .producer_epoch = 1,
                              .base_sequence = 10,
                              .last_offset_delta = 2,
                              .count = 3};
    batch_encode(w, &head, view_of(filler, bytes));
}

static void old_message(struct writer *w, int8_t magic, int64_t offset)
{
    size_t start = w->length;
    writer_i64(w, offset);
    writer_i32(w, magic == 0 ? 16 : 24);
    writer_u32(w, 0);
    writer_i8(w, magic);
    writer_i8(w, 0);
    if (magic == 1) {
        writer_i64(w, 99);
    }
    writer_i32(w, -1);
    writer_i32(w, 2);
    writer_put(w, view_from_string("ab"));
    const uint8_t *at = w->at + start;
    uint32_t crc = batch_crc_update(magic, batch_crc_begin(magic), at + 16, w->length - start - 16);
    writer_patch_i32(w, start + 12, (int32_t)batch_crc_end(magic, crc));
}

static void tags(struct writer *w, bool flexible, bool unknown)
{
    if (flexible && unknown) {
        writer_uvarint(w, 2);
        writer_uvarint(w, 3);
        writer_uvarint(w, 5);
        writer_put(w, view_from_string("abcde"));
        writer_uvarint(w, 777);
        writer_uvarint(w, 0);
    } else if (flexible) {
        writer_no_tags(w);
    }
}

static void topic(struct writer *w, bool flexible, bool by_id, const char *name)
{
    if (by_id) {
        writer_put(w, view_of("0123456789abcdef", 16));
    } else {
        writer_string(w, flexible, view_from_string(name));
    }
}

/* Record sets by number: what a Produce or Fetch may carry. */
enum { SETS = 8 };

static void record_set(struct writer *w, bool flexible, int set)
{
    static uint8_t scratch[ROOM];
    struct writer s;
    writer_init_fixed(&s, scratch, sizeof scratch);
    switch (set) {
    case 0:
        batch(&s, 100, 40, 7);
        break;
    case 1:
        writer_null_bytes(w, flexible);
        return;
    case 2:
        break;
    case 3:
        batch(&s, 1, 0, -1);
        batch(&s, 2, 300, -1);
        batch(&s, 3, 1, -1);
        break;
    case 4: /* the last batch cut in its body */
        batch(&s, 1, 100, -1);
        batch(&s, 2, 100, -1);
        s.length -= 50;
        break;
    case 5: /* the last batch cut in its head */
        batch(&s, 1, 10, -1);
        batch(&s, 2, 10, -1);
        s.length -= 40;
        break;
    case 6:
        old_message(&s, 0, 5);
        old_message(&s, 1, 6);
        batch(&s, 7, 10, -1);
        old_message(&s, 0, 8);
        break;
    default: /* and in a length that does not even show a magic */
        batch(&s, 1, 10, -1);
        writer_put(&s, view_of("0123456789", 10));
        break;
    }
    cr_assert(writer_ok(&s));
    writer_bytes(w, flexible, writer_view(&s));
}

/* What walking those sets must report, as log_* below print it. */
static const char *const set_logs[SETS] = {
    "B100/2/3/GOOD ",
    "",
    "",
    "B1/2/3/GOOD B2/2/3/GOOD B3/2/3/GOOD ",
    "B1/2/3/GOOD B2/2/3/TRUNCATED ",
    "B1/2/3/GOOD ",
    "B5/0/1/GOOD B6/1/1/GOOD B7/2/3/GOOD B8/0/1/GOOD ",
    "B1/2/3/GOOD ",
};

/* A Produce request with two topics; the payload without its size. */
static struct view produce(int16_t v, int16_t acks, bool unknown)
{
    struct writer w;
    bool flexible = v >= 9;
    struct view client_id = view_from_string("client");
    writer_init_fixed(&w, memory, sizeof memory);
    (void)frame_request_begin(&w, API_PRODUCE, v, 5, &client_id);
    if (flexible) {
        w.length--;
        tags(&w, true, unknown);
    }
    if (v >= 3) {
        writer_null_string(&w, flexible);
    }
    writer_i16(&w, acks);
    writer_i32(&w, 1000);
    writer_array(&w, flexible, 2);
    int set = 0;
    for (int t = 0; t < 2; t++) {
        topic(&w, flexible, v >= 13, t == 0 ? "orders" : "returns");
        writer_array(&w, flexible, SETS / 2);
        for (int32_t p = 0; p < SETS / 2; p++) {
            writer_i32(&w, p);
            record_set(&w, flexible, set++);
            tags(&w, flexible, unknown);
        }
        tags(&w, flexible, unknown);
    }
    tags(&w, flexible, unknown);
    cr_assert(writer_ok(&w));
    return view_from(writer_view(&w), 4);
}

/* A Fetch response with two topics; NodeEndpoints when `endpoints`. */
static struct view fetch(int16_t v, bool unknown, bool endpoints)
{
    struct writer w;
    bool flexible = v >= 12;
    writer_init_fixed(&w, memory, sizeof memory);
    (void)frame_response_begin(&w, API_FETCH, v, 5);
    if (v >= 1) {
        writer_i32(&w, 0);
    }
    if (v >= 7) {
        writer_i16(&w, 0);
        writer_i32(&w, 55);
    }
    writer_array(&w, flexible, 2);
    int set = 0;
    for (int t = 0; t < 2; t++) {
        topic(&w, flexible, v >= 13, t == 0 ? "orders" : "returns");
        writer_array(&w, flexible, SETS / 2);
        for (int32_t p = 0; p < SETS / 2; p++) {
            writer_i32(&w, p);
            writer_i16(&w, (int16_t)(p == 3 ? 6 : 0));
            writer_i64(&w, 1000 + p);
            if (v >= 4) {
                writer_i64(&w, 900 + p);
            }
            if (v >= 5) {
                writer_i64(&w, 800 + p);
            }
            if (v >= 4) {
                writer_array(&w, flexible, p - 1); /* null, empty, some */
                for (int32_t aborted = 0; aborted < p - 1; aborted++) {
                    writer_i64(&w, 1);
                    writer_i64(&w, 2);
                    tags(&w, flexible, unknown);
                }
            }
            if (v >= 11) {
                writer_i32(&w, -1);
            }
            record_set(&w, flexible, set++);
            tags(&w, flexible, unknown);
        }
        tags(&w, flexible, unknown);
    }
    if (endpoints) {
        writer_uvarint(&w, 2);
        writer_uvarint(&w, 0);
        writer_uvarint(&w, 3);
        writer_put(&w, view_of("\2\0\0", 3)); /* nobody looks inside */
        writer_uvarint(&w, 9);
        writer_uvarint(&w, 0);
    } else {
        tags(&w, flexible, unknown);
    }
    cr_assert(writer_ok(&w));
    return view_from(writer_view(&w), 4);
}

/* ---- watching ---- */

struct log {
    char text[4096];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void note(struct log *log, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(log->text + log->length, sizeof log->text - log->length, format, args);
    va_end(args);
    log->length += (size_t)n;
    cr_assert_lt(log->length, sizeof log->text);
}

static void log_acks(void *context, int16_t acks)
{
    note(context, "A%d ", acks);
}

static void log_partition(void *context, const struct records_partition *p)
{
    note(context, "P%.*s%.*s-%d/%d/%lld/%lld/%lld/%s ", (int)p->topic.length,
         (const char *)p->topic.at, p->topic_id != NULL ? 4 : 0, (const char *)p->topic_id,
         p->partition, p->error_code, (long long)p->high_watermark,
         (long long)p->last_stable_offset, (long long)p->log_start_offset,
         p->records_length < 0    ? "null"
         : p->records_length == 0 ? "empty"
                                  : "some");
}

static void log_batch(void *context, const struct batch_head *head, enum batch_verdict verdict)
{
    static const char *const names[] = {"GOOD", "CRC_WRONG", "UNCHECKED", "TRUNCATED", "MALFORMED"};
    note(context, "B%lld/%d/%d/%s ", (long long)head->base_offset, head->magic, head->count,
         names[verdict]);
}

static const struct records_events events = {log_acks, log_partition, log_batch};

static struct records_walk walk;

/* Feeds in pieces; every piece is its own allocation, so that a read past it is seen. */
static enum records_status feed_pieces(struct view payload, size_t first, size_t piece)
{
    size_t n = first;
    enum records_status status = RECORDS_OK;
    while (payload.length > 0 && status == RECORDS_OK) {
        n = n < payload.length ? n : payload.length;
        uint8_t *copy = malloc(n > 0 ? n : 1);
        cr_assert(copy != NULL);
        memcpy(copy, payload.at, n);
        status = records_walk_feed(&walk, copy, n);
        memcpy((uint8_t *)(uintptr_t)payload.at, copy, n);
        free(copy);
        cr_assert(status != RECORDS_DONE || payload.length == n);
        payload = view_from(payload, n);
        n = piece;
    }
    return status;
}

static const char *expected_partition(char *text, bool by_id, int t, int p, const char *rest,
                                      int set)
{
    static const char *const records[SETS] = {"some", "null", "empty", "some",
                                              "some", "some", "some",  "some"};
    sprintf(text, "P%s-%d/%s/%s %s",
            by_id    ? "0123"
            : t == 0 ? "orders"
                     : "returns",
            p, rest, records[set], set_logs[set]);
    return text;
}

static void expect_produce(struct log *log, int16_t v, int16_t acks)
{
    char text[512];
    memset(log, 0, sizeof *log);
    note(log, "A%d ", acks);
    for (int set = 0; set < SETS; set++) {
        note(log, "%s", expected_partition(text, v >= 13, set / 4, set % 4, "0/-1/-1/-1", set));
    }
}

static void expect_fetch(struct log *log, int16_t v)
{
    char text[512];
    memset(log, 0, sizeof *log);
    for (int set = 0; set < SETS; set++) {
        char rest[128];
        int p = set % 4;
        sprintf(rest, "%d/%d/%d/%d", p == 3 ? 6 : 0, 1000 + p, v >= 4 ? 900 + p : -1,
                v >= 5 ? 800 + p : -1);
        note(log, "%s", expected_partition(text, v >= 13, set / 4, p, rest, set));
    }
}

/* ---- good messages ---- */

Test(records, produce_requests_of_every_version_in_one_piece)
{
    for (int16_t v = 0; v <= 13; v++) {
        for (int unknown = 0; unknown < 2; unknown++) {
            struct view payload = produce(v, -1, unknown);
            struct log log = {.length = 0};
            struct log expected;
            expect_produce(&expected, v, -1);
            records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, v, payload.length, &events, &log);
            cr_assert_eq(feed_pieces(payload, payload.length, 1), RECORDS_DONE, "v%d", v);
            cr_assert_str_eq(log.text, expected.text, "v%d", v);
        }
    }
}

Test(records, fetch_responses_of_every_version_in_one_piece)
{
    for (int16_t v = 0; v <= 18; v++) {
        for (int unknown = 0; unknown < 2; unknown++) {
            struct view payload = fetch(v, unknown, v >= 16 && unknown);
            struct log log = {.length = 0};
            struct log expected;
            expect_fetch(&expected, v);
            records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, v, payload.length, &events, &log);
            cr_assert_eq(feed_pieces(payload, payload.length, 1), RECORDS_DONE, "v%d", v);
            cr_assert_str_eq(log.text, expected.text, "v%d", v);
            cr_assert_eq(walk.neutralised, 0);
        }
    }
}

Test(records, a_split_at_every_byte_reports_the_same, .timeout = 120)
{
    static const int16_t versions[] = {0, 3, 8, 9, 13};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct view payload = produce(versions[i], 1, true);
        struct log expected;
        expect_produce(&expected, versions[i], 1);
        for (size_t cut = 0; cut <= payload.length; cut++) {
            struct log log = {.length = 0};
            records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, versions[i], payload.length, &events,
                               &log);
            cr_assert_eq(feed_pieces(payload, cut, payload.length), RECORDS_DONE);
            cr_assert_str_eq(log.text, expected.text, "v%d cut at %zu", versions[i], cut);
        }
    }
    for (int16_t v = 0; v <= 18; v += 3) {
        struct view payload = fetch(v, true, v >= 16);
        struct log expected;
        expect_fetch(&expected, v);
        for (size_t cut = 0; cut <= payload.length; cut++) {
            struct log log = {.length = 0};
            records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, v, payload.length, &events, &log);
            cr_assert_eq(feed_pieces(payload, cut, payload.length), RECORDS_DONE);
            cr_assert_str_eq(log.text, expected.text, "v%d cut at %zu", v, cut);
        }
    }
}

Test(records, pieces_of_every_small_size_report_the_same, .timeout = 120)
{
    for (size_t piece = 1; piece < 80; piece++) {
        struct log log = {.length = 0};
        struct log expected;
        struct view payload = produce(9, 1, true);
        expect_produce(&expected, 9, 1);
        records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, 9, payload.length, &events, &log);
        cr_assert_eq(feed_pieces(payload, piece, piece), RECORDS_DONE);
        cr_assert_str_eq(log.text, expected.text, "pieces of %zu", piece);
        memset(&log, 0, sizeof log);
        payload = fetch(17, true, true);
        expect_fetch(&expected, 17);
        records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, 17, payload.length, &events, &log);
        cr_assert_eq(feed_pieces(payload, piece, piece), RECORDS_DONE);
        cr_assert_str_eq(log.text, expected.text, "pieces of %zu", piece);
    }
}

Test(records, empty_feeds_change_nothing)
{
    struct view payload = produce(9, 0, false);
    records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, 9, payload.length, NULL, NULL);
    cr_assert_eq(records_walk_feed(&walk, NULL, 0), RECORDS_OK);
    cr_assert_eq(records_walk_feed(&walk, memory + 4, 30), RECORDS_OK);
    cr_assert_eq(records_walk_feed(&walk, NULL, 0), RECORDS_OK);
    cr_assert_eq(records_walk_feed(&walk, memory + 34, payload.length - 30), RECORDS_DONE);
}

Test(records, a_long_topic_name_is_reported_cut)
{
    char name[401];
    memset(name, 't', 400);
    name[400] = '\0';
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    writer_put(&w, view_of("\0\0\0\1", 4));
    writer_array(&w, false, 1);
    writer_string(&w, false, view_from_string(name));
    writer_array(&w, false, 1);
    writer_i32(&w, 3);
    writer_i16(&w, 0);
    writer_i64(&w, 10);
    writer_null_bytes(&w, false);
    struct log log = {.length = 0};
    for (size_t cut = 1; cut < w.length; cut++) {
        memset(&log, 0, sizeof log);
        records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, 0, w.length, &events, &log);
        cr_assert_eq(feed_pieces(writer_view(&w), cut, w.length), RECORDS_DONE);
        cr_assert_eq(log.length, 1 + 249 + strlen("-3/0/10/-1/-1/null "));
    }
}

/* ---- bad data inside good frames ---- */

/* A Fetch v4 response with one partition and these records. */
static struct view fetch_of(struct view records)
{
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    writer_put(&w, view_of("\0\0\0\1\0\0\0\0", 8));
    writer_array(&w, false, 1);
    writer_string(&w, false, view_from_string("t"));
    writer_array(&w, false, 1);
    writer_i32(&w, 0);
    writer_i16(&w, 0);
    writer_i64(&w, 0);
    writer_i64(&w, 0);
    writer_array(&w, false, 0);
    writer_bytes(&w, false, records);
    cr_assert(writer_ok(&w));
    return writer_view(&w);
}

static const char *walk_fetch_of(struct view records, struct log *log, size_t piece, bool check)
{
    struct view payload = fetch_of(records);
    memset(log, 0, sizeof *log);
    records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, 4, payload.length, &events, log);
    walk.check_crc = check;
    cr_assert_eq(feed_pieces(payload, piece, piece), RECORDS_DONE);
    return strchr(log->text, 'B') != NULL ? strchr(log->text, 'B') : "";
}

Test(records, a_wrong_checksum_is_noticed_and_the_next_batch_still_read)
{
    uint8_t records[1024];
    struct writer w;
    struct log log;
    for (size_t piece = 1; piece < 500; piece += 13) {
        writer_init_fixed(&w, records, sizeof records);
        batch(&w, 1, 100, -1);
        size_t second = w.length;
        batch(&w, 2, 100, -1);
        batch(&w, 3, 100, -1);
        w.at[second + 100] ^= 0x10;
        cr_assert_str_eq(walk_fetch_of(writer_view(&w), &log, piece, true),
                         "B1/2/3/GOOD B2/2/3/CRC_WRONG B3/2/3/GOOD ");
        cr_assert_str_eq(walk_fetch_of(writer_view(&w), &log, piece, false),
                         "B1/2/3/UNCHECKED B2/2/3/UNCHECKED B3/2/3/UNCHECKED ");
    }
}

Test(records, a_wrong_old_checksum_is_noticed)
{
    uint8_t records[256];
    struct writer w;
    struct log log;
    for (size_t piece = 1; piece < 120; piece++) {
        writer_init_fixed(&w, records, sizeof records);
        old_message(&w, 1, 5);
        old_message(&w, 0, 6);
        w.at[w.length - 1] ^= 1;
        cr_assert_str_eq(walk_fetch_of(writer_view(&w), &log, piece, true),
                         "B5/1/1/GOOD B6/0/1/CRC_WRONG ");
    }
}

Test(records, a_length_or_magic_without_sense_ends_the_record_set_only)
{
    uint8_t records[1024];
    struct writer w;
    struct log log;
    for (size_t piece = 1; piece < 300; piece += 7) {
        writer_init_fixed(&w, records, sizeof records);
        batch(&w, 1, 10, -1);
        batch(&w, 2, 50, -1);
        bytes_store_u32(w.at + 71 + 8, 20);
        batch(&w, 3, 10, -1);
        cr_assert_str_eq(walk_fetch_of(writer_view(&w), &log, piece, true),
                         "B1/2/3/GOOD B2/2/-1/MALFORMED ");
        w.at[71 + 16] = 9;
        cr_assert_str_eq(walk_fetch_of(writer_view(&w), &log, piece, true),
                         "B1/2/3/GOOD B2/9/-1/MALFORMED ");
        bytes_store_u32(w.at + 71 + 8, UINT32_MAX);
        w.at[71 + 16] = 2;
        cr_assert_str_eq(walk_fetch_of(writer_view(&w), &log, piece, true),
                         "B1/2/3/GOOD B2/2/-1/MALFORMED ");
    }
}

Test(records, a_record_set_cut_anywhere_is_truncated_never_wrong)
{
    uint8_t records[1024];
    struct writer w;
    struct log log;
    writer_init_fixed(&w, records, sizeof records);
    batch(&w, 1, 100, -1);
    batch(&w, 2, 100, -1);
    size_t one = 161;
    for (size_t n = 0; n < w.length; n++) {
        const char *text = walk_fetch_of(view_of(records, n), &log, 64, true);
        const char *expected = n < 61         ? ""
                               : n < one      ? "B1/2/3/TRUNCATED "
                               : n < one + 61 ? "B1/2/3/GOOD "
                                              : "B1/2/3/GOOD B2/2/3/TRUNCATED ";
        cr_assert_str_eq(text, expected, "cut at %zu", n);
    }
}

/* ---- broken frames ---- */

Test(records, a_payload_that_ends_early_is_bad_not_unfinished, .timeout = 120)
{
    static const int16_t versions[] = {0, 8, 9, 13};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct view payload = produce(versions[i], 1, true);
        for (size_t n = 0; n < payload.length; n++) {
            records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, versions[i], n, NULL, NULL);
            uint8_t *copy = malloc(n + 1);
            memcpy(copy, payload.at, n);
            cr_assert_eq(records_walk_feed(&walk, copy, n), RECORDS_BAD, "v%d %zu", versions[i], n);
            cr_assert_eq(records_walk_feed(&walk, copy, 0), RECORDS_BAD, "and stays so");
            free(copy);
        }
    }
    for (int16_t v = 0; v <= 18; v += 6) {
        struct view payload = fetch(v, true, false);
        for (size_t n = 0; n < payload.length; n++) {
            records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, v, n, NULL, NULL);
            uint8_t *copy = malloc(n + 1);
            memcpy(copy, payload.at, n);
            cr_assert_eq(records_walk_feed(&walk, copy, n), RECORDS_BAD, "v%d %zu", v, n);
            free(copy);
        }
    }
}

Test(records, bytes_after_the_message_are_bad)
{
    struct view payload = produce(9, 1, false);
    memory[4 + payload.length] = 0;
    records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, 9, payload.length + 1, NULL, NULL);
    cr_assert_eq(records_walk_feed(&walk, memory + 4, payload.length + 1), RECORDS_BAD);
    records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, 9, payload.length, NULL, NULL);
    cr_assert_eq(records_walk_feed(&walk, memory + 4, payload.length + 1), RECORDS_BAD, "too much");
}

Test(records, lengths_beyond_the_payload_are_bad_at_once)
{
    static const struct {
        int16_t version;
        const char *bytes;
        size_t length;
        enum records_status status;
    } cases[] = {
        {0, "\0\0\0\0\0\0\0\1\x7f\xff", 10, RECORDS_BAD}, /* client id */
        {0, "\0\0\0\0\0\0\0\1\xff\xfe", 10, RECORDS_BAD}, /* client id of -2 */
        {0, "\0\0\0\0\0\0\0\1\xff\xff\0\1\0\0\0\1\x7f\xff\xff\xff", 20, RECORDS_BAD}, /* topics */
        {0, "\0\0\0\0\0\0\0\1\xff\xff\0\1\0\0\0\1\xff\xff\xff\xff", 20, RECORDS_BAD}, /* null */
        {9, "\0\0\0\0\0\0\0\1\xff\xff\x81\x81\x81\x81\x81", 15, RECORDS_BAD},         /* tags */
        {9, "\0\0\0\0\0\0\0\1\xff\xff\1\7\xff\xff\xff\x0f", 16, RECORDS_BAD},         /* one tag */
        {9, "\0\0\0\0\0\0\0\1\xff\xff\0\0\0\1\0\0\0\1\xff\xff\xff\xff\xf", 23, RECORDS_BAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[64];
        memcpy(bytes, cases[i].bytes, cases[i].length);
        records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, cases[i].version, 1000, NULL, NULL);
        cr_assert_eq(records_walk_feed(&walk, bytes, cases[i].length), cases[i].status, "%zu", i);
    }
}

Test(records, a_version_that_is_not_there_is_bad)
{
    records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, 14, 100, NULL, NULL);
    cr_assert_eq(records_walk_feed(&walk, memory, 10), RECORDS_BAD);
}

/* ---- neutralising ---- */

/* T68 */
Test(records, node_endpoints_are_neutralised_whatever_the_pieces, .timeout = 120)
{
    for (int16_t v = 16; v <= 18; v++) {
        size_t length = fetch(v, true, true).length;
        for (size_t cut = 0; cut <= length; cut++) {
            struct view payload = fetch(v, true, true);
            size_t tag = payload.length - 7;
            cr_assert(payload.at[tag - 1] == 2 && payload.at[tag] == 0 && payload.at[tag + 1] == 3);
            static uint8_t before[ROOM];
            memcpy(before, payload.at, payload.length);
            struct log log = {.length = 0};
            records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, v, payload.length, &events, &log);
            walk.neutralise_endpoints = true;
            cr_assert_eq(feed_pieces(payload, cut, payload.length), RECORDS_DONE);
            cr_assert_eq(walk.endpoints, 1);
            cr_assert_eq(walk.neutralised, 1);
            before[tag] = RECORDS_UNUSED_TAG;
            cr_assert(view_equal(payload, view_of(before, payload.length)), "only that byte");
        }
    }
}

Test(records, other_versions_and_other_tags_are_left_alone)
{
    static const int16_t versions[] = {4, 12, 15, 16};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct view payload = fetch(versions[i], true, versions[i] == 15);
        static uint8_t before[ROOM];
        memcpy(before, payload.at, payload.length);
        records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, versions[i], payload.length, NULL, NULL);
        walk.neutralise_endpoints = true;
        cr_assert_eq(records_walk_feed(&walk, memory + 4, payload.length), RECORDS_DONE);
        cr_assert_eq(walk.endpoints, 0);
        cr_assert(walk.neutralised == 0 && memcmp(before, payload.at, payload.length) == 0);
    }
}

/* T68 */
Test(records, a_tag_zero_of_two_bytes_cannot_be_neutralised_and_is_bad)
{
    static const uint8_t template[] = {0, 0,    0, 1, 0,                   /* header */
                                       0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 1, /* no topics */
                                       1, 0x80, 0, 1, 1};
    for (size_t cut = 1; cut <= sizeof template; cut++) {
        uint8_t bytes[sizeof template];
        memcpy(bytes, template, sizeof bytes);
        records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, 16, sizeof bytes, NULL, NULL);
        walk.neutralise_endpoints = true;
        enum records_status status = records_walk_feed(&walk, bytes, cut);
        if (status == RECORDS_OK) {
            status = records_walk_feed(&walk, bytes + cut, sizeof bytes - cut);
        }
        cr_assert_eq(status, RECORDS_BAD, "%zu", cut);
    }
}

/* ---- size ---- */

Test(records, a_large_batch_in_large_pieces)
{
    uint8_t *records = malloc(ROOM);
    struct writer w;
    struct log log;
    writer_init_fixed(&w, records, ROOM);
    batch(&w, 1, 200000, -1);
    batch(&w, 2, 200000, -1);
    cr_assert_str_eq(walk_fetch_of(writer_view(&w), &log, 65536, true), "B1/2/3/GOOD B2/2/3/GOOD ");
    free(records);
}
