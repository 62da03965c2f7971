/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_promise.h"

#include "proxy/ops/ledger_explain.h"
#include "proxy/ops/ledger_order.h"
#include "proxy/ops/ledger_reading.h"

/* The same batch among what was read, or NULL. */
static const struct ledger_record *read_elsewhere(const struct ledger_case *c,
                                                  const struct ledger_record *r)
{
    for (size_t i = ledger_case_find(c, r);
         ledger_case_has_producer(r) && i < c->index_count &&
         ledger_order_compare_identity(ledger_case_indexed(c, i), r) == 0;
         i++) {
        if (ledger_case_indexed(c, i)->kind == LEDGER_FETCHED) {
            return ledger_case_indexed(c, i);
        }
    }
    return NULL;
}

/* The next offset that was promised after that of r, which is one of them. */
static int64_t promised_after(const struct ledger_case *c, const struct ledger_record *r)
{
    const struct ledger_record *end = &c->records[c->begin[LEDGER_ACKNOWLEDGED + 1]];
    const struct ledger_record *next = r + 1;
    while (next < end && next->offset == r->offset) {
        next++;
    }
    return next < end ? next->offset : INT64_MAX;
}

/* Old messages were read where it lies: one of it, or a compressed one (its offset is its last). */
static bool was_converted(const struct ledger_case *c, const struct ledger_record *r)
{
    const size_t next = ledger_reading_until(c, r->offset);
    if (next == c->read_count) {
        return false;
    }
    const struct ledger_record *there = &c->records[c->read[next]];
    return there->magic < 2 &&
           there->offset < (r->span > 0 ? ledger_case_past(r) : promised_after(c, r));
}

/* It was not read. */
static void judge_absent(struct ledger_case *c, const struct ledger_record *r)
{
    struct ledger_verdict *v = c->verdict;
    const int64_t passed_ms = ledger_reading_passed_ms(c, r->offset);
    if (was_converted(c, r)) {
        v->explained[LEDGER_CONVERTED]++;
    } else if (ledger_reading_has_expired(c, r->offset, passed_ms)) {
        v->explained[LEDGER_EXPIRED]++;
    } else if (r->offset >= c->past) {
        if (c->end >= 0 && c->end <= r->offset &&
            c->end_ms > ledger_case_plus(r->time_ms, LEDGER_CASE_SETTLED_MS)) {
            ledger_case_tell(c, LEDGER_LOST, r, c->end, "is not in the log, which ends before it");
        } else if (c->read_count > 0) {
            v->not_yet_read++;
            v->unproved += c->end > r->offset ? 0 : 1;
        } else {
            v->not_read++;
            v->unproved++;
        }
    } else if (r->offset < c->first) {
        v->not_read++;
        v->unproved++;
    } else if (c->compacted) {
        v->explained[LEDGER_COMPACTED]++;
    } else if (ledger_case_was_blind(c, LEDGER_FETCHED, r->time_ms, passed_ms)) {
        ledger_case_tell(c, LEDGER_UNPROVEN, r, ledger_case_plus(c->past, -1),
                         "was not seen to be read, and the ledger has a hole there");
    } else {
        ledger_case_tell(c, LEDGER_LOST, r, ledger_case_plus(c->past, -1),
                         "was never read, and later ones were");
    }
}

/* Another batch lies where this one should. */
static void judge_replaced(struct ledger_case *c, const struct ledger_record *r,
                           const struct ledger_record *there)
{
    const struct ledger_record *elsewhere = read_elsewhere(c, r);
    if (elsewhere != NULL) {
        ledger_case_tell(c, LEDGER_ALTERED, r, elsewhere->offset,
                         "lies at another offset than was promised");
    } else if (there->magic < 2) {
        c->verdict->explained[LEDGER_CONVERTED]++;
    } else {
        ledger_case_tell(c, LEDGER_LOST, r, there->offset,
                         "was never read: another batch lies at its offset");
    }
}

static void judge_present(struct ledger_case *c, const struct ledger_record *r,
                          const struct ledger_record *there)
{
    enum ledger_explanation why = ledger_explain(r, there);
    if ((there->flags & LEDGER_BROKEN) != 0) {
        return; /* that has been told */
    }
    if (ledger_case_has_producer(r) && why != LEDGER_CONVERTED &&
        ledger_order_compare_identity(r, there) != 0) {
        judge_replaced(c, r, there);
    } else if (why == LEDGER_UNEXPLAINED) {
        ledger_case_tell(c, LEDGER_ALTERED, r, there->offset, "was read with other content");
    } else if (ledger_reading_was_cut_off(c, there)) {
        ledger_case_tell(c, LEDGER_LOST, r, c->end, "was read, and then the log ended before it");
    } else {
        c->verdict->explained[why]++;
    }
}

static void judge_acknowledged_one(struct ledger_case *c, const struct ledger_record *r)
{
    const struct ledger_record *there = ledger_reading_at(c, r->offset);
    c->verdict->acknowledged_records += r->count > 0 ? (uint64_t)r->count : 0;
    if ((r->flags & LEDGER_BROKEN) != 0) {
        ledger_case_tell(c, LEDGER_ALTERED, r, -1,
                         "was acknowledged, though its checksum did not hold when it was sent");
    } else if (there != NULL && there->offset == r->offset) {
        judge_present(c, r, there);
    } else if (there != NULL && r->offset < ledger_case_past(there)) {
        judge_replaced(c, r, there);
    } else if (read_elsewhere(c, r) != NULL) {
        ledger_case_tell(c, LEDGER_ALTERED, r, read_elsewhere(c, r)->offset,
                         "lies at another offset than was promised");
    } else {
        judge_absent(c, r);
    }
}

/* The same promise, made again to a producer that asked again. */
static bool is_same_promise(const struct ledger_record *a, const struct ledger_record *b)
{
    return a->offset == b->offset && a->crc == b->crc && ledger_order_compare_identity(a, b) == 0;
}

void ledger_promise_judge(struct ledger_case *c)
{
    for (size_t i = c->begin[LEDGER_ACKNOWLEDGED]; i < c->begin[LEDGER_ACKNOWLEDGED + 1]; i++) {
        const struct ledger_record *r = &c->records[i];
        if (i > c->begin[LEDGER_ACKNOWLEDGED] && is_same_promise(&c->records[i - 1], r)) {
            continue;
        }
        if (r->offset >= 0) {
            judge_acknowledged_one(c, r);
        } else if (ledger_case_has_producer(r)) {
            size_t at = ledger_case_find(c, r);
            bool found = at < c->index_count &&
                         ledger_order_compare_identity(ledger_case_indexed(c, at), r) == 0;
            if (found) {
                c->verdict->resolved++;
            } else {
                ledger_case_tell(
                    c, LEDGER_STILL_IN_DOUBT, r, -1,
                    "was acknowledged as a duplicate, without an offset, and not read");
            }
        } else {
            c->verdict->not_read++; /* nobody can say where it should be */
            c->verdict->unproved++;
        }
    }
}
