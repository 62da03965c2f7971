/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/kerberos_name.h"

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

enum { COMPONENTS_MAX = 2 };

/* A pattern as Java has it, and what PCRE2 must not be asked. */
struct matcher {
    struct pattern *pattern; /* NULL = not given */
    bool ignores_case;
};

struct rule {
    char *text; /* own copy; NULL = DEFAULT */
    size_t components;
    struct view format; /* into text */
    struct matcher match, from;
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

struct parser {
    struct rule *rule;
    const char *text;
    size_t at, length;
    struct kerberos_name_error *error;
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

static bool take_word(struct parser *parser, const char *word)
{
    const size_t length = strlen(word);
    if (length > parser->length - parser->at ||
        memcmp(parser->text + parser->at, word, length) != 0) {
        return false;
    }
    parser->at += length;
    return true;
}

/* Up to the next `end`, which is taken, too. */
static bool take_part(struct parser *parser, char end, struct view *part_r)
{
    const char *start = parser->text + parser->at;
    const char *found = memchr(start, end, parser->length - parser->at);
    if (found == NULL) {
        return refuse(parser, parser->at, "no \"%c\" behind this", end);
    }
    *part_r = view_of(start, (size_t)(found - start));
    parser->at += part_r->length + 1;
    return true;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* A number as Integer.parseInt takes it; false: none, or beyond an int. */
static bool take_number(struct parser *parser, size_t *number_r)
{
    const size_t start = parser->at;
    size_t number = 0;
    while (parser->at < parser->length && is_digit(parser->text[parser->at])) {
        number = number * 10 + (size_t)(parser->text[parser->at++] - '0');
        if (number > INT32_MAX) {
            return false;
        }
    }
    *number_r = number;
    return parser->at > start;
}

/* "$n" behind "$": only what every principal of that many components has. */
static bool check_format(struct parser *parser, struct view format)
{
    const size_t end = parser->at - 1; /* the "]" */
    struct parser inside = *parser;
    inside.at = end - format.length;
    inside.length = end;
    while (inside.at < end) {
        const size_t start = inside.at;
        size_t number = 0;
        if (inside.text[inside.at++] != '$') {
            continue;
        }
        if (!take_number(&inside, &number) || number > parser->rule->components) {
            return refuse(parser, start, "$0 to $%zu is what there is here",
                          parser->rule->components);
        }
    }
    return true;
}

static bool take_selection(struct parser *parser)
{
    struct rule *rule = parser->rule;
    const size_t start = parser->at;
    if (!take_number(parser, &rule->components) || !take_word(parser, ":")) {
        return refuse(parser, start, "RULE:[ needs a number of components (write RULE:[1:$1])");
    }
    if (!take_part(parser, ']', &rule->format)) {
        return false;
    }
    /* A rule for any other number never applies, and Kafka never looks at its format. */
    bool applies = rule->components == 1 || rule->components == COMPONENTS_MAX;
    return !applies || check_format(parser, rule->format);
}

static bool compile(struct parser *parser, struct view text, struct matcher *matcher_r)
{
    const size_t offset = (size_t)((const char *)text.at - parser->text);
    struct java_pattern java = {false};
    struct java_pattern_error java_error;
    if (!java_pattern_check(text, &java, &java_error)) {
        return refuse(parser, offset + java_error.offset, "%s", java_error.text);
    }
    struct pattern_error error;
    matcher_r->pattern = pattern_compile(text, &error);
    if (matcher_r->pattern == NULL) {
        return refuse(parser, offset + error.offset, "%s", error.text);
    }
    matcher_r->ignores_case = java.ignores_case;
    return true;
}

static bool take_match(struct parser *parser)
{
    struct view text;
    if (!take_word(parser, "(")) {
        return true;
    }
    return take_part(parser, ')', &text) && compile(parser, text, &parser->rule->match);
}

static bool take_substitution(struct parser *parser)
{
    struct rule *rule = parser->rule;
    struct view from, to;
    if (!take_word(parser, "s/")) {
        return true;
    }
    if (!take_part(parser, '/', &from) || !take_part(parser, '/', &to) ||
        !compile(parser, from, &rule->from)) {
        return false;
    }
    struct java_replacement_error error;
    rule->to = java_replacement_parse(to, rule->from.pattern, JAVA_STRAYS_REFUSED, &error);
    if (rule->to == NULL) {
        const size_t offset = (size_t)((const char *)to.at - parser->text);
        return refuse(parser, offset + error.offset, "%s", error.text);
    }
    rule->everywhere = take_word(parser, "g");
    return true;
}

static void take_casing(struct parser *parser)
{
    (void)take_word(parser, "/");
    parser->rule->casing = take_word(parser, "L")   ? CASING_LOWER
                           : take_word(parser, "U") ? CASING_UPPER
                                                    : CASING_KEEP;
}

static bool parse_rule(struct parser *parser)
{
    if (!take_selection(parser) || !take_match(parser) || !take_substitution(parser)) {
        return false;
    }
    take_casing(parser);
    return parser->at == parser->length || refuse(parser, parser->at,
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

static bool parse(struct parser *parser, struct view text)
{
    size_t offset = 0;
    if (text.length > KERBEROS_NAME_RULE_BYTES_MAX) {
        return refuse(parser, KERBEROS_NAME_RULE_BYTES_MAX, "more than %d bytes",
                      KERBEROS_NAME_RULE_BYTES_MAX);
    }
    if (!is_plain_text(text, &offset)) {
        return refuse(parser, offset, "not UTF-8, or a control character");
    }
    if (view_is(text, "DEFAULT")) {
        return true;
    }
    parser->rule->text = calloc(1, text.length + 1);
    if (parser->rule->text == NULL) {
        abort();
    }
    if (text.length > 0) {
        memcpy(parser->rule->text, text.at, text.length);
    }
    parser->text = parser->rule->text;
    parser->length = text.length;
    if (!take_word(parser, "RULE:[")) {
        return refuse(parser, 0, "neither DEFAULT nor RULE:[n:format](match)s/from/to/g/L");
    }
    return parse_rule(parser);
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

bool kerberos_rules_add(struct kerberos_rules *rules, struct view text,
                        struct kerberos_name_error *error_r)
{
    *error_r = (struct kerberos_name_error){0};
    struct parser parser = {.error = error_r};
    if (rules->count == KERBEROS_NAME_RULES_MAX) {
        return refuse(&parser, 0, "more than %d rules", KERBEROS_NAME_RULES_MAX);
    }
    parser.rule = &rules->rules[rules->count];
    if (!parse(&parser, text)) {
        rule_free(parser.rule);
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

static bool is_ascii(struct view text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] >= 0x80) {
            return false;
        }
    }
    return true;
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
    const bool sure = is_ascii(base);
    if (rule->match.pattern != NULL) {
        if (rule->match.ignores_case && !sure) {
            return KERBEROS_NAME_BAD;
        }
        const enum pattern_status status = pattern_matches(rule->match.pattern, base);
        if (status != PATTERN_MATCH) {
            return status_of(status);
        }
    }
    if (rule->from.pattern == NULL) {
        writer_put(out, base);
        return KERBEROS_NAME_OK;
    }
    if (rule->from.ignores_case && !sure) {
        return KERBEROS_NAME_BAD;
    }
    return status_of(java_replace(rule->from.pattern, rule->to, rule->everywhere, base, out));
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
