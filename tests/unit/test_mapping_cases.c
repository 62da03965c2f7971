/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_cases.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char good[] =
    "cases:\n"
    "  - principal: orders\n"
    "    certificate: orders\n"
    "  - {name: night, principal: batch-1, cluster: main, generation: ajna,\n"
    "     listener: l, mechanism: PLAIN, expect: mapped, rule: r,\n"
    "     predicted: \"CN=batch\"}\n"
    "  - {principal: nobody, expect: unmapped}\n"
    "  - {principal: \"a\\xe9\", expect: refused}\n";

static struct mapping_cases *parse(const char *text, size_t length, struct conf_errors *errors)
{
    conf_errors_init(errors);
    return mapping_cases_parse(text, length, "cases.yaml", errors);
}

Test(mapping_cases, a_good_file)
{
    struct conf_errors errors;
    struct mapping_cases *cases = parse(good, strlen(good), &errors);
    cr_assert_not_null(cases);
    cr_assert_eq(errors.count, 0);
    cr_assert_eq(mapping_cases_count(cases), 4);
    const struct mapping_case *first = mapping_cases_at(cases, 0);
    cr_assert_str_eq(first->query.principal, "orders");
    cr_assert_null(first->query.cluster);
    cr_assert_eq(first->expect, MAPPING_EXPECT_MAPPED);
    cr_assert_str_eq(first->certificate, "orders");
    cr_assert_eq(first->place.line, 2);
    const struct mapping_case *second = mapping_cases_at(cases, 1);
    cr_assert_str_eq(second->name, "night");
    cr_assert_str_eq(second->query.cluster, "main");
    cr_assert_str_eq(second->query.generation, "ajna");
    cr_assert_str_eq(second->query.listener, "l");
    cr_assert_str_eq(second->query.mechanism, "PLAIN");
    cr_assert_str_eq(second->rule, "r");
    cr_assert_str_eq(second->predicted, "CN=batch");
    cr_assert_eq(mapping_cases_at(cases, 2)->expect, MAPPING_EXPECT_UNMAPPED);
    cr_assert_eq(mapping_cases_at(cases, 3)->expect, MAPPING_EXPECT_REFUSED);
    mapping_cases_free(&cases);
    cr_assert_null(cases);
    mapping_cases_free(&cases);
}

Test(mapping_cases, each_fault_is_told_with_its_place)
{
    static const struct {
        const char *text, *problem;
        int line;
    } bad[] = {
        {"[]\n", "map", 1},
        {"cases: {}\n", "list", 1},
        {"cases: []\n", "'cases' is empty", 1},
        {"case: []\n", "unknown key 'case'", 1},
        {"cases:\n  - orders\n", "map", 2},
        {"cases:\n  - {principal: a}\n", "the case expects nothing", 2},
        {"cases:\n  - {expect: mapped}\n", "missing key 'principal'", 2},
        {"cases:\n  - {principal: a, expect: maped}\n", "'expect' has no value 'maped'", 2},
        {"cases:\n  - {principal: a, expect: denied, certificate: c}\n",
         "'denied' does not go with", 2},
        {"cases:\n  - {principal: a, expect: unmapped, node: 1}\n", "unknown key 'node'", 2},
        {"cases:\n  - {principal: [a], expect: unmapped}\n", "text", 2},
        {"cases:\n  - &x {principal: a, expect: unmapped}\n  - *x\n", "anchor", 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct conf_errors errors;
        cr_assert_null(parse(bad[i].text, strlen(bad[i].text), &errors), "%s", bad[i].text);
        cr_assert_geq(errors.count, 1);
        bool found = false;
        for (size_t k = 0; k < errors.count; k++) {
            found = found || (errors.items[k].line == bad[i].line &&
                              strstr(errors.items[k].text, bad[i].problem) != NULL);
        }
        cr_assert(found, "%s: %d: %s", bad[i].text, errors.items[0].line, errors.items[0].text);
        conf_errors_deinit(&errors);
    }
}

/* Every prefix is read without harm, and what is taken of it was in the file. */
Test(mapping_cases, every_prefix)
{
    for (size_t length = 0; length < strlen(good); length++) {
        struct conf_errors errors;
        char *copy = malloc(length + 1);
        memcpy(copy, good, length);
        struct mapping_cases *cases = parse(copy, length, &errors);
        cr_assert_eq(cases == NULL, conf_errors_failed(&errors), "%zu", length);
        cr_assert(cases == NULL || mapping_cases_count(cases) <= 4);
        mapping_cases_free(&cases);
        conf_errors_deinit(&errors);
        free(copy);
    }
}

Test(mapping_cases, what_is_expected)
{
    static const enum mapping_outcome outcomes[] = {MAPPING_MAPPED, MAPPING_UNMAPPED,
                                                    MAPPING_AMBIGUOUS, MAPPING_ERROR};
    /* one row for each expectation: mapped, unmapped, ambiguous, error, refused */
    static const bool wanted[][5] = {
        [MAPPING_EXPECT_MAPPED] = {true, false, false, false, false},
        [MAPPING_EXPECT_UNMAPPED] = {false, true, false, false, false},
        [MAPPING_EXPECT_AMBIGUOUS] = {false, false, true, false, false},
        [MAPPING_EXPECT_ERROR] = {false, false, false, true, false},
        [MAPPING_EXPECT_REFUSED] = {false, false, false, false, true},
        [MAPPING_EXPECT_DENIED] = {false, true, true, true, true},
    };
    for (size_t e = 0; e < sizeof wanted / sizeof *wanted; e++) {
        const struct mapping_case it = {.expect = (enum mapping_expect)e};
        for (size_t i = 0; i < 4; i++) {
            cr_expect_eq(mapping_case_expects(&it, outcomes[i], false), wanted[e][i], "%s %zu",
                         mapping_expect_name(it.expect), i);
        }
        cr_expect_eq(mapping_case_expects(&it, MAPPING_UNMAPPED, true), wanted[e][4], "%s",
                     mapping_expect_name(it.expect));
    }
}
