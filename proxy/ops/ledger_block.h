/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of a ledger file (ledger.proto): made by the writer, taken apart by whoever reads. Pure: no file, no clock.
 *
 *   begin ──▶ start? define* put* gap* end? ──▶ seal ──▶ bytes for the file
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "proxy/ops/ledger_record.h"

enum {
    LEDGER_MAGIC_BYTES = 8,
    LEDGER_HEAD_BYTES = 8,            /* length and checksum before each block */
    LEDGER_BLOCK_BYTES_MAX = 1 << 20, /* no block is longer, its head included */
    LEDGER_RECORD_BYTES_MAX = 160,    /* nor is one record or gap */
    LEDGER_TOPIC_ID_BYTES = 16,
};

/* What a file begins with. */
extern const uint8_t ledger_magic[LEDGER_MAGIC_BYTES];

struct ledger_start {
    const char *instance;
    uint32_t pid, file;
    int64_t started_ms;
};

/* cluster and topic are borrowed; topic_id NULL: not known. */
struct ledger_partition {
    uint32_t id;
    struct view cluster, topic;
    const uint8_t *topic_id;
    int32_t partition;
};

struct ledger_gap {
    int64_t from_ms, to_ms;
    uint64_t lost[LEDGER_KINDS];
};

/* ---- making ---- */

struct ledger_block {
    struct writer bytes;
    int64_t time_ms;
};

/* Owns memory from now on; call ledger_block_free. */
void ledger_block_init(struct ledger_block *block);
void ledger_block_free(struct ledger_block *block);

/* Starts anew, keeping the memory. */
void ledger_block_begin(struct ledger_block *block, uint64_t number, int64_t time_ms);
void ledger_block_start(struct ledger_block *block, const struct ledger_start *start);
void ledger_block_define(struct ledger_block *block, const struct ledger_partition *partition);
void ledger_block_put(struct ledger_block *block, uint32_t partition,
                      const struct ledger_record *record);
void ledger_block_gap(struct ledger_block *block, const struct ledger_gap *gap);
void ledger_block_end(struct ledger_block *block);
void ledger_block_follow(struct ledger_block *block); /* after end: another file follows */

/* Room for one more definition and record? */
bool ledger_block_has_room(const struct ledger_block *block);

/* Fills in length and checksum. The view lives until the next begin. False: there was no memory. */
bool ledger_block_seal(struct ledger_block *block, struct view *bytes_r)
    __attribute__((warn_unused_result));

/* ---- taking apart ---- */

/* Called in this order: block, start, partitions, records, gaps, end. Any may be NULL. */
struct ledger_visitor {
    void (*block)(void *context, uint64_t number, int64_t time_ms);
    void (*start)(void *context, const struct ledger_start *start);
    void (*partition)(void *context, const struct ledger_partition *partition);
    void (*record)(void *context, uint32_t partition, const struct ledger_record *record);
    void (*gap)(void *context, const struct ledger_gap *gap);
    void (*end)(void *context);
    void (*follow)(void *context); /* after end */
};

/* Length of the block whose head this is, its head included; 0: this is no head of a block. */
size_t ledger_block_length(const uint8_t head[LEDGER_HEAD_BYTES]);

/* A whole block, head included. False: its checksum or its content is wrong, and nothing was told. */
bool ledger_block_read(struct view bytes, const struct ledger_visitor *visitor, void *context)
    __attribute__((warn_unused_result));
