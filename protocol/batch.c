/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/batch.h"

#include <isa-l/crc.h>
#include <limits.h>

enum { CRC_START_V2 = 21, CRC_START_OLD = 16, MAGIC_AT = 16 };

/* Sizes by magic: of the head, and of the smallest batch (key and value lengths included). */
static const struct {
    size_t head;
    size_t total_min;
    size_t crc_start;
} sizes[] = {
    {BATCH_HEAD_V0_BYTES, 26, CRC_START_OLD},
    {BATCH_HEAD_V1_BYTES, 34, CRC_START_OLD},
    {BATCH_HEAD_BYTES, BATCH_HEAD_BYTES, CRC_START_V2},
};

enum { MAGICS = sizeof sizes / sizeof sizes[0] };

size_t batch_head_bytes(int8_t magic)
{
    return magic >= 0 && magic < MAGICS ? sizes[magic].head : 0;
}

size_t batch_crc_start(int8_t magic)
{
    return magic >= 0 && magic < MAGICS ? sizes[magic].crc_start : CRC_START_V2;
}

size_t batch_total(const struct batch_head *head)
{
    return (size_t)head->length + BATCH_LENGTH_END;
}

/* A single message; a compressed one wraps others, and how many is not in its head. */
static void decode_old(const uint8_t *at, struct batch_head *head)
{
    bool compressed = (at[17] & BATCH_CODEC_MASK) != 0;
    head->crc = bytes_load_u32(at + 12);
    head->attributes = at[17];
    head->base_timestamp = head->magic == 1 ? (int64_t)bytes_load_u64(at + 18) : -1;
    head->max_timestamp = head->base_timestamp;
    head->count = compressed ? -1 : 1;
}

static void decode_v2(const uint8_t *at, struct batch_head *head)
{
    head->leader_epoch = (int32_t)bytes_load_u32(at + 12);
    head->crc = bytes_load_u32(at + 17);
    head->attributes = bytes_load_u16(at + 21);
    head->last_offset_delta = (int32_t)bytes_load_u32(at + 23);
    head->base_timestamp = (int64_t)bytes_load_u64(at + 27);
    head->max_timestamp = (int64_t)bytes_load_u64(at + 35);
    head->producer_id = (int64_t)bytes_load_u64(at + 43);
    head->producer_epoch = (int16_t)bytes_load_u16(at + 51);
    head->base_sequence = (int32_t)bytes_load_u32(at + 53);
    head->count = (int32_t)bytes_load_u32(at + 57);
}

bool batch_head_decode(struct view bytes, struct batch_head *head_r)
{
    if (bytes.length < BATCH_PEEK_BYTES) {
        return false;
    }
    struct batch_head head = {
        .base_offset = (int64_t)bytes_load_u64(bytes.at),
        .length = (int32_t)bytes_load_u32(bytes.at + 8),
        .magic = (int8_t)bytes.at[MAGIC_AT],
        .leader_epoch = -1,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
    };
    size_t head_bytes = batch_head_bytes(head.magic);
    if (head_bytes == 0 || bytes.length < head_bytes || head.length < 0 ||
        batch_total(&head) < sizes[head.magic].total_min) {
        return false;
    }
    if (head.magic == 2) {
        decode_v2(bytes.at, &head);
    } else {
        decode_old(bytes.at, &head);
    }
    *head_r = head;
    return true;
}

/* ---- checksums ---- */

uint32_t batch_crc_begin(int8_t magic)
{
    /* crc32_iscsi leaves both inversions to its caller, crc32_gzip_refl does them itself. */
    return magic == 2 ? UINT32_MAX : 0;
}

uint32_t batch_crc_update(int8_t magic, uint32_t crc, const uint8_t *at, size_t n)
{
    if (magic != 2) {
        return crc32_gzip_refl(crc, at, n);
    }
    while (n > 0) {
        int piece = n > INT_MAX ? INT_MAX : (int)n;
        /* ISA-L takes a pointer to non-const, but only reads. */
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, piece, crc);
        at += piece;
        n -= (size_t)piece;
    }
    return crc;
}

uint32_t batch_crc_end(int8_t magic, uint32_t crc)
{
    return magic == 2 ? ~crc : crc;
}

bool batch_crc_holds(struct view batch)
{
    struct batch_head head;
    if (!batch_head_decode(batch, &head) || batch.length < batch_total(&head)) {
        return false;
    }
    size_t start = batch_crc_start(head.magic);
    uint32_t crc = batch_crc_begin(head.magic);
    crc = batch_crc_update(head.magic, crc, batch.at + start, batch_total(&head) - start);
    return batch_crc_end(head.magic, crc) == head.crc;
}

/* ---- writing ---- */

void batch_encode(struct writer *w, const struct batch_head *head, struct view records)
{
    size_t start = w->length;
    if (records.length > INT32_MAX - BATCH_HEAD_BYTES) {
        w->failed = true;
        return;
    }
    writer_i64(w, head->base_offset);
    writer_i32(w, (int32_t)(BATCH_HEAD_BYTES - BATCH_LENGTH_END + records.length));
    writer_i32(w, head->leader_epoch);
    writer_i8(w, 2);
    writer_u32(w, 0);
    writer_u16(w, head->attributes);
    writer_i32(w, head->last_offset_delta);
    writer_i64(w, head->base_timestamp);
    writer_i64(w, head->max_timestamp);
    writer_i64(w, head->producer_id);
    writer_i16(w, head->producer_epoch);
    writer_i32(w, head->base_sequence);
    writer_i32(w, head->count);
    writer_put(w, records);
    if (w->failed) {
        return;
    }
    size_t crc_start = start + CRC_START_V2;
    uint32_t crc =
        batch_crc_update(2, batch_crc_begin(2), w->at + crc_start, w->length - crc_start);
    writer_patch_i32(w, start + 17, (int32_t)batch_crc_end(2, crc));
}

static size_t varint_bytes(uint64_t zigzag)
{
    size_t n = 1;
    for (; zigzag > 0x7f; zigzag >>= 7) {
        n++;
    }
    return n;
}

static uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static size_t item_bytes(const struct view *item)
{
    return item == NULL ? 1 : varint_bytes(zigzag((int64_t)item->length)) + item->length;
}

static void item(struct writer *w, const struct view *item)
{
    if (item == NULL) {
        writer_varint(w, -1);
        return;
    }
    if (item->length > INT32_MAX) {
        w->failed = true;
        return;
    }
    writer_varint(w, (int32_t)item->length);
    writer_put(w, *item);
}

void batch_encode_record(struct writer *w, int32_t offset_delta, int64_t timestamp_delta,
                         const struct view *key, const struct view *value)
{
    size_t length = 1 + varint_bytes(zigzag(timestamp_delta)) + varint_bytes(zigzag(offset_delta)) +
                    item_bytes(key) + item_bytes(value) + 1;
    if (length > INT32_MAX) {
        w->failed = true;
        return;
    }
    writer_varint(w, (int32_t)length);
    writer_i8(w, 0); /* attributes, unused */
    writer_varlong(w, timestamp_delta);
    writer_varint(w, offset_delta);
    item(w, key);
    item(w, value);
    writer_varint(w, 0); /* headers */
}
