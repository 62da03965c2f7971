/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/log_line.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <jansson.h>
#include <netinet/in.h>
#include <string.h>

static char line[LOG_LINE_MAX + 1];

static const char *make(enum log_format format, const struct log_field *fields, size_t count)
{
    size_t length = log_line(line, LOG_LINE_MAX, format, LOG_LEVEL_INFO, 1700000000123456789U, "e",
                             fields, count);
    cr_assert(length > 0 && length <= LOG_LINE_MAX);
    line[length] = '\0';
    cr_assert_eq(strlen(line), length, "no NUL inside");
    cr_assert_eq(line[length - 1], '\n');
    cr_assert_eq(strchr(line, '\n'), line + length - 1, "one line");
    return line;
}

/* The value of key "k" in the JSON line, which must be valid. */
static const char *json_value(const struct log_field *field)
{
    static char value[8 * LOG_VALUE_MAX];
    json_error_t error;
    json_t *root = json_loads(make(LOG_FORMAT_JSON, field, 1),
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    cr_assert_not_null(root, "%s: %s", error.text, line);
    const char *text = json_string_value(json_object_get(root, "k"));
    cr_assert_not_null(text, "%s", line);
    snprintf(value, sizeof value, "%s", text);
    json_decref(root);
    return value;
}

Test(log_line, head)
{
    cr_assert_str_eq(make(LOG_FORMAT_LOGFMT, NULL, 0),
                     "ts=2023-11-14T22:13:20.123456Z level=info event=e\n");
    cr_assert_str_eq(
        make(LOG_FORMAT_JSON, NULL, 0),
        "{\"ts\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"info\",\"event\":\"e\"}\n");
}

Test(log_line, kinds)
{
    struct log_field fields[] = {log_str("a", "x"),       log_str("none", NULL),
                                 log_int("b", INT64_MIN), log_uint("c", UINT64_MAX),
                                 log_bool("d", true),     log_str("e", "")};
    cr_assert_not_null(
        strstr(make(LOG_FORMAT_LOGFMT, fields, 6),
               " a=x b=-9223372036854775808 c=18446744073709551615 d=true e=\"\"\n"));
    cr_assert_not_null(strstr(make(LOG_FORMAT_JSON, fields, 6),
                              ",\"a\":\"x\",\"b\":-9223372036854775808,\"c\":18446744073709551615,"
                              "\"d\":true,\"e\":\"\"}\n"));
}

Test(log_line, addresses)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(9092)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9093)};
    inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
    inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
    struct log_field fields[] = {log_address("a", (const struct sockaddr *)&v4),
                                 log_address("b", (const struct sockaddr *)&v6),
                                 log_address("c", NULL)};
    cr_assert_not_null(
        strstr(make(LOG_FORMAT_LOGFMT, fields, 3), " a=192.0.2.1:9092 b=[2001:db8::1]:9093\n"));
}

/* T14, T81: each byte alone, in both formats. */
Test(log_line, every_byte)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t text[] = {'a', (uint8_t)byte, 'b'};
        struct log_field field = log_view("k", view_of(text, 3));
        const char *made = make(LOG_FORMAT_LOGFMT, &field, 1);
        for (const char *c = made; *c != '\n'; c++) {
            cr_assert(*c >= ' ' && *c <= '~', "byte %u shows as %u", byte, (unsigned char)*c);
        }
        const char *value = json_value(&field);
        if (byte >= 0x80) {
            char expected[8];
            snprintf(expected, sizeof expected, "a\\x%02xb", byte);
            cr_assert_str_eq(value, expected);
        } else if (byte > 0) {
            char expected[] = {'a', (char)byte, 'b', '\0'};
            cr_assert_str_eq(value, expected);
        }
    }
}

Test(log_line, injection)
{
    struct log_field field = log_str("k", "x\n{\"fake\":1} level=error \x1b[31m\" k2=\"\\");
    cr_assert_not_null(
        strstr(make(LOG_FORMAT_LOGFMT, &field, 1),
               " k=\"x\\n{\\\"fake\\\":1} level=error \\u001b[31m\\\" k2=\\\"\\\\\"\n"));
    cr_assert_str_eq(json_value(&field), "x\n{\"fake\":1} level=error \x1b[31m\" k2=\"\\");
}

Test(log_line, utf8)
{
    static const struct {
        const char *in, *out; /* out as logfmt shows it */
    } cases[] = {
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
        {"\xc0\x80", "\"\\xc0\\x80\""},          /* overlong NUL */
        {"\xe0\x80\xaf", "\"\\xe0\\x80\\xaf\""}, /* overlong slash */
        {"\xf0\x80\x80\xaf", "\"\\xf0\\x80\\x80\\xaf\""},
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},          /* surrogate */
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", "\"\\xf5\\x80\\x80\\x80\""},
        {"\xc3", "\"\\xc3\""}, /* cut */
        {"\xe2\x82", "\"\\xe2\\x82\""},
        {"\xf0\x9f\x98", "\"\\xf0\\x9f\\x98\""},
        {"\xc3(", "\"\\xc3(\""},
        {"\xc2\x85", "\"\\u0085\""},     /* NEL */
        {"\xc2\x9b", "\"\\u009b\""},     /* CSI */
        {"\xe2\x80\xa8", "\"\\u2028\""}, /* line separator */
        {"\xe2\x80\xae", "\"\\u202e\""}, /* right-to-left override */
        {"\xe2\x81\xa6", "\"\\u2066\""}, /* isolate */
        {"\xe2\x80\x8b", "\"\\u200b\""}, /* zero width space */
        {"\xef\xbb\xbf", "\"\\ufeff\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_field field = log_str("k", cases[i].in);
        const char *made = make(LOG_FORMAT_LOGFMT, &field, 1);
        cr_assert_not_null(strstr(made, cases[i].out), "%zu: %s", i, made);
        json_value(&field);
    }
}

Test(log_line, quoting)
{
    static const char *const quoted[] = {"a b", "a=b", "a\"b", "a\\b", ""};
    for (size_t i = 0; i < sizeof quoted / sizeof quoted[0]; i++) {
        struct log_field field = log_str("k", quoted[i]);
        cr_assert_not_null(strstr(make(LOG_FORMAT_LOGFMT, &field, 1), " k=\""));
    }
    struct log_field plain = log_str("k", "CN=x"), other = log_str("k", "127.0.0.1:9092/[::1]#%,;");
    cr_assert_not_null(strstr(make(LOG_FORMAT_LOGFMT, &plain, 1), " k=\"CN=x\"\n"));
    cr_assert_not_null(strstr(make(LOG_FORMAT_LOGFMT, &other, 1), " k=127.0.0.1:9092/[::1]#%,;\n"));
}

Test(log_line, long_values_are_cut_between_characters)
{
    static uint8_t text[40000];
    for (size_t pad = 0; pad < 4; pad++) {
        memset(text, 'a', sizeof text);
        for (size_t i = pad; i + 2 < sizeof text; i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 3);
        }
        struct log_field field = log_view("k", view_of(text, sizeof text));
        const char *value = json_value(&field);
        size_t length = strlen(value);
        cr_assert(length > LOG_VALUE_MAX - 4 && length <= LOG_VALUE_MAX + 3, "%zu", length);
        cr_assert_str_eq(value + length - 3, "...");
        cr_assert_null(strstr(value, "\\x"));
    }
}

Test(log_line, fields_that_do_not_fit_are_left_out)
{
    static char worst[LOG_VALUE_MAX];
    memset(worst, 0x01, sizeof worst - 1);
    struct log_field fields[40];
    for (size_t i = 0; i < 40; i++) {
        fields[i] = i % 2 == 0 ? log_str("k", worst) : log_int("n", (int64_t)i);
    }
    for (size_t count = 0; count <= 40; count++) {
        const char *made = make(LOG_FORMAT_LOGFMT, fields, count);
        cr_assert_eq(strstr(made, " truncated=true\n") != NULL, count > 0, "%zu", count);
        json_t *root = json_loads(make(LOG_FORMAT_JSON, fields, count), 0, NULL);
        cr_assert_not_null(root, "%zu: %s", count, line);
        cr_assert_eq(json_is_true(json_object_get(root, "truncated")), count > 0);
        json_decref(root);
    }
}

Test(log_line, smallest_capacity)
{
    char small[256];
    struct log_field field = log_str("key", "v");
    for (int json = 0; json < 2; json++) {
        size_t length = log_line(small, sizeof small, (enum log_format)json, LOG_LEVEL_DEBUG,
                                 UINT64_MAX, "some_event", &field, 1);
        cr_assert(length < sizeof small && small[length - 1] == '\n');
    }
}

Test(log_line, escape)
{
    char out[16];
    cr_assert_eq(log_escape(out, sizeof out, view_from_string("a\nb")), 4);
    cr_assert_eq(memcmp(out, "a\\nb", 4), 0);
    size_t length = log_escape(out, sizeof out, view_from_string("\x01\x01\x01\x01"));
    cr_assert_eq(length, 12, "whole escapes only: %zu", length);
}

Test(log_line, levels)
{
    enum log_level level = LOG_LEVEL_ERROR;
    cr_assert(log_level_parse("debug", &level) && level == LOG_LEVEL_DEBUG);
    cr_assert_not(log_level_parse("loud", &level));
    cr_assert_str_eq(log_level_name(LOG_LEVEL_WARN), "warn");
}
