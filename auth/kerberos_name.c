/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/kerberos_name.h"

#include "auth/casing.h"
#include "auth/rule_text.h"
#include "conf/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { COMPONENTS_MAX = 2 };

struct rule {
    char *text; /* own copy; NULL = DEFAULT */
    size_t components;
    struct view format; /* into text */
    struct rule_pattern match, from;
    struct java_replacement *to;
    bool everywhere;
    enum casing casing;
};

struct kerberos_rules {
    char *realm;
    size_t count;
    struct rule rules[KERBEROS_NAME_RULES_MAX];
};

/* Parsing ---------------------------------------------------------------------------------- */

/* Up to the next `end`, which is taken, too. */
static bool take_part(struct rule_text *in, char end, struct view *part_r)
{
    const char *start = in->text + in->at;
    const char *found = memchr(start, end, in->length - in->at);
    if (found == NULL) {
        return rule_fault_set(in->fault, in->at, "no \"%c\" behind this", end);
    }
    *part_r = view_of(start, (size_t)(found - start));
    in->at += part_r->length + 1;
    return true;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* A number as Integer.parseInt takes it; false: none, or beyond an int. */
static bool take_number(struct rule_text *in, size_t *number_r)
{
    const size_t start = in->at;
    size_t number = 0;
    while (in->at < in->length && is_digit(in->text[in->at])) {
        number = number * 10 + (size_t)(in->text[in->at++] - '0');
        if (number > INT32_MAX) {
            return false;
        }
    }
    *number_r = number;
    return in->at > start;
}

/* "$n" behind "$": only what every principal of that many components has. */
static bool check_format(const struct rule_text *in, struct view format, size_t components)
{
    const size_t end = in->at - 1; /* the "]" */
    struct rule_text inside = *in;
    inside.at = end - format.length;
    inside.length = end;
    while (inside.at < end) {
        const size_t start = inside.at;
        size_t number = 0;
        if (inside.text[inside.at++] != '$') {
            continue;
        }
        if (!take_number(&inside, &number) || number > components) {
            return rule_fault_set(in->fault, start, "$0 to $%zu is what there is here", components);
        }
    }
    return true;
}

static bool take_selection(struct rule_text *in, struct rule *rule)
{
    const size_t start = in->at;
    if (!take_number(in, &rule->components) || !rule_text_take(in, ":")) {
        return rule_fault_set(in->fault, start,
                              "RULE:[ needs a number of components (write RULE:[1:$1])");
    }
    if (!take_part(in, ']', &rule->format)) {
        return false;
    }
    /* A rule for any other number never applies, and Kafka never looks at its format. */
    bool applies = rule->components == 1 || rule->components == COMPONENTS_MAX;
    return !applies || check_format(in, rule->format, rule->components);
}

static bool take_match(struct rule_text *in, struct rule *rule)
{
    struct view text;
    if (!rule_text_take(in, "(")) {
        return true;
    }
    return take_part(in, ')', &text) && rule_text_pattern(in, text, &rule->match);
}

static bool take_substitution(struct rule_text *in, struct rule *rule)
{
    struct view from, to;
    if (!rule_text_take(in, "s/")) {
        return true;
    }
    if (!take_part(in, '/', &from) || !take_part(in, '/', &to) ||
        !rule_text_pattern(in, from, &rule->from)) {
        return false;
    }
    rule->to = rule_text_replacement(in, to, &rule->from, JAVA_STRAYS_REFUSED);
    rule->everywhere = rule_text_take(in, "g");
    return rule->to != NULL;
}

/* Behind "RULE:[". */
static bool parse_rule(struct rule_text *in, struct rule *rule)
{
    if (!take_selection(in, rule) || !take_match(in, rule) || !take_substitution(in, rule)) {
        return false;
    }
    (void)rule_text_take(in, "/");
    rule->casing = rule_text_take_casing(in);
    return in->at == in->length || rule_fault_set(in->fault, in->at,
                                                  "nothing of a rule is left for this "
                                                  "(RULE:[n:format](match)s/from/to/g/L)");
}

static bool is_plain_text(struct view text, size_t *offset_r)
{
    const char *at = (const char *)text.at;
    for (*offset_r = 0; *offset_r < text.length;) {
        uint32_t point = 0;
        const size_t used = utf8_next(at + *offset_r, text.length - *offset_r, &point);
        if (used == 0 || point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x2028 ||
            point == 0x2029) {
            return false;
        }
        *offset_r += used;
    }
    return true;
}

static bool parse(struct view text, struct rule *rule, struct rule_fault *fault)
{
    size_t offset = 0;
    if (text.length > KERBEROS_NAME_RULE_BYTES_MAX) {
        return rule_fault_set(fault, KERBEROS_NAME_RULE_BYTES_MAX, "more than %d bytes",
                              KERBEROS_NAME_RULE_BYTES_MAX);
    }
    if (!is_plain_text(text, &offset)) {
        return rule_fault_set(fault, offset, "not UTF-8, or a control character");
    }
    if (view_is(text, "DEFAULT")) {
        return true;
    }
    rule->text = calloc(1, text.length + 1);
    if (rule->text == NULL) {
        abort();
    }
    if (text.length > 0) {
        memcpy(rule->text, text.at, text.length);
    }
    struct rule_text in = {.text = rule->text, .length = text.length, .fault = fault};
    if (!rule_text_take(&in, "RULE:[")) {
        return rule_fault_set(fault, 0, "neither DEFAULT nor RULE:[n:format](match)s/from/to/g/L");
    }
    return parse_rule(&in, rule);
}

static void rule_free(struct rule *rule)
{
    pattern_free(&rule->match.pattern);
    pattern_free(&rule->from.pattern);
    java_replacement_free(&rule->to);
    free(rule->text);
    *rule = (struct rule){0};
}

struct kerberos_rules *kerberos_rules_new(const char *realm)
{
    struct kerberos_rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL || (rules->realm = strdup(realm)) == NULL) {
        abort();
    }
    return rules;
}

bool kerberos_rules_add(struct kerberos_rules *rules, struct view text, struct rule_fault *fault_r)
{
    *fault_r = (struct rule_fault){0};
    if (rules->count == KERBEROS_NAME_RULES_MAX) {
        return rule_fault_set(fault_r, 0, "more than %d rules", KERBEROS_NAME_RULES_MAX);
    }
    struct rule *rule = &rules->rules[rules->count];
    if (!parse(text, rule, fault_r)) {
        rule_free(rule);
        return false;
    }
    rules->count++;
    return true;
}

void kerberos_rules_free(struct kerberos_rules **rules)
{
    if (*rules == NULL) {
        return;
    }
    for (size_t i = 0; i < (*rules)->count; i++) {
        rule_free(&(*rules)->rules[i]);
    }
    free((*rules)->realm);
    free(*rules);
    *rules = NULL;
}

size_t kerberos_rules_count(const struct kerberos_rules *rules)
{
    return rules->count;
}

/* Applying --------------------------------------------------------------------------------- */

/* [0] the realm, then the components. */
struct parts {
    struct view part[COMPONENTS_MAX + 1];
    size_t components;
};

static bool split(struct view principal, struct parts *parts_r)
{
    const uint8_t *at = memchr(principal.at, '@', principal.length);
    const size_t name = (size_t)(at - principal.at);
    const struct view realm = view_from(principal, name + 1);
    const uint8_t *slash = memchr(principal.at, '/', name);
    const size_t first = slash == NULL ? name : (size_t)(slash - principal.at);
    parts_r->part[0] = realm;
    parts_r->part[1] = view_of(principal.at, first);
    parts_r->components = 1;
    if (slash != NULL) {
        parts_r->part[2] = view_of(slash + 1, name - first - 1);
        parts_r->components = 2;
        if (memchr(slash + 1, '/', parts_r->part[2].length) != NULL) {
            return false;
        }
    }
    return realm.length == 0 || (memchr(realm.at, '@', realm.length) == NULL &&
                                 memchr(realm.at, '/', realm.length) == NULL);
}

static enum kerberos_name_status status_of(enum pattern_status status)
{
    switch (status) {
    case PATTERN_MATCH:
        return KERBEROS_NAME_OK;
    case PATTERN_NO_MATCH:
        return KERBEROS_NAME_NO_RULE;
    case PATTERN_LIMIT:
        return KERBEROS_NAME_LIMIT;
    case PATTERN_BAD:
        break;
    }
    return KERBEROS_NAME_BAD;
}

/* The format was checked: every "$" is a number of a part. */
static void put_format(const struct rule *rule, const struct parts *parts, struct writer *out)
{
    const struct view format = rule->format;
    for (size_t i = 0; i < format.length;) {
        if (format.at[i] != '$') {
            writer_put(out, view_of(format.at + i++, 1));
            continue;
        }
        size_t number = 0;
        for (i++; i < format.length && is_digit((char)format.at[i]); i++) {
            number = number * 10 + (size_t)(format.at[i] - '0');
        }
        writer_put(out, parts->part[number]);
    }
}

static enum kerberos_name_status substitute(const struct rule *rule, struct view base,
                                            struct writer *out)
{
    if (rule->match.pattern != NULL) {
        const enum pattern_status status = rule_pattern_matches(&rule->match, base);
        if (status != PATTERN_MATCH) {
            return status_of(status);
        }
    }
    if (rule->from.pattern == NULL) {
        writer_put(out, base);
        return KERBEROS_NAME_OK;
    }
    return status_of(rule_pattern_replace(&rule->from, rule->to, rule->everywhere, base, out));
}

/* Into `out`, unless the rule is for other principals. */
static enum kerberos_name_status apply(const struct kerberos_rules *rules, const struct rule *rule,
                                       const struct parts *parts, struct writer *base,
                                       struct writer *out)
{
    if (rule->text == NULL) {
        if (!view_is(parts->part[0], rules->realm)) {
            return KERBEROS_NAME_NO_RULE;
        }
        writer_put(out, parts->part[1]);
        return KERBEROS_NAME_OK;
    }
    if (rule->components != parts->components) {
        return KERBEROS_NAME_NO_RULE;
    }
    writer_reset(base);
    put_format(rule, parts, base);
    const struct view text = writer_view(base);
    return writer_ok(base) ? substitute(rule, text.at != NULL ? text : view_of("", 0), out)
                           : KERBEROS_NAME_BAD;
}

/* `from` → `out` as a C string. */
static enum kerberos_name_status finish(enum casing casing, struct view from, char *out,
                                        size_t capacity)
{
    struct writer writer;
    if (from.length > 0 &&
        (memchr(from.at, '/', from.length) != NULL || memchr(from.at, '@', from.length) != NULL)) {
        return KERBEROS_NAME_NOT_SIMPLE;
    }
    writer_init_fixed(&writer, out, capacity - 1);
    const bool good = casing_apply(casing, from, &writer) && writer_ok(&writer);
    out[good ? writer.length : 0] = '\0';
    return good ? KERBEROS_NAME_OK : KERBEROS_NAME_BAD;
}

static enum kerberos_name_status apply_all(const struct kerberos_rules *rules,
                                           const struct parts *parts, char *out, size_t capacity,
                                           size_t *rule_r)
{
    enum kerberos_name_status status = KERBEROS_NAME_NO_RULE;
    struct writer base, result;
    writer_init_growing(&base, PATTERN_SUBJECT_BYTES_MAX);
    writer_init_growing(&result, 2 * (capacity + PATTERN_SUBJECT_BYTES_MAX));
    for (size_t i = 0; i < rules->count && status == KERBEROS_NAME_NO_RULE; i++) {
        const struct rule *rule = &rules->rules[i];
        writer_reset(&result);
        status = apply(rules, rule, parts, &base, &result);
        if (status == KERBEROS_NAME_OK) {
            status = writer_ok(&result) ? finish(rule->casing, writer_view(&result), out, capacity)
                                        : KERBEROS_NAME_BAD;
            *rule_r = i;
        }
    }
    writer_free(&base);
    writer_free(&result);
    return status;
}

enum kerberos_name_status kerberos_name_short(const struct kerberos_rules *rules,
                                              struct view principal, char *out, size_t capacity,
                                              size_t *rule_r)
{
    size_t rule = rules->count, offset = 0;
    struct parts parts;
    if (capacity == 0) {
        return KERBEROS_NAME_BAD;
    }
    out[0] = '\0';
    if (principal.length > KERBEROS_NAME_BYTES_MAX || !is_plain_text(principal, &offset) ||
        (principal.length > 0 && memchr(principal.at, '\\', principal.length) != NULL)) {
        return KERBEROS_NAME_BAD;
    }
    enum kerberos_name_status status = KERBEROS_NAME_BAD;
    if (principal.length == 0 || memchr(principal.at, '@', principal.length) == NULL) {
        if (principal.length < capacity) {
            memcpy(out, principal.length > 0 ? (const char *)principal.at : "", principal.length);
            out[principal.length] = '\0';
            status = KERBEROS_NAME_OK;
        }
    } else if (split(principal, &parts)) {
        status = apply_all(rules, &parts, out, capacity, &rule);
    }
    if (rule_r != NULL) {
        *rule_r = rule;
    }
    return status;
}
