/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_reading: what was read of one partition, and where readers were told that its log begins and ends. */
#pragma once

#include "proxy/ops/ledger_case.h"

/* Marks, sorted by time: each now tells the highest beginning of the log so far, and the highest end from then on. */
void ledger_reading_note_marks(struct ledger_case *c);

/* One reading for each offset; what is wrong with what was read is told. */
void ledger_reading_judge(struct ledger_case *c);

/* How many readings have an offset that is not above `offset`. */
size_t ledger_reading_until(const struct ledger_case *c, int64_t offset);

/* The reading with the highest offset that is not above `offset`, or NULL. */
const struct ledger_record *ledger_reading_at(const struct ledger_case *c, int64_t offset);

/* When a reader was first beyond offset; INT64_MAX: never. */
int64_t ledger_reading_passed_ms(const struct ledger_case *c, int64_t offset);

/* The log began above offset when a reader first passed it. */
bool ledger_reading_has_expired(const struct ledger_case *c, int64_t offset, int64_t passed_ms);

/*
 * It was read, and is not in the log any more: longer than it takes a log to settle, readers who were told after all
 * who read it were told of an end before it. Retention does not move the end.
 */
bool ledger_reading_was_cut_off(const struct ledger_case *c, const struct ledger_record *there);
