/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/log_line.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char hex_digits[] = "0123456789abcdef";

/* The line being made; never written past capacity, which keeps room for the ending. */
struct line {
    char *out;
    size_t length, capacity;
    bool full;
    bool json;
};

enum { ENDING_BYTES = 32 };

struct log_field log_view(const char *key, struct view value)
{
    struct log_field field = {.key = key, .kind = LOG_KIND_TEXT, .value.text = value};
    if (value.at == NULL) {
        field.kind = LOG_KIND_NONE;
    }
    return field;
}

struct log_field log_str(const char *key, const char *value)
{
    struct view text = {(const uint8_t *)value, value != NULL ? strlen(value) : 0};
    return log_view(key, text);
}

struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_INT, .value.integer = value};
}

struct log_field log_uint(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_UINT, .value.natural = value};
}

struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_BOOL, .value.truth = value};
}

struct log_field log_address(const char *key, const struct sockaddr *value)
{
    return (struct log_field){.key = key,
                              .kind = value != NULL ? LOG_KIND_ADDRESS : LOG_KIND_NONE,
                              .value.address = value};
}

const char *log_level_name(enum log_level level)
{
    size_t at = (size_t)level;
    return at < sizeof level_names / sizeof level_names[0] ? level_names[at] : "error";
}

bool log_level_parse(const char *name, enum log_level *level_r)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level_r = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void put(struct line *line, const char *text, size_t length)
{
    if (line->full || length > line->capacity - line->length) {
        line->full = true;
        return;
    }
    memcpy(line->out + line->length, text, length);
    line->length += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Bytes of the well-formed UTF-8 character at text, and its code point; 0 when it is not one
 * (Unicode 3.1 table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t character(const uint8_t *text, size_t length, uint32_t *code_r)
{
    uint8_t first = text[0];
    if (first < 0x80) {
        *code_r = first;
        return 1;
    }
    size_t n = first >= 0xc2 && first <= 0xdf   ? 2
               : first >= 0xe0 && first <= 0xef ? 3
               : first >= 0xf0 && first <= 0xf4 ? 4
                                                : 0;
    if (n == 0 || n > length) {
        return 0;
    }
    uint32_t code = first & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[i] & 0x3fU);
    }
    bool overlong = (n == 3 && code < 0x800) || (n == 4 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *code_r = code;
    return n;
}

/* Characters that a terminal or a viewer acts on instead of showing them. */
static bool is_active(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
           (code >= 0xfff9 && code <= 0xfffb);
}

static void put_unicode_escape(struct line *line, uint32_t code)
{
    char text[6] = {'\\',
                    'u',
                    hex_digits[code >> 12 & 15],
                    hex_digits[code >> 8 & 15],
                    hex_digits[code >> 4 & 15],
                    hex_digits[code & 15]};
    put(line, text, sizeof text);
}

static void put_bad_byte(struct line *line, uint8_t byte)
{
    /* JSON has no escape for a byte, so there the backslash itself is escaped: the text is \xXX. */
    char text[5] = {'\\', '\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 15]};
    put(line, line->json ? text : text + 1, line->json ? 5 : 4);
}

static void put_character(struct line *line, const uint8_t *text, size_t n, uint32_t code)
{
    const char *shorthand = code == '\n'   ? "\\n"
                            : code == '\r' ? "\\r"
                            : code == '\t' ? "\\t"
                            : code == '"'  ? "\\\""
                            : code == '\\' ? "\\\\"
                                           : NULL;
    if (shorthand != NULL) {
        put(line, shorthand, 2);
    } else if (is_active(code)) {
        put_unicode_escape(line, code);
    } else {
        put(line, (const char *)text, n);
    }
}

/* Puts one character, or one byte that is none; returns how many bytes of the text it was. */
static size_t put_next(struct line *line, const uint8_t *text, size_t length)
{
    uint32_t code = 0;
    size_t n = character(text, length, &code);
    if (n == 0) {
        put_bad_byte(line, text[0]);
        return 1;
    }
    put_character(line, text, n, code);
    return n;
}

static void put_quoted(struct line *line, struct view value)
{
    put_text(line, "\"");
    size_t at = 0;
    while (at < value.length) {
        size_t room = LOG_VALUE_MAX - at;
        uint32_t code = 0;
        size_t n = character(value.at + at, value.length - at, &code);
        if (room < (n > 0 ? n : 1)) {
            put_text(line, "...");
            break;
        }
        at += put_next(line, value.at + at, value.length - at);
    }
    put_text(line, "\"");
}

size_t log_escape(char *out, size_t capacity, struct view text)
{
    struct line line = {.out = out, .capacity = capacity};
    size_t at = 0;
    while (at < text.length && !line.full) {
        at += put_next(&line, text.at + at, text.length - at);
    }
    return line.length;
}

/* What logfmt shows without quotes: printable ASCII but space, quote, equals sign and backslash. */
static bool is_plain(struct view value)
{
    if (value.length == 0 || value.length > LOG_VALUE_MAX) {
        return false;
    }
    for (size_t i = 0; i < value.length; i++) {
        uint8_t c = value.at[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return true;
}

static void put_value(struct line *line, struct view value)
{
    if (!line->json && is_plain(value)) {
        put(line, (const char *)value.at, value.length);
    } else {
        put_quoted(line, value);
    }
}

static void put_string(struct line *line, const char *text)
{
    struct view value = {(const uint8_t *)text, strlen(text)};
    put_value(line, value);
}

static void put_socket_address(struct line *line, const struct sockaddr *address)
{
    char host[INET6_ADDRSTRLEN] = "";
    char text[INET6_ADDRSTRLEN + 16];
    /* Copied out, because the caller's storage need not be aligned for these types. */
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(text, sizeof text, "%s:%u", host, ntohs(v4.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(text, sizeof text, "[%s]:%u", host, ntohs(v6.sin6_port));
    } else {
        snprintf(text, sizeof text, "family-%u", address->sa_family);
    }
    put_string(line, text);
}

static void put_key(struct line *line, const char *key)
{
    if (line->json) {
        put_text(line, line->length > 1 ? ",\"" : "\"");
        put_text(line, key);
        put_text(line, "\":");
        return;
    }
    if (line->length > 0) {
        put_text(line, " ");
    }
    put_text(line, key);
    put_text(line, "=");
}

static void put_number(struct line *line, const struct log_field *field)
{
    char text[24];
    if (field->kind == LOG_KIND_INT) {
        snprintf(text, sizeof text, "%" PRId64, field->value.integer);
    } else {
        snprintf(text, sizeof text, "%" PRIu64, field->value.natural);
    }
    put_text(line, text);
}

static void put_field(struct line *line, const struct log_field *field)
{
    put_key(line, field->key);
    switch (field->kind) {
    case LOG_KIND_TEXT:
        put_value(line, field->value.text);
        break;
    case LOG_KIND_INT:
    case LOG_KIND_UINT:
        put_number(line, field);
        break;
    case LOG_KIND_BOOL:
        put_text(line, field->value.truth ? "true" : "false");
        break;
    case LOG_KIND_ADDRESS:
        put_socket_address(line, field->value.address);
        break;
    case LOG_KIND_NONE:
        break;
    }
}

static void put_head(struct line *line, enum log_level level, uint64_t time_ns, const char *event)
{
    time_t seconds = (time_t)(time_ns / 1000000000U);
    struct tm utc;
    char text[64];
    if (gmtime_r(&seconds, &utc) == NULL) {
        memset(&utc, 0, sizeof utc);
    }
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + length, sizeof text - length, ".%06uZ",
             (unsigned)(time_ns % 1000000000U / 1000U));
    put_key(line, "ts");
    put_string(line, text);
    put_key(line, "level");
    put_string(line, log_level_name(level));
    put_key(line, "event");
    put_string(line, event);
}

size_t log_line(char *out, size_t capacity, enum log_format format, enum log_level level,
                uint64_t time_ns, const char *event, const struct log_field *fields, size_t count)
{
    struct line line = {
        .out = out, .capacity = capacity - ENDING_BYTES, .json = format == LOG_FORMAT_JSON};
    bool truncated = false;
    if (line.json) {
        put_text(&line, "{");
    }
    put_head(&line, level, time_ns, event);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].kind == LOG_KIND_NONE) {
            continue;
        }
        size_t before = line.length;
        put_field(&line, &fields[i]);
        if (line.full) {
            line.length = before;
            line.full = false;
            truncated = true;
        }
    }
    line.capacity = capacity;
    if (truncated) {
        put_key(&line, "truncated");
        put_text(&line, "true");
    }
    put_text(&line, line.json ? "}\n" : "\n");
    return line.length;
}
