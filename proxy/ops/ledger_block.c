/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_block.h"

#include <string.h>

#include "protocol/batch.h"
#include "proxy/ops/ledger.pb-c.h"

const uint8_t ledger_magic[LEDGER_MAGIC_BYTES] = {'S', 'e', 't', 'u', 'L', 'd', 'g', '1'};

enum {
    TAG_BYTES = 128,  /* of a nested message that is put together on the stack */
    ROOM_BYTES = 2048 /* one definition (two names of at most 249 bytes and an id) and a record */
};

/* ---- making: the wire format by hand, a record is made for every batch that passes ---- */

enum wire { VARINT = 0, BYTES = 2, FIXED32 = 5 };

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}

/* Fields that are 0 are left out, as proto3 wants it. */
static uint8_t *put(uint8_t *at, uint32_t field, uint64_t v)
{
    return v == 0 ? at : put_varint(put_varint(at, field << 3 | VARINT), v);
}

static uint8_t *put_signed(uint8_t *at, uint32_t field, int64_t v)
{
    return put(at, field, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static uint8_t *put_fixed32(uint8_t *at, uint32_t field, uint32_t v)
{
    at = put_varint(at, field << 3 | FIXED32);
    for (int i = 0; i < 4; i++) {
        *at++ = (uint8_t)(v >> 8 * i);
    }
    return at;
}

static uint8_t *put_bytes(uint8_t *at, uint32_t field, struct view v)
{
    if (v.length == 0) {
        return at;
    }
    at = put_varint(put_varint(at, field << 3 | BYTES), v.length);
    memcpy(at, v.at, v.length);
    return at + v.length;
}

/* Differences and sums of times wrap around rather than overflow: batches may say anything. */
static int64_t minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* A nested message that is already there. */
static void put_message(struct ledger_block *block, uint32_t field, const uint8_t *message,
                        const uint8_t *end)
{
    uint8_t head[8];
    const uint8_t *head_end =
        put_varint(put_varint(head, field << 3 | BYTES), (uint64_t)(end - message));
    writer_put(&block->bytes, view_of(head, (size_t)(head_end - head)));
    writer_put(&block->bytes, view_of(message, (size_t)(end - message)));
}

void ledger_block_init(struct ledger_block *block)
{
    *block = (struct ledger_block){0};
    writer_init_growing(&block->bytes, LEDGER_BLOCK_BYTES_MAX);
}

void ledger_block_free(struct ledger_block *block)
{
    writer_free(&block->bytes);
}

void ledger_block_begin(struct ledger_block *block, uint64_t number, int64_t time_ms)
{
    uint8_t message[TAG_BYTES];
    static const uint8_t head[LEDGER_HEAD_BYTES] = {0};
    writer_reset(&block->bytes);
    block->time_ms = time_ms;
    uint8_t *end = put(put(message, 1, number), 2, (uint64_t)time_ms);
    writer_put(&block->bytes, view_of(head, sizeof head));
    writer_put(&block->bytes, view_of(message, (size_t)(end - message)));
}

void ledger_block_start(struct ledger_block *block, const struct ledger_start *start)
{
    uint8_t message[TAG_BYTES + 256];
    struct view instance = view_from_string(start->instance);
    instance.length = instance.length < 255 ? instance.length : 255;
    uint8_t *end = put_bytes(message, 1, instance);
    end = put(end, 2, start->pid);
    end = put(end, 3, (uint64_t)start->started_ms);
    end = put(end, 4, start->file);
    put_message(block, 3, message, end);
}

void ledger_block_define(struct ledger_block *block, const struct ledger_partition *partition)
{
    uint8_t message[ROOM_BYTES];
    struct view id =
        view_of(partition->topic_id, partition->topic_id != NULL ? LEDGER_TOPIC_ID_BYTES : 0);
    uint8_t *end = put(message, 1, partition->id);
    end = put_bytes(end, 2, partition->cluster);
    end = put_bytes(end, 3, partition->topic);
    end = put_bytes(end, 4, id);
    end = put(end, 5, (uint64_t)(int64_t)partition->partition);
    put_message(block, 4, message, end);
}

void ledger_block_put(struct ledger_block *block, uint32_t partition, const struct ledger_record *r)
{
    uint8_t message[LEDGER_RECORD_BYTES_MAX];
    uint8_t *end = put(message, 1, r->kind);
    end = put(end, 2, partition);
    end = put_signed(end, 3, r->offset);
    if (r->kind == LEDGER_MARK) {
        end = put_signed(end, 12, minus(r->time_ms, block->time_ms));
        put_message(block, 5, message, put_signed(end, 17, r->low));
        return;
    }
    end = put(end, 4, (uint32_t)r->span);
    end = put_signed(end, 5, (int64_t)r->span - r->count);
    if (r->producer_id >= 0) {
        end = put(end, 6, (uint64_t)r->producer_id + 1);
        end = put(end, 7, (uint16_t)r->epoch);
        end = put(end, 8, (uint32_t)r->sequence);
    }
    end = put_fixed32(end, 9, r->crc);
    end = put(end, 10, r->attributes);
    end = put_signed(end, 11, minus(r->max_timestamp, block->time_ms));
    end = put_signed(end, 12, minus(r->time_ms, block->time_ms));
    end = put(end, 13, r->length);
    end = put(end, 14, (uint32_t)(2 - r->magic));
    end = put(end, 15, r->flags);
    end = put(end, 16, (uint64_t)(int64_t)r->error_code);
    put_message(block, 5, message, end);
}

void ledger_block_gap(struct ledger_block *block, const struct ledger_gap *gap)
{
    uint8_t message[TAG_BYTES];
    uint8_t *end = put(put(message, 1, (uint64_t)gap->from_ms), 2, (uint64_t)gap->to_ms);
    for (uint32_t kind = 0; kind < LEDGER_KINDS; kind++) {
        end = put(end, 3 + kind, gap->lost[kind]);
    }
    put_message(block, 6, message, end);
}

void ledger_block_end(struct ledger_block *block)
{
    uint8_t message[TAG_BYTES];
    writer_put(&block->bytes, view_of(message, (size_t)(put(message, 7, 1) - message)));
}

void ledger_block_follow(struct ledger_block *block)
{
    uint8_t message[TAG_BYTES];
    writer_put(&block->bytes, view_of(message, (size_t)(put(message, 8, 1) - message)));
}

bool ledger_block_has_room(const struct ledger_block *block)
{
    return block->bytes.length + ROOM_BYTES + LEDGER_RECORD_BYTES_MAX <= LEDGER_BLOCK_BYTES_MAX;
}

static uint32_t checksum(struct view message)
{
    uint32_t crc = batch_crc_begin(2);
    return batch_crc_end(2, batch_crc_update(2, crc, message.at, message.length));
}

bool ledger_block_seal(struct ledger_block *block, struct view *bytes_r)
{
    *bytes_r = writer_view(&block->bytes);
    if (!writer_ok(&block->bytes)) {
        return false;
    }
    struct view message = view_from(*bytes_r, LEDGER_HEAD_BYTES);
    bytes_store_u32(block->bytes.at, (uint32_t)message.length);
    bytes_store_u32(block->bytes.at + 4, checksum(message));
    return true;
}

/* ---- taking apart ---- */

size_t ledger_block_length(const uint8_t head[LEDGER_HEAD_BYTES])
{
    size_t length = bytes_load_u32(head);
    return length == 0 || length > LEDGER_BLOCK_BYTES_MAX - LEDGER_HEAD_BYTES
               ? 0
               : length + LEDGER_HEAD_BYTES;
}

static void tell_start(const Setu__LedgerStart *m, const struct ledger_visitor *visitor,
                       void *context)
{
    const struct ledger_start start = {m->instance, m->pid, m->file, m->started_ms};
    visitor->start(context, &start);
}

static void tell_partition(const Setu__LedgerPartition *m, const struct ledger_visitor *visitor,
                           void *context)
{
    const struct ledger_partition partition = {
        .id = m->id,
        .cluster = view_from_string(m->cluster),
        .topic = view_from_string(m->topic),
        .topic_id = m->topic_id.len == LEDGER_TOPIC_ID_BYTES ? m->topic_id.data : NULL,
        .partition = m->partition,
    };
    visitor->partition(context, &partition);
}

static void tell_record(const Setu__LedgerBatch *m, int64_t time_ms,
                        const struct ledger_visitor *visitor, void *context)
{
    bool producer = m->producer > 0;
    const struct ledger_record record = {
        .time_ms = plus(time_ms, m->time),
        .offset = m->offset,
        .low = m->low,
        .producer_id = (int64_t)(m->producer - 1),
        .max_timestamp = plus(time_ms, m->max_timestamp),
        .crc = m->crc,
        .span = (int32_t)m->span,
        .count = (int32_t)(m->span - (uint32_t)m->missing),
        .sequence = producer ? (int32_t)m->sequence : -1,
        .length = m->length,
        .epoch = producer ? (int16_t)m->epoch : -1,
        .attributes = (uint16_t)m->attributes,
        .error_code = (int16_t)m->error,
        .kind = (uint8_t)m->kind,
        .flags = (uint8_t)m->flags,
        .magic = (int8_t)(2 - (int)m->older),
    };
    if ((uint32_t)m->kind < LEDGER_KINDS) { /* others are of a newer Setu */
        visitor->record(context, m->partition, &record);
    }
}

static void tell_gap(const Setu__LedgerGap *m, const struct ledger_visitor *visitor, void *context)
{
    const struct ledger_gap gap = {
        .from_ms = m->from_ms,
        .to_ms = m->to_ms,
        .lost = {m->acknowledged, m->fetched, m->in_doubt, m->refused, m->marks},
    };
    visitor->gap(context, &gap);
}

static void tell_block(const Setu__LedgerBlock *m, const struct ledger_visitor *visitor,
                       void *context)
{
    if (visitor->block != NULL) {
        visitor->block(context, m->number, m->time_ms);
    }
    if (visitor->start != NULL && m->start != NULL) {
        tell_start(m->start, visitor, context);
    }
    for (size_t i = 0; visitor->partition != NULL && i < m->n_partitions; i++) {
        tell_partition(m->partitions[i], visitor, context);
    }
    for (size_t i = 0; visitor->record != NULL && i < m->n_batches; i++) {
        tell_record(m->batches[i], m->time_ms, visitor, context);
    }
    for (size_t i = 0; visitor->gap != NULL && i < m->n_gaps; i++) {
        tell_gap(m->gaps[i], visitor, context);
    }
    if (visitor->end != NULL && m->end) {
        visitor->end(context);
    }
    if (visitor->follow != NULL && m->followed) {
        visitor->follow(context);
    }
}

bool ledger_block_read(struct view bytes, const struct ledger_visitor *visitor, void *context)
{
    if (bytes.length < LEDGER_HEAD_BYTES || ledger_block_length(bytes.at) != bytes.length) {
        return false;
    }
    struct view message = view_from(bytes, LEDGER_HEAD_BYTES);
    if (checksum(message) != bytes_load_u32(bytes.at + 4)) {
        return false;
    }
    Setu__LedgerBlock *block = setu__ledger_block__unpack(NULL, message.length, message.at);
    if (block == NULL) {
        return false;
    }
    tell_block(block, visitor, context);
    setu__ledger_block__free_unpacked(block, NULL);
    return true;
}
