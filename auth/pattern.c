/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MATCH_STEPS_MAX = 100000, /* 2 to 3 ms, 20 at worst; honest rules need a few hundred */
    MATCH_DEPTH_MAX = 20000,
    MATCH_HEAP_KIB = 8192,
    NESTING_MAX = 50
};

struct pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
    size_t groups;
};

static struct pattern *fail(struct pattern_error *error, size_t offset, const char *text)
{
    error->offset = offset;
    snprintf(error->text, sizeof(error->text), "%s", text);
    return NULL;
}

/*
 * Java's line terminators are LF, CR LF, CR, NEL, LS and PS; "any" is the nearest PCRE2 has (it
 * adds VT and FF, which no canonical name holds).
 */
static pcre2_code *compile(struct view text, int *code_r, size_t *offset_r)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL) {
        abort();
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_ANY);
    pcre2_set_parens_nest_limit(context, NESTING_MAX);
    pcre2_code *code =
        pcre2_compile(text.at, text.length, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP,
                      code_r, offset_r, context);
    pcre2_compile_context_free(context);
    return code;
}

static pcre2_match_context *make_limits(void)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    if (limits == NULL) {
        abort();
    }
    pcre2_set_match_limit(limits, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(limits, MATCH_DEPTH_MAX);
    pcre2_set_heap_limit(limits, MATCH_HEAP_KIB);
    return limits;
}

struct pattern *pattern_compile(struct view text, struct pattern_error *error_r)
{
    if (text.length > PATTERN_BYTES_MAX) {
        return fail(error_r, PATTERN_BYTES_MAX, "longer than 4096 bytes");
    }
    /* A leading verb could lift limits or change the meaning of everything behind it. */
    if (text.length >= 2 && memcmp(text.at, "(*", 2) == 0) {
        return fail(error_r, 0, "must not start with \"(*\"");
    }
    int number = 0;
    size_t offset = 0;
    pcre2_code *code = compile(text, &number, &offset);
    if (code == NULL) {
        char message[128] = "";
        pcre2_get_error_message(number, (PCRE2_UCHAR *)message, sizeof(message));
        return fail(error_r, offset, message);
    }
    uint32_t groups = 0;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups > PATTERN_GROUPS_MAX) {
        pcre2_code_free(code);
        return fail(error_r, 0, "has more than 99 groups");
    }
    struct pattern *pattern = malloc(sizeof(*pattern));
    if (pattern == NULL) {
        abort();
    }
    *pattern = (struct pattern){.code = code, .limits = make_limits(), .groups = groups};
    return pattern;
}

void pattern_free(struct pattern **pattern)
{
    if (*pattern != NULL) {
        pcre2_match_context_free((*pattern)->limits);
        pcre2_code_free((*pattern)->code);
        free(*pattern);
        *pattern = NULL;
    }
}

size_t pattern_groups(const struct pattern *pattern)
{
    return pattern->groups;
}

size_t pattern_group_named(const struct pattern *pattern, struct view name)
{
    char text[64];
    if (name.length == 0 || name.length >= sizeof(text)) {
        return 0;
    }
    memcpy(text, name.at, name.length);
    text[name.length] = '\0';
    const int number = pcre2_substring_number_from_name(pattern->code, (PCRE2_SPTR)text);
    return number > 0 ? (size_t)number : 0;
}

static enum pattern_status status_of(int result)
{
    if (result > 0) {
        return PATTERN_MATCH;
    }
    switch (result) {
    case PCRE2_ERROR_NOMATCH:
        return PATTERN_NO_MATCH;
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return PATTERN_LIMIT;
    default:
        return PATTERN_BAD;
    }
}

static enum pattern_status run(const struct pattern *pattern, struct view subject, size_t from,
                               uint32_t options, struct pattern_spans *spans_r)
{
    if (subject.length > PATTERN_SUBJECT_BYTES_MAX || from > subject.length) {
        return PATTERN_BAD;
    }
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    if (data == NULL) {
        abort();
    }
    const PCRE2_SPTR at = subject.at == NULL ? (PCRE2_SPTR) "" : subject.at;
    const int result =
        pcre2_match(pattern->code, at, subject.length, from, options, data, pattern->limits);
    if (result > 0 && spans_r != NULL) {
        const size_t *offsets = pcre2_get_ovector_pointer(data);
        for (size_t i = 0; i <= pattern->groups; i++) {
            const size_t first = offsets[2 * i], end = offsets[2 * i + 1];
            spans_r->group[i] = first == PCRE2_UNSET || first > end
                                    ? (struct view){NULL, 0}
                                    : (struct view){at + first, end - first};
        }
    }
    pcre2_match_data_free(data);
    return status_of(result);
}

enum pattern_status pattern_matches(const struct pattern *pattern, struct view subject)
{
    return run(pattern, subject, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, NULL);
}

enum pattern_status pattern_find(const struct pattern *pattern, struct view subject, size_t from,
                                 struct pattern_spans *spans_r)
{
    return run(pattern, subject, from, 0, spans_r);
}
