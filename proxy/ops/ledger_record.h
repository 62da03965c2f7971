/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ledger knows of one batch: the words that the writer, the reader and the verifier share. ledger.proto says
 * how it looks in a file.
 */
#pragma once

#include <stdint.h>

enum ledger_kind {
    LEDGER_ACKNOWLEDGED, /* the broker said: it is in the log */
    LEDGER_FETCHED,      /* it went to a reader */
    LEDGER_IN_DOUBT,     /* it was sent, and no answer was seen */
    LEDGER_REFUSED,      /* the broker said no: error_code */
    LEDGER_MARK,         /* no batch: the ends of a log, as a reader at its end was told */
    LEDGER_KINDS
};

enum ledger_flag {
    LEDGER_BROKEN = 1,      /* its checksum does not hold */
    LEDGER_BACKWARDS = 2,   /* fetched, and not above the batch before it in the same answer */
    LEDGER_APPEND_TIME = 4, /* acknowledged, and the broker has set its timestamps */
    LEDGER_DUPLICATE = 8,   /* acknowledged as one that the broker had before */
    LEDGER_NO_ACKS = 16,    /* in doubt because no answer was asked for */
};

struct ledger_record {
    int64_t time_ms;       /* wall clock, since 1970 UTC: when it passed */
    int64_t offset;        /* of its first record, -1 = not known; MARK: high watermark */
    int64_t low;           /* MARK: first offset of the log, -1 = not told */
    int64_t producer_id;   /* -1 = none */
    int64_t max_timestamp; /* as in its head */
    uint32_t crc;          /* as in its head */
    int32_t span;          /* offsets it covers; 0 = not known */
    int32_t count;         /* records; -1 = not known */
    int32_t sequence;      /* of its first record; -1 = none */
    uint32_t length;       /* bytes of the whole batch */
    int16_t epoch;         /* of the producer; -1 = none */
    uint16_t attributes;   /* BATCH_… of protocol/batch.h */
    int16_t error_code;    /* REFUSED */
    uint8_t kind;          /* enum ledger_kind */
    uint8_t flags;         /* enum ledger_flag */
    int8_t magic;
};
