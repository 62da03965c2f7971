/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/kerberos_name.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* FAILS: Kafka takes the rule and then fails every login that gets to it. */
enum wanted { OK, NO_RULE, NOT_SIMPLE, BAD_NAME, BAD_RULES, FAILS };

enum { RULES = 6 };

static const struct vector {
    const char *principal;
    enum wanted wanted;
    const char *result;
    const char *rules[RULES];
} vectors[] = {
#define VECTOR(principal, wanted, result, ...) {principal, wanted, result, {__VA_ARGS__}},
#include "tests/unit/vectors/kerberos_vectors.def"
#undef VECTOR
};

enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static const char *const realm = "EXAMPLE.COM";

static struct kerberos_rules *parse(const char *const *texts, struct rule_fault *error)
{
    struct kerberos_rules *rules = kerberos_rules_new(realm);
    for (size_t i = 0; texts[i] != NULL; i++) {
        if (!kerberos_rules_add(rules, view_from_string(texts[i]), error)) {
            cr_assert_gt(strlen(error->text), 0);
            cr_assert_leq(error->offset, strlen(texts[i]));
            cr_assert_eq(kerberos_rules_count(rules), i);
            kerberos_rules_free(&rules);
            return NULL;
        }
    }
    return rules;
}

static enum kerberos_name_status apply(const char *rule, const char *principal, char *out,
                                       size_t capacity)
{
    struct rule_fault error;
    struct kerberos_rules *rules = parse((const char *[]){rule, NULL}, &error);
    cr_assert_not_null(rules, "%s: %zu: %s", rule, error.offset, error.text);
    enum kerberos_name_status status =
        kerberos_name_short(rules, view_from_string(principal), out, capacity, NULL);
    kerberos_rules_free(&rules);
    cr_assert_null(rules);
    return status;
}

static enum kerberos_name_status status_of(enum wanted wanted)
{
    switch (wanted) {
    case OK:
        return KERBEROS_NAME_OK;
    case NO_RULE:
        return KERBEROS_NAME_NO_RULE;
    case NOT_SIMPLE:
        return KERBEROS_NAME_NOT_SIMPLE;
    case BAD_NAME:
    case BAD_RULES:
    case FAILS:
        break;
    }
    return KERBEROS_NAME_BAD;
}

Test(kerberos_name, names_what_kafka_names)
{
    size_t named = 0, refused = 0;
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *vector = &vectors[i];
        struct rule_fault error = {0};
        struct kerberos_rules *rules = parse(vector->rules, &error);
        const bool bad = vector->wanted == BAD_RULES || vector->wanted == FAILS;
        cr_assert_eq(rules == NULL, bad, "%zu: %s %s: %s", i, vector->principal, vector->rules[0],
                     error.text);
        if (rules == NULL) {
            refused++;
            continue;
        }
        char out[256] = "dirty";
        const enum kerberos_name_status status =
            kerberos_name_short(rules, view_from_string(vector->principal), out, sizeof(out), NULL);
        cr_assert_eq(status, status_of(vector->wanted), "%zu: %s %s: %d", i, vector->principal,
                     vector->rules[0], (int)status);
        cr_assert_str_eq(out, vector->result, "%s %s", vector->principal, vector->rules[0]);
        kerberos_rules_free(&rules);
        named++;
    }
    cr_assert_gt(named, 60);
    cr_assert_gt(refused, 30);
}

Test(kerberos_name, the_rule_that_applied_is_told)
{
    struct rule_fault error;
    struct kerberos_rules *rules =
        parse((const char *[]){"RULE:[2:$1]", "RULE:[1:$1](bob)", "DEFAULT", NULL}, &error);
    char out[64];
    size_t rule = 99;
    cr_assert_eq(
        kerberos_name_short(rules, view_from_string("alice@EXAMPLE.COM"), out, sizeof(out), &rule),
        KERBEROS_NAME_OK);
    cr_assert_eq(rule, 2);
    cr_assert_eq(
        kerberos_name_short(rules, view_from_string("a/b@ELSEWHERE"), out, sizeof(out), &rule),
        KERBEROS_NAME_OK);
    cr_assert_eq(rule, 0);
    cr_assert_eq(kerberos_name_short(rules, view_from_string("alice"), out, sizeof(out), &rule),
                 KERBEROS_NAME_OK);
    cr_assert_eq(rule, 3);
    kerberos_rules_free(&rules);
}

/* Exactly as long as it is, so that reading past the end is seen. */
static struct view cut_copy(const char *text, size_t length)
{
    uint8_t *copy = malloc(length == 0 ? 1 : length);
    memcpy(copy, text, length);
    return view_of(copy, length);
}

Test(kerberos_name, every_prefix_of_a_rule_parses_or_is_refused_with_a_place)
{
    for (size_t i = 0; i < VECTORS; i++) {
        const char *text = vectors[i].rules[0] != NULL ? vectors[i].rules[0] : "";
        for (size_t cut = 0; cut < strlen(text); cut++) {
            const struct view prefix = cut_copy(text, cut);
            struct rule_fault error;
            struct kerberos_rules *rules = kerberos_rules_new(realm);
            if (!kerberos_rules_add(rules, prefix, &error)) {
                cr_assert(error.text[0] != '\0' && error.offset <= cut, "%s: %zu", text, cut);
            }
            kerberos_rules_free(&rules);
            free((void *)(uintptr_t)prefix.at);
        }
    }
}

/* A login's principal arrives as one text; cut anywhere it must not become another principal's. */
Test(kerberos_name, every_prefix_of_a_principal_is_itself_or_nobody)
{
    struct rule_fault error;
    struct kerberos_rules *rules = parse((const char *[]){"DEFAULT", NULL}, &error);
    static const char text[] = "kafka/host1.example.com@EXAMPLE.COM";
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        const struct view prefix = cut_copy(text, cut);
        char out[256];
        const enum kerberos_name_status status =
            kerberos_name_short(rules, prefix, out, sizeof(out), NULL);
        const bool whole = memchr(prefix.at, '@', cut) == NULL;
        cr_assert_eq(status, whole ? KERBEROS_NAME_OK : KERBEROS_NAME_NO_RULE, "%zu", cut);
        cr_assert(whole ? strlen(out) == cut && memcmp(out, text, cut) == 0 : out[0] == '\0');
        free((void *)(uintptr_t)prefix.at);
    }
    kerberos_rules_free(&rules);
}

Test(kerberos_name, a_name_that_does_not_fit_is_no_name)
{
    char out[8];
    cr_assert_eq(apply("DEFAULT", "1234567@EXAMPLE.COM", out, sizeof(out)), KERBEROS_NAME_OK);
    cr_assert_str_eq(out, "1234567");
    cr_assert_eq(apply("DEFAULT", "12345678@EXAMPLE.COM", out, sizeof(out)), KERBEROS_NAME_BAD);
    cr_assert_str_eq(out, "");
    cr_assert_eq(apply("DEFAULT", "12345678", out, sizeof(out)), KERBEROS_NAME_BAD);
    cr_assert_eq(apply("RULE:[1:$1$1$1$1]", "abc@R", out, sizeof(out)), KERBEROS_NAME_BAD);
    cr_assert_eq(apply("DEFAULT", "a@EXAMPLE.COM", out, 0), KERBEROS_NAME_BAD);
    char principal[KERBEROS_NAME_BYTES_MAX + 3] = "";
    memset(principal, 'a', KERBEROS_NAME_BYTES_MAX - 1);
    memcpy(principal + KERBEROS_NAME_BYTES_MAX - 1, "@R", 3);
    cr_assert_eq(apply("RULE:[1:x]", principal, out, sizeof(out)), KERBEROS_NAME_BAD);
    cr_assert_eq(apply("RULE:[1:x]", principal + 1, out, sizeof(out)), KERBEROS_NAME_OK);
}

/* T60 */
Test(kerberos_name, a_runaway_pattern_ends_in_no_name)
{
    char out[64];
    static const char run[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacb@R";
    struct rule_fault error;
    struct kerberos_rules *rules =
        parse((const char *[]){"RULE:[1:$1]s/^(?:a+)+b$/x/", "RULE:[1:x]", NULL}, &error);
    cr_assert_not_null(rules, "%s", error.text);
    cr_assert_eq(kerberos_name_short(rules, view_from_string(run), out, sizeof(out), NULL),
                 KERBEROS_NAME_LIMIT);
    cr_assert_str_eq(out, "");
    kerberos_rules_free(&rules);
}

Test(kerberos_name, t40_doubtful_principals_are_nobody)
{
    char out[64];
    static const char *const doubtful[] = {
        "a\\@b@EXAMPLE.COM", "admin\\/x@EXAMPLE.COM", "a\xff@EXAMPLE.COM",
        "a\n@EXAMPLE.COM",   "a\u2028@EXAMPLE.COM",   "\\",
        "a/b/c@EXAMPLE.COM", "a@b@EXAMPLE.COM",
    };
    for (size_t i = 0; i < sizeof(doubtful) / sizeof(doubtful[0]); i++) {
        cr_assert_eq(apply("RULE:[1:x]", doubtful[i], out, sizeof(out)), KERBEROS_NAME_BAD, "%s",
                     doubtful[i]);
        cr_assert_str_eq(out, "");
    }
    struct rule_fault error;
    struct kerberos_rules *rules = parse((const char *[]){"DEFAULT", NULL}, &error);
    cr_assert_eq(
        kerberos_name_short(rules, view_of("a\0b@EXAMPLE.COM", 15), out, sizeof(out), NULL),
        KERBEROS_NAME_BAD);
    kerberos_rules_free(&rules);
    /* Java folds ASCII only with (?i), PCRE2 folds the Kelvin sign, too. */
    cr_assert_eq(apply("RULE:[1:$1]s/^(?i)k$/x/", "\u212a@R", out, sizeof(out)), KERBEROS_NAME_BAD);
}

Test(kerberos_name, what_java_reads_differently_is_refused)
{
    static const char *const bad[] = {
        "RULE:[1:$1]([a&&b])",   "RULE:[1:$1]([a[b]])", "RULE:[1:$1](\\bx)",
        "RULE:[1:$1]s/a{,3}/x/", "RULE:[1:$1](\\11)",   "RULE:[1:$1]s/a\x01/x/",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rule_fault error;
        cr_assert_null(parse((const char *[]){bad[i], NULL}, &error), "%s", bad[i]);
    }
}

Test(kerberos_name, places_point_at_the_fault)
{
    static const struct {
        const char *rule;
        size_t offset;
    } faults[] = {
        {"RULE:[x:$1]", 6},     {"RULE:[1:ab$2]", 10},
        {"RULE:[1:$1](*)", 12}, {"RULE:[1:$1](a)s/b/c$1/", 19},
        {"RULE:[1:$1]/Lx", 13}, {"RULE:[1:$1](a", 12},
        {"nonsense", 0},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct rule_fault error;
        cr_assert_null(parse((const char *[]){faults[i].rule, NULL}, &error));
        cr_assert_eq(error.offset, faults[i].offset, "%s: %zu", faults[i].rule, error.offset);
    }
}

Test(kerberos_name, limits)
{
    struct rule_fault error;
    struct kerberos_rules *rules = kerberos_rules_new(realm);
    for (int i = 0; i < KERBEROS_NAME_RULES_MAX; i++) {
        cr_assert(kerberos_rules_add(rules, view_from_string("DEFAULT"), &error));
    }
    cr_assert_not(kerberos_rules_add(rules, view_from_string("DEFAULT"), &error));
    cr_assert_eq(kerberos_rules_count(rules), KERBEROS_NAME_RULES_MAX);
    kerberos_rules_free(&rules);
    rules = kerberos_rules_new(realm);
    char *text = malloc(KERBEROS_NAME_RULE_BYTES_MAX + 1);
    memset(text, 'x', KERBEROS_NAME_RULE_BYTES_MAX + 1);
    memcpy(text, "RULE:[1:", 8);
    text[KERBEROS_NAME_RULE_BYTES_MAX - 1] = ']';
    cr_assert_not(
        kerberos_rules_add(rules, view_of(text, KERBEROS_NAME_RULE_BYTES_MAX + 1), &error));
    cr_assert(kerberos_rules_add(rules, view_of(text, KERBEROS_NAME_RULE_BYTES_MAX), &error));
    kerberos_rules_free(&rules);
    kerberos_rules_free(&rules);
    free(text);
}
