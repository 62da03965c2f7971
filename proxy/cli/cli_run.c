/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include "proxy/cli/cli_failure.h"
#include "proxy/process.h"

enum { STATS_FILE, TAKEOVER };

const struct cli_option cli_run_options[] = {
    [STATS_FILE] = {"stats-file", "FILE", "rewrite FILE every second with the counters"},
    [TAKEOVER] = {"takeover", NULL, "take over from the process that runs with FILE"},
    {NULL, NULL, NULL},
};

int cli_run(const struct cli_call *call)
{
    struct run_options options = {.config_file = call->config_file,
                                  .stats_file = call->values[STATS_FILE],
                                  .takeover = call->values[TAKEOVER] != NULL,
                                  .problems = cli_problems};
    const int status = process_run(&options);
    if (status == CLI_NEGATIVE) {
        cli_failure_keep(NULL, 0, "it could not start, or not end in order; the log says why");
    }
    return status;
}
