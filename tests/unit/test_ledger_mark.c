/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_mark.h"

#include <criterion/criterion.h>

#include "proxy/ops/ledger_judge.h"

static const int64_t t0 = 1700000000000;

static struct ledger_mark mark;
static struct ledger_record told;

static bool at_end(int64_t end, int64_t time_ms)
{
    return ledger_mark_tell(&mark, true, end, 0, time_ms, &told);
}

static void setup(void)
{
    ledger_mark_init(&mark);
}

TestSuite(ledger_mark, .init = setup);

Test(ledger_mark, tells_of_what_has_moved_at_once)
{
    cr_assert(at_end(10, t0));
    cr_assert(told.kind == LEDGER_MARK && told.offset == 10 && told.low == 0 && told.time_ms == t0);
    cr_assert_not(at_end(10, t0 + 500));
    cr_assert(at_end(20, t0 + 1000));
    cr_assert(at_end(10, t0 + 1001), "back, too");
    cr_assert_not(ledger_mark_tell(&mark, false, 30, 0, t0 + 1002, &told), "it is not at the end");
    cr_assert(ledger_mark_tell(&mark, false, 30, 5, t0 + 1003, &told));
    cr_assert(told.offset == -1 && told.low == 5);
    cr_assert(ledger_mark_tell(&mark, true, 30, 5, t0 + 1004, &told), "now it is at the end");
}

Test(ledger_mark, repeats_an_end_soon_and_then_seldom)
{
    int64_t last_ms = 0;
    int count = 0;
    for (int64_t ms = 0; ms < 24 * 3600 * 1000; ms += 500) {
        if (at_end(10, t0 + ms)) {
            count++;
            cr_assert(count != 2 || (ms > 60 * 1000 && ms < 70 * 1000));
            last_ms = ms;
        }
    }
    cr_assert(count > 24 && count < 120, "%d in a day", count);
    cr_assert_gt(last_ms, 23 * 3600 * 1000);
    ledger_mark_acknowledged(&mark);
    cr_assert(at_end(10, t0 + last_ms + 61 * 1000), "something was acknowledged");
}

Test(ledger_mark, bears_a_clock_that_is_set_back)
{
    cr_assert(at_end(10, t0));
    cr_assert(at_end(10, t0 - 3600 * 1000));
    cr_assert_not(at_end(10, t0 - 3600 * 1000 + 500));
}

static size_t lost;

static void see(void *context, const struct ledger_finding *finding)
{
    (void)context;
    lost += finding->kind == LEDGER_LOST && finding->record->offset == 90 ? 1 : 0;
}

/* A broker acknowledges, dies, and its follower has not got it; nobody writes there any more. */
Test(ledger_mark, names_a_tail_that_is_gone)
{
    struct ledger_record records[16] = {0};
    const struct ledger_log log = {.partition = 0};
    const struct ledger_holes holes = {0};
    struct ledger_verdict verdict = {0};
    size_t count = 0;
    for (int64_t offset = 80; offset < 100; offset += 10) {
        records[count++] = (struct ledger_record){.kind = LEDGER_ACKNOWLEDGED,
                                                  .time_ms = t0,
                                                  .offset = offset,
                                                  .producer_id = 7,
                                                  .sequence = (int32_t)offset,
                                                  .span = 10,
                                                  .count = 10,
                                                  .magic = 2};
    }
    records[count] = records[0];
    records[count++].kind = LEDGER_FETCHED;
    for (int64_t ms = 100; ms < 600 * 1000 && count < 16; ms += 500) {
        count += ledger_mark_tell(&mark, true, 90, 0, t0 + ms, &records[count]) ? 1 : 0;
    }
    cr_assert(ledger_judge(&log, records, count, &holes, &verdict, see, NULL));
    cr_assert_eq(lost, 1);
    cr_assert_eq(verdict.found[LEDGER_LOST], 1);
    cr_assert_eq(verdict.not_yet_read, 0);
}
