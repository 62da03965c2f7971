/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's ssl.principal.mapping.rules: from a distinguished name to a short name (KIP-371).
 *
 *   DEFAULT                          the whole DN
 *   RULE:pattern/replacement/[LU]    the pattern must match the WHOLE DN; then every match of it is
 *                                    replaced ($1, ${name}), then lower or upper case
 *
 * The first rule that matches gives the name.
 *
 * Parsed as Kafka 2.4 and later do ("\/" escapes). Patterns are java.util.regex on the broker and
 * PCRE2 here, so constructs the two read differently are refused when the rules are parsed.
 * Matching is bounded: a pattern that would run away ends in RULES_LIMIT: no principal.
 */
#pragma once

#include "auth/rule_fault.h"
#include "protocol/bytes.h"

#include <stddef.h>

enum {
    RULES_TEXT_MAX = 65536, /* bytes of rules text */
    RULES_COUNT_MAX = 256   /* rules in one text */
};

enum rules_status {
    RULES_OK,
    RULES_NO_MATCH, /* no rule applies; Kafka fails the login (NoMatchingRule) */
    RULES_LIMIT,    /* match, depth or heap limit reached */
    RULES_BAD       /* the name is not UTF-8, or the result does not fit */
};

/* Immutable after parsing; may be used by several threads at once. */
struct rules;

/* NULL and `*fault_r` filled on any fault. An empty text has no rules: nothing ever matches. */
__attribute__((warn_unused_result)) struct rules *rules_parse(struct view text,
                                                              struct rule_fault *fault_r);
void rules_free(struct rules **rules);

/*
 * Apply the rules to `dn`. On RULES_OK `out` is NUL-terminated and `*rule_r` (may be NULL) is the
 * index of the rule that matched, counted from 0 over the non-empty rules. Otherwise `out` is "".
 * A result that is empty is RULES_OK with "": principal_canonical refuses it later.
 */
__attribute__((warn_unused_result)) enum rules_status
rules_apply(const struct rules *rules, struct view dn, char *out, size_t capacity, size_t *rule_r);
size_t rules_count(const struct rules *rules);
