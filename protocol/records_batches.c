/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/records_private.h"

static void end_records(struct records_walk *walk)
{
    walk->skip = walk->records_left;
    walk->records_left = 0;
    walk->gathered_length = 0;
    records_next_field(walk);
}

static void tell_batch(struct records_walk *walk, enum batch_verdict verdict)
{
    if (walk->events->on_batch != NULL) {
        walk->events->on_batch(walk->context, &walk->head, verdict);
    }
}

/* A length or magic that makes no sense: nothing behind it can be trusted to be a batch. */
static void malformed(struct records_walk *walk, const uint8_t *peek)
{
    walk->head = (struct batch_head){
        .base_offset = (int64_t)bytes_load_u64(peek),
        .length = (int32_t)bytes_load_u32(peek + 8),
        .magic = (int8_t)peek[BATCH_PEEK_BYTES - 1],
        .leader_epoch = -1,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .count = -1,
    };
    tell_batch(walk, BATCH_MALFORMED);
    end_records(walk);
}

/* The head is decoded and `used` bytes of the batch are consumed. */
static void begin_batch(struct records_walk *walk, size_t used)
{
    walk->batch_left = batch_total(&walk->head) - used;
    walk->truncated = walk->batch_left > walk->records_left;
    if (walk->truncated) {
        walk->batch_left = walk->records_left;
    }
    walk->crc = batch_crc_begin(walk->head.magic);
    walk->state = WALK_BATCH_BODY;
}

/*
 * A head that lies whole in the piece stays there: the checksum will run over it and what follows
 * in one go.
 */
static bool head_in_place(struct records_walk *walk, struct records_piece *in)
{
    if (!batch_head_decode(view_of(in->at, BATCH_HEAD_BYTES), &walk->head)) {
        malformed(walk, in->at);
        return true;
    }
    size_t before = batch_crc_start(walk->head.magic);
    records_consume(walk, in, before);
    walk->records_left -= before;
    begin_batch(walk, before);
    return true;
}

static bool step_batch_head(struct records_walk *walk, struct records_piece *in)
{
    size_t have = walk->gathered_length;
    if (have == 0 && in->left >= BATCH_HEAD_BYTES && walk->records_left >= BATCH_HEAD_BYTES) {
        return head_in_place(walk, in);
    }
    size_t need = BATCH_PEEK_BYTES;
    if (have >= BATCH_PEEK_BYTES) {
        need = batch_head_bytes((int8_t)walk->gathered[BATCH_PEEK_BYTES - 1]);
    }
    if (need == 0) {
        malformed(walk, walk->gathered);
        return true;
    }
    if (need - have > walk->records_left) {
        end_records(walk);
        return true;
    }
    bool filled = records_fill(walk, in, need);
    walk->records_left -= walk->gathered_length - have;
    if (!filled || need == BATCH_PEEK_BYTES) {
        return filled;
    }
    if (!batch_head_decode(view_of(walk->gathered, need), &walk->head)) {
        malformed(walk, walk->gathered);
        return true;
    }
    begin_batch(walk, need);
    size_t start = batch_crc_start(walk->head.magic);
    walk->crc = batch_crc_update(walk->head.magic, walk->crc, walk->gathered + start, need - start);
    walk->gathered_length = 0;
    return true;
}

static enum batch_verdict verdict_of(const struct records_walk *walk)
{
    if (walk->truncated) {
        return BATCH_TRUNCATED;
    }
    if (!walk->check_crc) {
        return BATCH_UNCHECKED;
    }
    uint32_t crc = batch_crc_end(walk->head.magic, walk->crc);
    return crc == walk->head.crc ? BATCH_GOOD : BATCH_CRC_WRONG;
}

/* The hot path: a piece inside one batch is one call of the checksum, nothing else looks at it. */
static bool step_batch_body(struct records_walk *walk, struct records_piece *in)
{
    size_t n = in->left < walk->batch_left ? in->left : walk->batch_left;
    if (n > 0 && walk->check_crc && !walk->truncated) {
        walk->crc = batch_crc_update(walk->head.magic, walk->crc, in->at, n);
    }
    records_consume(walk, in, n);
    walk->batch_left -= n;
    walk->records_left -= n;
    if (walk->batch_left > 0) {
        return false;
    }
    tell_batch(walk, verdict_of(walk));
    walk->state = WALK_BATCH_HEAD;
    return true;
}

bool records_batches(struct records_walk *walk, struct records_piece *in)
{
    bool more = true;
    while (more) {
        if (walk->state == WALK_BATCH_BODY) {
            more = step_batch_body(walk, in);
        } else if (walk->state != WALK_BATCH_HEAD) {
            break;
        } else if (walk->records_left == 0 && walk->gathered_length == 0) {
            end_records(walk);
        } else {
            more = step_batch_head(walk, in);
        }
    }
    return more;
}
