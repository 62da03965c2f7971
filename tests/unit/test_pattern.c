/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pattern.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct pattern *compile(const char *text)
{
    struct pattern_error error;
    struct pattern *pattern = pattern_compile(view_from_string(text), &error);
    cr_assert_not_null(pattern, "%s: %s", text, error.text);
    return pattern;
}

static enum pattern_status matches(const char *text, const char *subject)
{
    struct pattern *pattern = compile(text);
    const enum pattern_status status = pattern_matches(pattern, view_from_string(subject));
    pattern_free(&pattern);
    cr_assert_null(pattern);
    return status;
}

Test(pattern, the_whole_subject_has_to_match)
{
    cr_assert_eq(matches("a", "a"), PATTERN_MATCH);
    cr_assert_eq(matches("a", "ab"), PATTERN_NO_MATCH);
    cr_assert_eq(matches("a", "ba"), PATTERN_NO_MATCH);
    cr_assert_eq(matches("^a$", "a"), PATTERN_MATCH);
    cr_assert_eq(matches("a|ab", "ab"), PATTERN_MATCH);
    cr_assert_eq(matches("a|b", "ab"), PATTERN_NO_MATCH);
    cr_assert_eq(matches("", ""), PATTERN_MATCH);
    cr_assert_eq(matches("", "a"), PATTERN_NO_MATCH);
    cr_assert_eq(matches("a", "a\n"), PATTERN_NO_MATCH);
    cr_assert_eq(matches("^a$", "a\n"), PATTERN_NO_MATCH);
    cr_assert_eq(matches(".", "ü"), PATTERN_MATCH);
    cr_assert_eq(matches("(?m)^a$", "b\na"), PATTERN_NO_MATCH);
}

/* T60 */
Test(pattern, the_budget_ends_a_runaway)
{
    /* The end keeps PCRE2 from seeing at once that a needed letter is missing. */
    char subject[103];
    memset(subject, 'a', 100);
    memcpy(subject + 100, "cb", 3);
    cr_assert_eq(matches("(a+)+b", subject), PATTERN_LIMIT);
    cr_assert_eq(matches("(a|a?)+b", subject), PATTERN_LIMIT);
    cr_assert_eq(matches("(.*a.*a)*(.*a)*b.*c", subject), PATTERN_LIMIT);
    cr_assert_eq(matches("(?:a?){100}a{100}b", subject), PATTERN_LIMIT);
}

Test(pattern, a_long_honest_match_is_within_the_budget)
{
    char subject[4097];
    memset(subject, 'a', 4096);
    subject[4096] = '\0';
    cr_assert_eq(matches("([^,]+)", subject), PATTERN_MATCH);
    cr_assert_eq(matches("^.*$", subject), PATTERN_MATCH);
    cr_assert_eq(matches("(a)*", subject), PATTERN_MATCH);
}

Test(pattern, the_pattern_cannot_lift_limits_or_change_modes)
{
    static const char *const bad[] = {"(*LIMIT_MATCH=4000000000)a",
                                      "(*UTF)a",
                                      "(*UCP)a",
                                      "(*NO_AUTO_POSSESS)a",
                                      "(",
                                      "[",
                                      "a**",
                                      "\\C"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pattern_error error;
        cr_assert_null(pattern_compile(view_from_string(bad[i]), &error), "%s", bad[i]);
        cr_assert_gt(strlen(error.text), 0);
    }
}

Test(pattern, sizes_are_limited)
{
    char text[PATTERN_SUBJECT_BYTES_MAX + 2];
    memset(text, 'a', sizeof(text));
    struct pattern_error error;
    cr_assert_null(pattern_compile(view_of(text, PATTERN_BYTES_MAX + 1), &error));
    struct pattern *pattern = pattern_compile(view_of(text, PATTERN_BYTES_MAX), &error);
    cr_assert_not_null(pattern);
    cr_assert_eq(pattern_matches(pattern, view_of(text, PATTERN_BYTES_MAX)), PATTERN_MATCH);
    cr_assert_eq(pattern_matches(pattern, view_of(text, PATTERN_SUBJECT_BYTES_MAX + 1)),
                 PATTERN_BAD);
    pattern_free(&pattern);
    char groups[3 * (PATTERN_GROUPS_MAX + 1) + 1] = "";
    for (int i = 0; i <= PATTERN_GROUPS_MAX; i++) {
        strcat(groups, "(a)");
    }
    cr_assert_null(pattern_compile(view_from_string(groups), &error));
}

Test(pattern, malformed_utf8_is_bad)
{
    cr_assert_eq(matches(".*", "\xff"), PATTERN_BAD);
    cr_assert_eq(matches(".*", "\xed\xa0\x80"), PATTERN_BAD);
    struct pattern_error error;
    cr_assert_null(pattern_compile(view_from_string("\xff"), &error));
}

Test(pattern, find_tells_groups)
{
    struct pattern *pattern = compile("(a)|(?<b>b)");
    cr_assert_eq(pattern_groups(pattern), 2);
    cr_assert_eq(pattern_group_named(pattern, view_from_string("b")), 2);
    cr_assert_eq(pattern_group_named(pattern, view_from_string("c")), 0);
    cr_assert_eq(pattern_group_named(pattern, view_from_string("")), 0);
    struct pattern_spans spans;
    const struct view subject = view_from_string("xbxa");
    cr_assert_eq(pattern_find(pattern, subject, 0, &spans), PATTERN_MATCH);
    cr_assert(view_is(spans.group[0], "b") && view_is(spans.group[2], "b"));
    cr_assert_null(spans.group[1].at);
    cr_assert_eq(pattern_find(pattern, subject, 2, &spans), PATTERN_MATCH);
    cr_assert(view_is(spans.group[1], "a"));
    cr_assert_eq(pattern_find(pattern, subject, 4, &spans), PATTERN_NO_MATCH);
    cr_assert_eq(pattern_find(pattern, subject, 5, &spans), PATTERN_BAD);
    pattern_free(&pattern);
}
