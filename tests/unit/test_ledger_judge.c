/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_judge.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/batch.h"

enum { RECORDS = 256, SEEN = 32 };

static const int64_t t0 = 1700000000000;

/* A partition being told of: every record a second later than the one before. */
struct story {
    struct ledger_record records[RECORDS];
    size_t count;
    struct ledger_kill kills[4];
    struct ledger_gap gaps[4];
    struct ledger_holes holes;
    struct ledger_verdict verdict;
    enum ledger_finding_kind kinds[SEEN];
    int64_t offsets[SEEN], others[SEEN];
    size_t found;
};

static struct ledger_record *add(struct story *story, enum ledger_kind kind, int64_t offset)
{
    cr_assert(story->count < RECORDS);
    struct ledger_record *r = &story->records[story->count];
    *r = (struct ledger_record){.kind = (uint8_t)kind,
                                .time_ms = t0 + (int64_t)story->count * 1000,
                                .offset = offset,
                                .producer_id = 7,
                                .epoch = 0,
                                .sequence = (int32_t)offset,
                                .max_timestamp = t0,
                                .crc = (uint32_t)offset * 2654435761U,
                                .span = 10,
                                .count = 10,
                                .length = 500,
                                .magic = 2};
    story->count++;
    return r;
}

static struct ledger_record *sent(struct story *story, int64_t offset)
{
    return add(story, LEDGER_ACKNOWLEDGED, offset);
}

static struct ledger_record *got(struct story *story, int64_t offset)
{
    return add(story, LEDGER_FETCHED, offset);
}

static struct ledger_record *doubt(struct story *story, int32_t sequence)
{
    struct ledger_record *r = add(story, LEDGER_IN_DOUBT, -1);
    r->sequence = sequence;
    r->crc = (uint32_t)sequence * 2654435761U;
    return r;
}

static struct ledger_record *plain(struct ledger_record *r)
{
    r->producer_id = -1;
    r->epoch = -1;
    r->sequence = -1;
    return r;
}

static void see(void *context, const struct ledger_finding *finding)
{
    struct story *story = context;
    cr_assert(story->found < SEEN);
    cr_assert(finding->text[0] != '\0' && view_is(finding->log->topic, "orders"));
    story->kinds[story->found] = finding->kind;
    story->offsets[story->found] = finding->record->offset;
    story->others[story->found++] = finding->other_offset;
}

static const struct ledger_verdict *judge(struct story *story)
{
    const struct ledger_log log = {view_from_string("main"), view_from_string("orders"), 3};
    /* On the heap, so that a sanitizer sees what lies beyond. */
    struct ledger_record *copy = malloc(story->count * sizeof *copy + 1);
    memcpy(copy, story->records, story->count * sizeof *copy);
    story->holes.kills = story->kills;
    story->holes.gaps = story->gaps;
    cr_assert(ledger_judge(&log, copy, story->count, &story->holes, &story->verdict, see, story));
    free(copy);
    return &story->verdict;
}

/* Exactly one finding, of this kind. */
static void check_one(struct story *story, enum ledger_finding_kind kind, int64_t offset)
{
    judge(story);
    cr_assert_eq(story->found, 1, "%zu findings", story->found);
    cr_assert_eq(story->kinds[0], kind, "%s", ledger_finding_name(story->kinds[0]));
    cr_assert_eq(story->offsets[0], offset);
    cr_assert_eq(story->verdict.found[kind], 1);
}

static void check_none(struct story *story)
{
    judge(story);
    cr_assert_eq(story->found, 0, "%s", ledger_finding_name(story->kinds[0]));
}

static void send_ten(struct story *story)
{
    for (int64_t offset = 0; offset < 100; offset += 10) {
        sent(story, offset);
    }
}

static void get_ten_but(struct story *story, int64_t left_out)
{
    for (int64_t offset = 0; offset < 100; offset += 10) {
        if (offset != left_out) {
            got(story, offset);
        }
    }
}

Test(ledger_judge, finds_nothing_where_all_is_well)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, -1);
    get_ten_but(&story, -1); /* a second reader is no duplicate */
    check_none(&story);
    cr_assert_eq(story.verdict.explained[LEDGER_SAME], 10);
    cr_assert_eq(story.verdict.fetched_offsets, 10);
    cr_assert_eq(story.verdict.acknowledged_records, 100);
    cr_assert_eq(story.verdict.fetched_records, 100);
}

Test(ledger_judge, needs_no_records)
{
    struct story story = {0};
    check_none(&story);
    cr_assert_eq(story.verdict.partitions, 0);
}

/* ---- lost ---- */

Test(ledger_judge, names_a_lost_batch)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 40);
    check_one(&story, LEDGER_LOST, 40);
    cr_assert_eq(story.verdict.found_records[LEDGER_LOST], 10);
    cr_assert_eq(story.others[0], 99);
}

/* The second compressed set of old messages in one request: nobody is told where it lies. */
Test(ledger_judge, takes_nothing_for_proved_that_has_no_place)
{
    struct story story = {0};
    send_ten(&story);
    plain(sent(&story, -1))->magic = 1;
    get_ten_but(&story, -1);
    check_none(&story);
    cr_assert_eq(story.verdict.unproved, 1);
}

Test(ledger_judge, does_not_miss_what_no_reader_came_to)
{
    struct story story = {0};
    send_ten(&story);
    for (int64_t offset = 30; offset < 60; offset += 10) {
        got(&story, offset);
    }
    check_none(&story);
    cr_assert_eq(story.verdict.not_read, 3);
    cr_assert_eq(story.verdict.not_yet_read, 4);
    cr_assert_eq(story.verdict.unproved, 7);
    cr_assert_eq(story.verdict.unread_partitions, 0);
}

Test(ledger_judge, takes_nothing_for_proved_where_nobody_read)
{
    struct story story = {0};
    send_ten(&story);
    check_none(&story);
    cr_assert_eq(story.verdict.not_read, 10);
    cr_assert_eq(story.verdict.unproved, 10);
    cr_assert_eq(story.verdict.unread_partitions, 1);
}

Test(ledger_judge, bears_a_reader_that_is_a_little_behind)
{
    struct story story = {0};
    send_ten(&story);
    for (int64_t offset = 0; offset < 80; offset += 10) {
        got(&story, offset);
    }
    add(&story, LEDGER_MARK, 90)->low = 0; /* the log goes on beyond one of the two */
    check_none(&story);
    cr_assert_eq(story.verdict.not_yet_read, 2);
    cr_assert_eq(story.verdict.unproved, 1);
}

Test(ledger_judge, believes_a_log_that_ends_too_early)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 90);
    struct ledger_record *mark = add(&story, LEDGER_MARK, 90);
    mark->low = 0;
    mark->time_ms = story.records[9].time_ms + 30 * 1000;
    check_none(&story); /* a replica may be slow to tell */
    cr_assert_eq(story.verdict.not_yet_read, 1);
    story = (struct story){0};
    send_ten(&story);
    get_ten_but(&story, 90);
    mark = add(&story, LEDGER_MARK, 90);
    mark->time_ms = story.records[9].time_ms + 61 * 1000;
    check_one(&story, LEDGER_LOST, 90);
}

static struct ledger_record *ends_at(struct story *story, int64_t end, int64_t after_ms)
{
    struct ledger_record *mark = add(story, LEDGER_MARK, end);
    mark->low = 0;
    mark->time_ms = t0 + 20000 + after_ms;
    return mark;
}

/* By an unclean election: after it was acknowledged, and after a reader had it. */
Test(ledger_judge, misses_what_was_read_and_then_cut_off)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, -1);
    ends_at(&story, 100, 10);
    ends_at(&story, 90, 1000);
    ends_at(&story, 90, 61000);
    check_none(&story); /* a minute it may take */
    ends_at(&story, 90, 61001)->time_ms++;
    story.verdict = (struct ledger_verdict){0};
    check_one(&story, LEDGER_LOST, 90);
    cr_assert_eq(story.others[0], 90);
    cr_assert_eq(story.verdict.explained[LEDGER_SAME], 9);
    got(&story, 90)->time_ms = t0 + 20000 + 5000; /* a reader was slower, and still found it */
    story.found = 0;
    story.verdict = (struct ledger_verdict){0};
    check_none(&story);
    story.count--;
    ends_at(&story, 100, 200000); /* or the end came back */
    story.verdict = (struct ledger_verdict){0};
    check_none(&story);
}

Test(ledger_judge, excuses_what_retention_took_before_anybody_came)
{
    struct story story = {0};
    send_ten(&story);
    got(&story, 0);
    struct ledger_record *mark = add(&story, LEDGER_MARK, -1);
    mark->low = 50;
    for (int64_t offset = 50; offset < 100; offset += 10) {
        got(&story, offset);
    }
    check_none(&story);
    cr_assert_eq(story.verdict.explained[LEDGER_EXPIRED], 4);
    /* … but not what had been passed over before. */
    story = (struct story){0};
    send_ten(&story);
    get_ten_but(&story, 40);
    mark = add(&story, LEDGER_MARK, -1);
    mark->low = 50;
    check_one(&story, LEDGER_LOST, 40);
}

Test(ledger_judge, names_a_batch_that_another_has_taken_the_place_of)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 40);
    struct ledger_record *other = got(&story, 40);
    other->producer_id = 8;
    other->crc = 1;
    check_one(&story, LEDGER_LOST, 40);
}

Test(ledger_judge, does_not_call_lost_what_the_ledger_may_not_have_seen)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 40);
    /* Killed between the readings of 30 and 50. */
    story.kills[0] = (struct ledger_kill){t0 + 13000, t0 + 13900};
    story.holes.kill_count = 1;
    check_one(&story, LEDGER_UNPROVEN, 40);
    story.kills[0] = (struct ledger_kill){t0 + 14000, INT64_MAX}; /* killed after */
    story.found = 0;
    story.verdict = (struct ledger_verdict){0};
    check_one(&story, LEDGER_LOST, 40);
    story.holes.kill_count = 0;
    story.gaps[0] = (struct ledger_gap){t0 + 12000, t0 + 14000, {[LEDGER_FETCHED] = 1}};
    story.holes.gap_count = 1;
    story.found = 0;
    story.verdict = (struct ledger_verdict){0};
    check_one(&story, LEDGER_UNPROVEN, 40);
}

/* ---- duplicated ---- */

Test(ledger_judge, names_a_batch_that_lies_in_the_log_twice)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, -1);
    struct ledger_record *again = got(&story, 100);
    again->sequence = 40;
    again->crc = story.records[4].crc;
    check_one(&story, LEDGER_DUPLICATED, 100);
    cr_assert_eq(story.others[0], 40);
}

Test(ledger_judge, names_a_batch_that_was_promised_two_places)
{
    struct story story = {0};
    send_ten(&story);
    struct ledger_record *again = sent(&story, 100);
    again->sequence = 40;
    again->crc = story.records[4].crc;
    check_one(&story, LEDGER_DUPLICATED, 100);
}

Test(ledger_judge, bears_the_same_promise_twice)
{
    struct story story = {0};
    send_ten(&story);
    doubt(&story, 90);
    sent(&story, 90)->flags = LEDGER_DUPLICATE;
    struct ledger_record *unknown = sent(&story, -1); /* the broker knows no offset any more */
    unknown->flags = LEDGER_DUPLICATE;
    unknown->sequence = 10;
    get_ten_but(&story, -1);
    check_none(&story);
    cr_assert_eq(story.verdict.resolved, 2);
}

Test(ledger_judge, sees_the_same_batch_twice_in_one_answer)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, -1);
    got(&story, 40)->flags = LEDGER_BACKWARDS;
    check_one(&story, LEDGER_DUPLICATED, 40);
}

Test(ledger_judge, counts_copies_of_plain_batches_against_what_was_sent)
{
    struct story story = {0};
    for (int64_t offset = 0; offset < 50; offset += 10) {
        plain(sent(&story, offset))->crc = offset == 40 ? 99 : (uint32_t)offset;
        plain(got(&story, offset))->crc = offset == 40 ? 99 : (uint32_t)offset;
    }
    plain(sent(&story, 50))->crc = 99; /* the same text twice */
    plain(got(&story, 50))->crc = 99;
    check_none(&story);
    plain(got(&story, 60))->crc = 99;
    story.verdict = (struct ledger_verdict){0};
    check_one(&story, LEDGER_DUPLICATED, 60);
    cr_assert_eq(story.others[0], 40);
    plain(doubt(&story, 0))->crc = 99; /* an attempt that was not answered explains it */
    story.found = 0;
    story.verdict = (struct ledger_verdict){0};
    check_none(&story);
    cr_assert_eq(story.verdict.resolved, 1);
}

Test(ledger_judge, leaves_retries_that_nobody_wrote_down_to_the_kill)
{
    struct story story = {0};
    plain(sent(&story, 0))->crc = 99;
    plain(got(&story, 0))->crc = 99;
    plain(got(&story, 10))->crc = 99;
    story.kills[0] = (struct ledger_kill){t0 - 20000, t0 - 19000};
    story.holes.kill_count = 1;
    check_none(&story);
    cr_assert_eq(story.verdict.repeated, 1);
}

/* ---- altered ---- */

Test(ledger_judge, names_a_batch_with_a_wrong_checksum)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 40);
    got(&story, 40)->flags = LEDGER_BROKEN;
    check_one(&story, LEDGER_ALTERED, 40);
    cr_assert_eq(story.verdict.explained[LEDGER_SAME], 9);
    got(&story, 40); /* read again, and whole: the first reading stays a finding */
    story.found = 0;
    story.verdict = (struct ledger_verdict){0};
    check_one(&story, LEDGER_ALTERED, 40);
}

Test(ledger_judge, names_a_batch_with_other_content)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 40);
    got(&story, 40)->crc = 1;
    check_one(&story, LEDGER_ALTERED, 40);
}

Test(ledger_judge, names_an_offset_that_reads_differently_twice)
{
    struct story story = {0};
    got(&story, 0);
    got(&story, 10);
    got(&story, 10)->crc = 1;
    check_one(&story, LEDGER_ALTERED, 10);
}

Test(ledger_judge, names_a_batch_that_lies_elsewhere_than_promised)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 90);
    struct ledger_record *moved = got(&story, 100);
    moved->sequence = 90;
    moved->crc = story.records[9].crc;
    check_one(&story, LEDGER_ALTERED, 90);
    cr_assert_eq(story.others[0], 100);
}

Test(ledger_judge, explains_what_brokers_do)
{
    struct story story = {0};
    send_ten(&story);
    story.records[6].flags = LEDGER_APPEND_TIME;
    get_ten_but(&story, -1);
    for (size_t i = 1; i < 7; i++) {
        story.records[10 + i].crc = 1;
    }
    story.records[11].attributes = BATCH_LOG_APPEND_TIME;
    story.records[12].attributes = 3; /* another codec */
    story.records[13].magic = 1;
    story.records[14].count = 4;
    story.records[15].attributes = BATCH_DELETE_HORIZON;
    story.records[16].attributes = BATCH_LOG_APPEND_TIME;
    check_none(&story);
    cr_assert_eq(story.verdict.explained[LEDGER_SAME], 4);
    cr_assert_eq(story.verdict.explained[LEDGER_LOG_APPEND_TIME], 2);
    cr_assert_eq(story.verdict.explained[LEDGER_RECOMPRESSED], 1);
    cr_assert_eq(story.verdict.explained[LEDGER_CONVERTED], 1);
    cr_assert_eq(story.verdict.explained[LEDGER_COMPACTED], 2);
}

/* Of a producer without an id another batch may lie there: as many records are not enough. */
Test(ledger_judge, explains_no_plain_batch_that_may_be_another)
{
    static const struct {
        uint16_t attributes;
        uint32_t length;
        int64_t max_timestamp;
        bool explained;
    } cases[] = {
        {BATCH_LOG_APPEND_TIME, 500, 1, true},
        {BATCH_LOG_APPEND_TIME, 501, 1, false},
        {BATCH_LOG_APPEND_TIME | 3, 400, 1, true},
        {3, 400, 0, true},
        {3, 400, 1, false},
        {BATCH_DELETE_HORIZON, 500, 0, true},
        {0, 500, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct story story = {0};
        plain(sent(&story, 40));
        struct ledger_record *r = plain(got(&story, 40));
        r->crc = 1;
        r->attributes = cases[i].attributes;
        r->length = cases[i].length;
        r->max_timestamp = t0 + cases[i].max_timestamp;
        if (cases[i].explained) {
            check_none(&story);
        } else {
            check_one(&story, LEDGER_ALTERED, 40);
        }
    }
}

Test(ledger_judge, takes_the_holes_of_a_compacted_log_for_compaction)
{
    struct story story = {0};
    send_ten(&story);
    get_ten_but(&story, 40);
    story.records[12].count = 3;
    story.records[12].crc = 5;
    check_none(&story);
    cr_assert_eq(story.verdict.explained[LEDGER_COMPACTED], 2);
}

/* The readings of an old log, or of an old reader, say nothing of other batches. */
Test(ledger_judge, excuses_by_conversion_only_what_was_read_converted)
{
    struct story story = {0};
    struct ledger_record *old = plain(got(&story, 0));
    old->magic = 1;
    old->span = old->count = 1;
    for (int64_t offset = 10; offset < 100; offset += 10) {
        sent(&story, offset);
    }
    for (int64_t offset = 10; offset < 100; offset += 10) {
        if (offset != 40) {
            got(&story, offset);
        }
    }
    check_one(&story, LEDGER_LOST, 40);
    cr_assert_eq(story.verdict.explained[LEDGER_CONVERTED], 0);
}

/* A compressed message has the offset of the last one in it. */
Test(ledger_judge, knows_a_converted_batch_by_a_message_within_it)
{
    struct story story = {0};
    send_ten(&story);
    story.records[6].span = 0; /* sent as an old one: its size is not known */
    story.records[6].magic = 1;
    for (int64_t offset = 0; offset < 100; offset += 10) {
        bool converted = offset == 0 || offset == 40 || offset == 60;
        struct ledger_record *r = got(&story, converted ? offset + 9 : offset);
        if (converted) {
            plain(r)->magic = 1;
            r->span = 0;
            r->count = -1;
        }
    }
    check_none(&story);
    cr_assert_eq(story.verdict.explained[LEDGER_CONVERTED], 3);
    cr_assert_eq(story.verdict.not_read, 0);
}

/* ---- reordered ---- */

static void swap_sequences(struct ledger_record *a, struct ledger_record *b)
{
    int32_t sequence = a->sequence;
    uint32_t crc = a->crc;
    a->sequence = b->sequence;
    a->crc = b->crc;
    b->sequence = sequence;
    b->crc = crc;
}

Test(ledger_judge, names_a_batch_behind_a_later_one)
{
    struct story story = {0};
    for (int64_t offset = 0; offset < 50; offset += 10) {
        got(&story, offset);
    }
    swap_sequences(&story.records[2], &story.records[3]);
    check_one(&story, LEDGER_REORDERED, 30);
}

Test(ledger_judge, knows_that_sequences_wrap_and_epochs_begin_anew)
{
    struct story story = {0};
    for (int64_t offset = 0; offset < 50; offset += 10) {
        got(&story, offset);
    }
    story.records[0].sequence = INT32_MAX - 9;
    story.records[1].sequence = 0;
    story.records[2].sequence = 10;
    story.records[3].epoch = 1;
    story.records[3].sequence = 0;
    story.records[4].producer_id = 6;
    story.records[4].sequence = 0;
    check_none(&story);
}

Test(ledger_judge, passes_over_control_batches)
{
    struct story story = {0};
    for (int64_t offset = 0; offset < 30; offset += 10) {
        sent(&story, offset);
        got(&story, offset);
    }
    for (int64_t offset = 30; offset < 33; offset++) {
        struct ledger_record *marker = got(&story, offset);
        marker->attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
        marker->sequence = -1;
        marker->span = marker->count = 1;
    }
    check_none(&story);
    cr_assert_eq(story.verdict.fetched_records, 30);
}

Test(ledger_judge, sees_a_reader_get_an_earlier_batch_after_a_later_one)
{
    struct story story = {0};
    got(&story, 10);
    got(&story, 0)->flags = LEDGER_BACKWARDS;
    check_one(&story, LEDGER_REORDERED, 0);
}

/* ---- in doubt ---- */

Test(ledger_judge, resolves_doubts_by_what_was_read_and_by_retries)
{
    struct story story = {0};
    send_ten(&story);
    doubt(&story, 50);  /* acknowledged at another try */
    doubt(&story, 100); /* written, the answer got lost */
    doubt(&story, 110); /* never written, as far as anybody knows */
    plain(doubt(&story, 0))->crc = 77;
    plain(doubt(&story, 0))->crc = 78;
    get_ten_but(&story, -1);
    got(&story, 100);
    plain(got(&story, 110))->crc = 77;
    judge(&story);
    cr_assert_eq(story.found, 2);
    cr_assert_eq(story.verdict.found[LEDGER_STILL_IN_DOUBT], 2);
    cr_assert_eq(story.verdict.resolved, 3);
}

Test(ledger_judge, makes_nothing_of_refusals)
{
    struct story story = {0};
    add(&story, LEDGER_REFUSED, -1)->error_code = 6;
    send_ten(&story);
    get_ten_but(&story, -1);
    check_none(&story);
    cr_assert_eq(story.verdict.batches[LEDGER_REFUSED], 1);
}
