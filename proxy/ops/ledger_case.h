/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_case: the records of one partition while ledger_judge looks at them, and what all parts of the judgement use.
 *
 *   records ─ divide ─▶ acknowledged, fetched, … by offset; marks by time
 *     ─ ledger_reading ──▶ what was read: one reading for each offset, where the log began and ended
 *     ─ ledger_producer ─▶ batches with a producer's numbers: copies, order, doubts
 *     ─ ledger_promise ──▶ what was acknowledged: is it there?
 *     ─ ledger_plain ────▶ batches without numbers: copies, doubts
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/batch.h"
#include "proxy/ops/ledger_judge.h"
#include "proxy/ops/ledger_order.h"

enum {
    LEDGER_CASE_SETTLED_MS =
        60 * 1000 /* after an acknowledgement: no replica lags behind any more */
};

struct ledger_case {
    const struct ledger_log *log;
    struct ledger_record *records;
    size_t begin[LEDGER_KINDS + 1]; /* records are sorted: begin[kind] .. begin[kind + 1] */
    const struct ledger_holes *holes;
    struct ledger_verdict *verdict;
    ledger_finding_fn finding;
    void *context;
    uint32_t *read; /* one record for each offset that was read, ascending */
    size_t read_count;
    uint32_t *index; /* scratch: records in another order */
    size_t index_count;
    int64_t *passed_ms;  /* for each fetched record: when a reader was first there or beyond */
    int64_t first, past; /* offsets that were read lie in [first, past) */
    int64_t end, end_ms; /* where the log ended when a reader was last told */
    bool compacted;
};

/* Sums wrap around rather than overflow: a file may say anything. */
static inline int64_t ledger_case_plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t ledger_case_past(const struct ledger_record *r)
{
    return ledger_case_plus(r->offset, r->span > 0 ? r->span : 1);
}

static inline bool ledger_case_is_control(const struct ledger_record *r)
{
    return (r->attributes & BATCH_CONTROL) != 0;
}

static inline bool ledger_case_has_producer(const struct ledger_record *r)
{
    return r->producer_id >= 0 && r->sequence >= 0 && !ledger_case_is_control(r);
}

/* Sorts the records, and counts them. */
void ledger_case_divide(struct ledger_case *c, size_t count);

/* Counts a finding, and hands it on. */
void ledger_case_tell(struct ledger_case *c, enum ledger_finding_kind kind,
                      const struct ledger_record *record, int64_t other_offset, const char *text);

/* ---- the index: some records, in another order ---- */

static inline struct ledger_record *ledger_case_indexed(const struct ledger_case *c, size_t i)
{
    return &c->records[c->index[i]];
}

void ledger_case_add(struct ledger_case *c, size_t at);
void ledger_case_sort(struct ledger_case *c, int (*order)(const void *, const void *, void *));

/* The first of the index, sorted by identity, that is not before the identity of r. */
size_t ledger_case_find(const struct ledger_case *c, const struct ledger_record *r);

/* Could the ledger have missed a record of that kind between the two moments? */
bool ledger_case_was_blind(const struct ledger_case *c, enum ledger_kind kind, int64_t since_ms,
                           int64_t until_ms);
