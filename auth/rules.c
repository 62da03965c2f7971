/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rules.h"

#include "auth/casing.h"
#include "auth/rule_text.h"
#include "conf/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    struct rule_pattern from; /* none = DEFAULT */
    struct java_replacement *to;
    enum casing casing;
};

struct rules {
    char *text; /* own copy */
    struct rule *rules;
    size_t count;
};

/* Parsing ---------------------------------------------------------------------------------- */

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void skip_spaces(struct rule_text *in)
{
    while (in->at < in->length && is_space(in->text[in->at])) {
        in->at++;
    }
}

/* Up to the next "/" that no "\" precedes; the "/" is taken, too. */
static bool take_part(struct rule_text *in, struct view *part_r)
{
    const size_t start = in->at;
    while (in->at < in->length && in->text[in->at] != '/') {
        in->at += in->text[in->at] == '\\' ? 2 : 1;
    }
    if (in->at >= in->length) {
        return rule_fault_set(in->fault, start,
                              "RULE: without its two \"/\" (write RULE:pattern/replacement/)");
    }
    *part_r = view_of(in->text + start, in->at - start);
    in->at++;
    return true;
}

/* Behind "RULE:". */
static bool parse_rule(struct rule_text *in, struct rule *rule)
{
    struct view from, to;
    if (!take_part(in, &from) || !take_part(in, &to) || !rule_text_pattern(in, from, &rule->from)) {
        return false;
    }
    rule->to = rule_text_replacement(in, to, &rule->from, JAVA_STRAYS_LITERAL);
    rule->casing = rule_text_take_casing(in);
    return rule->to != NULL;
}

/* One element of the list; an empty one adds nothing. */
static bool parse_element(struct rules *rules, struct rule_text *in)
{
    const size_t start = in->at;
    if (start == in->length || in->text[start] == ',') {
        return true;
    }
    if (rules->count == RULES_COUNT_MAX) {
        return rule_fault_set(in->fault, start, "more than %d rules", RULES_COUNT_MAX);
    }
    struct rule *rule = &rules->rules[rules->count];
    if (rule_text_take(in, "RULE:")) {
        rules->count++;
        return parse_rule(in, rule);
    }
    if (rule_text_take(in, "DEFAULT")) {
        rules->count++;
        return true;
    }
    return rule_fault_set(in->fault, start, "neither DEFAULT nor RULE:pattern/replacement/[LU]");
}

static bool parse_list(struct rules *rules, struct rule_text *in)
{
    for (;;) {
        skip_spaces(in);
        if (!parse_element(rules, in)) {
            return false;
        }
        skip_spaces(in);
        if (in->at >= in->length) {
            return true;
        }
        if (in->text[in->at] != ',') {
            return rule_fault_set(in->fault, in->at, "only a comma may follow a rule");
        }
        in->at++;
    }
}

/* UTF-8, and no control characters but the blanks between rules. */
static bool check_text(const struct rule_text *in)
{
    for (size_t i = 0; i < in->length;) {
        uint32_t point = 0;
        const size_t used = utf8_next(in->text + i, in->length - i, &point);
        if (used == 0) {
            return rule_fault_set(in->fault, i, "not valid UTF-8");
        }
        const bool blank = point == '\t' || point == '\n';
        if ((point < 0x20 && !blank) || (point >= 0x7f && point <= 0x9f) || point == 0x2028 ||
            point == 0x2029) {
            return rule_fault_set(in->fault, i, "control characters have no place in rules");
        }
        i += used;
    }
    return true;
}

struct rules *rules_parse(struct view text, struct rule_fault *fault_r)
{
    *fault_r = (struct rule_fault){0};
    if (text.length > RULES_TEXT_MAX) {
        (void)rule_fault_set(fault_r, RULES_TEXT_MAX, "more than %d bytes", RULES_TEXT_MAX);
        return NULL;
    }
    struct rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL || (rules->text = malloc(text.length + 1)) == NULL ||
        (rules->rules = calloc(RULES_COUNT_MAX, sizeof(*rules->rules))) == NULL) {
        abort();
    }
    if (text.length != 0) {
        memcpy(rules->text, text.at, text.length);
    }
    rules->text[text.length] = '\0';
    struct rule_text in = {.text = rules->text, .length = text.length, .fault = fault_r};
    if (!check_text(&in) || !parse_list(rules, &in)) {
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
        pattern_free(&(*rules)->rules[i].from.pattern);
        java_replacement_free(&(*rules)->rules[i].to);
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

static enum rules_status apply_rule(const struct rule *rule, struct view dn, struct writer *out)
{
    if (rule->from.pattern == NULL) {
        writer_put(out, dn);
        return RULES_OK;
    }
    const enum rules_status status = status_of(rule_pattern_matches(&rule->from, dn));
    return status != RULES_OK
               ? status
               : status_of(rule_pattern_replace(&rule->from, rule->to, true, dn, out));
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
