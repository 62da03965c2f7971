/* SPDX-License-Identifier: Apache-2.0 */
/* What rules and names show when they are held against each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/casing.h"
#include "auth/credentials.h"
#include "auth/mapping_context.h"
#include "auth/mapping_lint_private.h"
#include "auth/principal.h"
#include "conf/config.h"
#include "conf/glob.h"

static const struct conf_mapping *rule_at(const struct lint *lint, size_t i)
{
    return mapping_rule(lint->params->mapping, i);
}

/* ---- L05 ---- */

/* Whether some principal fits both; of two expressions nobody can say. */
static bool patterns_meet(const struct lint *lint, size_t one, size_t other)
{
    const struct mapping *mapping = lint->params->mapping;
    const struct conf_mapping *a = rule_at(lint, one), *b = rule_at(lint, other);
    if (a->kind == b->kind && strcmp(a->pattern, b->pattern) == 0) {
        return true;
    }
    if (a->kind == CONF_MAPPING_EXACT) {
        return mapping_takes(mapping, other, a->principal) == MAPPING_YES;
    }
    if (b->kind == CONF_MAPPING_EXACT) {
        return mapping_takes(mapping, one, b->principal) == MAPPING_YES;
    }
    return a->kind == CONF_MAPPING_GLOB && b->kind == CONF_MAPPING_GLOB &&
           glob_meets(a->pattern, b->pattern);
}

static void lint_pair(const struct lint *lint, size_t one, size_t other)
{
    const struct conf_mapping *a = rule_at(lint, one), *b = rule_at(lint, other);
    if ((a->kind == CONF_MAPPING_EXACT && b->kind == CONF_MAPPING_EXACT &&
         strcmp(a->principal, b->principal) != 0) ||
        !patterns_meet(lint, one, other) ||
        !mapping_context_shared(lint->params->mapping, lint->params->config, one, other)) {
        return;
    }
    if (strcmp(a->certificate, b->certificate) == 0) {
        lint_rule(lint, MAPPING_LINT_L05, b,
                  "'%s' and '%s' of line %d take the same principals to the same certificate (keep "
                  "one)",
                  b->pattern, a->pattern, a->place.line);
    } else {
        lint_found(lint, MAPPING_LINT_L05, MAPPING_SEVERITY_ERROR, b, b->place,
                   "who fits both '%s' and '%s' of line %d is refused: their certificates differ "
                   "(make one narrower)",
                   b->pattern, a->pattern, a->place.line);
    }
}

/* Of a user that exists it can be tried, also with expressions. */
static void lint_user(const struct lint *lint, const char *user)
{
    struct mapping_context context;
    char principal[PRINCIPAL_SIZE];
    if (principal_canonical(view_from_string(user), principal) != PRINCIPAL_OK) {
        return;
    }
    mapping_context_begin(&context, lint->params->config, NULL);
    while (mapping_context_next(&context)) {
        struct mapping_decision decision;
        const struct mapping_query query = mapping_context_query(&context, principal);
        if (!mapping_decide(lint->params->mapping, &query, &decision) &&
            decision.outcome != MAPPING_UNMAPPED) {
            const struct conf_mapping *conf = rule_at(lint, (size_t)decision.rule);
            char why[80] = "the expression spends its budget on the name";
            if (decision.outcome == MAPPING_AMBIGUOUS) {
                snprintf(why, sizeof why, "line %d names another certificate", decision.other_line);
            }
            lint_found(lint, MAPPING_LINT_L05, MAPPING_SEVERITY_ERROR, conf, conf->place,
                       "user '%s' is refused: %s (make the rule narrower, or simpler)", user, why);
            return;
        }
    }
}

void lint_overlaps(const struct lint *lint)
{
    const size_t count = mapping_count(lint->params->mapping);
    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            lint_pair(lint, k, i);
        }
    }
    const struct credentials *users = lint->params->users;
    for (size_t i = 0; users != NULL && i < credentials_count(users); i++) {
        lint_user(lint, credentials_name(users, i));
    }
}

/* ---- L17 ---- */

/* One text for names that differ in case only. What looks the same in another way is no principal
 * at all (principal.h). */
struct look {
    char folded[2 * PRINCIPAL_SIZE];
    const char *name;
    const struct conf_mapping *conf; /* NULL: of the users file */
};

static void fold(const char *name, char *out, size_t size)
{
    struct writer writer;
    writer_init_fixed(&writer, out, size - 1);
    if (!casing_apply(CASING_LOWER, view_from_string(name), &writer) || !writer_ok(&writer)) {
        snprintf(out, size, "%s", name);
        return;
    }
    out[writer.length] = '\0';
}

static int compare_looks(const void *left, const void *right)
{
    const struct look *a = left, *b = right;
    const int order = strcmp(a->folded, b->folded);
    return order != 0 ? order : strcmp(a->name, b->name);
}

static size_t gather(const struct lint *lint, struct look *looks)
{
    size_t count = 0;
    for (size_t i = 0; i < mapping_count(lint->params->mapping); i++) {
        if (rule_at(lint, i)->kind == CONF_MAPPING_EXACT) {
            looks[count++] =
                (struct look){.name = rule_at(lint, i)->principal, .conf = rule_at(lint, i)};
        }
    }
    const struct credentials *users = lint->params->users;
    for (size_t i = 0; users != NULL && i < credentials_count(users); i++) {
        looks[count++] = (struct look){.name = credentials_name(users, i)};
    }
    for (size_t i = 0; i < count; i++) {
        fold(looks[i].name, looks[i].folded, sizeof looks[i].folded);
    }
    qsort(looks, count, sizeof *looks, compare_looks);
    return count;
}

static void lint_alike(const struct lint *lint, const struct look *a, const struct look *b)
{
    const struct conf_mapping *conf = b->conf != NULL ? b->conf : a->conf;
    const struct conf_place place =
        conf != NULL ? conf->place
                     : config_place(lint->params->config, &lint->params->config->users.file);
    lint_found(lint, MAPPING_LINT_L17, MAPPING_SEVERITY_WARNING, conf, place,
               "'%s' and '%s' are two principals (rename one)", a->name, b->name);
}

void lint_lookalikes(const struct lint *lint)
{
    const size_t users = lint->params->users != NULL ? credentials_count(lint->params->users) : 0;
    struct look *looks = calloc(mapping_count(lint->params->mapping) + users + 1, sizeof *looks);
    if (looks == NULL) {
        abort();
    }
    const size_t count = gather(lint, looks);
    for (size_t i = 0; i < count; i++) {
        const bool again = i > 0 && strcmp(looks[i - 1].name, looks[i].name) == 0;
        if (i > 0 && !again && strcmp(looks[i - 1].folded, looks[i].folded) == 0) {
            lint_alike(lint, &looks[i - 1], &looks[i]);
        }
    }
    free(looks);
}
