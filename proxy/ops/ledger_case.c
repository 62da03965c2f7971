/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_case.h"

#include <stdlib.h>

enum { SKEW_MS = 100 /* how far records of two lanes may lie apart from the truth */ };

void ledger_case_tell(struct ledger_case *c, enum ledger_finding_kind kind,
                      const struct ledger_record *record, int64_t other_offset, const char *text)
{
    const struct ledger_finding finding = {kind, c->log, record, other_offset, text};
    c->verdict->found[kind]++;
    c->verdict->found_records[kind] += record->count > 0 ? (uint64_t)record->count : 0;
    if (c->finding != NULL) {
        c->finding(c->context, &finding);
    }
}

void ledger_case_sort(struct ledger_case *c, int (*order)(const void *, const void *, void *))
{
    qsort_r(c->index, c->index_count, sizeof *c->index, order, c->records);
}

void ledger_case_add(struct ledger_case *c, size_t at)
{
    c->index[c->index_count++] = (uint32_t)at;
}

size_t ledger_case_find(const struct ledger_case *c, const struct ledger_record *r)
{
    size_t low = 0, high = c->index_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ledger_order_compare_identity(ledger_case_indexed(c, middle), r) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool overlaps(int64_t from_ms, int64_t to_ms, int64_t since_ms, int64_t until_ms)
{
    return ledger_case_plus(to_ms, SKEW_MS) >= since_ms &&
           ledger_case_plus(from_ms, -SKEW_MS) <= until_ms;
}

bool ledger_case_was_blind(const struct ledger_case *c, enum ledger_kind kind, int64_t since_ms,
                           int64_t until_ms)
{
    const struct ledger_holes *holes = c->holes;
    for (size_t i = 0; i < holes->kill_count; i++) {
        if (since_ms < holes->kills[i].to_ms && until_ms > holes->kills[i].from_ms) {
            return true;
        }
    }
    for (size_t i = 0; i < holes->gap_count; i++) {
        const struct ledger_gap *gap = &holes->gaps[i];
        if (gap->lost[kind] > 0 && overlaps(gap->from_ms, gap->to_ms, since_ms, until_ms)) {
            return true;
        }
    }
    return false;
}

void ledger_case_divide(struct ledger_case *c, size_t count)
{
    qsort(c->records, count, sizeof *c->records, ledger_order_by_place);
    size_t at = 0;
    for (uint8_t kind = 0; kind <= LEDGER_KINDS; kind++) {
        while (at < count && c->records[at].kind < kind) {
            at++;
        }
        c->begin[kind] = at;
    }
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        c->verdict->batches[kind] += c->begin[kind + 1] - c->begin[kind];
    }
}
