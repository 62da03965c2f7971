/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/batch.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t memory[4096];

static const struct batch_head head = {
    .base_offset = 1000,
    .leader_epoch = 3,
    .attributes = BATCH_TRANSACTIONAL,
    .last_offset_delta = 1,
    .base_timestamp = 1700000000000,
    .max_timestamp = 1700000000001,
    .producer_id = 42,
    .producer_epoch = 7,
    .base_sequence = 5,
    .count = 2,
};

static struct view some_batch(void)
{
    uint8_t records[256];
    struct writer r;
    struct writer w;
    struct view key = view_from_string("key");
    struct view value = view_from_string("value");
    writer_init_fixed(&r, records, sizeof records);
    batch_encode_record(&r, 0, 0, &key, &value);
    batch_encode_record(&r, 1, 1, NULL, &value);
    writer_init_fixed(&w, memory, sizeof memory);
    batch_encode(&w, &head, writer_view(&r));
    cr_assert(writer_ok(&r) && writer_ok(&w));
    return writer_view(&w);
}

/* An uncompressed message of magic 0 or 1, key null, value "v". */
static struct view old_message(int8_t magic, uint8_t attributes)
{
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    writer_i64(&w, 77);
    writer_i32(&w, magic == 0 ? 15 : 23);
    writer_u32(&w, 0);
    writer_i8(&w, magic);
    writer_i8(&w, (int8_t)attributes);
    if (magic == 1) {
        writer_i64(&w, 1234567);
    }
    writer_i32(&w, -1);
    writer_i32(&w, 1);
    writer_put(&w, view_from_string("v"));
    uint32_t crc = batch_crc_update(magic, batch_crc_begin(magic), memory + 16, w.length - 16);
    writer_patch_i32(&w, 12, (int32_t)batch_crc_end(magic, crc));
    cr_assert(writer_ok(&w));
    return writer_view(&w);
}

/* The check values every CRC catalogue gives for "123456789". */
Test(batch, checksums_are_crc32c_and_crc32)
{
    static const uint8_t digits[] = "123456789";
    cr_assert_eq(batch_crc_end(2, batch_crc_update(2, batch_crc_begin(2), digits, 9)), 0xe3069283u);
    cr_assert_eq(batch_crc_end(1, batch_crc_update(1, batch_crc_begin(1), digits, 9)), 0xcbf43926u);
    cr_assert_eq(batch_crc_end(0, batch_crc_update(0, batch_crc_begin(0), digits, 9)), 0xcbf43926u);
}

Test(batch, checksums_may_be_fed_in_pieces)
{
    static const uint8_t digits[] = "123456789";
    for (int8_t magic = 0; magic <= 2; magic++) {
        uint32_t whole = batch_crc_update(magic, batch_crc_begin(magic), digits, 9);
        for (size_t cut = 0; cut <= 9; cut++) {
            uint32_t crc = batch_crc_update(magic, batch_crc_begin(magic), digits, cut);
            crc = batch_crc_update(magic, crc, digits + cut, 9 - cut);
            cr_assert_eq(crc, whole);
        }
    }
}

Test(batch, a_head_written_is_read)
{
    struct view batch = some_batch();
    struct batch_head back;
    cr_assert(batch_head_decode(batch, &back));
    cr_assert_eq(batch_total(&back), batch.length);
    cr_assert(back.base_offset == 1000 && back.leader_epoch == 3 && back.magic == 2);
    cr_assert(back.attributes == BATCH_TRANSACTIONAL && back.last_offset_delta == 1);
    cr_assert(back.base_timestamp == 1700000000000 && back.max_timestamp == 1700000000001);
    cr_assert(back.producer_id == 42 && back.producer_epoch == 7 && back.base_sequence == 5);
    cr_assert_eq(back.count, 2);
    cr_assert(batch_crc_holds(batch));
}

Test(batch, any_changed_bit_after_the_crc_is_noticed)
{
    struct view batch = some_batch();
    for (size_t i = 17; i < batch.length; i++) {
        memory[i] ^= 1;
        cr_assert(!batch_crc_holds(batch), "byte %zu", i);
        memory[i] ^= 1;
    }
    memory[15] ^= 1; /* the leader epoch is the broker's to change */
    cr_assert(batch_crc_holds(batch));
}

Test(batch, short_heads_are_not_read)
{
    struct view batch = some_batch();
    struct batch_head back;
    for (size_t n = 0; n < BATCH_HEAD_BYTES; n++) {
        cr_assert(!batch_head_decode(view_of(batch.at, n), &back), "%zu", n);
    }
    cr_assert(batch_head_decode(view_of(batch.at, BATCH_HEAD_BYTES), &back));
    cr_assert(!batch_crc_holds(view_of(batch.at, batch.length - 1)));
}

Test(batch, lengths_and_magics_that_make_no_sense_are_refused)
{
    struct batch_head back;
    struct view batch = some_batch();
    static const int32_t lengths[] = {-1, INT32_MIN, 0, 48};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        bytes_store_u32(memory + 8, (uint32_t)lengths[i]);
        cr_assert(!batch_head_decode(batch, &back), "%d", lengths[i]);
    }
    bytes_store_u32(memory + 8, 49);
    cr_assert(batch_head_decode(batch, &back), "an empty batch is one (compaction leaves them)");
    for (int magic = 3; magic < 256; magic++) {
        memory[16] = (uint8_t)magic;
        cr_assert(!batch_head_decode(batch, &back) && batch_head_bytes((int8_t)magic) == 0);
    }
}

Test(batch, old_messages)
{
    for (int8_t magic = 0; magic <= 1; magic++) {
        struct batch_head back;
        struct view message = old_message(magic, 0);
        cr_assert(batch_head_decode(message, &back));
        cr_assert(back.magic == magic && back.base_offset == 77 && back.count == 1);
        cr_assert_eq(back.max_timestamp, magic == 1 ? 1234567 : -1);
        cr_assert(back.producer_id == -1 && back.base_sequence == -1 && back.leader_epoch == -1);
        cr_assert(batch_crc_holds(message));
        memory[message.length - 1] ^= 1;
        cr_assert(!batch_crc_holds(message));
        cr_assert(batch_head_decode(old_message(magic, 2), &back) && back.count == -1);
        for (size_t n = 0; n < batch_head_bytes(magic); n++) {
            cr_assert(!batch_head_decode(view_of(message.at, n), &back));
        }
        bytes_store_u32(memory + 8, magic == 0 ? 13 : 21);
        cr_assert(!batch_head_decode(message, &back), "no room for key and value");
    }
}

Test(batch, a_record_has_known_bytes)
{
    struct writer w;
    struct view value = view_from_string("hi");
    writer_init_fixed(&w, memory, sizeof memory);
    batch_encode_record(&w, 0, 0, NULL, &value);
    cr_assert(view_equal(writer_view(&w), view_of("\x10\0\0\0\x01\x04hi\0", 9)));
}
