/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/java_pattern.h"

#include <ctype.h>
#include <string.h>

struct scan {
    struct view text;
    size_t at;
    struct java_pattern found;
    bool properties;                              /* has \p or \P */
    enum { ITEM, COUNTED, COUNTED_TWICE } before; /* what the cursor stands behind */
    struct java_pattern_error *error;
};

static bool refuse(struct scan *scan, size_t at, const char *text)
{
    *scan->error = (struct java_pattern_error){.offset = at, .text = text};
    return false;
}

/* The byte `ahead` of the cursor, or NUL, which no pattern holds. */
static char peek(const struct scan *scan, size_t ahead)
{
    const size_t at = scan->at + ahead;
    return at < scan->text.length ? (char)scan->text.at[at] : '\0';
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* One of the general categories of Unicode: "L", "Lu", ... Other names differ. */
static bool is_category(const char *name, size_t length)
{
    static const char *const minors[] = {"Ccfnos",   "Llmotu", "Mcen", "Ndlo",
                                         "Pcdefios", "Sckmo",  "Zlps"};
    for (size_t i = 0; i < sizeof(minors) / sizeof(minors[0]); i++) {
        if (length != 0 && name[0] == minors[i][0]) {
            return length == 1 || (length == 2 && strchr(minors[i] + 1, name[1]) != NULL);
        }
    }
    return false;
}

/* At "\p" or "\P". */
static bool check_property(struct scan *scan)
{
    const char *text = (const char *)scan->text.at + scan->at;
    const size_t left = scan->text.length - scan->at;
    size_t length = 3;
    bool good = left >= 3 && is_category(text + 2, 1);
    if (left >= 3 && text[2] == '{') {
        const char *close = memchr(text, '}', left);
        length = close == NULL ? left : (size_t)(close - text) + 1;
        good = close != NULL && is_category(text + 3, length - 4);
    }
    if (!good) {
        return refuse(scan, scan->at, "only general categories such as \\p{Lu} are common");
    }
    scan->properties = true;
    scan->at += length;
    return true;
}

/* At "\x". */
static bool check_hex(struct scan *scan)
{
    size_t digits = 0;
    const bool braced = peek(scan, 2) == '{';
    const size_t start = braced ? 3 : 2;
    while (isxdigit((unsigned char)peek(scan, start + digits)) && digits < (braced ? 6U : 2U)) {
        digits++;
    }
    if (braced ? digits == 0 || peek(scan, start + digits) != '}' : digits != 2) {
        return refuse(scan, scan->at, "write \\xhh or \\x{h...}");
    }
    scan->at += start + digits + (braced ? 1 : 0);
    return true;
}

/* At "\Q": nothing is special until "\E". */
static bool skip_quoted(struct scan *scan)
{
    scan->at += 2;
    while (scan->at < scan->text.length) {
        if (peek(scan, 0) == '\\' && peek(scan, 1) == 'E') {
            scan->at += 2;
            return true;
        }
        scan->at++;
    }
    return refuse(scan, scan->at, "\\Q without \\E");
}

/* At "\" outside (in_class false) or inside of a class. */
static bool check_escape(struct scan *scan, bool in_class)
{
    const char kind = peek(scan, 1);
    if (kind == '\0' || (kind & 0x80) != 0) {
        return refuse(scan, scan->at, "\\ before nothing, or before a character beyond ASCII");
    }
    if (kind == 'p' || kind == 'P') {
        return check_property(scan);
    }
    if (kind == 'x') {
        return check_hex(scan);
    }
    if (!in_class && kind == 'Q') {
        return skip_quoted(scan);
    }
    if (is_digit(kind)) {
        if (in_class || kind == '0' || is_digit(peek(scan, 2))) {
            return refuse(scan, scan->at, "only \\1 to \\9, outside of classes, are common");
        }
    } else if (is_letter(kind) &&
               strchr(in_class ? "tnrfaedDsSwWhHvV" : "tnrfaedDsSwWhHvVAzZ", kind) == NULL) {
        return refuse(scan, scan->at, "this escape is not common to Java and PCRE2");
    }
    scan->at += 2;
    return true;
}

/* At "[". */
static bool check_class(struct scan *scan)
{
    const size_t start = scan->at++;
    if (peek(scan, 0) == '^') {
        scan->at++;
    }
    if (peek(scan, 0) == ']') {
        return refuse(scan, scan->at, "write ] as \\] in a class");
    }
    while (scan->at < scan->text.length) {
        const char byte = peek(scan, 0);
        if (byte == ']') {
            scan->at++;
            return true;
        }
        if (byte == '[') {
            return refuse(scan, scan->at, "write [ as \\[ in a class");
        }
        if (byte == '&' && peek(scan, 1) == '&') {
            return refuse(scan, scan->at, "write & once in a class");
        }
        if (byte == '\\') {
            if (!check_escape(scan, true)) {
                return false;
            }
        } else {
            scan->at++;
        }
    }
    return refuse(scan, start, "the class is not closed");
}

/* At "(?<" of a named group. */
static bool check_group_name(struct scan *scan)
{
    size_t length = 3;
    while (is_letter(peek(scan, length)) || (length > 3 && is_digit(peek(scan, length)))) {
        length++;
    }
    if (length == 3 || length > 3 + 32 || peek(scan, length) != '>') {
        return refuse(scan, scan->at, "a group name has at most 32 ASCII letters and digits");
    }
    scan->at += length + 1;
    return true;
}

/* At "(". */
static bool check_group(struct scan *scan)
{
    if (peek(scan, 1) == '*') {
        return refuse(scan, scan->at, "\"(*\" is an error in Java");
    }
    if (peek(scan, 1) != '?') {
        scan->at++;
        return true;
    }
    const char kind = peek(scan, 2), next = peek(scan, 3);
    if (kind == 'i' && (next == ')' || next == ':')) {
        scan->found.ignores_case = true;
        scan->at += 4;
        return true;
    }
    if (kind == ':' || kind == '=' || kind == '!' || kind == '>') {
        scan->at += 3;
        return true;
    }
    if (kind == '<' && (next == '=' || next == '!')) {
        scan->at += 4;
        return true;
    }
    if (kind == '<') {
        return check_group_name(scan);
    }
    return refuse(scan, scan->at, "only (?: (?= (?! (?> (?<= (?<! (?<name> and (?i) are common");
}

/* At "{": Java takes it only as a count, PCRE2 as itself when it is none. */
static bool check_count(struct scan *scan)
{
    size_t length = 1;
    while (is_digit(peek(scan, length))) {
        length++;
    }
    const bool digits = length > 1;
    if (peek(scan, length) == ',') {
        length++;
        while (is_digit(peek(scan, length))) {
            length++;
        }
    }
    if (!digits || peek(scan, length) != '}') {
        return refuse(scan, scan->at, "write { as \\{ when it is not a count");
    }
    scan->at += length + 1;
    return true;
}

/*
 * At "*", "+", "?" or "{". One count, and one "?" or "+" behind it, mean the same to both; more do
 * not.
 */
static bool check_repeat(struct scan *scan)
{
    const char kind = peek(scan, 0);
    const bool modifier = scan->before == COUNTED && (kind == '?' || kind == '+');
    if (scan->before != ITEM && !modifier) {
        return refuse(scan, scan->at, "put (?:...) around what is repeated twice");
    }
    scan->before = modifier ? COUNTED_TWICE : COUNTED;
    if (kind == '{') {
        return check_count(scan);
    }
    scan->at++;
    return true;
}

static bool check_next(struct scan *scan)
{
    const char kind = peek(scan, 0);
    if (kind == '*' || kind == '+' || kind == '?' || kind == '{') {
        return check_repeat(scan);
    }
    scan->before = ITEM;
    switch (kind) {
    case '\\':
        return check_escape(scan, false);
    case '[':
        return check_class(scan);
    case '(':
        return check_group(scan);
    default:
        scan->at++;
        return true;
    }
}

bool java_pattern_check(struct view text, struct java_pattern *pattern_r,
                        struct java_pattern_error *error_r)
{
    struct scan scan = {.text = text, .error = error_r};
    bool ascii = true;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] == 0) {
            return refuse(&scan, i, "must not hold NUL");
        }
        ascii = ascii && text.at[i] < 0x80;
    }
    while (scan.at < text.length) {
        if (!check_next(&scan)) {
            return false;
        }
    }
    if (scan.found.ignores_case && (!ascii || scan.properties)) {
        return refuse(&scan, 0, "with (?i) write ASCII only, and no \\p");
    }
    *pattern_r = scan.found;
    return true;
}
