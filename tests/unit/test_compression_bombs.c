/* SPDX-License-Identifier: Apache-2.0 */
/*
 * T84: record batches that are compressed, and say that they hold more than any memory does. Setu passes them on,
 * checks their checksum and writes their digest into the ledger as they are: nothing of Setu unpacks anything (a lint
 * forbids the calls), `setu ledger verify` neither, which reads the digests and not the batches.
 */
#include "protocol/records.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "protocol/api.h"
#include "protocol/frame.h"

enum { CODECS = 8, BOMB_BYTES = 4096, RSS_KB_MAX = 16 * 1024 };

struct told {
    size_t batches;
    int32_t count;
    enum batch_verdict verdict;
};

static void on_batch(void *context, const struct batch_head *head, enum batch_verdict verdict)
{
    struct told *told = context;
    told->batches++;
    told->count = head->count;
    told->verdict = verdict;
}

/* Beginnings that each format's own reader takes for gigabytes; the rest is zeros. */
static void fill(uint8_t *bomb, unsigned codec)
{
    /* none, gzip, snappy (CVE-2023-34455), lz4, zstd, and three that do not exist */
    static const char heads[CODECS][32] = {
        "",
        "\x1f\x8b\x08\0\0\0\0\0\0\x03\xed\xc1\x01\x01",
        "\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0\x0f\xe0\xff\xff\xff\xff\x0f",
        "\x04\x22\x4d\x18\x6c\x70\xff\xff\xff\xff\xff\xff\xff\x7f",
        "\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f",
    };
    memset(bomb, 0, BOMB_BYTES);
    memcpy(bomb, heads[codec], sizeof heads[codec]);
}

static size_t produce(struct writer *w, unsigned codec)
{
    static uint8_t bomb[BOMB_BYTES];
    fill(bomb, codec);
    size_t frame = frame_request_begin(w, API_PRODUCE, 3, 1, NULL);
    writer_null_string(w, false);
    writer_i16(w, -1);
    writer_i32(w, 1000);
    writer_array(w, false, 1);
    writer_string(w, false, view_from_string("t"));
    writer_array(w, false, 1);
    writer_i32(w, 0);
    size_t set = w->length;
    writer_i32(w, 0);
    struct batch_head head = {.attributes = (uint16_t)codec,
                              .last_offset_delta = INT32_MAX - 1,
                              .producer_id = -1,
                              .count = INT32_MAX};
    batch_encode(w, &head, view_of(bomb, sizeof bomb));
    writer_patch_i32(w, set, (int32_t)(w->length - set - 4));
    frame_end(w, frame);
    return FRAME_SIZE_BYTES;
}

static long rss_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* T84: 2^31 - 1 records in 4 KiB, in each codec there is and in three there are not: whole, checked, not unpacked */
Test(compression_bombs, t84_a_compressed_batch_costs_what_it_is_long)
{
    static const struct records_events events = {.on_batch = on_batch};
    for (unsigned codec = 0; codec < CODECS; codec++) {
        struct told told = {0};
        struct records_walk walk;
        struct writer w;
        writer_init_growing(&w, 4 * BOMB_BYTES);
        size_t start = produce(&w, codec);
        cr_assert(writer_ok(&w));
        long before_kb = rss_kb();
        records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, 3, w.length - start, &events, &told);
        cr_assert_eq(records_walk_feed(&walk, w.at + start, w.length - start), RECORDS_DONE);
        cr_assert_eq(told.batches, 1);
        cr_assert_eq(told.verdict, BATCH_GOOD, "codec %u", codec);
        cr_assert_eq(told.count, INT32_MAX);
        cr_expect_lt(rss_kb() - before_kb, (long)RSS_KB_MAX);
        writer_free(&w);
    }
}
