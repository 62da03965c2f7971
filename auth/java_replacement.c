/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/java_replacement.h"

#include "conf/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Text as it is, or what a group matched. */
struct piece {
    struct view text; /* into the own copy; at NULL = group */
    size_t group;
};

struct java_replacement {
    uint8_t *text;
    struct piece *pieces;
    size_t pieces_count;
};

/* Parsing ---------------------------------------------------------------------------------- */

struct parser {
    struct java_replacement *replacement;
    const struct pattern *pattern;
    struct view text;
    size_t at;
    size_t groups;
    enum java_strays kind;
    size_t strays; /* references to groups that do not exist */
    struct rule_fault *fault;
};

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static void add_piece(struct parser *parser, struct view text, size_t group)
{
    struct java_replacement *it = parser->replacement;
    struct piece *last = it->pieces_count > 0 ? &it->pieces[it->pieces_count - 1] : NULL;
    if (text.at != NULL && last != NULL && last->text.at != NULL &&
        last->text.at + last->text.length == text.at) {
        last->text.length += text.length;
        return;
    }
    it->pieces[it->pieces_count++] = (struct piece){.text = text, .group = group};
}

/* The group Kafka takes for the digits of "$123": cut from the right until there is such a group.
 */
static size_t cut_reference(struct view digits, size_t groups)
{
    size_t number = 0;
    for (size_t i = 0; i < digits.length; i++) {
        number = number * 10 + (size_t)(digits.at[i] - '0');
    }
    while (number > groups && number >= 10) {
        number /= 10;
    }
    return number;
}

/* The digits at the front that Java's Matcher reads as one group number. */
static size_t matcher_digits(struct view digits, size_t groups, size_t *group_r)
{
    size_t number = (size_t)(digits.at[0] - '0'), used = 1;
    while (used < digits.length) {
        const size_t longer = number * 10 + (size_t)(digits.at[used] - '0');
        if (longer > groups) {
            break;
        }
        number = longer;
        used++;
    }
    *group_r = number;
    return used;
}

static struct view digits_at(const struct parser *parser, size_t at)
{
    size_t end = at;
    while (end < parser->text.length && is_digit(parser->text.at[end])) {
        end++;
    }
    return view_of(parser->text.at + at, end - at);
}

/* Would Kafka take "$digits" as literal text? Only looks at it when the pattern has groups. */
static bool is_stray(const struct parser *parser, struct view digits)
{
    return parser->kind == JAVA_STRAYS_LITERAL && parser->groups > 0 && digits.at[0] != '0' &&
           cut_reference(digits, parser->groups) > parser->groups;
}

/* At "$" and a digit. */
static bool add_number(struct parser *parser)
{
    const size_t start = parser->at;
    const struct view digits = digits_at(parser, start + 1);
    if (digits.length > 9) {
        return rule_fault_set(parser->fault, start, "no such group");
    }
    if (is_stray(parser, digits)) {
        /* Kafka escapes the first one; behind it, it would hit the wrong place. */
        if (parser->strays++ > 0) {
            return rule_fault_set(parser->fault, start, "no such group (write \\$)");
        }
        parser->at += 1 + digits.length;
        add_piece(parser, view_of(parser->text.at + start, 1 + digits.length), 0);
        return true;
    }
    size_t group = 0;
    const size_t used = matcher_digits(digits, parser->groups, &group);
    if (group > parser->groups) {
        return rule_fault_set(parser->fault, start, "the pattern has no group %zu", group);
    }
    parser->at += 1 + used;
    add_piece(parser, (struct view){NULL, 0}, group);
    return true;
}

/* At "${". */
static bool add_name(struct parser *parser)
{
    const struct view rest = view_from(parser->text, parser->at + 2);
    const uint8_t *close = rest.length == 0 ? NULL : memchr(rest.at, '}', rest.length);
    const struct view name = view_of(rest.at, close == NULL ? 0 : (size_t)(close - rest.at));
    const size_t group = pattern_group_named(parser->pattern, name);
    if (group == 0) {
        return rule_fault_set(parser->fault, parser->at,
                              "no group of that name (write $ as \\$ when it is meant literally)");
    }
    parser->at += 2 + name.length + 1;
    add_piece(parser, (struct view){NULL, 0}, group);
    return true;
}

/* At "\": the next character is literal. */
static bool add_escaped(struct parser *parser)
{
    const size_t start = parser->at, left = parser->text.length - start;
    const uint8_t *text = parser->text.at + start;
    if (left < 2) {
        return rule_fault_set(parser->fault, start,
                              "nothing behind \\ (write \\\\ when it is meant literally)");
    }
    if (parser->kind == JAVA_STRAYS_LITERAL && left >= 3 && text[1] == '$' && is_digit(text[2])) {
        /* Kafka looks for stray references without regard to the "\" and would add a second one. */
        const struct view digits = digits_at(parser, start + 2);
        if (digits.length > 9 || is_stray(parser, digits)) {
            return rule_fault_set(parser->fault, start,
                                  "Kafka fails on an escaped $ before a number that is no group");
        }
    }
    parser->at += 2;
    add_piece(parser, view_of(text + 1, 1), 0);
    return true;
}

static bool add_next(struct parser *parser)
{
    const uint8_t *at = parser->text.at + parser->at;
    const uint8_t next = parser->at + 1 < parser->text.length ? at[1] : 0;
    if (*at == '\\') {
        return add_escaped(parser);
    }
    if (*at == '$' && is_digit(next)) {
        return add_number(parser);
    }
    if (*at == '$' && next == '{') {
        return add_name(parser);
    }
    if (*at == '$') {
        return rule_fault_set(parser->fault, parser->at,
                              "$ without a group (write \\$ when it is meant literally)");
    }
    add_piece(parser, view_of(at, 1), 0);
    parser->at++;
    return true;
}

struct java_replacement *java_replacement_parse(struct view text, const struct pattern *pattern,
                                                enum java_strays strays, struct rule_fault *fault_r)
{
    *fault_r = (struct rule_fault){0};
    struct java_replacement *it = calloc(1, sizeof(*it));
    if (it == NULL || (it->text = calloc(1, text.length + 1)) == NULL ||
        (it->pieces = calloc(text.length + 1, sizeof(*it->pieces))) == NULL) {
        abort();
    }
    if (text.length > 0) {
        memcpy(it->text, text.at, text.length);
    }
    struct parser parser = {
        .replacement = it,
        .pattern = pattern,
        .text = view_of(it->text, text.length),
        .groups = pattern_groups(pattern),
        .kind = strays,
        .fault = fault_r,
    };
    while (parser.at < text.length) {
        if (!add_next(&parser)) {
            java_replacement_free(&it);
            return NULL;
        }
    }
    return it;
}

void java_replacement_free(struct java_replacement **replacement)
{
    if (*replacement != NULL) {
        free((*replacement)->pieces);
        free((*replacement)->text);
        free(*replacement);
        *replacement = NULL;
    }
}

/* Replacing -------------------------------------------------------------------------------- */

static void put(const struct java_replacement *replacement, const struct pattern_spans *spans,
                struct writer *out)
{
    for (size_t i = 0; i < replacement->pieces_count; i++) {
        const struct piece *piece = &replacement->pieces[i];
        writer_put(out, piece->text.at != NULL ? piece->text : spans->group[piece->group]);
    }
}

/* Where the search goes on behind an empty match at `end`; false: that would split a pair. */
static bool step_over(struct view subject, size_t end, size_t *from_r)
{
    uint32_t point = 0;
    *from_r = end + 1;
    if (end < subject.length) {
        *from_r = end + utf8_next((const char *)subject.at + end, subject.length - end, &point);
    }
    return point <= 0xffff && *from_r > end;
}

/* After an empty match the search goes on one character later, after any other right behind it. */
enum pattern_status java_replace(const struct pattern *pattern,
                                 const struct java_replacement *replacement, bool all,
                                 struct view subject, struct writer *out)
{
    size_t copied = 0, from = 0;
    struct pattern_spans spans;
    while (from <= subject.length && writer_ok(out)) {
        const enum pattern_status status = pattern_find(pattern, subject, from, &spans);
        if (status == PATTERN_NO_MATCH) {
            break;
        }
        if (status != PATTERN_MATCH) {
            return status;
        }
        const struct view match = spans.group[0];
        const size_t start = (size_t)(match.at - subject.at), end = start + match.length;
        writer_put(out, view_of(subject.at + copied, start - copied));
        put(replacement, &spans, out);
        copied = from = end;
        if (!all) {
            break;
        }
        if (match.length == 0 && !step_over(subject, end, &from)) {
            return PATTERN_BAD;
        }
    }
    writer_put(out, view_from(subject, copied));
    return PATTERN_MATCH;
}
