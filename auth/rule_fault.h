/* SPDX-License-Identifier: Apache-2.0 */
/* Where and why a text is no rule: what every reader of rules for names tells. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct rule_fault {
    size_t offset;  /* byte offset in the text that was read */
    char text[200]; /* what and how to fix it; NUL-terminated */
};

/* Fills *fault. Always false, so that a reader can end with it. */
__attribute__((format(printf, 3, 4))) bool rule_fault_set(struct rule_fault *fault, size_t offset,
                                                          const char *format, ...);
