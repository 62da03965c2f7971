/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping.h"

#include <assert.h>
#include <string.h>

#include "auth/mapping_private.h"
#include "auth/pattern.h"
#include "conf/config.h"
#include "conf/glob.h"

/* ---- one rule ---- */

enum mapping_verdict mapping_ask(const struct mapping_rule *rule, const char *principal,
                                 const char **why_r)
{
    const char *why = "";
    enum mapping_verdict verdict = MAPPING_NO;
    switch (rule->conf->kind) {
    case CONF_MAPPING_EXACT:
        verdict = strcmp(rule->conf->principal, principal) == 0 ? MAPPING_YES : MAPPING_NO;
        why = verdict == MAPPING_YES ? "equals" : "is another name";
        break;
    case CONF_MAPPING_GLOB:
        verdict = glob_matches(rule->conf->principal_glob, principal) ? MAPPING_YES : MAPPING_NO;
        why = verdict == MAPPING_YES ? "glob matches" : "glob does not match";
        break;
    case CONF_MAPPING_REGEX:
        switch (pattern_matches(rule->pattern, view_from_string(principal))) {
        case PATTERN_MATCH:
            verdict = MAPPING_YES;
            why = "regex matches the whole name";
            break;
        case PATTERN_NO_MATCH:
            why = "regex does not match the whole name";
            break;
        case PATTERN_LIMIT:
            verdict = MAPPING_FAILED;
            why = "regex spent its budget";
            break;
        case PATTERN_BAD:
            verdict = MAPPING_FAILED;
            why = "the name is not UTF-8";
            break;
        }
        break;
    }
    *why_r = why;
    return verdict;
}

static bool is_among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (name != NULL && strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return count == 0;
}

/* NULL: it holds there; else why not. */
static const char *why_not_there(const struct conf_when *when, const struct mapping_query *query)
{
    if (!is_among(when->cluster, when->cluster_count, query->cluster)) {
        return "does not hold for this cluster";
    }
    if (!is_among(when->generation, when->generation_count, query->generation)) {
        return "does not hold for this generation";
    }
    if (!is_among(when->listener, when->listener_count, query->listener)) {
        return "does not hold for this listener";
    }
    if (!is_among(when->mechanism, when->mechanism_count, query->mechanism)) {
        return "does not hold for this mechanism";
    }
    return NULL;
}

/* ---- deciding ---- */

static void point_at(struct mapping_decision *decision, const struct conf_mapping *conf, int rule)
{
    decision->rule = rule;
    decision->file = conf->place.file;
    decision->line = conf->place.line;
    decision->column = conf->place.column;
}

/* Take one more verdict into account. A failed rule outweighs everything: deny. */
static void weigh(struct mapping_decision *decision, const struct conf_mapping *conf, int rule,
                  enum mapping_verdict verdict)
{
    if (verdict == MAPPING_NO || decision->outcome == MAPPING_ERROR) {
        return;
    }
    if (verdict == MAPPING_FAILED) {
        decision->outcome = MAPPING_ERROR;
        decision->other_rule = MAPPING_NO_RULE;
        decision->other_line = 0;
        point_at(decision, conf, rule);
    } else if (decision->outcome == MAPPING_UNMAPPED) {
        decision->outcome = MAPPING_MAPPED;
        decision->certificate = conf->certificate;
        point_at(decision, conf, rule);
    } else if (decision->outcome == MAPPING_MAPPED &&
               strcmp(decision->certificate, conf->certificate) != 0) {
        decision->outcome = MAPPING_AMBIGUOUS;
        decision->other_rule = rule;
        decision->other_line = conf->place.line;
    }
}

/* Of a rule that is about other principals that is told, wherever it holds. */
static const char *why_not(const struct mapping_rule *rule, const struct mapping_query *query,
                           const char *why)
{
    const char *other = "";
    return mapping_ask(rule, query->principal, &other) == MAPPING_NO ? other : why;
}

static void tell(const struct mapping *mapping, size_t i, enum mapping_verdict verdict,
                 const char *why, mapping_step_fn step, void *context)
{
    const struct conf_mapping *conf = mapping->rules[i].conf;
    const struct mapping_step said = {
        .rule = (int)i,
        .file = conf->place.file,
        .line = conf->place.line,
        .column = conf->place.column,
        .name = conf->name,
        .when = mapping->rules[i].when,
        .kind = (enum mapping_kind)conf->kind,
        .pattern = conf->pattern,
        .certificate = conf->certificate,
        .verdict = verdict,
        .why = why,
    };
    step(context, &said);
}

bool mapping_explain(const struct mapping *mapping, const struct mapping_query *query,
                     mapping_step_fn step, void *context, struct mapping_decision *decision_r)
{
    *decision_r = (struct mapping_decision){
        .outcome = MAPPING_UNMAPPED,
        .rule = MAPPING_NO_RULE,
        .file = mapping->config->file,
        .other_rule = MAPPING_NO_RULE,
    };
    for (size_t i = 0; i < mapping->count; i++) {
        const struct conf_mapping *conf = mapping->rules[i].conf;
        const char *why = why_not_there(&conf->when, query);
        const enum mapping_verdict verdict =
            why != NULL ? MAPPING_NO : mapping_ask(&mapping->rules[i], query->principal, &why);
        weigh(decision_r, conf, (int)i, verdict);
        if (step != NULL) {
            if (verdict == MAPPING_NO) {
                why = why_not(&mapping->rules[i], query, why);
            }
            tell(mapping, i, verdict, why, step, context);
        } else if (decision_r->outcome == MAPPING_ERROR) {
            break; /* nothing can change it, and the next rule may be as expensive */
        }
    }
    if (decision_r->outcome != MAPPING_MAPPED) {
        decision_r->certificate = NULL;
    }
    return decision_r->outcome == MAPPING_MAPPED;
}

bool mapping_decide(const struct mapping *mapping, const struct mapping_query *query,
                    struct mapping_decision *decision_r)
{
    return mapping_explain(mapping, query, NULL, NULL, decision_r);
}

/* ---- questions ---- */

bool mapping_by_generation(const struct mapping *mapping)
{
    return mapping->by_generation;
}

const char *mapping_hash(const struct mapping *mapping)
{
    return mapping->hash;
}

size_t mapping_count(const struct mapping *mapping)
{
    return mapping->count;
}

const struct conf_mapping *mapping_rule(const struct mapping *mapping, size_t rule)
{
    return mapping->rules[rule].conf;
}

const char *mapping_when(const struct mapping *mapping, size_t rule)
{
    return mapping->rules[rule].when;
}

bool mapping_holds(const struct mapping *mapping, size_t rule, const struct mapping_query *query)
{
    return why_not_there(&mapping->rules[rule].conf->when, query) == NULL;
}

enum mapping_verdict mapping_takes(const struct mapping *mapping, size_t rule,
                                   const char *principal)
{
    const char *why = "";
    return mapping_ask(&mapping->rules[rule], principal, &why);
}

const char *mapping_outcome_name(enum mapping_outcome outcome)
{
    switch (outcome) {
    case MAPPING_MAPPED:
        return "mapped";
    case MAPPING_UNMAPPED:
        return "unmapped";
    case MAPPING_AMBIGUOUS:
        return "ambiguous";
    case MAPPING_ERROR:
        break;
    }
    return "error";
}

static_assert((int)MAPPING_EXACT == (int)CONF_MAPPING_EXACT &&
                  (int)MAPPING_GLOB == (int)CONF_MAPPING_GLOB &&
                  (int)MAPPING_REGEX == (int)CONF_MAPPING_REGEX,
              "the kinds of conf and of mapping are cast into each other");

const char *mapping_kind_name(enum mapping_kind kind)
{
    switch (kind) {
    case MAPPING_EXACT:
        return "exact";
    case MAPPING_GLOB:
        return "glob";
    case MAPPING_REGEX:
        break;
    }
    return "regex";
}

const char *mapping_verdict_name(enum mapping_verdict verdict)
{
    switch (verdict) {
    case MAPPING_NO:
        return "no";
    case MAPPING_YES:
        return "yes";
    case MAPPING_FAILED:
        break;
    }
    return "failed";
}
