/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_cases.h"

#include <stdlib.h>
#include <string.h>

#include "conf/yaml.h"

struct mapping_cases {
    struct yaml_tree *tree; /* holds every text */
    struct mapping_case *items;
    size_t count;
};

static const char *const expects[] = {"mapped",  "unmapped", "ambiguous", "error",
                                      "refused", "denied",   NULL};

/* NULL: not given, or reported. */
static const char *take_text(const struct yaml_node *map, const char *key,
                             struct conf_errors *errors)
{
    const struct yaml_node *node = yaml_get(map, key);
    const char *text = NULL;
    if (node == NULL || !yaml_text(node, errors, &text)) {
        return NULL;
    }
    return text;
}

static void take_expect(struct mapping_case *item, const struct yaml_node *map,
                        struct conf_errors *errors)
{
    const struct yaml_node *node = yaml_get(map, "expect");
    const char *text = take_text(map, "expect", errors);
    const bool details = item->certificate != NULL || item->rule != NULL || item->predicted != NULL;
    if (node == NULL && !details) {
        conf_errors_add(errors, map->place,
                        "the case expects nothing (give 'expect', or a 'certificate')");
    }
    if (text == NULL) {
        return;
    }
    size_t i = 0;
    while (expects[i] != NULL && strcmp(expects[i], text) != 0) {
        i++;
    }
    if (expects[i] == NULL) {
        conf_errors_add(errors, node->place,
                        "'expect' has no value '%.64s' (possible: mapped, unmapped, ambiguous, "
                        "error, refused, denied)",
                        text);
        return;
    }
    item->expect = (enum mapping_expect)i;
    if (details && item->expect != MAPPING_EXPECT_MAPPED) {
        conf_errors_add(errors, node->place,
                        "'%s' does not go with 'certificate', 'rule' or 'predicted' (remove them)",
                        text);
    }
}

static void take_case(struct mapping_case *item, const struct yaml_node *map,
                      struct conf_errors *errors)
{
    static const char *const known[] = {"name",     "principal", "cluster", "generation",
                                        "listener", "mechanism", "expect",  "certificate",
                                        "rule",     "predicted", NULL};
    if (!yaml_is_map(map, errors)) {
        return;
    }
    (void)yaml_known_keys(map, known, errors);
    item->place = map->place;
    item->name = take_text(map, "name", errors);
    item->query = (struct mapping_query){
        .principal = take_text(map, "principal", errors),
        .cluster = take_text(map, "cluster", errors),
        .generation = take_text(map, "generation", errors),
        .listener = take_text(map, "listener", errors),
        .mechanism = take_text(map, "mechanism", errors),
    };
    item->certificate = take_text(map, "certificate", errors);
    item->rule = take_text(map, "rule", errors);
    item->predicted = take_text(map, "predicted", errors);
    if (yaml_get(map, "principal") == NULL) {
        conf_errors_add(errors, map->place, "missing key 'principal' (add it)");
    }
    take_expect(item, map, errors);
}

static void take_cases(struct mapping_cases *cases, struct conf_errors *errors)
{
    static const char *const known[] = {"cases", NULL};
    const struct yaml_node *root = yaml_root(cases->tree);
    if (!yaml_is_map(root, errors)) {
        return;
    }
    (void)yaml_known_keys(root, known, errors);
    const struct yaml_node *list = yaml_get(root, "cases");
    if (list == NULL) {
        conf_errors_add(errors, root->place, "missing key 'cases' (add it: a list)");
        return;
    }
    if (!yaml_is_list(list, errors)) {
        return;
    }
    cases->items = calloc(list->count + 1, sizeof *cases->items);
    if (cases->items == NULL) {
        abort();
    }
    for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
        take_case(&cases->items[cases->count++], node, errors);
    }
    if (cases->count == 0) {
        conf_errors_add(errors, list->place, "'cases' is empty (write at least one)");
    }
}

/* Takes the tree, which may be NULL. */
static struct mapping_cases *build(struct yaml_tree *tree, struct conf_errors *errors,
                                   size_t errors_before)
{
    if (tree == NULL) {
        return NULL;
    }
    struct mapping_cases *cases = calloc(1, sizeof *cases);
    if (cases == NULL) {
        abort();
    }
    cases->tree = tree;
    take_cases(cases, errors);
    if (errors->errors != errors_before) {
        mapping_cases_free(&cases);
    }
    return cases;
}

struct mapping_cases *mapping_cases_load(const char *path, struct conf_errors *errors)
{
    const size_t before = errors->errors;
    return build(yaml_load(path, errors), errors, before);
}

struct mapping_cases *mapping_cases_parse(const char *text, size_t length, const char *file,
                                          struct conf_errors *errors)
{
    const size_t before = errors->errors;
    return build(yaml_parse(text, length, file, errors), errors, before);
}

void mapping_cases_free(struct mapping_cases **cases)
{
    if (*cases != NULL) {
        yaml_tree_free(&(*cases)->tree);
        free((*cases)->items);
        free(*cases);
        *cases = NULL;
    }
}

size_t mapping_cases_count(const struct mapping_cases *cases)
{
    return cases->count;
}

const struct mapping_case *mapping_cases_at(const struct mapping_cases *cases, size_t index)
{
    return &cases->items[index];
}

bool mapping_case_expects(const struct mapping_case *wanted, enum mapping_outcome outcome,
                          bool refused)
{
    switch (wanted->expect) {
    case MAPPING_EXPECT_MAPPED:
        return !refused && outcome == MAPPING_MAPPED;
    case MAPPING_EXPECT_UNMAPPED:
        return !refused && outcome == MAPPING_UNMAPPED;
    case MAPPING_EXPECT_AMBIGUOUS:
        return !refused && outcome == MAPPING_AMBIGUOUS;
    case MAPPING_EXPECT_ERROR:
        return !refused && outcome == MAPPING_ERROR;
    case MAPPING_EXPECT_REFUSED:
        return refused;
    case MAPPING_EXPECT_DENIED:
        break;
    }
    return refused || outcome != MAPPING_MAPPED;
}

const char *mapping_expect_name(enum mapping_expect expect)
{
    return expects[expect];
}
