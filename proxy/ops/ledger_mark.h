/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_mark: when a reader is told of the ends of a log, is that worth a record?
 *
 *   the end has moved      a reader without records stands there            at once
 *   the beginning has      retention or DeleteRecords                       at once
 *   the end has not        a reader still stands there                      after 61 s, 2 min, 4 min, … 16 min
 *
 * The same end again is what proves that a tail is gone: only when a log ends before an acknowledged batch more than a
 * minute after its acknowledgement, no replica lags any more (ledger_judge). An idle partition is told of seldom, but
 * soon again after something has been acknowledged there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proxy/ops/ledger_record.h"

/* Of one partition; as a lane knows it. */
struct ledger_mark {
    int64_t end, low; /* as told last; -1: not yet */
    int64_t told_ms;  /* when the end was */
    int64_t after_ms; /* it is told again after so long */
};

void ledger_mark_init(struct ledger_mark *mark);

/**
 * A reader is told at time_ms that the log begins at low (-1: not told) and, where it got no records (at_end), that its
 * high watermark is end. true: *record_r is to be put.
 */
bool ledger_mark_tell(struct ledger_mark *mark, bool at_end, int64_t end, int64_t low,
                      int64_t time_ms, struct ledger_record *record_r);

/** A batch was acknowledged: the end is worth another look. */
void ledger_mark_acknowledged(struct ledger_mark *mark);
