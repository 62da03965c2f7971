/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_reading.h"

#include "proxy/ops/ledger_explain.h"

static void judge_broken(struct ledger_case *c, const struct ledger_record *r)
{
    ledger_case_tell(c, LEDGER_ALTERED, r, -1, "was read with a checksum that does not hold");
}

/* All readings of one offset: records[from .. to). Keeps the best of them. */
static void judge_readings(struct ledger_case *c, size_t from, size_t to)
{
    struct ledger_record *best = &c->records[from];
    bool broken = false, backwards = false, differs = false;
    for (size_t i = from; i < to; i++) {
        struct ledger_record *r = &c->records[i];
        if ((best->flags & LEDGER_BROKEN) != 0 && (r->flags & LEDGER_BROKEN) == 0) {
            best = r;
        }
    }
    for (size_t i = from; i < to; i++) {
        const struct ledger_record *r = &c->records[i];
        broken = broken || (r->flags & LEDGER_BROKEN) != 0;
        backwards = backwards || (r->flags & LEDGER_BACKWARDS) != 0;
        differs = differs || ((r->flags & LEDGER_BROKEN) == 0 &&
                              ledger_explain(best, r) == LEDGER_UNEXPLAINED &&
                              ledger_explain(r, best) == LEDGER_UNEXPLAINED);
    }
    c->read[c->read_count++] = (uint32_t)(best - c->records);
    if (broken) {
        judge_broken(c, best);
    } else if (differs) {
        ledger_case_tell(c, LEDGER_ALTERED, best, -1, "was read twice, and not the same");
    }
    if (backwards && to - from > 1) {
        ledger_case_tell(c, LEDGER_DUPLICATED, best, -1,
                         "was given to a reader twice in one answer");
    } else if (backwards) {
        ledger_case_tell(c, LEDGER_REORDERED, best, -1, "was given to a reader after a later one");
    }
}

static void note_read(struct ledger_case *c, const struct ledger_record *r)
{
    c->first = c->first < r->offset && c->first >= 0 ? c->first : r->offset;
    c->past = c->past > ledger_case_past(r) ? c->past : ledger_case_past(r);
    c->compacted = c->compacted || (r->count >= 0 && r->count < r->span);
    c->verdict->fetched_offsets++;
    c->verdict->fetched_records +=
        r->count > 0 && !ledger_case_is_control(r) ? (uint64_t)r->count : 0;
}

void ledger_reading_judge(struct ledger_case *c)
{
    const size_t begin = c->begin[LEDGER_FETCHED], end = c->begin[LEDGER_FETCHED + 1];
    size_t from = begin;
    while (from < end) {
        size_t to = from + 1;
        while (to < end && c->records[to].offset == c->records[from].offset) {
            to++;
        }
        judge_readings(c, from, to);
        note_read(c, &c->records[c->read[c->read_count - 1]]);
        from = to;
    }
    int64_t passed_ms = INT64_MAX;
    for (size_t i = end; i > begin; i--) {
        const int64_t at_ms = c->records[i - 1].time_ms;
        passed_ms = at_ms < passed_ms ? at_ms : passed_ms;
        c->passed_ms[i - 1 - begin] = passed_ms;
    }
}

void ledger_reading_note_marks(struct ledger_case *c)
{
    int64_t low = -1, end = -1;
    for (size_t i = c->begin[LEDGER_MARK + 1]; i > c->begin[LEDGER_MARK]; i--) {
        struct ledger_record *mark = &c->records[i - 1];
        end = mark->offset > end ? mark->offset : end;
        mark->max_timestamp = end;
    }
    for (size_t i = c->begin[LEDGER_MARK]; i < c->begin[LEDGER_MARK + 1]; i++) {
        struct ledger_record *mark = &c->records[i];
        low = mark->low > low ? mark->low : low;
        mark->low = low;
        if (mark->offset >= 0) {
            c->end = mark->offset;
            c->end_ms = mark->time_ms;
        }
    }
}

size_t ledger_reading_until(const struct ledger_case *c, int64_t offset)
{
    size_t low = 0, high = c->read_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->records[c->read[middle]].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct ledger_record *ledger_reading_at(const struct ledger_case *c, int64_t offset)
{
    size_t until = ledger_reading_until(c, offset);
    return until > 0 ? &c->records[c->read[until - 1]] : NULL;
}

int64_t ledger_reading_passed_ms(const struct ledger_case *c, int64_t offset)
{
    size_t low = c->begin[LEDGER_FETCHED], high = c->begin[LEDGER_FETCHED + 1];
    const size_t begin = low, end = high;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->records[middle].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end ? c->passed_ms[low - begin] : INT64_MAX;
}

bool ledger_reading_has_expired(const struct ledger_case *c, int64_t offset, int64_t passed_ms)
{
    for (size_t low = c->begin[LEDGER_MARK], high = c->begin[LEDGER_MARK + 1]; low < high;) {
        size_t middle = (low + high) / 2;
        if (c->records[middle].low <= offset) {
            low = middle + 1;
        } else if (c->records[middle].time_ms <= passed_ms) {
            return true;
        } else {
            high = middle;
        }
    }
    return false;
}

/* Since when readers were always told that the log ends at or below offset; INT64_MAX: they were not. */
static int64_t cut_since(const struct ledger_case *c, int64_t offset)
{
    size_t low = c->begin[LEDGER_MARK], high = c->begin[LEDGER_MARK + 1];
    const size_t end = high;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->records[middle].max_timestamp > offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low < end && c->records[low].offset < 0) {
        low++; /* told of the beginning only */
    }
    return low < end ? c->records[low].time_ms : INT64_MAX;
}

bool ledger_reading_was_cut_off(const struct ledger_case *c, const struct ledger_record *there)
{
    const struct ledger_record *end = &c->records[c->begin[LEDGER_FETCHED + 1]];
    const int64_t since_ms = cut_since(c, there->offset);
    if (since_ms == INT64_MAX || c->end_ms <= ledger_case_plus(since_ms, LEDGER_CASE_SETTLED_MS)) {
        return false;
    }
    while (there + 1 < end && there[1].offset == there->offset) {
        there++;
    }
    return there->time_ms < since_ms;
}
