/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged files are refused or accepted, never anything else: every prefix, and single bytes
 * changed all over. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "conf/source.h"

static char *example;
static size_t example_length;

/* Comments would only make the tests slower: a damaged comment is a comment. */
static void strip_comments(void)
{
    size_t used = 0;
    for (size_t from = 0; from < example_length;) {
        size_t line = strcspn(example + from, "\n") + 1;
        if (example[from + strspn(example + from, " ")] != '#') {
            memmove(example + used, example + from, line);
            used += line;
        }
        from += line;
    }
    example_length = used;
    example[used] = '\0';
}

static void setup(void)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    cr_assert(source_read("conf/setu.example.yaml", &errors, &example, &example_length));
    conf_errors_deinit(&errors);
    strip_comments();
}

static void teardown(void)
{
    free(example);
}

/* A copy of exact size, so that a sanitizer sees one byte too many. */
static bool accepted(const char *text, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, text, length);
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(copy, length, "t", &errors);
    bool good = config != NULL;
    cr_assert_eq(good, !conf_errors_failed(&errors));
    config_unref(&config);
    conf_errors_deinit(&errors);
    free(copy);
    return good;
}

TestSuite(conf_damage, .init = setup, .fini = teardown);

Test(conf_damage, every_prefix_of_the_example)
{
    size_t good = 0;
    for (size_t length = 0; length <= example_length; length++) {
        good += accepted(example, length);
    }
    /* The last lines hold keys that have defaults, so that some prefixes are whole files. */
    cr_expect(good >= 1 && good < example_length / 4, "%zu", good);
}

Test(conf_damage, bytes_changed_all_over_the_example)
{
    static const char bytes[] = {'\0', '\t', '\n', ' ', '"', '\'', ':',  '{', '[',
                                 '-',  '&',  '*',  '!', '#', '9',  '\\', 'z', '\xff'};
    size_t refused = 0;
    size_t tried = 0;
    for (size_t at = 0; at < example_length; at += 3) {
        char kept = example[at];
        example[at] = bytes[at % sizeof bytes];
        refused += !accepted(example, example_length);
        tried++;
        example[at] = kept;
    }
    cr_expect(refused > tried / 10 && refused < tried, "%zu of %zu", refused, tried);
}

Test(conf_damage, lines_left_out_or_given_twice)
{
    char *text = malloc(2 * example_length);
    for (size_t from = 0; from < example_length;) {
        size_t line = strcspn(example + from, "\n") + 1;
        memcpy(text, example, from);
        memcpy(text + from, example + from + line, example_length - from - line);
        accepted(text, example_length - line);
        memcpy(text, example, from + line);
        memcpy(text + from + line, example + from, example_length - from);
        accepted(text, example_length + line);
        from += line;
    }
    free(text);
}
