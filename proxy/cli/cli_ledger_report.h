/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ledger_report: what `setu ledger verify` says: findings as they come, and the verdict with its reasons. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proxy/cli/cli_out.h"
#include "proxy/ops/ledger_verify.h"

struct cli_ledger_report {
    bool json;
    uint64_t listed, listed_max; /* findings */
    uint64_t gaps, damaged, killed;
    json_t *findings, *files, *gap_rows; /* owned */
};

void cli_ledger_report_begin(struct cli_ledger_report *report, bool json, uint64_t listed_max);
void cli_ledger_report_end(struct cli_ledger_report *report);

/* For ledger_verify_params; context is the report. */
void cli_ledger_report_finding(void *context, const struct ledger_finding *f);
void cli_ledger_report_file(void *context, const struct ledger_file *file);
void cli_ledger_report_gap(void *context, const struct ledger_gap *gap);

/* true: the verdict is clean. */
bool cli_ledger_report_print(const struct cli_ledger_report *report,
                             const struct ledger_verdict *v);
