/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_mark.h"

enum {
    SOON_MS = 61 * 1000, /* more than it takes a log to settle */
    SELDOM_MS = 16 * SOON_MS,
};

void ledger_mark_init(struct ledger_mark *mark)
{
    *mark = (struct ledger_mark){.end = -1, .low = -1, .after_ms = SOON_MS};
}

bool ledger_mark_tell(struct ledger_mark *mark, bool at_end, int64_t end, int64_t low,
                      int64_t time_ms, struct ledger_record *record_r)
{
    const int64_t since_ms = time_ms - mark->told_ms; /* a clock may be set back */
    const bool moved = at_end && end != mark->end;
    const bool again = at_end && !moved && (since_ms >= mark->after_ms || since_ms < 0);
    const bool trimmed = low > mark->low;
    if (!moved && !again && !trimmed) {
        return false;
    }
    mark->low = trimmed ? low : mark->low;
    if (at_end) {
        mark->end = end;
        mark->told_ms = time_ms;
        mark->after_ms = !again                        ? SOON_MS
                         : mark->after_ms >= SELDOM_MS ? SELDOM_MS
                                                       : mark->after_ms * 2;
    }
    *record_r = (struct ledger_record){
        .kind = LEDGER_MARK, .time_ms = time_ms, .offset = at_end ? end : -1, .low = low};
    return true;
}

void ledger_mark_acknowledged(struct ledger_mark *mark)
{
    mark->after_ms = SOON_MS;
}
