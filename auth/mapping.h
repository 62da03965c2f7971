/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping: which certificate speaks for a principal, at a broker of a generation.
 *
 *   query ──▶ rules that hold there are asked ──▶ 0 certificates  UNMAPPED   deny: there is no default
 *             (exact, glob, regex)                1 certificate   MAPPED
 *                                                 2 or more       AMBIGUOUS  deny
 *                                                 a rule failed   ERROR      deny
 *
 * The order of rules in the file has no meaning. Several rules may match as long as all of them
 * name one certificate. A rule holds where its `when` says: by cluster, generation of the broker
 * dialled, listener and mechanism; where it does not hold it is not asked.
 *
 * What can be decided when the configuration is loaded is refused there: by conf the same pattern
 * twice and a certificate that is not configured, here a bad regex, an exact principal that is not
 * canonical, and one that another rule sends to another certificate where both hold.
 *
 *   glob   as conf/glob.h: '*' any run of bytes, '?' one byte, no escapes
 *   regex  PCRE2, UTF, always anchored at both ends, bounded in matches, depth and memory
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct config;
struct conf_errors;
struct conf_mapping;

enum {
    MAPPING_HASH_SIZE = 65, /* 64 lower-case hex digits and a NUL */
    MAPPING_NO_RULE = -1
};

enum mapping_outcome { MAPPING_MAPPED, MAPPING_UNMAPPED, MAPPING_AMBIGUOUS, MAPPING_ERROR };

enum mapping_kind { MAPPING_EXACT, MAPPING_GLOB, MAPPING_REGEX };

/*
 * Who asks, and for where. `principal` must be canonical (principal.h). NULL = not known: then a
 * rule that depends on that part does not hold.
 */
struct mapping_query {
    const char *principal;
    const char *cluster;
    const char *generation;
    const char *listener;
    const char *mechanism; /* "SCRAM-SHA-512", ...; "SSL" = a client certificate */
};

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
    const char *name; /* as written; "" = none */
    const char *when; /* mapping_when() */
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

/* Always fills *decision_r; true iff MAPPED. */
bool mapping_decide(const struct mapping *mapping, const struct mapping_query *query,
                    struct mapping_decision *decision_r);

/* The decision, and every rule in file order told to `step` on the way. `step` may be NULL. */
bool mapping_explain(const struct mapping *mapping, const struct mapping_query *query,
                     mapping_step_fn step, void *context, struct mapping_decision *decision_r);

/* Whether a decision may depend on the generation at all: some rule names one. */
bool mapping_by_generation(const struct mapping *mapping);

/*
 * SHA-256 over the canonical content: kind, pattern, `when` and certificate of every rule, sorted,
 * length prefixed. Order, comments, names, owners, tickets and line numbers do not change it;
 * anything that could change a decision does. 64 hex digits, lives as long as the mapping.
 */
const char *mapping_hash(const struct mapping *mapping);

size_t mapping_count(const struct mapping *mapping);

/* Rule i < mapping_count(), in file order. */
const struct conf_mapping *mapping_rule(const struct mapping *mapping, size_t rule);
/* Where it holds, one spelling for one meaning: "cluster=a|b generation=c"; "" = anywhere. */
const char *mapping_when(const struct mapping *mapping, size_t rule);
/* Whether the rule holds where the query is for; its pattern is not asked. */
bool mapping_holds(const struct mapping *mapping, size_t rule, const struct mapping_query *query);
/* Whether its pattern takes the principal; where it holds is not asked. */
enum mapping_verdict mapping_takes(const struct mapping *mapping, size_t rule,
                                   const char *principal);

const char *mapping_outcome_name(enum mapping_outcome outcome); /* "mapped", "unmapped", ... */
const char *mapping_kind_name(enum mapping_kind kind);          /* "exact", "glob", "regex" */
const char *mapping_verdict_name(enum mapping_verdict verdict); /* "yes", "no", "failed" */
