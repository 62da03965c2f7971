/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What java.util.regex.Matcher puts in the place of a match: text as it is, $n or ${name} for what
 * a group matched, \x for x. Used by both of Kafka's rule languages (rules.h, kerberos_name.h).
 */
#pragma once

#include "auth/pattern.h"
#include "auth/rule_fault.h"
#include "protocol/bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* A "$n" for which the pattern has no group. */
enum java_strays {
    JAVA_STRAYS_REFUSED, /* Java fails when it gets there: a fault at once */
    JAVA_STRAYS_LITERAL  /* Kafka's SslPrincipalMapper takes the first one literally */
};

/* Immutable; may be used by several threads at once. */
struct java_replacement;

/* `text` must be valid UTF-8 and is copied. NULL and *fault_r, its offset in `text`, on any fault.
 * Aborts without memory. */
__attribute__((warn_unused_result)) struct java_replacement *
java_replacement_parse(struct view text, const struct pattern *pattern, enum java_strays strays,
                       struct rule_fault *fault_r);
void java_replacement_free(struct java_replacement **replacement); /* NULL is allowed; sets NULL */

/*
 * Java's replaceAll, or replaceFirst with `all` false. The result is appended to `out`, also when
 * nothing matched. PATTERN_MATCH when it is done (look at writer_ok), else LIMIT or BAD and `out` is
 * void. Java counts UTF-16 units, so an empty match before a character beyond U+FFFF would split
 * it: PATTERN_BAD.
 */
__attribute__((warn_unused_result)) enum pattern_status
java_replace(const struct pattern *pattern, const struct java_replacement *replacement, bool all,
             struct view subject, struct writer *out);
