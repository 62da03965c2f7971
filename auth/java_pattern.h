/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a java.util.regex pattern mean the same to PCRE2?
 *
 * The two share a large common language. Outside of it they differ silently: "[a&&b]" and "[a[b]]"
 * are set operations in Java, "\b" depends on the version of Java, "(?i)" folds ASCII only, "{"
 * alone is an error, "(?R)" unknown. A rule that would name one principal here and another on the
 * broker is worse than none, so what is not surely common is refused, with a way to write it.
 */
#pragma once

#include "protocol/bytes.h"

#include <stdbool.h>
#include <stddef.h>

struct java_pattern_error {
    size_t offset;    /* byte offset in the pattern */
    const char *text; /* constant: what and how to write it */
};

/* What the caller has to watch when it matches. */
struct java_pattern {
    bool ignores_case; /* has (?i): only ASCII subjects are sure to match alike */
};

/* false: *error_r says what is not common. `text` must be valid UTF-8. */
__attribute__((warn_unused_result)) bool java_pattern_check(struct view text,
                                                            struct java_pattern *pattern_r,
                                                            struct java_pattern_error *error_r);
