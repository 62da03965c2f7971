/* SPDX-License-Identifier: Apache-2.0 */
/* What one rule, or one certificate's rules, show by themselves. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/mapping_lint_private.h"
#include "auth/mapping_usage.h"
#include "conf/config.h"

static const int64_t day_s = 86400;

static size_t rules_of(const struct lint *lint)
{
    return mapping_count(lint->params->mapping);
}

static const struct conf_mapping *rule_at(const struct lint *lint, size_t i)
{
    return mapping_rule(lint->params->mapping, i);
}

static bool same_principals(const struct conf_mapping *a, const struct conf_mapping *b)
{
    return a->kind == b->kind && strcmp(a->pattern, b->pattern) == 0;
}

/* ---- L01, L02 ---- */

/* The first rule before i with its certificate, for other principals; NULL = none. */
static const struct conf_mapping *other_principals(const struct lint *lint, size_t i)
{
    const struct conf_mapping *conf = rule_at(lint, i);
    for (size_t k = 0; k < i; k++) {
        const struct conf_mapping *other = rule_at(lint, k);
        if (strcmp(other->certificate, conf->certificate) == 0 && !same_principals(other, conf)) {
            return other;
        }
    }
    return NULL;
}

void lint_many_principals(const struct lint *lint)
{
    for (size_t i = 0; i < rules_of(lint); i++) {
        const struct conf_mapping *conf = rule_at(lint, i);
        const struct conf_mapping *other = other_principals(lint, i);
        if (other != NULL) {
            lint_rule(lint, MAPPING_LINT_L01, conf,
                      "certificate '%s' also speaks for '%s' of line %d (give each principal a "
                      "certificate of its own)",
                      conf->certificate, other->pattern, other->place.line);
        }
    }
}

/* A rule that sends principals of the exact or same one to another certificate elsewhere. */
static bool sends_elsewhere(const struct lint *lint, size_t i, size_t k)
{
    const struct conf_mapping *conf = rule_at(lint, i), *other = rule_at(lint, k);
    if (strcmp(conf->certificate, other->certificate) == 0) {
        return false;
    }
    if (same_principals(conf, other)) {
        return k < i;
    }
    return other->kind == CONF_MAPPING_EXACT && conf->kind != CONF_MAPPING_EXACT &&
           mapping_takes(lint->params->mapping, i, other->principal) == MAPPING_YES;
}

void lint_many_certificates(const struct lint *lint)
{
    for (size_t i = 0; i < rules_of(lint); i++) {
        const struct conf_mapping *conf = rule_at(lint, i);
        size_t k = 0;
        while (k < rules_of(lint) && !sends_elsewhere(lint, i, k)) {
            k++;
        }
        if (k < rules_of(lint)) {
            lint_rule(lint, MAPPING_LINT_L02, conf,
                      "'%s' is shown with certificate '%s' by line %d, and here with '%s' (let one "
                      "principal have one certificate)",
                      rule_at(lint, k)->pattern, rule_at(lint, k)->certificate,
                      rule_at(lint, k)->place.line, conf->certificate);
        }
    }
}

/* ---- L03, L04, L15 ---- */

/* Names that have nothing in common: who takes them all takes anybody. */
static bool takes_everybody(const struct lint *lint, size_t i)
{
    static const char *const strangers[] = {"q", "Zx 9~", "lint.8f3c1e77@Nowhere/host",
                                            "\xce\xa9-7"};
    for (size_t k = 0; k < sizeof strangers / sizeof *strangers; k++) {
        if (mapping_takes(lint->params->mapping, i, strangers[k]) != MAPPING_YES) {
            return false;
        }
    }
    return true;
}

void lint_patterns(const struct lint *lint)
{
    for (size_t i = 0; i < rules_of(lint); i++) {
        const struct conf_mapping *conf = rule_at(lint, i);
        if (conf->kind != CONF_MAPPING_EXACT && !takes_everybody(lint, i)) { /* that is L15 */
            lint_rule(lint, MAPPING_LINT_L03, conf,
                      "%s '%s' is whoever fits it (write a rule for each principal)",
                      conf->kind == CONF_MAPPING_GLOB ? "glob" : "regex", conf->pattern);
        }
    }
}

static bool is_anchored(const char *regex)
{
    const size_t length = strlen(regex);
    size_t escapes = 0;
    while (length >= escapes + 2 && regex[length - 2 - escapes] == '\\') {
        escapes++;
    }
    return regex[0] == '^' && regex[length - 1] == '$' && escapes % 2 == 0;
}

/* Where in Kafka's rules an expression begins with "anything": it then finds an attribute wherever
 * it stands, also inside the value of another one. NULL = nowhere. */
static const char *loose_rule(const char *rules)
{
    for (const char *at = strstr(rules, "RULE:"); at != NULL; at = strstr(at + 1, "RULE:")) {
        const char *pattern = at + 5;
        pattern += strspn(pattern, "^(");
        if (pattern[0] == '.' && (pattern[1] == '*' || pattern[1] == '+')) {
            return at;
        }
    }
    return NULL;
}

static void lint_name_rules(const struct lint *lint, const char *const *rules)
{
    const char *loose = loose_rule(*rules);
    if (loose != NULL) {
        lint_found(
            lint, MAPPING_LINT_L04, MAPPING_SEVERITY_ERROR, NULL,
            config_place(lint->params->config, rules),
            "'%.60s' takes an attribute wherever it stands: a subject with 'OU=team CN=admin' "
            "in it may become admin (begin the expression with the first attribute, as in "
            "^CN=([^,]+),)",
            loose);
    }
}

void lint_anchors(const struct lint *lint)
{
    const struct config *config = lint->params->config;
    for (size_t i = 0; i < rules_of(lint); i++) {
        const struct conf_mapping *conf = rule_at(lint, i);
        if (conf->kind == CONF_MAPPING_REGEX && !is_anchored(conf->pattern)) {
            lint_rule(lint, MAPPING_LINT_L04, conf,
                      "regex '%s' is matched as a whole and does not say so (write ^%s$)",
                      conf->pattern, conf->pattern);
        }
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        if (config->listeners[i].tls.present) {
            lint_name_rules(lint, &config->listeners[i].tls.principal_mapping_rules);
        }
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        for (size_t k = 0; k < config->clusters[i].generations_count; k++) {
            lint_name_rules(lint, &config->clusters[i].generations[k].ssl_principal_mapping_rules);
        }
    }
}

void lint_everybody(const struct lint *lint)
{
    for (size_t i = 0; i < rules_of(lint); i++) {
        const struct conf_mapping *conf = rule_at(lint, i);
        if (takes_everybody(lint, i)) {
            lint_rule(lint, MAPPING_LINT_L15, conf,
                      "'%s' takes everybody who can log in (name the principals)", conf->pattern);
        }
    }
}

/* ---- L12, L13 ---- */

static void day_text(int64_t now_s, char out[11])
{
    const time_t now = (time_t)now_s;
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL || strftime(out, 11, "%Y-%m-%d", &tm) == 0) {
        out[0] = '\0';
    }
}

void lint_answerable(const struct lint *lint)
{
    char today[11];
    day_text(lint->params->now_s, today);
    for (size_t i = 0; i < rules_of(lint); i++) {
        const struct conf_mapping *conf = rule_at(lint, i);
        const bool owner = conf->owner[0] != '\0', ticket = conf->ticket[0] != '\0';
        const bool review = conf->review_by[0] != '\0';
        if (!owner || !ticket || !review) {
            lint_rule(lint, MAPPING_LINT_L12, conf, "the rule has no%s%s%s (say who and why)",
                      owner ? "" : " owner", ticket ? "" : " ticket",
                      review ? "" : " day of review");
        } else if (strcmp(conf->review_by, today) < 0) {
            lint_rule(lint, MAPPING_LINT_L12, conf,
                      "the rule was to be looked at by %s (look, and set 'review_by' anew)",
                      conf->review_by);
        }
    }
}

void lint_unused(const struct lint *lint)
{
    const struct mapping_lint_params *params = lint->params;
    const int64_t since_ns = (params->now_s - params->unused_days * day_s) * 1000000000;
    if (params->usages == NULL) {
        lint_not_judged(lint, MAPPING_LINT_L13, params->no_usages);
        return;
    }
    if (params->usages->first_ns == 0 || params->usages->first_ns > since_ns) {
        lint_not_judged(lint, MAPPING_LINT_L13, "the audit log does not go back far enough");
        return;
    }
    for (size_t i = 0; i < rules_of(lint); i++) {
        const struct conf_mapping *conf = rule_at(lint, i);
        if (!conf->break_glass && !mapping_usages_since(params->usages, i, since_ns)) {
            lint_rule(lint, MAPPING_LINT_L13, conf,
                      "nobody was mapped by it in the last %u days (remove it)",
                      params->unused_days);
        }
    }
}
