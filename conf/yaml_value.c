/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/utf8.h"
#include "conf/yaml.h"

enum { NEAREST_BYTES_MAX = 40 };

static const char *kind_name(const struct yaml_node *node)
{
    switch (node->kind) {
    case YAML_LIST:
        return "a list";
    case YAML_MAP:
        return "a map of keys";
    default:
        return "a single value";
    }
}

static bool is_null(const struct yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; node->plain && i < sizeof nulls / sizeof *nulls; i++) {
        if (strcmp(node->text, nulls[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* `wanted` completes "must be …". */
static void report_type(const struct yaml_node *node, struct conf_errors *errors,
                        const char *wanted)
{
    const char *of = node->key != NULL ? node->key : "item";
    if (node->kind == YAML_SCALAR && is_null(node)) {
        conf_errors_add(errors, node->place, "'%.64s' has no value (must be %s)", of, wanted);
        return;
    }
    conf_errors_add(errors, node->place, "'%.64s' is %s (must be %s)", of, kind_name(node), wanted);
}

static bool is_kind(const struct yaml_node *node, enum yaml_kind kind, const char *wanted,
                    struct conf_errors *errors)
{
    if (node->refused) {
        return false;
    }
    if (node->kind != kind) {
        report_type(node, errors, wanted);
        return false;
    }
    return true;
}

bool yaml_is_list(const struct yaml_node *node, struct conf_errors *errors)
{
    return is_kind(node, YAML_LIST, "a list: [a, b] or lines that begin with '- '", errors);
}

bool yaml_is_map(const struct yaml_node *node, struct conf_errors *errors)
{
    return is_kind(node, YAML_MAP, "a map: lines of 'key: value'", errors);
}

static bool has_control(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t size = utf8_next(text + at, length - at, &code);
        if (size == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 ||
            code == 0x2029) {
            return true;
        }
        at += size;
    }
    return false;
}

bool yaml_text(const struct yaml_node *node, struct conf_errors *errors, const char **text_r)
{
    if (!is_kind(node, YAML_SCALAR, "a text", errors)) {
        return false;
    }
    if (is_null(node)) {
        report_type(node, errors, "a text; \"\" = none");
        return false;
    }
    if (has_control(node->text, node->length)) {
        conf_errors_add(errors, node->place, "'%.64s' contains a control character (remove it)",
                        node->key != NULL ? node->key : "item");
        return false;
    }
    *text_r = node->text;
    return true;
}

bool yaml_bool(const struct yaml_node *node, struct conf_errors *errors, bool *value_r)
{
    if (!is_kind(node, YAML_SCALAR, "true or false", errors)) {
        return false;
    }
    bool yes = node->plain && strcmp(node->text, "true") == 0;
    bool no = node->plain && strcmp(node->text, "false") == 0;
    if (!yes && !no) {
        conf_errors_add(errors, node->place, "'%.64s' must be true or false (without quotes)",
                        node->key != NULL ? node->key : "item");
        return false;
    }
    *value_r = yes;
    return true;
}

/* Decimal digits only: YAML 1.1 would read 010 as 8 and 1:30 as 90. */
static bool is_integer(const struct yaml_node *node)
{
    const char *digits = node->text[0] == '-' ? node->text + 1 : node->text;
    size_t count = strspn(digits, "0123456789");
    bool zeros = digits[0] == '0' && count > 1;
    return node->plain && count > 0 && digits[count] == '\0' && !zeros;
}

bool yaml_integer(const struct yaml_node *node, int64_t min, int64_t max,
                  struct conf_errors *errors, int64_t *value_r)
{
    if (!is_kind(node, YAML_SCALAR, "a whole number", errors)) {
        return false;
    }
    const char *of = node->key != NULL ? node->key : "item";
    if (!is_integer(node)) {
        conf_errors_add(errors, node->place,
                        "'%.64s' must be a whole number (decimal digits only, from %" PRId64
                        " to %" PRId64 ")",
                        of, min, max);
        return false;
    }
    errno = 0;
    long long value = strtoll(node->text, NULL, 10);
    if (errno != 0 || value < min || value > max) {
        conf_errors_add(errors, node->place,
                        "'%.64s' is out of range (from %" PRId64 " to %" PRId64 ")", of, min, max);
        return false;
    }
    *value_r = value;
    return true;
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, changes and swaps of neighbours; both texts at most NEAREST_BYTES_MAX
 * long. */
static size_t slips(const char *a, size_t rows, const char *b, size_t columns)
{
    size_t table[NEAREST_BYTES_MAX + 1][NEAREST_BYTES_MAX + 1];
    for (size_t i = 0; i <= rows; i++) {
        for (size_t j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                table[i][j] = i + j;
                continue;
            }
            size_t changed = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            size_t shifted = lesser(table[i - 1][j], table[i][j - 1]) + 1;
            table[i][j] = lesser(changed, shifted);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                table[i][j] = lesser(table[i][j], table[i - 2][j - 2] + 1);
            }
        }
    }
    return table[rows][columns];
}

const char *yaml_nearest(const char *name, const char *const *names)
{
    size_t length = strlen(name);
    if (length > NEAREST_BYTES_MAX) {
        return NULL;
    }
    const char *nearest = NULL;
    size_t allowed = length < 6 ? 1 : length / 3;
    for (size_t i = 0; names[i] != NULL; i++) {
        size_t other = strlen(names[i]);
        size_t found = other <= NEAREST_BYTES_MAX ? slips(name, length, names[i], other) : SIZE_MAX;
        if (found <= allowed && found < length) {
            nearest = names[i];
            allowed = found - (found > 0);
        }
    }
    return nearest;
}

static bool known_key(const struct yaml_node *child, const char *const *known,
                      struct conf_errors *errors)
{
    for (size_t i = 0; known[i] != NULL; i++) {
        if (strcmp(known[i], child->key) == 0) {
            return true;
        }
    }
    const char *nearest = yaml_nearest(child->key, known);
    if (nearest != NULL) {
        conf_errors_add(errors, child->key_place, "unknown key '%.64s' (did you mean '%s'?)",
                        child->key, nearest);
    } else {
        conf_errors_add(errors, child->key_place, "unknown key '%.64s' (remove it)", child->key);
    }
    return false;
}

bool yaml_known_keys(const struct yaml_node *map, const char *const *known,
                     struct conf_errors *errors)
{
    bool all = true;
    for (const struct yaml_node *child = map->first; child != NULL; child = child->next) {
        all = known_key(child, known, errors) && all;
    }
    return all;
}
