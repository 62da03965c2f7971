/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <stdint.h>

#include "proxy/cli/cli_ledger_paths.h"
#include "proxy/cli/cli_ledger_report.h"

enum { OPTION_MEMORY, OPTION_FINDINGS, FINDINGS_MAX = 1000 };

const struct cli_option cli_ledger_verify_options[] = {
    [OPTION_MEMORY] = {"memory-bytes", "N", "how much records may take (default 1 GiB)"},
    [OPTION_FINDINGS] = {"findings-max", "N", "how many findings are listed (default 1000)"},
    {NULL, NULL, NULL},
};

static bool take_numbers(const struct cli_call *call, unsigned long *memory_r,
                         unsigned long *findings_r)
{
    const char *memory = call->values[OPTION_MEMORY], *findings = call->values[OPTION_FINDINGS];
    *memory_r = 0;
    *findings_r = FINDINGS_MAX;
    return (memory == NULL || cli_number(memory, 1, SIZE_MAX / 2, memory_r)) &&
           (findings == NULL || cli_number(findings, 0, UINT32_MAX, findings_r));
}

static int verify(const struct cli_call *call, const struct cli_ledger_paths *paths,
                  struct cli_ledger_report *report, size_t memory_bytes)
{
    struct ledger_verdict verdict;
    char error[512] = "";
    const struct ledger_verify_params params = {.paths = (const char *const *)paths->items,
                                                .path_count = paths->count,
                                                .listed_ms = paths->listed_ms,
                                                .memory_bytes = memory_bytes,
                                                .finding = cli_ledger_report_finding,
                                                .file = cli_ledger_report_file,
                                                .gap = cli_ledger_report_gap,
                                                .context = report};
    if (!ledger_verify(&params, &verdict, error, sizeof error)) {
        cli_error(call->verb, "%s", error);
        return CLI_USAGE;
    }
    return cli_ledger_report_print(report, &verdict) ? CLI_OK : CLI_NEGATIVE;
}

int cli_ledger_verify(const struct cli_call *call)
{
    struct cli_ledger_report report;
    unsigned long memory_bytes, findings_max;
    if (!take_numbers(call, &memory_bytes, &findings_max)) {
        return cli_usage_error(call->verb, "--memory-bytes and --findings-max are numbers");
    }
    cli_ledger_report_begin(&report, call->json, findings_max);
    struct cli_ledger_paths paths = cli_ledger_paths_of(call);
    int status = paths.failed ? CLI_USAGE : verify(call, &paths, &report, memory_bytes);
    cli_ledger_paths_free(&paths);
    cli_ledger_report_end(&report);
    return status;
}
