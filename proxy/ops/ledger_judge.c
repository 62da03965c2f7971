/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_judge.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/batch.h"
#include "proxy/ops/ledger_order.h"

enum {
    TWICE = 0x80,            /* in flags, here only: it was found at another offset, too */
    SKEW_MS = 100,           /* how far records of two lanes may lie apart from the truth */
    SETTLED_MS = 60 * 1000,  /* after an acknowledgement: no replica lags behind it any more */
    RETRY_MS = 120 * 1000,   /* delivery.timeout.ms: how long producers try again */
    SEQUENCE_HALF = 1 << 30, /* sequence numbers wrap at 2^31: nearer is later */
    SEQUENCE_MASK = 0x7fffffff,
};

struct judge {
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

static void tell(struct judge *j, enum ledger_finding_kind kind, const struct ledger_record *record,
                 int64_t other_offset, const char *text)
{
    const struct ledger_finding finding = {kind, j->log, record, other_offset, text};
    j->verdict->found[kind]++;
    j->verdict->found_records[kind] += record->count > 0 ? (uint64_t)record->count : 0;
    if (j->finding != NULL) {
        j->finding(j->context, &finding);
    }
}

/* ---- the index ---- */

static struct ledger_record *indexed(const struct judge *j, size_t i)
{
    return &j->records[j->index[i]];
}

static void sort_index(struct judge *j, int (*order)(const void *, const void *, void *))
{
    qsort_r(j->index, j->index_count, sizeof *j->index, order, j->records);
}

static bool is_control(const struct ledger_record *r)
{
    return (r->attributes & BATCH_CONTROL) != 0;
}

static bool has_producer(const struct ledger_record *r)
{
    return r->producer_id >= 0 && r->sequence >= 0 && !is_control(r);
}

/* Sums wrap around rather than overflow: a file may say anything. */
static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t past_of(const struct ledger_record *r)
{
    return plus(r->offset, r->span > 0 ? r->span : 1);
}

/* ---- what brokers may do to a batch ---- */

static enum ledger_explanation explain(const struct ledger_record *sent,
                                       const struct ledger_record *read)
{
    if (sent->crc == read->crc && sent->magic == read->magic) {
        return LEDGER_SAME;
    }
    if (sent->magic != read->magic) {
        return LEDGER_CONVERTED;
    }
    if (sent->span == read->span && read->count >= 0 && read->count < sent->count) {
        return LEDGER_COMPACTED;
    }
    if (sent->span != read->span || sent->count != read->count) {
        return LEDGER_UNEXPLAINED;
    }
    const uint16_t changed = sent->attributes ^ read->attributes;
    const bool codec = (changed & BATCH_CODEC_MASK) != 0;
    const bool time = (changed & read->attributes & BATCH_LOG_APPEND_TIME) != 0 ||
                      ((sent->flags & LEDGER_APPEND_TIME) != 0 &&
                       (read->attributes & BATCH_LOG_APPEND_TIME) != 0);
    /* Without a producer's numbers only what stays the same tells that it is this batch. */
    const bool numbered = has_producer(sent) && has_producer(read);
    if (time && (numbered || codec || sent->length == read->length)) {
        return LEDGER_LOG_APPEND_TIME;
    }
    if (codec && (numbered || sent->max_timestamp == read->max_timestamp)) {
        return LEDGER_RECOMPRESSED;
    }
    return (changed & BATCH_DELETE_HORIZON) != 0 ? LEDGER_COMPACTED : LEDGER_UNEXPLAINED;
}

/* ---- what was read ---- */

static void judge_broken(struct judge *j, const struct ledger_record *r)
{
    tell(j, LEDGER_ALTERED, r, -1, "was read with a checksum that does not hold");
}

/* All readings of one offset: records[from .. to). Keeps the best of them. */
static void judge_readings(struct judge *j, size_t from, size_t to)
{
    struct ledger_record *best = &j->records[from];
    bool broken = false, backwards = false, differs = false;
    for (size_t i = from; i < to; i++) {
        struct ledger_record *r = &j->records[i];
        if ((best->flags & LEDGER_BROKEN) != 0 && (r->flags & LEDGER_BROKEN) == 0) {
            best = r;
        }
    }
    for (size_t i = from; i < to; i++) {
        const struct ledger_record *r = &j->records[i];
        broken = broken || (r->flags & LEDGER_BROKEN) != 0;
        backwards = backwards || (r->flags & LEDGER_BACKWARDS) != 0;
        differs =
            differs || ((r->flags & LEDGER_BROKEN) == 0 && explain(best, r) == LEDGER_UNEXPLAINED &&
                        explain(r, best) == LEDGER_UNEXPLAINED);
    }
    j->read[j->read_count++] = (uint32_t)(best - j->records);
    if (broken) {
        judge_broken(j, best);
    } else if (differs) {
        tell(j, LEDGER_ALTERED, best, -1, "was read twice, and not the same");
    }
    if (backwards && to - from > 1) {
        tell(j, LEDGER_DUPLICATED, best, -1, "was given to a reader twice in one answer");
    } else if (backwards) {
        tell(j, LEDGER_REORDERED, best, -1, "was given to a reader after a later one");
    }
}

static void note_read(struct judge *j, const struct ledger_record *r)
{
    j->first = j->first < r->offset && j->first >= 0 ? j->first : r->offset;
    j->past = j->past > past_of(r) ? j->past : past_of(r);
    j->compacted = j->compacted || (r->count >= 0 && r->count < r->span);
    j->verdict->fetched_offsets++;
    j->verdict->fetched_records += r->count > 0 && !is_control(r) ? (uint64_t)r->count : 0;
}

static void judge_fetched(struct judge *j)
{
    const size_t begin = j->begin[LEDGER_FETCHED], end = j->begin[LEDGER_FETCHED + 1];
    size_t from = begin;
    while (from < end) {
        size_t to = from + 1;
        while (to < end && j->records[to].offset == j->records[from].offset) {
            to++;
        }
        judge_readings(j, from, to);
        note_read(j, &j->records[j->read[j->read_count - 1]]);
        from = to;
    }
    int64_t passed_ms = INT64_MAX;
    for (size_t i = end; i > begin; i--) {
        const int64_t at_ms = j->records[i - 1].time_ms;
        passed_ms = at_ms < passed_ms ? at_ms : passed_ms;
        j->passed_ms[i - 1 - begin] = passed_ms;
    }
}

/* Marks are sorted by time; each now tells the highest beginning of the log so far, and the highest end from then on. */
static void note_marks(struct judge *j)
{
    int64_t low = -1, end = -1;
    for (size_t i = j->begin[LEDGER_MARK + 1]; i > j->begin[LEDGER_MARK]; i--) {
        struct ledger_record *mark = &j->records[i - 1];
        end = mark->offset > end ? mark->offset : end;
        mark->max_timestamp = end;
    }
    for (size_t i = j->begin[LEDGER_MARK]; i < j->begin[LEDGER_MARK + 1]; i++) {
        struct ledger_record *mark = &j->records[i];
        low = mark->low > low ? mark->low : low;
        mark->low = low;
        if (mark->offset >= 0) {
            j->end = mark->offset;
            j->end_ms = mark->time_ms;
        }
    }
}

/* How many readings have an offset that is not above `offset`. */
static size_t read_until(const struct judge *j, int64_t offset)
{
    size_t low = 0, high = j->read_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (j->records[j->read[middle]].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The reading with the highest offset that is not above `offset`, or NULL. */
static const struct ledger_record *read_at(const struct judge *j, int64_t offset)
{
    size_t until = read_until(j, offset);
    return until > 0 ? &j->records[j->read[until - 1]] : NULL;
}

/* When a reader was first beyond offset; INT64_MAX: never. */
static int64_t passed_at(const struct judge *j, int64_t offset)
{
    size_t low = j->begin[LEDGER_FETCHED], high = j->begin[LEDGER_FETCHED + 1];
    const size_t begin = low, end = high;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (j->records[middle].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end ? j->passed_ms[low - begin] : INT64_MAX;
}

/* ---- one acknowledged batch ---- */

/* First of the index that is not before the identity of r. */
static size_t find_identity(const struct judge *j, const struct ledger_record *r)
{
    size_t low = 0, high = j->index_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ledger_order_compare_identity(indexed(j, middle), r) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The same batch among what was read, or NULL. */
static const struct ledger_record *read_elsewhere(const struct judge *j,
                                                  const struct ledger_record *r)
{
    for (size_t i = find_identity(j, r); has_producer(r) && i < j->index_count &&
                                         ledger_order_compare_identity(indexed(j, i), r) == 0;
         i++) {
        if (indexed(j, i)->kind == LEDGER_FETCHED) {
            return indexed(j, i);
        }
    }
    return NULL;
}

static bool has_expired(const struct judge *j, int64_t offset, int64_t passed_ms)
{
    for (size_t low = j->begin[LEDGER_MARK], high = j->begin[LEDGER_MARK + 1]; low < high;) {
        size_t middle = (low + high) / 2;
        if (j->records[middle].low <= offset) {
            low = middle + 1;
        } else if (j->records[middle].time_ms <= passed_ms) {
            return true;
        } else {
            high = middle;
        }
    }
    return false;
}

/* Since when readers were always told that the log ends at or below offset; INT64_MAX: they were not. */
static int64_t cut_since(const struct judge *j, int64_t offset)
{
    size_t low = j->begin[LEDGER_MARK], high = j->begin[LEDGER_MARK + 1];
    const size_t end = high;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (j->records[middle].max_timestamp > offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low < end && j->records[low].offset < 0) {
        low++; /* told of the beginning only */
    }
    return low < end ? j->records[low].time_ms : INT64_MAX;
}

/*
 * It was read, and is not in the log any more: longer than it takes a log to settle, readers who were told after all who
 * read it were told of an end before it. Retention does not move the end.
 */
static bool was_cut_off(const struct judge *j, const struct ledger_record *there)
{
    const struct ledger_record *end = &j->records[j->begin[LEDGER_FETCHED + 1]];
    const int64_t since_ms = cut_since(j, there->offset);
    if (since_ms == INT64_MAX || j->end_ms <= plus(since_ms, SETTLED_MS)) {
        return false;
    }
    while (there + 1 < end && there[1].offset == there->offset) {
        there++;
    }
    return there->time_ms < since_ms;
}

static bool overlaps(int64_t from_ms, int64_t to_ms, int64_t since_ms, int64_t until_ms)
{
    return plus(to_ms, SKEW_MS) >= since_ms && plus(from_ms, -SKEW_MS) <= until_ms;
}

/* Could the ledger have missed a reading between the two moments? */
static bool was_blind(const struct judge *j, enum ledger_kind kind, int64_t since_ms,
                      int64_t until_ms)
{
    const struct ledger_holes *holes = j->holes;
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

/* The next offset that was promised after that of r, which is one of them. */
static int64_t promised_after(const struct judge *j, const struct ledger_record *r)
{
    const struct ledger_record *end = &j->records[j->begin[LEDGER_ACKNOWLEDGED + 1]];
    const struct ledger_record *next = r + 1;
    while (next < end && next->offset == r->offset) {
        next++;
    }
    return next < end ? next->offset : INT64_MAX;
}

/* Old messages were read where it lies: one of it, or a compressed one (its offset is its last). */
static bool was_converted(const struct judge *j, const struct ledger_record *r)
{
    const size_t next = read_until(j, r->offset);
    if (next == j->read_count) {
        return false;
    }
    const struct ledger_record *there = &j->records[j->read[next]];
    return there->magic < 2 && there->offset < (r->span > 0 ? past_of(r) : promised_after(j, r));
}

/* It was not read. */
static void judge_absent(struct judge *j, const struct ledger_record *r)
{
    struct ledger_verdict *v = j->verdict;
    const int64_t passed_ms = passed_at(j, r->offset);
    if (was_converted(j, r)) {
        v->explained[LEDGER_CONVERTED]++;
    } else if (has_expired(j, r->offset, passed_ms)) {
        v->explained[LEDGER_EXPIRED]++;
    } else if (r->offset >= j->past) {
        if (j->end >= 0 && j->end <= r->offset && j->end_ms > plus(r->time_ms, SETTLED_MS)) {
            tell(j, LEDGER_LOST, r, j->end, "is not in the log, which ends before it");
        } else if (j->read_count > 0) {
            v->not_yet_read++;
            v->unproved += j->end > r->offset ? 0 : 1;
        } else {
            v->not_read++;
            v->unproved++;
        }
    } else if (r->offset < j->first) {
        v->not_read++;
        v->unproved++;
    } else if (j->compacted) {
        v->explained[LEDGER_COMPACTED]++;
    } else if (was_blind(j, LEDGER_FETCHED, r->time_ms, passed_ms)) {
        tell(j, LEDGER_UNPROVEN, r, plus(j->past, -1),
             "was not seen to be read, and the ledger has a hole there");
    } else {
        tell(j, LEDGER_LOST, r, plus(j->past, -1), "was never read, and later ones were");
    }
}

/* Another batch lies where this one should. */
static void judge_replaced(struct judge *j, const struct ledger_record *r,
                           const struct ledger_record *there)
{
    const struct ledger_record *elsewhere = read_elsewhere(j, r);
    if (elsewhere != NULL) {
        tell(j, LEDGER_ALTERED, r, elsewhere->offset, "lies at another offset than was promised");
    } else if (there->magic < 2) {
        j->verdict->explained[LEDGER_CONVERTED]++;
    } else {
        tell(j, LEDGER_LOST, r, there->offset, "was never read: another batch lies at its offset");
    }
}

static void judge_present(struct judge *j, const struct ledger_record *r,
                          const struct ledger_record *there)
{
    enum ledger_explanation why = explain(r, there);
    if ((there->flags & LEDGER_BROKEN) != 0) {
        return; /* that has been told */
    }
    if (has_producer(r) && why != LEDGER_CONVERTED &&
        ledger_order_compare_identity(r, there) != 0) {
        judge_replaced(j, r, there);
    } else if (why == LEDGER_UNEXPLAINED) {
        tell(j, LEDGER_ALTERED, r, there->offset, "was read with other content");
    } else if (was_cut_off(j, there)) {
        tell(j, LEDGER_LOST, r, j->end, "was read, and then the log ended before it");
    } else {
        j->verdict->explained[why]++;
    }
}

static void judge_acknowledged_one(struct judge *j, const struct ledger_record *r)
{
    const struct ledger_record *there = read_at(j, r->offset);
    j->verdict->acknowledged_records += r->count > 0 ? (uint64_t)r->count : 0;
    if ((r->flags & LEDGER_BROKEN) != 0) {
        tell(j, LEDGER_ALTERED, r, -1,
             "was acknowledged, though its checksum did not hold when it was sent");
    } else if (there != NULL && there->offset == r->offset) {
        judge_present(j, r, there);
    } else if (there != NULL && r->offset < past_of(there)) {
        judge_replaced(j, r, there);
    } else if (read_elsewhere(j, r) != NULL) {
        tell(j, LEDGER_ALTERED, r, read_elsewhere(j, r)->offset,
             "lies at another offset than was promised");
    } else {
        judge_absent(j, r);
    }
}

/* The same promise, made again to a producer that asked again. */
static bool is_same_promise(const struct ledger_record *a, const struct ledger_record *b)
{
    return a->offset == b->offset && a->crc == b->crc && ledger_order_compare_identity(a, b) == 0;
}

static void judge_acknowledged(struct judge *j)
{
    for (size_t i = j->begin[LEDGER_ACKNOWLEDGED]; i < j->begin[LEDGER_ACKNOWLEDGED + 1]; i++) {
        const struct ledger_record *r = &j->records[i];
        if (i > j->begin[LEDGER_ACKNOWLEDGED] && is_same_promise(&j->records[i - 1], r)) {
            continue;
        }
        if (r->offset >= 0) {
            judge_acknowledged_one(j, r);
        } else if (has_producer(r)) {
            size_t at = find_identity(j, r);
            bool found =
                at < j->index_count && ledger_order_compare_identity(indexed(j, at), r) == 0;
            if (found) {
                j->verdict->resolved++;
            } else {
                tell(j, LEDGER_STILL_IN_DOUBT, r, -1,
                     "was acknowledged as a duplicate, without an offset, and not read");
            }
        } else {
            j->verdict->not_read++; /* nobody can say where it should be */
            j->verdict->unproved++;
        }
    }
}

/* ---- producers ---- */

static void index_add(struct judge *j, size_t at)
{
    j->index[j->index_count++] = (uint32_t)at;
}

static void index_producers(struct judge *j)
{
    j->index_count = 0;
    for (size_t i = 0; i < j->read_count; i++) {
        if (has_producer(&j->records[j->read[i]])) {
            index_add(j, j->read[i]);
        }
    }
    for (size_t i = j->begin[LEDGER_ACKNOWLEDGED]; i < j->begin[LEDGER_ACKNOWLEDGED + 1]; i++) {
        if (has_producer(&j->records[i]) && j->records[i].offset >= 0) {
            index_add(j, i);
        }
    }
    sort_index(j, ledger_order_by_identity);
}

/* Index entries [from, to) are one batch of one producer, those of one kind by their offset. */
static void judge_copies(struct judge *j, size_t from, size_t to)
{
    uint64_t told = 0, beyond = 0;
    for (size_t i = from + 1; i < to; i++) {
        const struct ledger_record *before = indexed(j, i - 1);
        struct ledger_record *r = indexed(j, i);
        bool again = r->kind == before->kind && r->offset != before->offset &&
                     plus(r->offset, (int64_t)(0 - (uint64_t)before->offset)) < SEQUENCE_HALF;
        if (r->kind != before->kind) {
            told = beyond;
            beyond = 0;
        }
        if (again) {
            beyond++;
            r->flags |= TWICE;
        }
        if (again && beyond > told) {
            tell(j, LEDGER_DUPLICATED, r, before->offset,
                 r->kind == LEDGER_FETCHED ? "lies in the log twice" : "was promised two offsets");
        }
    }
}

static void judge_duplicates(struct judge *j)
{
    size_t from = 0;
    while (from < j->index_count) {
        size_t to = from + 1;
        while (to < j->index_count &&
               ledger_order_compare_identity(indexed(j, from), indexed(j, to)) == 0) {
            to++;
        }
        judge_copies(j, from, to);
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

static void judge_order(struct judge *j)
{
    const struct ledger_record *last = NULL, *before = NULL;
    sort_index(j, ledger_order_by_producer);
    for (size_t i = 0; i < j->index_count; i++) {
        const struct ledger_record *r = indexed(j, i);
        bool same = before != NULL && before->producer_id == r->producer_id;
        last = same ? last : NULL;
        bool known = (same && before->offset == r->offset) || (r->flags & TWICE) != 0;
        before = r;
        if (known) {
            continue;
        }
        if (last != NULL && is_before(r, last)) {
            tell(j, LEDGER_REORDERED, r, last->offset,
                 "lies behind one that its producer numbered later");
        } else {
            last = r;
        }
    }
}

static void judge_producers_doubts(struct judge *j)
{
    const struct ledger_record *before = NULL;
    for (size_t i = j->begin[LEDGER_IN_DOUBT]; i < j->begin[LEDGER_IN_DOUBT + 1]; i++) {
        const struct ledger_record *r = &j->records[i];
        if (!has_producer(r)) {
            continue;
        }
        size_t at = find_identity(j, r);
        if (at < j->index_count && ledger_order_compare_identity(indexed(j, at), r) == 0) {
            j->verdict->resolved++;
        } else if (before == NULL || ledger_order_compare_identity(before, r) != 0) {
            tell(j, LEDGER_STILL_IN_DOUBT, r, -1, "was sent and never answered, and was not read");
        }
        before = r;
    }
}

/* ---- batches without a producer id ---- */

static void index_plain(struct judge *j)
{
    j->index_count = 0;
    for (size_t i = 0; i < j->read_count; i++) {
        const struct ledger_record *r = &j->records[j->read[i]];
        if (r->producer_id < 0 && !is_control(r)) {
            index_add(j, j->read[i]);
        }
    }
    for (size_t kind = 0; kind < LEDGER_MARK; kind++) {
        for (size_t i = j->begin[kind]; kind != LEDGER_FETCHED && i < j->begin[kind + 1]; i++) {
            if (j->records[i].producer_id < 0) {
                index_add(j, i);
            }
        }
    }
    sort_index(j, ledger_order_by_content);
}

/* Index entries [from, to) have the same content. */
static void judge_content(struct judge *j, size_t from, size_t to)
{
    size_t sent = 0, read = 0, acknowledged = 0;
    int64_t first_ms = INT64_MAX, last_ms = INT64_MIN;
    const struct ledger_record *first = NULL, *copy = NULL; /* of those read, by their offsets */
    for (size_t i = from; i < to; i++) {
        const struct ledger_record *r = indexed(j, i);
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
        const struct ledger_record *r = indexed(j, i);
        if (r->kind == LEDGER_IN_DOUBT && (read > 0 || acknowledged > 0)) {
            j->verdict->resolved++;
        } else if (r->kind == LEDGER_IN_DOUBT) {
            tell(j, LEDGER_STILL_IN_DOUBT, r, -1, "was sent and never answered, and was not read");
        }
    }
    if (sent == 0 || read <= sent) {
        return; /* sent past this Setu, or as often as it was read */
    }
    first_ms = plus(first_ms, -RETRY_MS);
    last_ms = plus(last_ms, RETRY_MS);
    if (was_blind(j, LEDGER_ACKNOWLEDGED, first_ms, last_ms) ||
        was_blind(j, LEDGER_IN_DOUBT, first_ms, last_ms)) {
        j->verdict->repeated += read - sent;
        return;
    }
    for (size_t i = sent; i < read; i++) {
        tell(j, LEDGER_DUPLICATED, copy, first->offset,
             "lies in the log more often than it was sent");
    }
}

static void judge_plain(struct judge *j)
{
    size_t from = 0;
    index_plain(j);
    while (from < j->index_count) {
        size_t to = from + 1;
        while (to < j->index_count &&
               ledger_order_compare_content(indexed(j, from), indexed(j, to)) == 0) {
            to++;
        }
        judge_content(j, from, to);
        from = to;
    }
}

/* ---- all ---- */

static void divide(struct judge *j, size_t count)
{
    qsort(j->records, count, sizeof *j->records, ledger_order_by_place);
    size_t at = 0;
    for (uint8_t kind = 0; kind <= LEDGER_KINDS; kind++) {
        while (at < count && j->records[at].kind < kind) {
            at++;
        }
        j->begin[kind] = at;
    }
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        j->verdict->batches[kind] += j->begin[kind + 1] - j->begin[kind];
    }
}

static void judge_all(struct judge *j)
{
    j->verdict->partitions++;
    note_marks(j);
    judge_fetched(j);
    index_producers(j);
    judge_duplicates(j);
    judge_acknowledged(j);
    judge_producers_doubts(j);
    judge_order(j);
    judge_plain(j);
    if (j->read_count == 0 && j->begin[LEDGER_ACKNOWLEDGED] < j->begin[LEDGER_ACKNOWLEDGED + 1]) {
        j->verdict->unread_partitions++;
    }
}

bool ledger_judge(const struct ledger_log *log, struct ledger_record *records, size_t count,
                  const struct ledger_holes *holes, struct ledger_verdict *verdict,
                  ledger_finding_fn finding, void *context)
{
    struct judge j = {
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
    j.read = malloc(count * sizeof *j.read);
    j.index = malloc(count * sizeof *j.index);
    j.passed_ms = malloc(count * sizeof *j.passed_ms);
    bool ok = j.read != NULL && j.index != NULL && j.passed_ms != NULL && count <= UINT32_MAX;
    if (ok) {
        divide(&j, count);
        judge_all(&j);
    }
    free(j.read);
    free(j.index);
    free(j.passed_ms);
    return ok;
}
