/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_verify: files of the ledger, of any process and in any order, judged partition by partition (ledger_judge).
 *
 *   files ─ first reading ─▶ partitions, names of ids, counts, holes
 *         ─ readings ──────▶ as many partitions at a time as fit into memory ─▶ judge ─▶ verdict, findings
 *
 * A partition that is named by a topic's id in one file and by its name in another is one, when any file says which
 * name the id has. Memory: LEDGER_VERIFY_RECORD_BYTES for each record of the partitions judged together, at least of
 * the largest one; files are read once more for each time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/ops/ledger_judge.h"
#include "proxy/ops/ledger_read.h"

enum { LEDGER_VERIFY_RECORD_BYTES = 160 };

struct ledger_verify_params {
    const char *const *paths;
    size_t path_count;
    int64_t
        listed_ms; /* when the paths were listed: files begun later are not missed; 0: long ago */
    size_t memory_bytes; /* that records may take; 0: 1 GiB */
    ledger_finding_fn finding;
    void (*file)(void *context, const struct ledger_file *file); /* after the first reading */
    void (*gap)(void *context, const struct ledger_gap *gap);    /* the same */
    void *context; /* of all three, which may be NULL */
};

/** false: a file cannot be read or is not one of a ledger, or there is no memory; one line in error_r. */
bool ledger_verify(const struct ledger_verify_params *params, struct ledger_verdict *verdict_r,
                   char *error_r, size_t error_size) __attribute__((warn_unused_result));
