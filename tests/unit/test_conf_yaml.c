/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/source.h"
#include "conf/yaml.h"

/* The printed problems of a text; "" = it became a tree. The caller frees. */
static char *problems_of(const char *text, size_t length)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct yaml_tree *tree = yaml_parse(text, length, "", &errors);
    cr_expect_eq(tree != NULL, errors.count == 0);
    yaml_tree_free(&tree);
    conf_errors_sort(&errors, 0);
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    conf_errors_print(&errors, out);
    fclose(out);
    conf_errors_deinit(&errors);
    return printed;
}

struct refusal {
    const char *text;
    const char *problems;
};

static void check_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *printed = problems_of(refusals[i].text, strlen(refusals[i].text));
        cr_expect_str_eq(printed, refusals[i].problems, "'%s'\n-- found --\n%s", refusals[i].text,
                         printed);
        free(printed);
    }
}

#define CHECK(table) check_refusals(table, sizeof(table) / sizeof *(table))

Test(conf_yaml, features_that_hide_meaning_are_refused)
{
    static const struct refusal refusals[] = {
        {"a: &x 1\nb: *x\n", "1:4: anchor '&x' (write the value out where it is used)\n"
                             "2:4: alias '*x' (write the value out)\n"},
        {"a: &x\n  b: 1\nc: &y [1]\n", "1:4: anchor '&x' (write the value out where it is used)\n"
                                       "3:4: anchor '&y' (write the value out where it is used)\n"},
        {"&k a: 1\n", "1:1: anchor '&k' (write the value out where it is used)\n"},
        {"a: 1\n*a : 2\n", "2:1: alias used as a key (use a plain text)\n"},
        {"a: !!str 1\n", "1:4: tag 'tag:yaml.org,2002:str' (leave it out)\n"},
        {"a: ! 'x'\n", "1:4: tag '!' (leave it out)\n"},
        {"a: !x {b: 1}\nc: !y [1]\n",
         "1:4: tag '!x' (leave it out)\n2:4: tag '!y' (leave it out)\n"},
        {"%YAML 1.1\n---\na: 1\n", "1:1: directive '%' (leave it out)\n"},
        {"a: 1\n---\nb: 1\n", "2:1: second document (a file holds one: remove the '---')\n"},
        {"a: {<<: {b: 1}, c: 2}\n", "1:5: merge key '<<' (write the keys out)\n"},
        {"a: 1\nb: 2\na: 3\na: 4\n", "3:1: duplicate key 'a' (first given at line 1; keep one)\n"
                                     "4:1: duplicate key 'a' (first given at line 1; keep one)\n"},
        {"a: {b: 1, 'b': 2}\n", "1:11: duplicate key 'b' (first given at line 1; keep one)\n"},
        {"? [a, {b: c}]\n: 1\nd: 1\nd: 1\n",
         "1:3: list used as a key (use a plain text)\n"
         "4:1: duplicate key 'd' (first given at line 3; keep one)\n"},
        {"? {a: b}\n: {c: [d]}\n", "1:3: map used as a key (use a plain text)\n"},
        {"'': 1\n", "1:1: empty key (write a name before the colon)\n"},
        {"a: \"x\\0y\"\n\"k\\0\": 1\n", "1:4: value contains a NUL character (remove it)\n"
                                        "2:1: key contains a NUL character (remove it)\n"},
        {"[[[[[[[[[[[[[[[[[1, [2]]]]]]]]]]]]]]]]], [[3]]]\n",
         "1:17: more than 16 levels of nesting (flatten the file)\n"},
    };
    CHECK(refusals);
}

Test(conf_yaml, bytes_that_mislead_are_refused)
{
    static const struct refusal refusals[] = {
        {"a:\n\tb: 1\t# x\n", "2:1: tab character (use spaces)\n2:6: tab character (use spaces)\n"},
        {"\xef\xbb\xbf"
         "a: 1\n",
         "1:1: byte order mark (save the file as UTF-8 without one)\n"},
        {"a: \xc3\xa9\xff\n", "1:5: not valid UTF-8 (save the file as UTF-8)\n"},
        {"a: \xc0\x80\n", "1:4: not valid UTF-8 (save the file as UTF-8)\n"},
        {"a: \xed\xa0\x80\n", "1:4: not valid UTF-8 (save the file as UTF-8)\n"},
        {"a: \xf4\x90\x80\x80\n", "1:4: not valid UTF-8 (save the file as UTF-8)\n"},
        {"a: \xe2\x82", "1:4: not valid UTF-8 (save the file as UTF-8)\n"},
        {"a: x\x01\n", "1:5: control character (remove it)\n"},
        {"a: x\xc2\x9b\n", "1:5: control character (remove it)\n"},
        {"a: x\xe2\x80\xa8y\n", "1:5: invisible line break (use a plain line feed)\n"},
        {"a: x\rb: 1\n", "1:5: carriage return without line feed (save with Unix line ends)\n"},
        {"a: x\r\nb: 1\r\n", ""},
        {"", "file holds no values (write at least one key)\n"},
        {"# only words\n", "file holds no values (write at least one key)\n"},
    };
    CHECK(refusals);
    char *printed = problems_of("a: 1\nb\0c", 8);
    cr_expect_str_eq(printed, "2:2: NUL character (remove it)\n");
    free(printed);
}

Test(conf_yaml, bad_syntax_is_reported_where_it_is)
{
    static const struct refusal refusals[] = {
        {"a: b: c\n", "1:5: mapping values are not allowed in this context (check indentation, "
                      "colons and quotes)\n"},
        {"a: [1, 2\nb: 3\n", "2:2: did not find expected ',' or ']', while parsing a flow sequence "
                             "that starts at line 1 (check indentation, colons and quotes)\n"},
        {"a:\n  b: 1\n c: 2\n",
         "3:2: did not find expected key, while parsing a block mapping that starts at line 1 "
         "(check indentation, colons and quotes)\n"},
        {"a: \"x\n", "2:1: found unexpected end of stream, while scanning a quoted scalar that "
                     "starts at line 1 (check indentation, colons and quotes)\n"},
    };
    CHECK(refusals);
}

Test(conf_yaml, too_many_values_are_refused)
{
    size_t count = YAML_NODES_MAX + 10;
    char *text = malloc(count * 2 + 3);
    text[0] = '[';
    for (size_t i = 0; i < count; i++) {
        memcpy(text + 1 + i * 2, "a,", 2);
    }
    memcpy(text + 1 + count * 2, "]", 2);
    char *printed = problems_of(text, strlen(text));
    cr_expect_not_null(strstr(printed, "more than 262144 values"), "%s", printed);
    free(printed);
    free(text);
}

Test(conf_yaml, hopeless_nesting_ends_the_reading)
{
    enum { LEVELS = 1000 * 1000 };
    char *text = malloc(LEVELS);
    memset(text, '[', LEVELS);
    char *printed = problems_of(text, LEVELS);
    cr_expect_str_eq(printed, "1:17: more than 16 levels of nesting (flatten the file)\n");
    memset(text, '{', LEVELS);
    free(printed);
    printed = problems_of(text, LEVELS);
    cr_expect_str_eq(printed, "1:2: map used as a key (use a plain text)\n");
    free(printed);
    free(text);
}

Test(conf_yaml, a_map_with_very_many_keys_is_read_in_time)
{
    enum { KEYS = 100000 };
    char *text = malloc(KEYS * 16);
    size_t used = 0;
    for (int i = 0; i < KEYS; i++) {
        used += (size_t)sprintf(text + used, "k%d: 1\n", i);
    }
    char *printed = problems_of(text, used);
    cr_expect_str_eq(printed, "");
    free(printed);
    free(text);
}

Test(conf_yaml, a_tree_keeps_order_and_places)
{
    static const char text[] = "# users\n"
                               "users:\n"
                               "  - name: gr\xc3\xbc\xc3\x9f\n"
                               "    \"plain\": 'it''s'\n"
                               "  - {name: b, n: -12, yes: true, none: }\n";
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct yaml_tree *tree = yaml_parse(text, strlen(text), "u.yaml", &errors);
    cr_assert_not_null(tree);
    const struct yaml_node *users = yaml_get(yaml_root(tree), "users");
    cr_assert_not_null(users);
    cr_assert(yaml_is_list(users, &errors));
    cr_expect_eq(users->count, 2);
    cr_expect_eq(users->key_place.line, 2);
    const struct yaml_node *name = yaml_get(users->first, "name");
    const char *value = NULL;
    cr_assert(yaml_text(name, &errors, &value));
    cr_expect_str_eq(value, "gr\xc3\xbc\xc3\x9f");
    cr_expect_eq(name->place.line, 3);
    cr_expect_eq(name->place.column, 11);
    cr_expect_str_eq(name->place.file, "u.yaml");
    const struct yaml_node *plain = yaml_get(users->first, "plain");
    cr_assert(yaml_text(plain, &errors, &value));
    cr_expect_str_eq(value, "it's");
    cr_expect_not(plain->plain);
    int64_t number = 0;
    bool yes = false;
    const struct yaml_node *second = users->first->next;
    cr_assert(yaml_integer(yaml_get(second, "n"), -100, 0, &errors, &number));
    cr_expect_eq(number, -12);
    cr_assert(yaml_bool(yaml_get(second, "yes"), &errors, &yes));
    cr_expect(yes);
    cr_expect_null(yaml_get(second, "absent"));
    cr_expect_null(yaml_get(name, "name"));
    cr_assert_eq(errors.count, 0);
    cr_expect_not(yaml_text(yaml_get(second, "none"), &errors, &value));
    cr_expect_not(yaml_is_map(name, &errors));
    static const char *const known[] = {"name", "nn", "yes", NULL};
    cr_expect_not(yaml_known_keys(second, known, &errors));
    cr_assert_eq(errors.count, 4);
    cr_expect_str_eq(errors.items[2].text, "unknown key 'n' (remove it)");
    cr_expect_str_eq(errors.items[3].text, "unknown key 'none' (remove it)");
    conf_errors_deinit(&errors);
    yaml_tree_free(&tree);
    cr_expect_null(tree);
}

Test(conf_yaml, messages_never_show_values)
{
    static const char text[] = "a: [s3cret\nb: 's3cret\n";
    char *printed = problems_of(text, strlen(text));
    cr_expect_null(strstr(printed, "s3cret"), "%s", printed);
    free(printed);
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct yaml_tree *tree = yaml_parse("a: s3cret\n", 10, "", &errors);
    const struct yaml_node *node = yaml_get(yaml_root(tree), "a");
    bool truth = false;
    int64_t number = 0;
    cr_expect_not(yaml_is_list(node, &errors));
    cr_expect_not(yaml_is_map(node, &errors));
    cr_expect_not(yaml_bool(node, &errors, &truth));
    cr_expect_not(yaml_integer(node, 0, 1, &errors, &number));
    cr_assert_eq(errors.count, 4);
    for (size_t i = 0; i < errors.count; i++) {
        cr_expect_null(strstr(errors.items[i].text, "s3cret"));
    }
    conf_errors_deinit(&errors);
    yaml_tree_free(&tree);
}

Test(conf_yaml, nearest_names_are_typing_slips)
{
    static const char *const names[] = {"port", "bind", "mechanisms", "node_base_port", NULL};
    cr_expect_str_eq(yaml_nearest("prot", names), "port");
    cr_expect_str_eq(yaml_nearest("mechanism", names), "mechanisms");
    cr_expect_str_eq(yaml_nearest("node-base-port", names), "node_base_port");
    cr_expect_null(yaml_nearest("zoo", names));
    cr_expect_null(yaml_nearest("", names));
    cr_expect_null(yaml_nearest("x", names));
    char longer[200] = {0};
    memset(longer, 'p', sizeof longer - 1);
    cr_expect_null(yaml_nearest(longer, names));
}

Test(conf_yaml, the_list_of_problems_is_bounded_and_keeps_errors_before_warnings)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    for (int i = 1; i <= 3 * CONF_ERRORS_MAX; i++) {
        conf_errors_warn(&errors, (struct conf_place){.line = i}, "warning %d", i);
    }
    cr_expect_eq(errors.count, CONF_ERRORS_MAX);
    cr_expect_not(conf_errors_failed(&errors));
    conf_errors_add(&errors, (struct conf_place){.line = 1, .file = "a\033b"},
                    "bad \033[2J \xc2\x9b %.3s", "\xc3\xa9\xc3\xa9");
    cr_expect(conf_errors_failed(&errors));
    conf_errors_sort(&errors, 0);
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    conf_errors_print(&errors, out);
    fclose(out);
    cr_expect_not_null(strstr(printed, "a\\x1bb:1:0: bad \\x1b[2J \\xc2\\x9b \xc3\xa9\\xc3\n"),
                       "%s", printed);
    cr_expect_not_null(strstr(printed, "\n401 more problems are not shown\n"), "%s", printed);
    free(printed);
    conf_errors_deinit(&errors);
}
