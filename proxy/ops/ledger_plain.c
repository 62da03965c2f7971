/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_plain.h"

#include "proxy/ops/ledger_order.h"

enum { RETRY_MS = 120 * 1000 /* delivery.timeout.ms: how long producers try again */ };

static void index_plain(struct ledger_case *c)
{
    c->index_count = 0;
    for (size_t i = 0; i < c->read_count; i++) {
        const struct ledger_record *r = &c->records[c->read[i]];
        if (r->producer_id < 0 && !ledger_case_is_control(r)) {
            ledger_case_add(c, c->read[i]);
        }
    }
    for (size_t kind = 0; kind < LEDGER_MARK; kind++) {
        for (size_t i = c->begin[kind]; kind != LEDGER_FETCHED && i < c->begin[kind + 1]; i++) {
            if (c->records[i].producer_id < 0) {
                ledger_case_add(c, i);
            }
        }
    }
    ledger_case_sort(c, ledger_order_by_content);
}

/* Index entries [from, to) have the same content. */
static void judge_content(struct ledger_case *c, size_t from, size_t to)
{
    size_t sent = 0, read = 0, acknowledged = 0;
    int64_t first_ms = INT64_MAX, last_ms = INT64_MIN;
    const struct ledger_record *first = NULL, *copy = NULL; /* of those read, by their offsets */
    for (size_t i = from; i < to; i++) {
        const struct ledger_record *r = ledger_case_indexed(c, i);
        read += r->kind == LEDGER_FETCHED ? 1 : 0;
        acknowledged += r->kind == LEDGER_ACKNOWLEDGED ? 1 : 0;
        if (r->kind == LEDGER_FETCHED) {
            first = first != NULL ? first : r;
            copy = r;
        }
        if (r->kind != LEDGER_FETCHED) {
            sent++;
            first_ms = r->time_ms < first_ms ? r->time_ms : first_ms;
            last_ms = r->time_ms > last_ms ? r->time_ms : last_ms;
        }
    }
    for (size_t i = from; i < to; i++) {
        const struct ledger_record *r = ledger_case_indexed(c, i);
        if (r->kind == LEDGER_IN_DOUBT && (read > 0 || acknowledged > 0)) {
            c->verdict->resolved++;
        } else if (r->kind == LEDGER_IN_DOUBT) {
            ledger_case_tell(c, LEDGER_STILL_IN_DOUBT, r, -1,
                             "was sent and never answered, and was not read");
        }
    }
    if (sent == 0 || read <= sent) {
        return; /* sent past this Setu, or as often as it was read */
    }
    first_ms = ledger_case_plus(first_ms, -RETRY_MS);
    last_ms = ledger_case_plus(last_ms, RETRY_MS);
    if (ledger_case_was_blind(c, LEDGER_ACKNOWLEDGED, first_ms, last_ms) ||
        ledger_case_was_blind(c, LEDGER_IN_DOUBT, first_ms, last_ms)) {
        c->verdict->repeated += read - sent;
        return;
    }
    for (size_t i = sent; i < read; i++) {
        ledger_case_tell(c, LEDGER_DUPLICATED, copy, first->offset,
                         "lies in the log more often than it was sent");
    }
}

void ledger_plain_judge(struct ledger_case *c)
{
    size_t from = 0;
    index_plain(c);
    while (from < c->index_count) {
        size_t to = from + 1;
        while (to < c->index_count &&
               ledger_order_compare_content(ledger_case_indexed(c, from),
                                            ledger_case_indexed(c, to)) == 0) {
            to++;
        }
        judge_content(c, from, to);
        from = to;
    }
}
