/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/casing.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect(enum casing casing, const char *from, const char *to)
{
    uint8_t memory[256];
    struct writer out;
    writer_init_fixed(&out, memory, sizeof(memory));
    const bool good = casing_apply(casing, view_from_string(from), &out);
    cr_assert_eq(good, to != NULL, "%s", from);
    if (to != NULL) {
        cr_assert(view_is(writer_view(&out), to), "%s", from);
    }
}

/* The answers are those of String.toLowerCase and toUpperCase of a JDK 17, English locale. */
Test(casing, maps_as_java_does)
{
    expect(CASING_LOWER, "AZ[@`az{09", "az[@`az{09");
    expect(CASING_UPPER, "AZ[@`az{09", "AZ[@`AZ{09");
    expect(CASING_LOWER, "ÀÖØÞß×÷ĀŸǅ", "àöøþß×÷āÿǆ");
    expect(CASING_UPPER, "àöøþß×÷āÿǆ", "ÀÖØÞSS×÷ĀŸǄ");
    expect(CASING_UPPER, "µſı", "ΜSI");
    expect(CASING_LOWER, "ΑΏЁЯҐ", "αώёяґ");
    expect(CASING_UPPER, "αώёяґς", "ΑΏЁЯҐΣ");
    expect(CASING_LOWER, "Ạ日本ก😀", "ạ日本ก😀");
    expect(CASING_KEEP, "ΣİᏣ", "ΣİᏣ");
}

Test(casing, refuses_what_depends_or_grows)
{
    expect(CASING_LOWER, "Σ", NULL);
    expect(CASING_LOWER, "İ", NULL);
    expect(CASING_UPPER, "ŉ", NULL);
    expect(CASING_UPPER, "ǰ", NULL);
    expect(CASING_UPPER, "ა", NULL); /* since Unicode 11 there are capitals of it */
}

Test(casing, refuses_malformed_text)
{
    expect(CASING_KEEP, "\xff", NULL);
    expect(CASING_LOWER, "a\xc3", NULL);
    expect(CASING_UPPER, "\xed\xa0\x80", NULL);
}
