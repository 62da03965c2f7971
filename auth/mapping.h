/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping: which certificate speaks for a principal.
 *
 *   principal ──▶ every rule is asked ──▶ 0 certificates  UNMAPPED   deny: there is no default
 *                 (exact, glob, regex)    1 certificate   MAPPED
 *                                         2 or more       AMBIGUOUS  deny
 *                                         a rule failed   ERROR      deny
 *
 * The order of rules in the file has no meaning. Several rules may match as long as all of them
 * name one certificate. What can be decided when the configuration is loaded is refused there: by
 * conf the same pattern twice and a certificate that is not configured, here a bad regex, an exact
 * principal that is not canonical, and one that a glob or regex sends to another certificate.
 *
 *   glob   as conf/glob.h: '*' any run of bytes, '?' one byte, no escapes
 *   regex  PCRE2, UTF, always anchored at both ends, bounded in matches, depth and memory
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct config;
struct conf_errors;

enum {
    MAPPING_HASH_SIZE = 65, /* 64 lower-case hex digits and a NUL */
    MAPPING_NO_RULE = -1
};

enum mapping_outcome { MAPPING_MAPPED, MAPPING_UNMAPPED, MAPPING_AMBIGUOUS, MAPPING_ERROR };

enum mapping_kind { MAPPING_EXACT, MAPPING_GLOB, MAPPING_REGEX };

/* All pointers live as long as the mapping that gave them. */
struct mapping_decision {
    enum mapping_outcome outcome;
    /* MAPPED: first matching rule in file order. AMBIGUOUS: the first of the pair that disagrees.
     * ERROR: the rule that failed. UNMAPPED: MAPPING_NO_RULE, and line 0. */
    int rule;
    const char *file;
    int line, column;
    const char *certificate; /* MAPPED only, else NULL */
    int other_rule;          /* AMBIGUOUS: the rule that disagrees; else MAPPING_NO_RULE */
    int other_line;
};

enum mapping_verdict { MAPPING_NO, MAPPING_YES, MAPPING_FAILED };

/* One line of an explanation: what one rule said about one principal. */
struct mapping_step {
    int rule;
    const char *file;
    int line, column;
    enum mapping_kind kind;
    const char *pattern; /* as written */
    const char *certificate;
    enum mapping_verdict verdict;
    const char *why; /* constant sentence fragment: "equals", "glob does not match", ... */
};
typedef void (*mapping_step_fn)(void *context, const struct mapping_step *step);

/* Immutable, reference-counted (atomic), shared by all workers. */
struct mapping;

/*
 * Build from config->mapping; keeps a reference to `config`. On any error NULL, with one entry per
 * fault in `errors`. A configuration without rules gives a mapping that maps nothing.
 */
__attribute__((warn_unused_result)) struct mapping *mapping_build(const struct config *config,
                                                                  struct conf_errors *errors);
struct mapping *mapping_ref(struct mapping *mapping);
void mapping_unref(struct mapping **mapping); /* NULL is allowed; sets NULL */

/* `principal` must be canonical (principal.h). Always fills *decision_r; true iff MAPPED. */
bool mapping_decide(const struct mapping *mapping, const char *principal,
                    struct mapping_decision *decision_r);

/* The decision, and every rule in file order told to `step` on the way. `step` may be NULL. */
bool mapping_explain(const struct mapping *mapping, const char *principal, mapping_step_fn step,
                     void *context, struct mapping_decision *decision_r);

/*
 * SHA-256 over the canonical content: kind, pattern and certificate of every rule, sorted, length
 * prefixed. Order, comments, owners, tickets and line numbers do not change it; anything that could
 * change a decision does. 64 hex digits, lives as long as the mapping.
 */
const char *mapping_hash(const struct mapping *mapping);

size_t mapping_count(const struct mapping *mapping);
const char *mapping_outcome_name(enum mapping_outcome outcome); /* "mapped", "unmapped", ... */
const char *mapping_kind_name(enum mapping_kind kind);          /* "exact", "glob", "regex" */
