/* SPDX-License-Identifier: Apache-2.0 */
/* check: what must hold inside Setu after each turn and at the end of a run; which states and reasons were met. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct worker;

/** Before a run. */
void check_begin(const struct worker *worker);

/** After a turn of the loop. */
void check_turn(void);

/** The loop has ended; the worker still is. */
void check_end(void);

/** Which states, moves, reasons and things seen.def lists were met over all runs, and which never. */
void check_print_coverage(FILE *out);
