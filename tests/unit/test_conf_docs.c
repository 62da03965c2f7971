/* SPDX-License-Identifier: Apache-2.0 */
/* The committed pages are what the key table says, and the key table is sound. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/docs.h"
#include "conf/keys.h"
#include "conf/source.h"

static void check_page(const char *path, const char *generated)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    char *kept = NULL;
    size_t length = 0;
    cr_assert(source_read(path, &errors, &kept, &length));
    cr_expect_str_eq(kept, generated, "%s is out of date: build the target conf_pages", path);
    free(kept);
    conf_errors_deinit(&errors);
}

static char *example(void)
{
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    cr_assert(docs_example(out));
    fclose(out);
    return page;
}

Test(conf_docs, the_reference_page_is_current)
{
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    docs_reference(out);
    fclose(out);
    check_page("conf/REFERENCE.md", page);
    free(page);
}

Test(conf_docs, the_example_is_current)
{
    char *page = example();
    check_page("conf/setu.example.yaml", page);
    free(page);
}

static void for_each_key(const struct key_section *section,
                         void (*visit)(const struct key *, void *), void *context)
{
    cr_assert(section->keys_count <= 64, "%s", section->path);
    for (size_t i = 0; i < section->keys_count; i++) {
        visit(&section->keys[i], context);
        if (section->keys[i].section != NULL) {
            for_each_key(section->keys[i].section, visit, context);
        }
    }
}

static void appears(const struct key *key, void *page)
{
    char line[512];
    /* A comment of several lines is broken anywhere: its first words are enough. */
    snprintf(line, sizeof line, "# %.40s", key->doc);
    cr_expect_not_null(strstr(page, line), "'%s' is not explained in the example", key->name);
    snprintf(line, sizeof line, "%s:", key->name);
    cr_expect_not_null(strstr(page, line), "'%s' is not in the example", key->name);
}

Test(conf_docs, the_example_shows_every_key)
{
    char *page = example();
    for_each_key(&keys_root, appears, page);
    free(page);
}

static void count_items(const struct key *key, void *keys)
{
    (void)key;
    ++*(int *)keys;
}

static bool is_number(const struct key *key)
{
    return key->type == KEY_INT || key->type == KEY_SIZE || key->type == KEY_MS;
}

static bool has_word(const struct key *key)
{
    for (size_t i = 0; key->words[i] != NULL; i++) {
        if (strcmp(key->words[i], key->fallback) == 0) {
            return true;
        }
    }
    return false;
}

static void is_sound(const struct key *key, void *context)
{
    (void)context;
    size_t doc = strlen(key->doc);
    cr_expect(doc > 0 && key->doc[doc - 1] == '.', "'%s' needs a sentence", key->name);
    cr_expect_null(strchr(key->doc, '|'), "'%s' would break its table", key->name);
    cr_expect_not(key->required && key->fallback != NULL, "'%s' is required", key->name);
    bool worded = key->type == KEY_CHOICE || key->type == KEY_WORD || key->type == KEY_WORDS;
    cr_expect_eq(worded, key->words != NULL, "'%s'", key->name);
    if (key->fallback == NULL) {
        return;
    }
    if (is_number(key)) {
        long long value = strtoll(key->fallback, NULL, 10);
        cr_expect(value >= key->min && value <= key->max, "'%s'", key->name);
    } else if (worded) {
        cr_expect(has_word(key), "'%s'", key->name);
    } else if (key->type == KEY_TEXT && key->form != NULL) {
        cr_expect_null(key->form(key->fallback), "'%s'", key->name);
    }
}

Test(conf_docs, every_default_is_a_value_the_key_would_accept)
{
    int keys = 0;
    for_each_key(&keys_root, is_sound, NULL);
    for_each_key(&keys_root, count_items, &keys);
    cr_expect(keys > 60, "%d", keys);
}
