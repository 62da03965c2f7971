/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "conf/arena.h"
#include "conf/config.h"
#include "conf/forms.h"
#include "conf/glob.h"

static void check_form(form_fn form, const char *const *accepted, const char *const *refused)
{
    for (size_t i = 0; accepted[i] != NULL; i++) {
        cr_expect_null(form(accepted[i]), "'%s' is refused: %s", accepted[i], form(accepted[i]));
    }
    for (size_t i = 0; refused[i] != NULL; i++) {
        cr_expect_not_null(form(refused[i]), "'%s' is accepted", refused[i]);
    }
}

Test(conf_forms, hosts)
{
    static const char *const good[] = {"localhost", "a.b-c_d.example", "10.0.0.1", "::1",
                                       "fe80::1",   "1host",           NULL};
    static const char *const bad[] = {
        "",    "a..b", ".a",    "a.",           "1.2.3", "1.2.3.4.5", "300.1.1.1",
        "a b", "a:1",  "[::1]", "fe80::1%eth0", "*",     NULL};
    check_form(form_host, good, bad);
    char label[70];
    memset(label, 'a', sizeof label);
    label[63] = '\0';
    cr_expect_null(form_host(label));
    label[63] = 'a';
    label[64] = '\0';
    cr_expect_not_null(form_host(label));
}

Test(conf_forms, addresses_to_bind)
{
    static const char *const good[] = {"0.0.0.0", "::", "127.0.0.1", "2001:db8::1", NULL};
    static const char *const bad[] = {"", "localhost", "*", "127.1", "[::1]", "1.2.3.4 ", NULL};
    check_form(form_ip, good, bad);
    cr_expect(form_is_loopback("127.9.9.9"));
    cr_expect(form_is_loopback("::1"));
    cr_expect(form_is_loopback("::ffff:127.0.0.1"));
    cr_expect_not(form_is_loopback("0.0.0.0"));
    cr_expect_not(form_is_loopback("::"));
    cr_expect_not(form_is_loopback("localhost"));
    cr_expect(form_is_wildcard("0.0.0.0"));
    cr_expect(form_is_wildcard("::"));
    cr_expect_not(form_is_wildcard("0.0.0.1"));
}

Test(conf_forms, binds_collide_when_one_covers_the_other)
{
    cr_expect(form_binds_collide("127.0.0.1", "127.0.0.1"));
    cr_expect(form_binds_collide("0:0::1", "::1"));
    cr_expect(form_binds_collide("0.0.0.0", "10.0.0.1"));
    cr_expect(form_binds_collide("10.0.0.1", "0.0.0.0"));
    cr_expect(form_binds_collide("::", "10.0.0.1"));
    cr_expect(form_binds_collide("::", "2001:db8::1"));
    cr_expect_not(form_binds_collide("0.0.0.0", "2001:db8::1"));
    cr_expect_not(form_binds_collide("127.0.0.1", "127.0.0.2"));
    cr_expect_not(form_binds_collide("127.0.0.1", ""));
}

Test(conf_forms, dates)
{
    static const char *const good[] = {"2027-01-31", "2024-02-29", "2000-02-29", NULL};
    static const char *const bad[] = {"2027-1-1",   "2027-13-01",  "2027-00-01",
                                      "2027-04-31", "2100-02-29",  "2027-01-00",
                                      "20270101",   "2027-01-01x", NULL};
    check_form(form_date, good, bad);
}

Test(conf_forms, names_paths_principals_and_globs)
{
    static const char *const names[] = {"a", "A-b_c.9", NULL};
    static const char *const not_names[] = {"a b", "\xc3\xbc", "a/b", NULL};
    check_form(form_name, names, not_names);
    static const char *const paths[] = {"-", "/etc/a b", "relative", NULL};
    static const char *const not_paths[] = {"/", "etc/", NULL};
    check_form(form_path, paths, not_paths);
    static const char *const globs[] = {"*", "k?.old", "10.*", "fe80::*", NULL};
    static const char *const not_globs[] = {"a b", "[a-z]", "a/b", NULL};
    check_form(form_host_glob, globs, not_globs);
    char principal[257];
    memset(principal, 'p', sizeof principal);
    principal[255] = '\0';
    cr_expect_null(form_principal(principal));
    principal[255] = 'p';
    principal[256] = '\0';
    cr_expect_not_null(form_principal(principal));
}

Test(conf_forms, host_and_port)
{
    struct arena arena = {0};
    struct conf_address address = {0};
    cr_expect_null(form_address("[2001:db8::2]:65535", &arena, &address));
    cr_expect_str_eq(address.host, "2001:db8::2");
    cr_expect_eq(address.port, 65535);
    cr_expect_null(form_address("k-1.example:1", &arena, &address));
    cr_expect_str_eq(address.host, "k-1.example");
    cr_expect_eq(address.port, 1);
    static const char *const bad[] = {"",      ":",           "a",         "a:",     ":9",
                                      "a:0",   "a:65536",     "a:+1",      "a:01",   "a:1x",
                                      "[]:1",  "[::1]",       "[::1]1",    "[::1:1", "::1:1",
                                      "[a]:1", "[1.2.3.4]:1", "0.0.0.0:1", "[::]:1", "a:b:1",
                                      "a :1",  "[:1",         "a:111111",  NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        cr_expect_not_null(form_address(bad[i], &arena, &address), "'%s'", bad[i]);
    }
    arena_deinit(&arena);
}

Test(conf_forms, node_ids)
{
    struct arena arena = {0};
    const struct conf_range *ranges = NULL;
    size_t count = 0;
    cr_expect_null(form_ranges(" 7 , 1-3,2147483647", &arena, &ranges, &count));
    cr_assert_eq(count, 3);
    cr_expect_eq(ranges[0].first, 1);
    cr_expect_eq(ranges[0].last, 3);
    cr_expect_eq(ranges[1].first, 7);
    cr_expect_eq(ranges[2].last, INT32_MAX);
    static const char *const bad[] = {
        "",    ",",   "1,",    ",1", "1-",  "-1",         "1--2",
        "2-1", "1,1", "1-3,3", "a",  "1 2", "2147483648", "1-99999999999",
        NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        count = 77;
        cr_expect_not_null(form_ranges(bad[i], &arena, &ranges, &count), "'%s'", bad[i]);
        cr_expect_eq(count, 77);
    }
    arena_deinit(&arena);
}

Test(conf_forms, globs)
{
    cr_expect(glob_matches("", ""));
    cr_expect(glob_matches("*", ""));
    cr_expect(glob_matches("***", "x"));
    cr_expect(glob_matches("a*b*c", "aXbYbZc"));
    cr_expect(glob_matches("*.old", "k1.old"));
    cr_expect(glob_matches("k?", "k1"));
    cr_expect_not(glob_matches("k?", "k"));
    cr_expect_not(glob_matches("k?", "k12"));
    cr_expect_not(glob_matches("*.old", "k1.older"));
    cr_expect_not(glob_matches("", "x"));
    cr_expect_not(glob_matches("A", "a"));
    cr_expect(glob_matches_fold("A*Z", "amz"));
    cr_expect(glob_matches("[a]", "[a]"));
    char text[4096];
    char pattern[2 * 64 + 2] = {0};
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < 64; i++) {
        memcpy(pattern + 2 * i, "a*", 2);
    }
    pattern[128] = 'b';
    cr_expect_not(glob_matches(pattern, text));
}

/* What two globs say of each other is what they say of every short text. */
Test(conf_forms, globs_against_globs)
{
    static const char *const globs[] = {
        "",    "a",   "b",  "*",  "?",    "a*", "*a",  "?a",  "a?",  "**",   "*?",  "?*",  "ab",
        "a*b", "*b*", "b?", "aa", "*a*b", "??", "a**", "*ab", "?b*", "a*a*", "*??", "ba*", "abb"};
    static char texts[200][5];
    size_t count = 0;
    for (size_t length = 0; length <= 4; length++) {
        for (size_t bits = 0; bits < (size_t)1 << length; bits++, count++) {
            for (size_t i = 0; i < length; i++) {
                texts[count][i] = (bits >> i & 1) != 0 ? 'b' : 'a';
            }
        }
    }
    for (size_t i = 0; i < sizeof globs / sizeof *globs; i++) {
        for (size_t k = 0; k < sizeof globs / sizeof *globs; k++) {
            bool meet = false, covered = true;
            for (size_t t = 0; t < count; t++) {
                const bool one = glob_matches(globs[i], texts[t]);
                const bool other = glob_matches(globs[k], texts[t]);
                meet = meet || (one && other);
                covered = covered && (one || !other);
            }
            cr_expect_eq(glob_meets(globs[i], globs[k]), meet, "'%s' '%s'", globs[i], globs[k]);
            cr_expect(covered || !glob_covers(globs[i], globs[k]), "'%s' '%s'", globs[i], globs[k]);
        }
    }
    cr_expect(glob_covers("sv*", "svc-*"));
    cr_expect(glob_covers("*", "a?*"));
    cr_expect(glob_covers("a?c", "abc"));
    cr_expect_not(glob_covers("svc-*", "sv*"));
    cr_expect_not(glob_covers("a?", "a*"));
}

Test(conf_forms, loopback_networks)
{
    static const char *const bad[] = {"",
                                      "127.80.0.0",
                                      "127.80.0.0/",
                                      "127.80.0.0/7",
                                      "127.80.0.0/31",
                                      "127.80.0.0/08",
                                      "127.80.0.0/016",
                                      "127.80.0/16",
                                      "128.0.0.0/16",
                                      "127.80.0.0/16 ",
                                      "/16",
                                      "::1/128",
                                      "127.80.1.0/16",
                                      "127.80.0.0/-1",
                                      "127.80.0.0/99",
                                      "127.080.0.0/16"};
    uint32_t first = 0, count = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_not_null(form_network(bad[i]), "%s", bad[i]);
    }
    cr_expect_null(form_network("127.80.0.0/16"));
    cr_expect(form_network_range("127.80.0.0/16", &first, &count));
    cr_expect_eq(first, 0x7f500000);
    cr_expect_eq(count, 65536);
    cr_expect(form_network_range("127.0.0.0/8", &first, &count));
    cr_expect_eq(count, 1U << 24);
    cr_expect(form_meets_network("127.0.0.1", 0x7f000000, 256));
    cr_expect_not(form_meets_network("127.0.1.0", 0x7f000000, 256));
    cr_expect(form_meets_network("0.0.0.0", 0x7f000000, 256));
    cr_expect(form_meets_network("::", 0x7f000000, 256));
    cr_expect_not(form_meets_network("::1", 0x7f000000, 256));
    cr_expect(form_meets_network("::ffff:127.0.0.9", 0x7f000000, 256));
    cr_expect_not(form_meets_network("localhost", 0x7f000000, 256));
}
