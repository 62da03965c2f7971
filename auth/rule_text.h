/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Kafka's two rule languages (rules.h, kerberos_name.h) have in common: a text that is read
 * from its front, the patterns and replacements that stand in it, and what is told of a bad rule.
 */
#pragma once

#include "auth/casing.h"
#include "auth/java_replacement.h"
#include "auth/pattern.h"
#include "auth/rule_fault.h"
#include "protocol/bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* Borrows all it names. */
struct rule_text {
    const char *text;
    size_t at, length;        /* at <= length */
    struct rule_fault *fault; /* filled by whatever returns false for a fault */
};

/* Takes the word if it comes next. */
bool rule_text_take(struct rule_text *it, const char *word);
/* Takes the "L" or "U" that comes next. */
enum casing rule_text_take_casing(struct rule_text *it);

/* A pattern of Java's, and what PCRE2 must not be asked of it. */
struct rule_pattern {
    struct pattern *pattern; /* owned, by pattern_free(); NULL = none was given */
    bool ignores_case;       /* only ASCII subjects are sure to match alike: others are BAD */
};

/* `part` is a piece of the text. false: a fault. */
__attribute__((warn_unused_result)) bool rule_text_pattern(struct rule_text *it, struct view part,
                                                           struct rule_pattern *pattern_r);
/* The caller's, by java_replacement_free(); NULL: a fault. */
__attribute__((warn_unused_result)) struct java_replacement *
rule_text_replacement(struct rule_text *it, struct view part, const struct rule_pattern *pattern,
                      enum java_strays strays);

/* As pattern_matches() and java_replace(). */
__attribute__((warn_unused_result)) enum pattern_status
rule_pattern_matches(const struct rule_pattern *pattern, struct view subject);
__attribute__((warn_unused_result)) enum pattern_status
rule_pattern_replace(const struct rule_pattern *pattern, const struct java_replacement *replacement,
                     bool all, struct view subject, struct writer *out);
