/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_judge.h"

#include <stdlib.h>

#include "proxy/ops/ledger_case.h"
#include "proxy/ops/ledger_plain.h"
#include "proxy/ops/ledger_producer.h"
#include "proxy/ops/ledger_promise.h"
#include "proxy/ops/ledger_reading.h"

const char *ledger_finding_name(enum ledger_finding_kind kind)
{
    static const char *const names[LEDGER_FINDINGS] = {"lost",      "duplicated", "altered",
                                                       "reordered", "in_doubt",   "unproven"};
    return names[kind];
}

const char *ledger_explanation_name(enum ledger_explanation explanation)
{
    static const char *const names[LEDGER_EXPLANATIONS] = {
        "same", "log_append_time", "recompressed", "converted", "compacted", "expired"};
    return names[explanation];
}

static void judge_all(struct ledger_case *c)
{
    c->verdict->partitions++;
    ledger_reading_note_marks(c);
    ledger_reading_judge(c);
    ledger_producer_index(c);
    ledger_producer_judge_copies(c);
    ledger_promise_judge(c);
    ledger_producer_judge_doubts(c);
    ledger_producer_judge_order(c);
    ledger_plain_judge(c);
    if (c->read_count == 0 && c->begin[LEDGER_ACKNOWLEDGED] < c->begin[LEDGER_ACKNOWLEDGED + 1]) {
        c->verdict->unread_partitions++;
    }
}

bool ledger_judge(const struct ledger_log *log, struct ledger_record *records, size_t count,
                  const struct ledger_holes *holes, struct ledger_verdict *verdict,
                  ledger_finding_fn finding, void *context)
{
    struct ledger_case c = {
        .log = log,
        .records = records,
        .holes = holes,
        .verdict = verdict,
        .finding = finding,
        .context = context,
        .first = -1,
        .past = -1,
        .end = -1,
    };
    if (count == 0) {
        return true;
    }
    c.read = malloc(count * sizeof *c.read);
    c.index = malloc(count * sizeof *c.index);
    c.passed_ms = malloc(count * sizeof *c.passed_ms);
    bool ok = c.read != NULL && c.index != NULL && c.passed_ms != NULL && count <= UINT32_MAX;
    if (ok) {
        ledger_case_divide(&c, count);
        judge_all(&c);
    }
    free(c.read);
    free(c.index);
    free(c.passed_ms);
    return ok;
}
