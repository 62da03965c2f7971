/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ledger_paths: the files that a command about the ledger is asked for: operands, and what lies in folders. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_call;

struct cli_ledger_paths {
    char **items; /* owned, each of them */
    size_t count;
    int64_t listed_ms; /* before the first folder was looked into */
    bool failed;       /* and it has been said why */
};

/* Of a folder, its *.ledger files, -2 before -10. */
struct cli_ledger_paths cli_ledger_paths_of(const struct cli_call *call);
void cli_ledger_paths_free(struct cli_ledger_paths *paths);
