/* SPDX-License-Identifier: Apache-2.0 */
/* Rules, one a line, a zero byte, a principal. Whatever the rules are, parsing ends in rules or in a
 * fault with a place, and applying in one bounded C string of valid UTF-8 without "/" and "@" or in
 * nothing. */
#include <stdlib.h>
#include <string.h>

#include "auth/kerberos_name.h"
#include "conf/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int good)
{
    if (!good) {
        abort();
    }
}

static void check_result(const struct kerberos_rules *rules, struct view principal)
{
    char out[600];
    size_t rule = 0;
    memset(out, 'x', sizeof(out));
    const enum kerberos_name_status status =
        kerberos_name_short(rules, principal, out, sizeof(out), &rule);
    must(memchr(out, '\0', sizeof(out)) != NULL);
    must(rule <= kerberos_rules_count(rules));
    must(status == KERBEROS_NAME_OK || out[0] == '\0');
    must(rule == kerberos_rules_count(rules) || strpbrk(out, "/@") == NULL);
    const size_t length = strlen(out);
    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        const size_t used = utf8_next(out + i, length - i, &point);
        must(used != 0);
        i += used;
    }
}

static void add_lines(struct kerberos_rules *rules, struct view text)
{
    while (text.length > 0) {
        const uint8_t *end = memchr(text.at, '\n', text.length);
        const size_t length = end == NULL ? text.length : (size_t)(end - text.at);
        struct rule_fault error;
        if (!kerberos_rules_add(rules, view_of(text.at, length), &error)) {
            must(error.text[0] != '\0' && error.offset <= length);
        }
        text = view_from(text, end == NULL ? length : length + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    const size_t length = zero == NULL ? size : (size_t)(zero - data);
    struct kerberos_rules *rules = kerberos_rules_new("EXAMPLE.COM");
    add_lines(rules, view_of(data, length));
    if (zero != NULL) {
        check_result(rules, view_of(zero + 1, size - length - 1));
    }
    check_result(rules, view_from_string("kafka/host@EXAMPLE.COM"));
    kerberos_rules_free(&rules);
    return 0;
}
