/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rules.h"

#include "auth/casing.h"
#include "auth/java_pattern.h"
#include "auth/java_replacement.h"
#include "auth/pattern.h"
#include "conf/utf8.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    struct pattern *pattern; /* NULL = DEFAULT */
    bool ignores_case;
    struct java_replacement *replacement;
    enum casing casing;
};

struct rules {
    char *text; /* own copy */
    struct rule *rules;
    size_t count;
};

/* Parsing ---------------------------------------------------------------------------------- */

struct parser {
    struct rules *rules;
    size_t at, length;
    struct rules_error *error;
};

__attribute__((format(printf, 3, 4))) static bool refuse(struct parser *parser, size_t offset,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    parser->error->offset = offset;
    vsnprintf(parser->error->text, sizeof(parser->error->text), format, arguments);
    va_end(arguments);
    return false;
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void skip_spaces(struct parser *parser)
{
    while (parser->at < parser->length && is_space(parser->rules->text[parser->at])) {
        parser->at++;
    }
}

static bool take_word(struct parser *parser, const char *word)
{
    const size_t length = strlen(word);
    if (length > parser->length - parser->at ||
        memcmp(parser->rules->text + parser->at, word, length) != 0) {
        return false;
    }
    parser->at += length;
    return true;
}

/* Up to the next "/" that no "\" precedes; the "/" is taken, too. */
static bool take_part(struct parser *parser, struct view *part_r)
{
    const char *text = parser->rules->text;
    const size_t start = parser->at;
    while (parser->at < parser->length && text[parser->at] != '/') {
        parser->at += text[parser->at] == '\\' ? 2 : 1;
    }
    if (parser->at >= parser->length) {
        return refuse(parser, start,
                      "RULE: without its two \"/\" (write RULE:pattern/replacement/)");
    }
    *part_r = view_of(text + start, parser->at - start);
    parser->at++;
    return true;
}

static bool add_replacement(struct parser *parser, struct rule *rule, struct view text)
{
    const size_t offset = (size_t)((const char *)text.at - parser->rules->text);
    struct java_replacement_error error;
    rule->replacement = java_replacement_parse(text, rule->pattern, JAVA_STRAYS_LITERAL, &error);
    return rule->replacement != NULL || refuse(parser, offset + error.offset, "%s", error.text);
}

static bool add_pattern(struct parser *parser, struct rule *rule, struct view text)
{
    const size_t offset = (size_t)((const char *)text.at - parser->rules->text);
    struct java_pattern java = {false};
    struct java_pattern_error java_error;
    if (!java_pattern_check(text, &java, &java_error)) {
        return refuse(parser, offset + java_error.offset, "%s", java_error.text);
    }
    struct pattern_error pattern_error;
    rule->pattern = pattern_compile(text, &pattern_error);
    if (rule->pattern == NULL) {
        return refuse(parser, offset + pattern_error.offset, "%s", pattern_error.text);
    }
    rule->ignores_case = java.ignores_case;
    return true;
}

/* Behind "RULE:". */
static bool parse_rule(struct parser *parser, struct rule *rule)
{
    struct view pattern, replacement;
    if (!take_part(parser, &pattern) || !take_part(parser, &replacement) ||
        !add_pattern(parser, rule, pattern) || !add_replacement(parser, rule, replacement)) {
        return false;
    }
    rule->casing = take_word(parser, "L")   ? CASING_LOWER
                   : take_word(parser, "U") ? CASING_UPPER
                                            : CASING_KEEP;
    return true;
}

/* One element of the list; an empty one adds nothing. */
static bool parse_element(struct parser *parser)
{
    struct rules *rules = parser->rules;
    const size_t start = parser->at;
    if (start == parser->length || rules->text[start] == ',') {
        return true;
    }
    if (rules->count == RULES_COUNT_MAX) {
        return refuse(parser, start, "more than %d rules", RULES_COUNT_MAX);
    }
    struct rule *rule = &rules->rules[rules->count];
    if (take_word(parser, "RULE:")) {
        rules->count++;
        return parse_rule(parser, rule);
    }
    if (take_word(parser, "DEFAULT")) {
        rules->count++;
        return true;
    }
    return refuse(parser, start, "neither DEFAULT nor RULE:pattern/replacement/[LU]");
}

static bool parse_list(struct parser *parser)
{
    for (;;) {
        skip_spaces(parser);
        if (!parse_element(parser)) {
            return false;
        }
        skip_spaces(parser);
        if (parser->at >= parser->length) {
            return true;
        }
        if (parser->rules->text[parser->at] != ',') {
            return refuse(parser, parser->at, "only a comma may follow a rule");
        }
        parser->at++;
    }
}

/* UTF-8, and no control characters but the blanks between rules. */
static bool check_text(struct parser *parser)
{
    for (size_t i = 0; i < parser->length;) {
        uint32_t point = 0;
        const size_t used = utf8_next(parser->rules->text + i, parser->length - i, &point);
        if (used == 0) {
            return refuse(parser, i, "not valid UTF-8");
        }
        const bool blank = point == '\t' || point == '\n';
        if ((point < 0x20 && !blank) || (point >= 0x7f && point <= 0x9f) || point == 0x2028 ||
            point == 0x2029) {
            return refuse(parser, i, "control characters have no place in rules");
        }
        i += used;
    }
    return true;
}

struct rules *rules_parse(struct view text, struct rules_error *error_r)
{
    *error_r = (struct rules_error){0};
    struct parser parser = {.length = text.length, .error = error_r};
    if (text.length > RULES_TEXT_MAX) {
        (void)refuse(&parser, RULES_TEXT_MAX, "more than %d bytes", RULES_TEXT_MAX);
        return NULL;
    }
    struct rules *rules = calloc(1, sizeof(*rules));
    parser.rules = rules;
    if (rules == NULL || (rules->text = malloc(text.length + 1)) == NULL ||
        (rules->rules = calloc(RULES_COUNT_MAX, sizeof(*rules->rules))) == NULL) {
        abort();
    }
    if (text.length != 0) {
        memcpy(rules->text, text.at, text.length);
    }
    rules->text[text.length] = '\0';
    if (!check_text(&parser) || !parse_list(&parser)) {
        rules_free(&rules);
        return NULL;
    }
    return rules;
}

void rules_free(struct rules **rules)
{
    if (*rules == NULL) {
        return;
    }
    for (size_t i = 0; i < (*rules)->count; i++) {
        pattern_free(&(*rules)->rules[i].pattern);
        java_replacement_free(&(*rules)->rules[i].replacement);
    }
    free((*rules)->rules);
    free((*rules)->text);
    free(*rules);
    *rules = NULL;
}

size_t rules_count(const struct rules *rules)
{
    return rules->count;
}

/* Applying --------------------------------------------------------------------------------- */

static enum rules_status status_of(enum pattern_status status)
{
    switch (status) {
    case PATTERN_MATCH:
        return RULES_OK;
    case PATTERN_NO_MATCH:
        return RULES_NO_MATCH;
    case PATTERN_LIMIT:
        return RULES_LIMIT;
    case PATTERN_BAD:
        break;
    }
    return RULES_BAD;
}

static bool is_ascii(struct view text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static enum rules_status apply_rule(const struct rule *rule, struct view dn, struct writer *out)
{
    if (rule->pattern == NULL) {
        writer_put(out, dn);
        return RULES_OK;
    }
    if (rule->ignores_case && !is_ascii(dn)) {
        return RULES_BAD;
    }
    const enum rules_status status = status_of(pattern_matches(rule->pattern, dn));
    return status != RULES_OK
               ? status
               : status_of(java_replace(rule->pattern, rule->replacement, true, dn, out));
}

/* `from` → `out` as a C string. */
static enum rules_status finish(enum casing casing, struct view from, char *out, size_t capacity)
{
    struct writer writer;
    writer_init_fixed(&writer, out, capacity - 1);
    const bool good = casing_apply(casing, from, &writer) && writer_ok(&writer) &&
                      (from.length == 0 || memchr(from.at, '\0', from.length) == NULL);
    out[good ? writer.length : 0] = '\0';
    return good ? RULES_OK : RULES_BAD;
}

enum rules_status rules_apply(const struct rules *rules, struct view dn, char *out, size_t capacity,
                              size_t *rule_r)
{
    if (capacity == 0) {
        return RULES_BAD;
    }
    out[0] = '\0';
    const struct view name = dn.at == NULL ? view_of("", 0) : dn;
    enum rules_status status = RULES_NO_MATCH;
    struct writer result;
    writer_init_growing(&result, 2 * (capacity + PATTERN_SUBJECT_BYTES_MAX));
    for (size_t i = 0; i < rules->count && status == RULES_NO_MATCH; i++) {
        const struct rule *rule = &rules->rules[i];
        writer_reset(&result);
        status = apply_rule(rule, name, &result);
        if (status == RULES_OK) {
            status = writer_ok(&result) ? finish(rule->casing, writer_view(&result), out, capacity)
                                        : RULES_BAD;
            if (rule_r != NULL) {
                *rule_r = i;
            }
        }
    }
    writer_free(&result);
    return status;
}
