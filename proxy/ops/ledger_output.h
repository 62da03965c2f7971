/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_output: the file that a ledger is writing, and the name of the next one. Of the ledger's thread alone.
 *
 * A file is locked (flock) while it is written, and the one before it until it is there: so a reader can tell a writer
 * that lives from one that was killed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/ops/ledger_block.h"

enum { LEDGER_OUTPUT_PATH_BYTES = 4096 };

struct ledger_output {
    char *directory; /* owned */
    char host[256];
    int64_t started_ms; /* of the process's ledger; wall clock */
    int fd;             /* -1: the next file is to be made */
    int ended_fd;       /* the file before, locked until then; or -1 */
    uint32_t file;      /* 1, 2, 3, … */
    uint32_t name;      /* of the file, beside `file`: names may be taken */
    off_t offset;       /* what is written and whole ends here */
    bool dirty;         /* written, not synced */
    int64_t synced_ms;  /* monotonic */
    char path[LEDGER_OUTPUT_PATH_BYTES];
};

/** false: no memory. */
bool ledger_output_init(struct ledger_output *output, const char *directory)
    __attribute__((warn_unused_result));
void ledger_output_free(struct ledger_output *output);

/** A new file with its first block, made in `block`. false: errno says why, and nothing is left of it. */
bool ledger_output_begin(struct ledger_output *output, struct ledger_block *block)
    __attribute__((warn_unused_result));

/**
 * At the end of what is whole: a retry overwrites what an earlier try left half done. false: errno says why.
 */
bool ledger_output_write(struct ledger_output *output, struct view bytes)
    __attribute__((warn_unused_result));

/** false: errno says why. */
bool ledger_output_sync(struct ledger_output *output) __attribute__((warn_unused_result));

/** Its last block is written: another one is to be begun. */
void ledger_output_end(struct ledger_output *output);

int64_t ledger_output_wall_ms(void);
int64_t ledger_output_monotonic_ms(void);
