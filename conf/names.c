/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/names.h"

#include <stdlib.h>
#include <string.h>

#include "conf/yaml.h"

void names_init(struct names *names, const char *what, size_t size)
{
    names->what = what;
    names->count = 0;
    names->items = calloc(size > 0 ? size : 1, sizeof *names->items);
    if (names->items == NULL) {
        abort();
    }
}

void names_deinit(struct names *names)
{
    free(names->items);
    *names = (struct names){0};
}

void names_add(struct names *names, const char *text, struct conf_place place)
{
    if (text[0] != '\0') {
        names->items[names->count++] = (struct name){.text = text, .place = place};
    }
}

static int compare_text(const void *left, const void *right)
{
    const struct name *a = left;
    const struct name *b = right;
    return strcmp(a->text, b->text);
}

/* By text, then by the order of the file, so that the later one is the duplicate. */
static int compare_order(const void *left, const void *right)
{
    const struct name *a = left;
    const struct name *b = right;
    int order = compare_text(a, b);
    if (order != 0) {
        return order;
    }
    if (a->place.line != b->place.line) {
        return a->place.line < b->place.line ? -1 : 1;
    }
    return (a->place.column > b->place.column) - (a->place.column < b->place.column);
}

void names_seal(struct names *names, struct conf_errors *errors)
{
    qsort(names->items, names->count, sizeof *names->items, compare_order);
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (kept > 0 && compare_text(&names->items[kept - 1], &names->items[i]) == 0) {
            conf_errors_add(errors, names->items[i].place,
                            "%s '%.128s' is given again (first at line %d; keep one)", names->what,
                            names->items[i].text, names->items[kept - 1].place.line);
            continue;
        }
        names->items[kept++] = names->items[i];
    }
    names->count = kept;
}

/* NULL = none near enough, or too many names to look at them all. */
static const char *nearest(const struct names *names, const char *text)
{
    enum { LOOKED_AT_MAX = 1000 };
    const char *texts[LOOKED_AT_MAX + 1] = {NULL};
    if (names->count > LOOKED_AT_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < names->count; i++) {
        texts[i] = names->items[i].text;
    }
    return yaml_nearest(text, texts);
}

void names_refer(struct names *names, const char *text, struct conf_place place,
                 struct conf_errors *errors)
{
    if (text[0] == '\0') {
        return;
    }
    struct name wanted = {.text = text};
    struct name *found = bsearch(&wanted, names->items, names->count, sizeof wanted, compare_text);
    if (found != NULL) {
        found->used = true;
        return;
    }
    /* Past the cap nobody reads the text any more. */
    const char *near = errors->count < CONF_ERRORS_MAX ? nearest(names, text) : NULL;
    if (near != NULL) {
        conf_errors_add(errors, place, "no %s is named '%.128s' (did you mean '%.128s'?)",
                        names->what, text, near);
    } else {
        conf_errors_add(errors, place, "no %s is named '%.128s' (add it, or correct the name)",
                        names->what, text);
    }
}

void names_warn_unused(const struct names *names, struct conf_errors *errors)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!names->items[i].used) {
            conf_errors_warn(errors, names->items[i].place,
                             "%s '%.128s' is used nowhere (use it or remove it)", names->what,
                             names->items[i].text);
        }
    }
}
