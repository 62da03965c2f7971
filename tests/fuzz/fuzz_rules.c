/* SPDX-License-Identifier: Apache-2.0 */
/* Principal mapping rules, a zero byte, a name. Whatever the rules are, parsing ends in rules or in
 * a fault with a place, and applying in one bounded C string of valid UTF-8 or in nothing. */
#include <stdlib.h>
#include <string.h>

#include "auth/rules.h"
#include "conf/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int good)
{
    if (!good) {
        abort();
    }
}

static void check_result(const struct rules *rules, struct view name)
{
    char out[600];
    size_t rule = 0;
    memset(out, 'x', sizeof(out));
    const enum rules_status status = rules_apply(rules, name, out, sizeof(out), &rule);
    must(memchr(out, '\0', sizeof(out)) != NULL);
    must(status == RULES_OK ? rule < rules_count(rules) : out[0] == '\0');
    const size_t length = strlen(out);
    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        const size_t used = utf8_next(out + i, length - i, &point);
        must(used != 0);
        i += used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    const size_t length = zero == NULL ? size : (size_t)(zero - data);
    const struct view name =
        zero == NULL ? (struct view){NULL, 0} : (struct view){zero + 1, size - length - 1};
    struct rule_fault error;
    struct rules *rules = rules_parse((struct view){data, length}, &error);
    if (rules == NULL) {
        must(error.text[0] != '\0' && error.offset <= length);
        return 0;
    }
    check_result(rules, name);
    check_result(rules, (struct view){(const uint8_t *)"CN=orders,O=Example", 19});
    rules_free(&rules);
    return 0;
}
