/* SPDX-License-Identifier: Apache-2.0 */
/* T82: files made to cost the reader more than the writer. Each ends in an error with its place, within bounds. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conf/source.h"
#include "conf/yaml.h"

enum { FILE_BYTES = 100 * 1000 * 1000, RSS_KB_MAX = 64 * 1024 };

static long rss_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* It is refused; the first error stands at line:column and says so; what is kept is bounded. */
static void check_refused(const char *text, size_t length, int line, int column, const char *says)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    long before_kb = rss_kb();
    struct yaml_tree *tree = yaml_parse(text, length, "bomb", &errors);
    cr_assert_null(tree);
    conf_errors_sort(&errors, 0);
    cr_assert(errors.count > 0 && errors.count <= CONF_ERRORS_MAX);
    cr_expect_eq(errors.items[0].line, line, "%d", errors.items[0].line);
    cr_expect_eq(errors.items[0].column, column, "%d", errors.items[0].column);
    cr_expect_not_null(strstr(errors.items[0].text, says), "%s", errors.items[0].text);
    cr_expect_lt(rss_kb() - before_kb, (long)RSS_KB_MAX);
    conf_errors_deinit(&errors);
}

/* T82: an alias bomb, 10^9 values in 300 bytes: an alias is never followed */
Test(conf_bombs, t82_aliases_that_multiply_are_not_followed)
{
    char text[2048];
    size_t used = (size_t)snprintf(text, sizeof text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n",
                                 i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
                                 i - 1, i - 1);
    }
    check_refused(text, used, 1, 5, "anchor '&a0'");
}

/* T82: 250,000 aliases: 200 errors are kept, and the rest counted */
Test(conf_bombs, t82_a_file_full_of_aliases_is_counted_not_kept)
{
    enum { BYTES = 1000 * 1000 };
    char *text = malloc(BYTES);
    size_t used = (size_t)snprintf(text, 32, "a: &a 1\nb: [");
    while (used + 4 < BYTES) {
        memcpy(text + used, "*a,\n", 4);
        used += 4;
    }
    check_refused(text, used, 1, 4, "anchor '&a'");
    free(text);
}

/* T82: 10,000 levels, in each way that YAML nests */
Test(conf_bombs, t82_ten_thousand_levels_end_at_the_seventeenth)
{
    enum { LEVELS = 10000 };
    char *text = malloc((size_t)LEVELS * (LEVELS + 4));
    memset(text, '[', LEVELS);
    check_refused(text, LEVELS, 1, YAML_DEPTH_MAX + 1, "levels of nesting");
    for (size_t i = 0; i < LEVELS; i++) {
        memcpy(text + 2 * i, "- ", 2);
    }
    check_refused(text, (size_t)2 * LEVELS, 1, 2 * YAML_DEPTH_MAX + 1, "levels of nesting");
    for (size_t i = 0; i < LEVELS; i++) {
        memcpy(text + 4 * i, "{a: ", 4);
    }
    check_refused(text, (size_t)4 * LEVELS, 1, 4 * YAML_DEPTH_MAX + 1, "levels of nesting");
    size_t used = 0;
    for (size_t i = 0; used + i + 3 < SOURCE_BYTES_MAX; i++) { /* a block map, one deeper a line */
        memset(text + used, ' ', i);
        memcpy(text + used + i, "a:\n", 3);
        used += i + 3;
    }
    check_refused(text, used, YAML_DEPTH_MAX + 1, YAML_DEPTH_MAX + 1, "levels of nesting");
    free(text);
}

/* T82: duplicate keys, tabs, a byte order mark */
Test(conf_bombs, t82_what_misleads_is_named_where_it_stands)
{
    static const struct {
        const char *text;
        int line, column;
        const char *says;
    } cases[] = {
        {"a: 1\nb: {c: 1, d: 2, c: 3}\n", 2, 17, "duplicate key 'c'"},
        {"users:\n\t- name: x\n", 2, 1, "tab character"},
        {"a: 1 \t# x\n", 1, 6, "tab character"},
        {"\xef\xbb\xbf"
         "a: 1\n",
         1, 1, "byte order mark"},
        {"a: 1\n\xef\xbb\xbf"
         "b: 1\n",
         2, 1, "byte order mark"},
        {"\xff\xfe"
         "a\0:\0",
         1, 1, "not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_refused(cases[i].text, strlen(cases[i].text), cases[i].line, cases[i].column,
                      cases[i].says);
    }
}

/* T82: 100 MB: no more than the cap is ever read; the file is named, for no line of it is at fault */
Test(conf_bombs, t82_a_file_of_100_mb_is_refused_after_4_mib)
{
    char path[] = "/tmp/setu-bomb-XXXXXX";
    int fd = mkstemp(path);
    static const char line[] = "key: value\n";
    cr_assert(fd >= 0 && write(fd, line, sizeof line - 1) == sizeof line - 1 &&
              ftruncate(fd, FILE_BYTES) == 0);
    struct conf_errors errors;
    conf_errors_init(&errors);
    long before_kb = rss_kb();
    cr_assert_null(yaml_load(path, &errors));
    cr_expect_lt(rss_kb() - before_kb, (long)RSS_KB_MAX);
    cr_assert_eq(errors.count, 1);
    cr_expect_str_eq(errors.items[0].file, path);
    cr_expect_not_null(strstr(errors.items[0].text, "larger than 4194304 bytes"));
    conf_errors_deinit(&errors);
    close(fd);
    unlink(path);
}

/* T82: the same from memory, and one byte above the cap; at the cap it is read */
Test(conf_bombs, t82_the_cap_is_exact)
{
    struct conf_errors errors;
    char *text = malloc(SOURCE_BYTES_MAX + 1);
    memset(text, '#', SOURCE_BYTES_MAX + 1);
    memcpy(text, "a: 1\n", 5);
    for (int over = 0; over < 2; over++) {
        conf_errors_init(&errors);
        struct yaml_tree *tree =
            yaml_parse(text, (size_t)SOURCE_BYTES_MAX + (size_t)over, "t", &errors);
        cr_assert_eq(tree == NULL, over == 1);
        yaml_tree_free(&tree);
        conf_errors_deinit(&errors);
    }
    free(text);
}
