/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions with a price limit: the only caller of PCRE2.
 *
 * UTF is on, patterns have at most PATTERN_BYTES_MAX bytes, and every match has a fixed budget of
 * steps, depth and memory. Out of budget is its own answer, which every caller turns into a
 * refusal. The interpreter is used: JIT needs memory that is writable and executable.
 */
#pragma once

#include "protocol/bytes.h"

#include <stddef.h>

enum { PATTERN_BYTES_MAX = 4096, PATTERN_SUBJECT_BYTES_MAX = 8192, PATTERN_GROUPS_MAX = 99 };

struct pattern_error {
    size_t offset; /* byte offset in the pattern */
    char text[160];
};

enum pattern_status {
    PATTERN_MATCH,
    PATTERN_NO_MATCH,
    PATTERN_LIMIT, /* budget spent */
    PATTERN_BAD    /* the subject is not UTF-8 or too long */
};

/* Immutable once compiled; may be used by several threads at once. */
struct pattern;

/* NULL and `*error_r` filled when the text is not a pattern, too long, or starts with "(*". */
__attribute__((warn_unused_result)) struct pattern *pattern_compile(struct view text,
                                                                    struct pattern_error *error_r);
void pattern_free(struct pattern **pattern); /* NULL is allowed; sets NULL */

size_t pattern_groups(const struct pattern *pattern);
/* Number of the group called `name`, or 0. */
size_t pattern_group_named(const struct pattern *pattern, struct view name);

/* Does the pattern match the whole subject? Written anchors are not needed and do no harm. */
__attribute__((warn_unused_result)) enum pattern_status
pattern_matches(const struct pattern *pattern, struct view subject);

/* Where group i matched: spans[i]; group 0 is the whole match. length 0 and at NULL = not set. */
struct pattern_spans {
    struct view group[PATTERN_GROUPS_MAX + 1];
};

/* The first match that starts at byte `from` or later. */
__attribute__((warn_unused_result)) enum pattern_status pattern_find(const struct pattern *pattern,
                                                                     struct view subject,
                                                                     size_t from,
                                                                     struct pattern_spans *spans_r);
