/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ledger_words: times, names and batches of the ledger as the commands print them. */
#pragma once

#include <stdint.h>

#include "proxy/cli/cli_out.h"
#include "proxy/ops/ledger_block.h"

enum { CLI_LEDGER_TIME_SIZE = 40 };

/* 2026-01-01T00:00:00.000Z, or "?" for what is no time; returns out. */
const char *cli_ledger_time(int64_t time_ms, char out[CLI_LEDGER_TIME_SIZE]);

/* A name from a file, for JSON. */
json_t *cli_ledger_text(struct view text);
/* The same for a terminal; returns out. */
const char *cli_ledger_safe(struct view text, char out[CLI_OUT_TEXT_SIZE]);

/* The offset of the last record; that of the first where the size is not known. */
int64_t cli_ledger_last_offset(const struct ledger_record *r);

void cli_ledger_set_number(json_t *to, const char *key, uint64_t number);
/* What every batch has. */
void cli_ledger_set_record(json_t *row, const struct ledger_record *r);

/* When, and how many of each kind. */
json_t *cli_ledger_gap_json(const struct ledger_gap *gap);
/* A line that says so. */
void cli_ledger_gap_print(const struct ledger_gap *gap);
