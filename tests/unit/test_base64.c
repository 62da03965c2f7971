/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/base64.h"

#include <criterion/criterion.h>
#include <string.h>

static bool reads(const char *text, const char *expected)
{
    uint8_t bytes[64];
    size_t length = 99;
    bool read = base64_read(view_from_string(text), bytes, sizeof bytes, &length);
    if (!read) {
        cr_assert_eq(length, 0);
        return false;
    }
    cr_assert_eq(length, strlen(expected));
    cr_assert_arr_eq(bytes, expected, length);
    return true;
}

static void writes(const char *bytes, const char *expected)
{
    uint8_t memory[128];
    struct writer out;
    writer_init_fixed(&out, memory, sizeof memory);
    base64_write(&out, view_from_string(bytes));
    cr_assert(writer_ok(&out));
    cr_assert_eq(out.length, base64_length(strlen(bytes)));
    cr_assert(view_is(writer_view(&out), expected));
}

Test(base64, vectors_of_rfc_4648_both_ways)
{
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        writes(vectors[i][0], vectors[i][1]);
        cr_assert(reads(vectors[i][1], vectors[i][0]));
    }
}

Test(base64, every_value_has_one_spelling_only)
{
    cr_assert_not(reads("Zh==", "f"), "unused bits must be zero");
    cr_assert_not(reads("Zm9=", "fo"));
    cr_assert_not(reads("Zg", "f"), "padding is not optional");
    cr_assert_not(reads("Zg=", "f"));
    cr_assert_not(reads("Zg===", "f"));
    cr_assert_not(reads("Z===", ""));
    cr_assert_not(reads("====", ""));
    cr_assert_not(reads("Zm9v\n", "foo"));
    cr_assert_not(reads(" Zm9v", "foo"));
    cr_assert_not(reads("Zm=v", "foo"));
    cr_assert_not(reads("Zg==Zg==", "ff"));
    cr_assert_not(reads("Zm-_", "fo"), "the URL alphabet is another one");
}

Test(base64, every_text_that_decodes_encodes_to_itself)
{
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t text[4] = {'Z', (uint8_t)a, (uint8_t)b, '='};
            uint8_t bytes[3], memory[8];
            size_t length;
            if (!base64_read(view_of(text, 4), bytes, sizeof bytes, &length)) {
                continue;
            }
            struct writer out;
            writer_init_fixed(&out, memory, sizeof memory);
            base64_write(&out, view_of(bytes, length));
            cr_assert(view_equal(writer_view(&out), view_of(text, 4)));
        }
    }
}

Test(base64, never_writes_beyond_the_capacity)
{
    uint8_t bytes[5] = {1, 2, 3, 4, 0xaa};
    size_t length;
    cr_assert_not(base64_read(view_from_string("Zm9vYmE="), bytes, 4, &length));
    cr_assert_eq(bytes[4], 0xaa);
    cr_assert(base64_read(view_from_string("Zm9vYg=="), bytes, 4, &length));
    cr_assert_eq(bytes[4], 0xaa);
}
