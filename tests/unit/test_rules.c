/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rules.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum wanted { OK, NO_MATCH, BAD_RULES };

static const struct vector {
    const char *rules, *name;
    enum wanted wanted;
    const char *result;
} vectors[] = {
#define VECTOR(rules, name, wanted, result) {rules, name, wanted, result},
#include "tests/unit/vectors/rules_vectors.def"
#undef VECTOR
};

enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static struct rules *parse(const char *text, struct rule_fault *error)
{
    return rules_parse(view_from_string(text), error);
}

static enum rules_status apply(const char *text, const char *name, char *out, size_t capacity,
                               size_t *rule)
{
    struct rule_fault error;
    struct rules *rules = parse(text, &error);
    cr_assert_not_null(rules, "%s: %zu: %s", text, error.offset, error.text);
    const enum rules_status status =
        rules_apply(rules, view_from_string(name), out, capacity, rule);
    rules_free(&rules);
    cr_assert_null(rules);
    return status;
}

Test(rules, name_what_kafka_names)
{
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *vector = &vectors[i];
        struct rule_fault error;
        struct rules *rules = parse(vector->rules, &error);
        cr_assert_eq(rules == NULL, vector->wanted == BAD_RULES, "%s: %s", vector->rules,
                     error.text);
        if (rules == NULL) {
            cr_assert_gt(strlen(error.text), 0);
            cr_assert_leq(error.offset, strlen(vector->rules));
            continue;
        }
        char out[512] = "dirty";
        const enum rules_status status =
            rules_apply(rules, view_from_string(vector->name), out, sizeof(out), NULL);
        cr_assert_eq(status, vector->wanted == OK ? RULES_OK : RULES_NO_MATCH, "%s | %s",
                     vector->rules, vector->name);
        cr_assert_str_eq(out, vector->result, "%s | %s", vector->rules, vector->name);
        rules_free(&rules);
    }
}

Test(rules, the_rule_that_matched_is_told)
{
    char out[64];
    size_t rule = 99;
    cr_assert_eq(apply("RULE:^a$/x/, ,RULE:^b$/y/,DEFAULT", "b", out, sizeof(out), &rule),
                 RULES_OK);
    cr_assert_eq(rule, 1);
    cr_assert_eq(apply("RULE:^a$/x/, ,RULE:^b$/y/,DEFAULT", "c", out, sizeof(out), &rule),
                 RULES_OK);
    cr_assert_eq(rule, 2);
}

Test(rules, every_prefix_parses_or_is_refused_with_a_place)
{
    for (size_t i = 0; i < VECTORS; i++) {
        const size_t length = strlen(vectors[i].rules);
        for (size_t cut = 0; cut < length; cut++) {
            uint8_t *prefix = malloc(cut == 0 ? 1 : cut);
            memcpy(prefix, vectors[i].rules, cut);
            struct rule_fault error;
            struct rules *rules = rules_parse(view_of(prefix, cut), &error);
            cr_assert(rules != NULL || (error.text[0] != '\0' && error.offset <= cut));
            rules_free(&rules);
            free(prefix);
        }
    }
}

Test(rules, a_result_that_does_not_fit_is_no_name)
{
    char out[8];
    cr_assert_eq(apply("DEFAULT", "1234567", out, sizeof(out), NULL), RULES_OK);
    cr_assert_str_eq(out, "1234567");
    cr_assert_eq(apply("DEFAULT", "12345678", out, sizeof(out), NULL), RULES_BAD);
    cr_assert_str_eq(out, "");
    cr_assert_eq(apply("RULE:(.)/$1$1$1$1$1$1$1$1/", "a", out, sizeof(out), NULL), RULES_BAD);
    cr_assert_eq(apply("DEFAULT", "a", out, 0, NULL), RULES_BAD);
}

/* T60 */
Test(rules, a_runaway_pattern_ends_in_no_name)
{
    char out[64], name[67];
    memset(name, 'a', 64);
    memcpy(name + 64, "cb", 3);
    cr_assert_eq(apply("RULE:^(a+)+b$/x/,DEFAULT", name, out, sizeof(out), NULL), RULES_LIMIT);
    cr_assert_str_eq(out, "");
    cr_assert_eq(apply("RULE:^(a|aa)+$/x/,DEFAULT", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
                       out, sizeof(out), NULL),
                 RULES_LIMIT);
}

Test(rules, doubtful_names_are_refused)
{
    char out[64];
    cr_assert_eq(apply("DEFAULT", "\xff", out, sizeof(out), NULL), RULES_BAD);
    cr_assert_eq(apply("RULE:^(.*)$/$1/", "\xed\xa0\x80", out, sizeof(out), NULL), RULES_BAD);
    /* Java folds ASCII only with (?i), PCRE2 folds the Kelvin sign, too. */
    cr_assert_eq(apply("RULE:^(?i)k$/x/", "\u212a", out, sizeof(out), NULL), RULES_BAD);
    /* Java would split the surrogate pair. */
    cr_assert_eq(apply("RULE:.*?/x/", "\U0001f600", out, sizeof(out), NULL), RULES_BAD);
    /* Letters whose case depends on their place. */
    cr_assert_eq(apply("RULE:^(.*)$/$1/L", "ΟΔΟΣ", out, sizeof(out), NULL), RULES_BAD);
    cr_assert_eq(apply("RULE:^(.*)$/$1/L", "İ", out, sizeof(out), NULL), RULES_BAD);
}

Test(rules, what_java_reads_differently_is_refused)
{
    static const char *const bad[] = {
        "RULE:[a&&b]/x/",        "RULE:[a[b]]/x/",   "RULE:[[:alpha:]]/x/",
        "RULE:[]a]/x/",          "RULE:\\bx/x/",     "RULE:a\\Kb/x/",
        "RULE:(?x)a b/x/",       "RULE:(?U)a/x/",    "RULE:(*UTF)a/x/",
        "RULE:(?|a|b)/x/",       "RULE:(?P<n>a)/x/", "RULE:\\p{Alpha}/x/",
        "RULE:\\p{Greek}/x/",    "RULE:\\x4/x/",     "RULE:\\11/x/",
        "RULE:\\u0041/x/",       "RULE:\\C/x/",      "RULE:\\g1(a)/x/",
        "RULE:a{,3}/x/",         "RULE:a{2}{3}/x/",  "RULE:(?i)ü/x/",
        "RULE:(?i)\\p{L}/x/",    "RULE:\\Qa/x/",     "RULE:(a)/$9$8/",
        "RULE:(a)/$9999999999/", "RULE:a\x01/x/",    "RULE:a\u2028/x/",
        "RULE:\\k<n>(?<n>a)/x/",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rule_fault error;
        struct rules *rules = parse(bad[i], &error);
        cr_assert_null(rules, "%s", bad[i]);
    }
}

Test(rules, places_point_at_the_fault)
{
    struct rule_fault error;
    cr_assert_null(parse("DEFAULT, RULE:a(/x/", &error));
    cr_assert_eq(error.offset, strlen("DEFAULT, RULE:a("));
    cr_assert_null(parse("DEFAULT,  nonsense", &error));
    cr_assert_eq(error.offset, strlen("DEFAULT,  "));
    cr_assert_null(parse("RULE:(a)/b$2$3/", &error));
    cr_assert_eq(error.offset, strlen("RULE:(a)/b$2"));
}

Test(rules, limits)
{
    char *text = malloc(RULES_TEXT_MAX + 2);
    struct rule_fault error;
    memset(text, ' ', RULES_TEXT_MAX + 1);
    text[RULES_TEXT_MAX + 1] = '\0';
    cr_assert_null(parse(text, &error));
    text[0] = '\0';
    for (int i = 0; i < RULES_COUNT_MAX; i++) {
        strcat(text, "DEFAULT,");
    }
    struct rules *rules = parse(text, &error);
    cr_assert_eq(rules_count(rules), RULES_COUNT_MAX);
    rules_free(&rules);
    strcat(text, "DEFAULT");
    cr_assert_null(parse(text, &error));
    free(text);
}
