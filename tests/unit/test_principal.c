/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/principal.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static enum principal_status canonical(const char *raw, size_t length, char out[PRINCIPAL_SIZE])
{
    uint8_t *exact = malloc(length == 0 ? 1 : length);
    memcpy(exact, raw, length);
    const enum principal_status status = principal_canonical((struct view){exact, length}, out);
    free(exact);
    return status;
}

static void expect(const char *raw, size_t length, enum principal_status wanted)
{
    char out[PRINCIPAL_SIZE];
    memset(out, 'x', sizeof(out));
    const enum principal_status status = canonical(raw, length, out);
    cr_assert_eq(status, wanted, "\"%.*s\": %s", (int)length, raw, principal_status_text(status));
    if (wanted == PRINCIPAL_OK) {
        cr_assert_eq(strlen(out), length);
        cr_assert_eq(memcmp(out, raw, length), 0);
    } else {
        cr_assert_str_eq(out, "");
    }
}

static void expect_string(const char *raw, enum principal_status wanted)
{
    expect(raw, strlen(raw), wanted);
}

/* T40: a name is a name, whatever a path or a template would make of it. */
Test(principal, names_pass_unchanged_and_stay_different)
{
    static const char *const good[] = {
        "alice",  "Alice",
        "ALICE",  "../x",
        "@REALM", "alice@EXAMPLE.COM",
        "a b",    "${file:/x}",
        "%s%n",   "{}",
        "a,b",    "\\",
        "svc-*",  "User:alice",
        "Jürgen", "日本語",
        "Привет", "กำ",
        "😀",      "CN=orders,OU=Kafka,O=Example GmbH,L=München,C=DE",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        expect_string(good[i], PRINCIPAL_OK);
    }
}

/* T40: once before mapping is as good as twice. */
Test(principal, canonicalising_twice_changes_nothing)
{
    char once[PRINCIPAL_SIZE], twice[PRINCIPAL_SIZE];
    cr_assert_eq(canonical("Jürgen", strlen("Jürgen"), once), PRINCIPAL_OK);
    cr_assert_eq(canonical(once, strlen(once), twice), PRINCIPAL_OK);
    cr_assert_str_eq(once, twice);
}

/* T40: blanks, ligatures, soft hyphens. */
Test(principal, second_spellings_are_refused)
{
    expect_string("", PRINCIPAL_EMPTY);
    expect_string("alice ", PRINCIPAL_BLANK);
    expect_string(" alice", PRINCIPAL_BLANK);
    expect_string(" ", PRINCIPAL_BLANK);
    expect_string("al\u00a0ice", PRINCIPAL_BLANK);
    expect_string("alice\u3000", PRINCIPAL_BLANK);
    expect_string("\ufb01sh", PRINCIPAL_LOOKALIKE);         /* the ligature fi */
    expect_string("\uff41lice", PRINCIPAL_LOOKALIKE);       /* full-width a */
    expect_string("al\u0131\u0307ce", PRINCIPAL_LOOKALIKE); /* dotless i and a dot */
    expect_string("e\u0301", PRINCIPAL_LOOKALIKE);          /* decomposed */
    expect_string("\u212a", PRINCIPAL_LOOKALIKE);           /* Kelvin sign */
    expect_string("\u017fetu", PRINCIPAL_LOOKALIKE);        /* long s */
    expect_string("al\u00adice", PRINCIPAL_INVISIBLE);      /* soft hyphen */
    expect_string("al\u200bice", PRINCIPAL_INVISIBLE);
    expect_string("al\u202eice", PRINCIPAL_INVISIBLE);
    expect_string("\ufeff"
                  "alice",
                  PRINCIPAL_INVISIBLE);
    expect_string("a\U000e0061", PRINCIPAL_INVISIBLE);
}

/* T40, T81: NULs, line ends, escapes. */
Test(principal, controls_are_refused)
{
    expect("a\0b", 3, PRINCIPAL_CONTROL);
    expect("alice\0", 6, PRINCIPAL_CONTROL);
    expect_string("a\nb", PRINCIPAL_CONTROL);
    expect_string("\n{\"fake\":1}", PRINCIPAL_CONTROL);
    expect_string("\x1b[31m", PRINCIPAL_CONTROL);
    expect_string("\x7f", PRINCIPAL_CONTROL);
    expect_string("\xc2\x85", PRINCIPAL_CONTROL);
    expect_string("\u2028", PRINCIPAL_CONTROL);
    expect_string("\ufffd", PRINCIPAL_CONTROL);
    expect_string("\ufdd0", PRINCIPAL_CONTROL);
    expect_string("\U0010ffff", PRINCIPAL_CONTROL);
    expect_string("\ue000", PRINCIPAL_CONTROL);
}

Test(principal, malformed_utf8_is_refused)
{
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc3",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe2\x82",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x9f\x98",
        "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "a\xc3(",
        "\xe2(\xa1",
        "\xf8\x88\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_string(bad[i], PRINCIPAL_NOT_UTF8);
    }
}

Test(principal, at_most_255_bytes)
{
    char text[PRINCIPAL_BYTES_MAX + 1];
    memset(text, 'a', sizeof(text));
    expect(text, PRINCIPAL_BYTES_MAX, PRINCIPAL_OK);
    expect(text, PRINCIPAL_BYTES_MAX + 1, PRINCIPAL_TOO_LONG);
}

/* Every code point alone: refused or unchanged, and never anything in between. */
Test(principal, every_code_point)
{
    unsigned refused = 0;
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        uint8_t bytes[4];
        size_t length = 0;
        if (point < 0x80) {
            bytes[length++] = (uint8_t)point;
        } else if (point < 0x800) {
            bytes[length++] = (uint8_t)(0xc0 | point >> 6);
            bytes[length++] = (uint8_t)(0x80 | (point & 63));
        } else if (point < 0x10000) {
            bytes[length++] = (uint8_t)(0xe0 | point >> 12);
            bytes[length++] = (uint8_t)(0x80 | (point >> 6 & 63));
            bytes[length++] = (uint8_t)(0x80 | (point & 63));
        } else {
            bytes[length++] = (uint8_t)(0xf0 | point >> 18);
            bytes[length++] = (uint8_t)(0x80 | (point >> 12 & 63));
            bytes[length++] = (uint8_t)(0x80 | (point >> 6 & 63));
            bytes[length++] = (uint8_t)(0x80 | (point & 63));
        }
        char out[PRINCIPAL_SIZE];
        const enum principal_status status = principal_canonical((struct view){bytes, length}, out);
        if (status == PRINCIPAL_OK) {
            cr_assert(memcmp(out, bytes, length) == 0 && out[length] == '\0');
            continue;
        }
        refused++;
        cr_assert_eq(status == PRINCIPAL_NOT_UTF8, point >= 0xd800 && point <= 0xdfff);
    }
    cr_assert_gt(refused, 100000U);
}
