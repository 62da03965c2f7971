/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_ledger_paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proxy/cli/cli.h"
#include "proxy/ops/ledger_output.h"

static void paths_add(struct cli_ledger_paths *paths, const char *folder, const char *name)
{
    char **grown = realloc(paths->items, (paths->count + 1) * sizeof(char *));
    if (grown == NULL) {
        abort();
    }
    paths->items = grown;
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name) < 0) {
        abort();
    }
    paths->items[paths->count++] = path;
}

static int is_ledger_name(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 7 && strcmp(entry->d_name + length - 7, ".ledger") == 0;
}

static void paths_add_operand(struct cli_ledger_paths *paths, const struct cli_call *call,
                              const char *name)
{
    struct stat st;
    struct dirent **entries = NULL;
    if (stat(name, &st) != 0 || !S_ISDIR(st.st_mode)) {
        paths_add(paths, "", name);
        return;
    }
    int count = scandir(name, &entries, is_ledger_name, versionsort);
    if (count <= 0) {
        cli_error_at(call->verb, name, 0, "%s: %s", name,
                     count < 0 ? strerror(errno) : "there is no *.ledger file");
        paths->failed = true;
    }
    for (int i = 0; i < count; i++) {
        paths_add(paths, name, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

struct cli_ledger_paths cli_ledger_paths_of(const struct cli_call *call)
{
    struct cli_ledger_paths paths = {.listed_ms = ledger_output_wall_ms()};
    for (int i = 0; i < call->operand_count; i++) {
        paths_add_operand(&paths, call, call->operands[i]);
    }
    return paths;
}

void cli_ledger_paths_free(struct cli_ledger_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        free(paths->items[i]);
    }
    free(paths->items);
}
