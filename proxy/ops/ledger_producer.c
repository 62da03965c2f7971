/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_producer.h"

#include "proxy/ops/ledger_order.h"

enum {
    TWICE = 0x80,            /* in flags, here only: it was found at another offset, too */
    SEQUENCE_HALF = 1 << 30, /* sequence numbers wrap at 2^31: nearer is later */
    SEQUENCE_MASK = 0x7fffffff,
};

void ledger_producer_index(struct ledger_case *c)
{
    c->index_count = 0;
    for (size_t i = 0; i < c->read_count; i++) {
        if (ledger_case_has_producer(&c->records[c->read[i]])) {
            ledger_case_add(c, c->read[i]);
        }
    }
    for (size_t i = c->begin[LEDGER_ACKNOWLEDGED]; i < c->begin[LEDGER_ACKNOWLEDGED + 1]; i++) {
        if (ledger_case_has_producer(&c->records[i]) && c->records[i].offset >= 0) {
            ledger_case_add(c, i);
        }
    }
    ledger_case_sort(c, ledger_order_by_identity);
}

/* Index entries [from, to) are one batch of one producer, those of one kind by their offset. */
static void judge_copies(struct ledger_case *c, size_t from, size_t to)
{
    uint64_t told = 0, beyond = 0;
    for (size_t i = from + 1; i < to; i++) {
        const struct ledger_record *before = ledger_case_indexed(c, i - 1);
        struct ledger_record *r = ledger_case_indexed(c, i);
        bool again =
            r->kind == before->kind && r->offset != before->offset &&
            ledger_case_plus(r->offset, (int64_t)(0 - (uint64_t)before->offset)) < SEQUENCE_HALF;
        if (r->kind != before->kind) {
            told = beyond;
            beyond = 0;
        }
        if (again) {
            beyond++;
            r->flags |= TWICE;
        }
        if (again && beyond > told) {
            ledger_case_tell(
                c, LEDGER_DUPLICATED, r, before->offset,
                r->kind == LEDGER_FETCHED ? "lies in the log twice" : "was promised two offsets");
        }
    }
}

void ledger_producer_judge_copies(struct ledger_case *c)
{
    size_t from = 0;
    while (from < c->index_count) {
        size_t to = from + 1;
        while (to < c->index_count &&
               ledger_order_compare_identity(ledger_case_indexed(c, from),
                                             ledger_case_indexed(c, to)) == 0) {
            to++;
        }
        judge_copies(c, from, to);
        from = to;
    }
}

static bool is_before(const struct ledger_record *r, const struct ledger_record *last)
{
    if (r->epoch != last->epoch) {
        return r->epoch < last->epoch;
    }
    uint32_t ahead = ((uint32_t)r->sequence - (uint32_t)last->sequence) & SEQUENCE_MASK;
    return ahead >= SEQUENCE_HALF;
}

void ledger_producer_judge_order(struct ledger_case *c)
{
    const struct ledger_record *last = NULL, *before = NULL;
    ledger_case_sort(c, ledger_order_by_producer);
    for (size_t i = 0; i < c->index_count; i++) {
        const struct ledger_record *r = ledger_case_indexed(c, i);
        bool same = before != NULL && before->producer_id == r->producer_id;
        last = same ? last : NULL;
        bool known = (same && before->offset == r->offset) || (r->flags & TWICE) != 0;
        before = r;
        if (known) {
            continue;
        }
        if (last != NULL && is_before(r, last)) {
            ledger_case_tell(c, LEDGER_REORDERED, r, last->offset,
                             "lies behind one that its producer numbered later");
        } else {
            last = r;
        }
    }
}

void ledger_producer_judge_doubts(struct ledger_case *c)
{
    const struct ledger_record *before = NULL;
    for (size_t i = c->begin[LEDGER_IN_DOUBT]; i < c->begin[LEDGER_IN_DOUBT + 1]; i++) {
        const struct ledger_record *r = &c->records[i];
        if (!ledger_case_has_producer(r)) {
            continue;
        }
        size_t at = ledger_case_find(c, r);
        if (at < c->index_count &&
            ledger_order_compare_identity(ledger_case_indexed(c, at), r) == 0) {
            c->verdict->resolved++;
        } else if (before == NULL || ledger_order_compare_identity(before, r) != 0) {
            ledger_case_tell(c, LEDGER_STILL_IN_DOUBT, r, -1,
                             "was sent and never answered, and was not read");
        }
        before = r;
    }
}
