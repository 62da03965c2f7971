/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_read: one file of the ledger, block by block, in memory of one block. A file may be in use, or its writer may
 * have been killed: what is whole counts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/ops/ledger_block.h"

enum ledger_ending {
    LEDGER_ENDED,  /* closed in order */
    LEDGER_OPEN,   /* no end: it is being written, or its writer was killed */
    LEDGER_TORN,   /* the same, and its last block is not whole */
    LEDGER_DAMAGED /* a block that others follow is wrong; nothing from there on was read */
};

struct ledger_file {
    const char *path; /* as given */
    enum ledger_ending ending;
    uint64_t blocks, records, lost, bytes; /* whole blocks; batches that gaps tell of; bytes read */
    int64_t first_ms, last_ms; /* of its first block and its last record; 0: it has none */
    bool in_use;               /* its writer lives, and has not ended it */
    bool followed;             /* it ended, and its writer has begun another */
    uint32_t pid, number;      /* of its writer; 1, 2, 3, ... within that */
    int64_t started_ms;        /* of its writer */
    int64_t ended_ms;          /* of its last block */
    char instance[64];         /* the host that wrote it */
};

/**
 * Tells the visitor of every whole block. false: it cannot be read, or is no ledger file; one line in
 * error_r[0..error_size).
 */
bool ledger_read(const char *path, const struct ledger_visitor *visitor, void *context,
                 struct ledger_file *file_r, char *error_r, size_t error_size)
    __attribute__((warn_unused_result));

/** "ended", "open", "torn", "damaged". */
const char *ledger_ending_name(enum ledger_ending ending);
