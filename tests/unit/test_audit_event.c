/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit_event.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *page(void)
{
    char *text = calloc(1, 1 << 16);
    FILE *file = fopen("auth/AUDIT.md", "r");
    cr_assert_not_null(file);
    text[fread(text, 1, (1 << 16) - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Every code of the table is in auth/AUDIT.md, in the words of the table, and no other. */
Test(audit_event, the_page_has_every_code)
{
    char *text = page();
    enum audit_code code = AUDIT_START;
    size_t codes = 0, rows = 0;
    for (; audit_code_at(codes, &code); codes++) {
        char row[512], name[64] = "";
        const char *upper = audit_code_name(code);
        for (size_t i = 0; upper[i] != '\0' && i < sizeof name - 1; i++) {
            name[i] = (char)tolower((unsigned char)upper[i]);
        }
        snprintf(row, sizeof row, "\n| %s | `%s` | %s |\n", audit_code_text(code), name,
                 audit_code_meaning(code));
        cr_assert_not_null(strstr(text, row), "auth/AUDIT.md lacks: %s", row);
    }
    for (const char *at = text; (at = strstr(at, "\n| SETU")) != NULL; at++) {
        rows++;
    }
    cr_assert_eq(rows, codes, "auth/AUDIT.md has a code that the table has not, or one twice");
    free(text);
}

Test(audit_event, codes_are_unique_and_well_formed)
{
    enum audit_code code = AUDIT_START, other = AUDIT_START;
    for (size_t i = 0; audit_code_at(i, &code); i++) {
        const char *text = audit_code_text(code);
        cr_assert_eq(strlen(text), AUDIT_CODE_SIZE - 1);
        cr_assert_not_null(strchr("IWE", text[8]));
        cr_assert_neq(audit_code_meaning(code)[0], '\0');
        cr_assert_null(strchr(audit_code_meaning(code), '|'));
        for (size_t k = 0; k < i && audit_code_at(k, &other); k++) {
            cr_assert_neq(code, other);
            cr_assert_str_neq(audit_code_name(code), audit_code_name(other));
        }
    }
    cr_assert_str_eq(audit_code_name((enum audit_code)1), "");
    cr_assert_str_eq(audit_code_text((enum audit_code)1), "SETU0000E");
}
