/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/mapping_context.h"
#include "auth/mapping_private.h"
#include "auth/pattern.h"
#include "auth/principal.h"
#include "conf/config.h"

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

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

static void check_exact(struct build *build, const struct mapping_rule *rule)
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

static void compile_regex(struct build *build, struct mapping_rule *rule)
{
    struct pattern_error error;
    rule->pattern = pattern_compile(view_from_string(rule->conf->principal_regex), &error);
    if (rule->pattern == NULL) {
        conf_errors_add(build->errors, pattern_place(build, rule->conf),
                        "bad regular expression at its character %zu: %s", error.offset + 1,
                        error.text);
    }
}

/* ---- where it holds ---- */

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* "cluster=a|b": sorted, each name once. */
static void put_part(FILE *out, const char *part, const char *const *names, size_t count)
{
    if (count == 0) {
        return;
    }
    const char **sorted = allocate(count, sizeof(*sorted));
    memcpy(sorted, names, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_names);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(sorted[i - 1], sorted[i]) != 0) {
            fprintf(out, "%s%s", i > 0 ? "|" : part, sorted[i]);
        }
    }
    free(sorted);
}

static char *when_text(const struct conf_when *when)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        abort();
    }
    put_part(out, " cluster=", when->cluster, when->cluster_count);
    put_part(out, " generation=", when->generation, when->generation_count);
    put_part(out, " listener=", when->listener, when->listener_count);
    put_part(out, " mechanism=", when->mechanism, when->mechanism_count);
    if (fclose(out) != 0) {
        abort();
    }
    if (text[0] == ' ') {
        memmove(text, text + 1, strlen(text));
    }
    return text;
}

static void warn_if_never(const struct build *build, size_t i)
{
    const struct mapping *mapping = build->mapping;
    const struct conf_mapping *conf = mapping->rules[i].conf;
    if (conf->when.present && !mapping_context_shared(mapping, mapping->config, i, i)) {
        conf_errors_warn(build->errors, conf->when.place,
                         "the rule holds nowhere: no listener, cluster, generation and mechanism "
                         "go together like this (correct 'when')");
    }
}

static void build_rule(struct build *build, size_t i)
{
    struct mapping_rule *rule = &build->mapping->rules[i];
    rule->conf = &build->mapping->config->mapping[i];
    rule->when = when_text(&rule->conf->when);
    build->mapping->by_generation =
        build->mapping->by_generation || rule->conf->when.generation_count > 0;
    if (rule->conf->kind == CONF_MAPPING_EXACT) {
        check_exact(build, rule);
    } else if (rule->conf->kind == CONF_MAPPING_REGEX) {
        compile_regex(build, rule);
    }
    warn_if_never(build, i);
}

/* ---- what is ambiguous already ---- */

/* Whether the two would send a principal that both take to different certificates. */
static bool disagree(const struct mapping *mapping, size_t one, size_t other)
{
    return strcmp(mapping->rules[one].conf->certificate, mapping->rules[other].conf->certificate) !=
               0 &&
           mapping_context_shared(mapping, mapping->config, one, other);
}

/* false: the regex is too expensive to go on asking it. */
static bool refuse_conflict(struct build *build, size_t exact_rule, size_t i)
{
    const char *why = "";
    const struct mapping *mapping = build->mapping;
    const struct conf_mapping *exact = mapping->rules[exact_rule].conf;
    const struct conf_mapping *conf = mapping->rules[i].conf;
    const enum mapping_verdict verdict = mapping_ask(&mapping->rules[i], exact->principal, &why);
    if (verdict == MAPPING_FAILED) {
        conf_errors_add(build->errors, pattern_place(build, conf),
                        "%s on the principal of line %d (simplify it)", why, exact->place.line);
        return false;
    }
    if (verdict == MAPPING_YES && disagree(mapping, exact_rule, i)) {
        conf_errors_add(build->errors, pattern_place(build, conf),
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
        const struct mapping_rule *rule = &mapping->rules[i];
        bool more = rule->conf->kind == CONF_MAPPING_GLOB || rule->pattern != NULL;
        for (size_t j = 0; j < mapping->count && more; j++) {
            if (mapping->rules[j].conf->kind == CONF_MAPPING_EXACT) {
                more = refuse_conflict(build, j, i);
            }
        }
    }
}

static int compare_pattern(const struct conf_mapping *a, const struct conf_mapping *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return strcmp(a->pattern, b->pattern);
}

/* The same pattern in two rules that disagree where both hold. */
static void refuse_twins(struct build *build, const struct mapping_rule *const *sorted)
{
    const struct mapping *mapping = build->mapping;
    for (size_t i = 1; i < mapping->count; i++) {
        for (size_t j = i; j > 0 && compare_pattern(sorted[j - 1]->conf, sorted[i]->conf) == 0;
             j--) {
            const struct conf_mapping *other = sorted[j - 1]->conf, *conf = sorted[i]->conf;
            if (disagree(mapping, (size_t)(sorted[i] - mapping->rules),
                         (size_t)(sorted[j - 1] - mapping->rules))) {
                const bool later = conf > other;
                conf_errors_add(build->errors, pattern_place(build, later ? conf : other),
                                "line %d has another certificate for the same, and there are "
                                "connections for which both hold: they would always be refused "
                                "(let 'when' keep the two apart)",
                                (later ? other : conf)->place.line);
            }
        }
    }
}

/* ---- hash ---- */

static int compare_content(const void *left, const void *right)
{
    const struct mapping_rule *a = *(const struct mapping_rule *const *)left;
    const struct mapping_rule *b = *(const struct mapping_rule *const *)right;
    int order = compare_pattern(a->conf, b->conf);
    order = order != 0 ? order : strcmp(a->conf->certificate, b->conf->certificate);
    return order != 0 ? order : strcmp(a->when, b->when);
}

static const struct mapping_rule **sort_rules(const struct mapping *mapping)
{
    const struct mapping_rule **sorted =
        allocate(mapping->count, sizeof(const struct mapping_rule *));
    for (size_t i = 0; i < mapping->count; i++) {
        sorted[i] = &mapping->rules[i];
    }
    qsort(sorted, mapping->count, sizeof(const struct mapping_rule *), compare_content);
    return sorted;
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

static void hash_rules(struct mapping *mapping, const struct mapping_rule *const *sorted)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest == NULL || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1) {
        abort();
    }
    hash_string(digest, "setu mapping 2");
    for (size_t i = 0; i < mapping->count; i++) {
        hash_string(digest, mapping_kind_name((enum mapping_kind)sorted[i]->conf->kind));
        hash_string(digest, sorted[i]->conf->pattern);
        hash_string(digest, sorted[i]->when);
        hash_string(digest, sorted[i]->conf->certificate);
    }
    uint8_t hash[32];
    if (EVP_DigestFinal_ex(digest, hash, NULL) != 1) {
        abort();
    }
    for (size_t i = 0; i < sizeof(hash); i++) {
        snprintf(mapping->hash + 2 * i, 3, "%02x", hash[i]);
    }
    EVP_MD_CTX_free(digest);
}

/* ---- all of it ---- */

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
        build_rule(&build, i);
    }
    const struct mapping_rule **sorted = sort_rules(mapping);
    refuse_ambiguous(&build);
    refuse_twins(&build, sorted);
    hash_rules(mapping, sorted);
    free(sorted);
    if (errors->errors != before) {
        mapping_unref(&mapping);
    }
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
        free(gone->rules[i].when);
    }
    free(gone->rules);
    config_unref(&gone->config);
    free(gone);
}
