/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping.h"

#include "auth/pattern.h"
#include "auth/principal.h"
#include "conf/config.h"
#include "conf/glob.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    const struct conf_mapping *conf;
    struct pattern *pattern; /* regex only */
};

struct mapping {
    atomic_size_t references;
    struct config *config; /* holds every string and place */
    struct rule *rules;    /* in file order, as config->mapping */
    size_t count;
    char hash[MAPPING_HASH_SIZE];
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* Building --------------------------------------------------------------------------------- */

struct build {
    struct mapping *mapping;
    struct conf_errors *errors;
};

static struct conf_place pattern_place(const struct build *build, const struct conf_mapping *conf)
{
    const struct config *config = build->mapping->config;
    switch (conf->kind) {
    case CONF_MAPPING_EXACT:
        return config_place(config, &conf->principal);
    case CONF_MAPPING_GLOB:
        return config_place(config, &conf->principal_glob);
    case CONF_MAPPING_REGEX:
        return config_place(config, &conf->principal_regex);
    }
    return conf->place;
}

static void check_exact(struct build *build, const struct rule *rule)
{
    char canonical[PRINCIPAL_SIZE];
    const enum principal_status status =
        principal_canonical(view_from_string(rule->conf->principal), canonical);
    if (status != PRINCIPAL_OK) {
        conf_errors_add(build->errors, pattern_place(build, rule->conf),
                        "the principal %s, so it can never log in (write the name as the client "
                        "sends it)",
                        principal_status_text(status));
    }
}

static void compile_regex(struct build *build, struct rule *rule)
{
    struct pattern_error error;
    rule->pattern = pattern_compile(view_from_string(rule->conf->principal_regex), &error);
    if (rule->pattern == NULL) {
        conf_errors_add(build->errors, pattern_place(build, rule->conf),
                        "bad regular expression at its character %zu: %s", error.offset + 1,
                        error.text);
    }
}

static void build_rule(struct build *build, struct rule *rule)
{
    const struct conf_mapping *conf = rule->conf;
    if (conf->kind == CONF_MAPPING_EXACT) {
        check_exact(build, rule);
    } else if (conf->kind == CONF_MAPPING_REGEX) {
        compile_regex(build, rule);
    }
}

static enum mapping_verdict ask(const struct rule *rule, const char *principal, const char **why_r)
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

/* false: the regex is too expensive to go on asking it. */
static bool refuse_conflict(struct build *build, const struct conf_mapping *exact,
                            const struct rule *rule)
{
    const char *why = "";
    const enum mapping_verdict verdict = ask(rule, exact->principal, &why);
    if (verdict == MAPPING_FAILED) {
        conf_errors_add(build->errors, pattern_place(build, rule->conf),
                        "%s on the principal of line %d (simplify it)", why, exact->place.line);
        return false;
    }
    if (verdict == MAPPING_YES && strcmp(exact->certificate, rule->conf->certificate) != 0) {
        conf_errors_add(build->errors, pattern_place(build, rule->conf),
                        "also matches principal \"%s\" of line %d, which has another certificate: "
                        "it would always be refused (make the pattern narrower)",
                        exact->principal, exact->place.line);
    }
    return true;
}

/* What is ambiguous for a name that stands in the file is known now. */
static void refuse_ambiguous(struct build *build)
{
    const struct mapping *mapping = build->mapping;
    for (size_t i = 0; i < mapping->count; i++) {
        const struct rule *rule = &mapping->rules[i];
        bool more = rule->conf->kind == CONF_MAPPING_GLOB || rule->pattern != NULL;
        for (size_t j = 0; j < mapping->count && more; j++) {
            const struct conf_mapping *exact = mapping->rules[j].conf;
            if (exact->kind == CONF_MAPPING_EXACT) {
                more = refuse_conflict(build, exact, rule);
            }
        }
    }
}

static int compare_content(const void *left, const void *right)
{
    const struct conf_mapping *a = *(const struct conf_mapping *const *)left;
    const struct conf_mapping *b = *(const struct conf_mapping *const *)right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    const int order = strcmp(a->pattern, b->pattern);
    return order != 0 ? order : strcmp(a->certificate, b->certificate);
}

static void hash_string(EVP_MD_CTX *digest, const char *text)
{
    const size_t length = strlen(text);
    uint8_t prefix[4];
    bytes_store_u32(prefix, (uint32_t)length);
    if (EVP_DigestUpdate(digest, prefix, sizeof(prefix)) != 1 ||
        EVP_DigestUpdate(digest, text, length) != 1) {
        abort();
    }
}

static void hash_rules(struct mapping *mapping)
{
    const struct conf_mapping **sorted = allocate(mapping->count, sizeof(*sorted));
    for (size_t i = 0; i < mapping->count; i++) {
        sorted[i] = mapping->rules[i].conf;
    }
    qsort(sorted, mapping->count, sizeof(*sorted), compare_content);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest == NULL || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1) {
        abort();
    }
    hash_string(digest, "setu mapping 1");
    for (size_t i = 0; i < mapping->count; i++) {
        hash_string(digest, mapping_kind_name((enum mapping_kind)sorted[i]->kind));
        hash_string(digest, sorted[i]->pattern);
        hash_string(digest, sorted[i]->certificate);
    }
    uint8_t hash[32];
    if (EVP_DigestFinal_ex(digest, hash, NULL) != 1) {
        abort();
    }
    for (size_t i = 0; i < sizeof(hash); i++) {
        snprintf(mapping->hash + 2 * i, 3, "%02x", hash[i]);
    }
    EVP_MD_CTX_free(digest);
    free(sorted);
}

struct mapping *mapping_build(const struct config *config, struct conf_errors *errors)
{
    struct mapping *mapping = allocate(1, sizeof(*mapping));
    atomic_init(&mapping->references, 1);
    mapping->config = config_ref(config);
    mapping->count = config->mapping_count;
    mapping->rules = allocate(mapping->count, sizeof(*mapping->rules));
    struct build build = {.mapping = mapping, .errors = errors};
    const size_t before = errors->errors;
    for (size_t i = 0; i < mapping->count; i++) {
        mapping->rules[i].conf = &config->mapping[i];
        build_rule(&build, &mapping->rules[i]);
    }
    refuse_ambiguous(&build);
    if (errors->errors != before) {
        mapping_unref(&mapping);
        return NULL;
    }
    hash_rules(mapping);
    return mapping;
}

struct mapping *mapping_ref(struct mapping *mapping)
{
    atomic_fetch_add_explicit(&mapping->references, 1, memory_order_relaxed);
    return mapping;
}

void mapping_unref(struct mapping **mapping)
{
    struct mapping *gone = *mapping;
    *mapping = NULL;
    if (gone == NULL ||
        atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < gone->count; i++) {
        pattern_free(&gone->rules[i].pattern);
    }
    free(gone->rules);
    config_unref(&gone->config);
    free(gone);
}

/* Deciding --------------------------------------------------------------------------------- */

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

bool mapping_explain(const struct mapping *mapping, const char *principal, mapping_step_fn step,
                     void *context, struct mapping_decision *decision_r)
{
    *decision_r = (struct mapping_decision){
        .outcome = MAPPING_UNMAPPED,
        .rule = MAPPING_NO_RULE,
        .file = mapping->config->file,
        .other_rule = MAPPING_NO_RULE,
    };
    for (size_t i = 0; i < mapping->count; i++) {
        const struct conf_mapping *conf = mapping->rules[i].conf;
        const char *why = "";
        const enum mapping_verdict verdict = ask(&mapping->rules[i], principal, &why);
        weigh(decision_r, conf, (int)i, verdict);
        if (step != NULL) {
            const struct mapping_step said = {
                .rule = (int)i,
                .file = conf->place.file,
                .line = conf->place.line,
                .column = conf->place.column,
                .kind = (enum mapping_kind)conf->kind,
                .pattern = conf->pattern,
                .certificate = conf->certificate,
                .verdict = verdict,
                .why = why,
            };
            step(context, &said);
        } else if (decision_r->outcome == MAPPING_ERROR) {
            break; /* nothing can change it, and the next rule may be as expensive */
        }
    }
    if (decision_r->outcome != MAPPING_MAPPED) {
        decision_r->certificate = NULL;
    }
    return decision_r->outcome == MAPPING_MAPPED;
}

bool mapping_decide(const struct mapping *mapping, const char *principal,
                    struct mapping_decision *decision_r)
{
    return mapping_explain(mapping, principal, NULL, NULL, decision_r);
}

const char *mapping_hash(const struct mapping *mapping)
{
    return mapping->hash;
}

size_t mapping_count(const struct mapping *mapping)
{
    return mapping->count;
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
