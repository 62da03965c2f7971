/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which edges a program has gone along, when it was built with SETU_COVERAGE (clang's sanitizer coverage). With
 * SETU_REACHED=FILE it writes, as it ends, a line for each edge: its address in the program's file, in hexadecimal, and
 * 1 when it was reached, else 0.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* As the compiler writes it: one for each flag. */
struct edge {
    uintptr_t address;
    uintptr_t kind;
};

extern const char __executable_start[]; /* the linker's */

void __sanitizer_cov_bool_flag_init(bool *start, bool *end);
void __sanitizer_cov_pcs_init(const struct edge *start, const struct edge *end);

static const bool *flags;
static const struct edge *edges;
static size_t count;

/* Every source file calls both, always with the same. */
void __sanitizer_cov_bool_flag_init(bool *start, bool *end)
{
    flags = start;
    count = (size_t)(end - start);
}

void __sanitizer_cov_pcs_init(const struct edge *start, const struct edge *end)
{
    (void)end;
    edges = start;
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("SETU_REACHED");
    FILE *out = path != NULL ? fopen(path, "w") : NULL;
    if (out == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%zx %d\n", edges[i].address - (uintptr_t)__executable_start, flags[i]);
    }
    fclose(out);
}
