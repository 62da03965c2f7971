/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/*
 * A record batch (magic 2) or message (magic 0, 1), as brokers store and send it. Byte 16 is the
 * magic in all of them.
 *
 *   magic 2    0 BaseOffset  8 Length  12 LeaderEpoch  16 Magic  17 CRC  21 Attributes
 *             23 LastOffsetDelta  27 BaseTimestamp  35 MaxTimestamp  43 ProducerId
 *             51 ProducerEpoch  53 BaseSequence  57 Count  61 records
 *              CRC-32C over [21, 12 + Length)
 *   magic 0/1  0 Offset  8 Size  12 CRC  16 Magic  17 Attributes  [1: 18 Timestamp]  key  value
 *              CRC-32 over [16, 12 + Size)
 */

enum {
    BATCH_PEEK_BYTES = 17, /* enough to know length and magic */
    BATCH_HEAD_BYTES = 61, /* magic 2 */
    BATCH_HEAD_V0_BYTES = 18,
    BATCH_HEAD_V1_BYTES = 26,
    BATCH_LENGTH_END = 12 /* the Length field counts from here */
};

enum {
    BATCH_CODEC_MASK = 0x07, /* 0 none 1 gzip 2 snappy 3 lz4 4 zstd */
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40
};

struct batch_head {
    int64_t base_offset;
    int32_t length;       /* as on the wire: bytes after the Length field */
    int32_t leader_epoch; /* magic 2; else -1 */
    int8_t magic;
    uint32_t crc; /* as on the wire */
    uint16_t attributes;
    int32_t last_offset_delta; /* magic 2; else 0 */
    int64_t base_timestamp;    /* magic 1: Timestamp; 0: -1 */
    int64_t max_timestamp;
    int64_t producer_id; /* magic 2; else -1 */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count; /* records; 1 for magic 0 and 1, -1 for a compressed one of those (not known) */
};

/* What became of one batch on its way. */
enum batch_verdict {
    BATCH_GOOD,      /* whole, checksum holds */
    BATCH_CRC_WRONG, /* whole, checksum does not hold */
    BATCH_UNCHECKED, /* whole, checking was off */
    BATCH_TRUNCATED, /* cut by the end of its record set: normal for the last of a Fetch (KIP-74) */
    BATCH_MALFORMED  /* length or magic make no sense; the rest of its record set was not read */
};

/* Bytes a head of this magic takes, 0 for a magic that does not exist. */
size_t batch_head_bytes(int8_t magic);
/*
 * Decodes a head of any magic. False: too short for it, unknown magic, or a Length too small to
 * hold it.
 */
bool batch_head_decode(struct view bytes, struct batch_head *head_r)
    __attribute__((warn_unused_result));
/* Bytes of the whole batch, 12 + Length; only for a head batch_head_decode accepted. */
size_t batch_total(const struct batch_head *head);
/* Where the checksummed part starts: 21 or 16. */
size_t batch_crc_start(int8_t magic);

/* Running checksum of a batch: begin, any number of updates in order, end. ISA-L underneath. */
uint32_t batch_crc_begin(int8_t magic);
uint32_t batch_crc_update(int8_t magic, uint32_t crc, const uint8_t *at, size_t n);
uint32_t batch_crc_end(int8_t magic, uint32_t crc);
/* Checksum of a whole batch in memory, and whether it is what the head says. */
bool batch_crc_holds(struct view batch) __attribute__((warn_unused_result));

/*
 * Writes a magic 2 batch around records already encoded; length and crc of the head are computed,
 * the rest is taken as given. For the test broker and load generators.
 */
void batch_encode(struct writer *w, const struct batch_head *head, struct view records);
/* One record of an uncompressed magic 2 batch; a NULL key or value is null. No headers. */
void batch_encode_record(struct writer *w, int32_t offset_delta, int64_t timestamp_delta,
                         const struct view *key, const struct view *value);
