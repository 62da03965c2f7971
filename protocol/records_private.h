/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the two parts of records: the walk through the message (records.c), and the batches in its
 * record sets (records_batches.c). What reads an item is inline, for it is run for every few bytes.
 */
#pragma once

#include <string.h>

#include "protocol/records.h"

/* What comes next: records.c has the picture. */
enum records_state {
    WALK_IDS,
    WALK_CLIENT_ID,
    WALK_FIELD,
    WALK_FIXED,
    WALK_ARRAY,
    WALK_STRING,
    WALK_TOPIC,
    WALK_RECORDS,
    WALK_BATCH_HEAD,
    WALK_BATCH_BODY,
    WALK_TAG_COUNT,
    WALK_TAG_NUMBER,
    WALK_TAG_SIZE,
    WALK_FINISHED,
    WALK_BROKEN
};

enum { UVARINT_BYTES_MAX = 5 };

/* What is left of the piece being fed. */
struct records_piece {
    uint8_t *at;
    size_t left;
};

static inline bool records_broken(struct records_walk *walk)
{
    walk->state = WALK_BROKEN;
    return false;
}

static inline void records_consume(struct records_walk *walk, struct records_piece *in, size_t n)
{
    in->at += n;
    in->left -= n;
    walk->left -= n;
}

/* Items: whole in the piece, or gathered; NULL or false = wait for more, or broken. */

/* Moves bytes into `gathered` until there are `need`. */
static inline bool records_fill(struct records_walk *walk, struct records_piece *in, size_t need)
{
    size_t missing = need - walk->gathered_length;
    if (missing > walk->left) {
        return records_broken(walk);
    }
    size_t n = in->left < missing ? in->left : missing;
    memcpy(walk->gathered + walk->gathered_length, in->at, n);
    walk->gathered_length += n;
    records_consume(walk, in, n);
    return walk->gathered_length == need;
}

static inline const uint8_t *records_take(struct records_walk *walk, struct records_piece *in,
                                          size_t need)
{
    if (walk->gathered_length == 0 && in->left >= need) {
        const uint8_t *at = in->at;
        records_consume(walk, in, need);
        return at;
    }
    if (!records_fill(walk, in, need)) {
        return NULL;
    }
    walk->gathered_length = 0;
    return walk->gathered;
}

static inline bool records_take_uvarint(struct records_walk *walk, struct records_piece *in,
                                        uint32_t *v_r)
{
    /* Nearly every one is a single byte. */
    if (walk->gathered_length == 0 && in->left > 0 && in->at[0] < 0x80) {
        *v_r = in->at[0];
        records_consume(walk, in, 1);
        return true;
    }
    for (;;) {
        if (walk->gathered_length == UVARINT_BYTES_MAX) {
            return records_broken(walk);
        }
        if (!records_fill(walk, in, walk->gathered_length + 1)) {
            return false;
        }
        if ((walk->gathered[walk->gathered_length - 1] & 0x80U) == 0) {
            break;
        }
    }
    struct reader r = reader_init(view_of(walk->gathered, walk->gathered_length));
    walk->gathered_length = 0;
    return reader_uvarint(&r, v_r) || records_broken(walk);
}

/* A length prefix; -1 = null. A length beyond the payload is broken at once. */
static inline bool records_take_length(struct records_walk *walk, struct records_piece *in,
                                       bool wide, bool nullable, int32_t *length_r)
{
    int64_t length;
    if (walk->flexible) {
        uint32_t v;
        if (!records_take_uvarint(walk, in, &v)) {
            return false;
        }
        length = (int64_t)v - 1;
    } else {
        const uint8_t *at = records_take(walk, in, wide ? 4 : 2);
        if (at == NULL) {
            return false;
        }
        length = wide ? (int32_t)bytes_load_u32(at) : (int16_t)bytes_load_u16(at);
    }
    if (length < (nullable ? -1 : 0) || length > INT32_MAX ||
        (length > 0 && (size_t)length > walk->left)) {
        return records_broken(walk);
    }
    *length_r = (int32_t)length;
    return true;
}

static inline struct records_level *records_level(struct records_walk *walk)
{
    return &walk->levels[walk->depth];
}

static inline void records_next_field(struct records_walk *walk)
{
    records_level(walk)->field++;
    walk->state = WALK_FIELD;
}

/* The batches of a record set, as far as the piece goes; true = go on with the message. */
bool records_batches(struct records_walk *walk, struct records_piece *in);
