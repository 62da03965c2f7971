/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the tree to typed values, driven by the key table. Every field gets its default first, so
 * that a refused value leaves something harmless behind and the rules between keys can still be
 * checked.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/credential.h"
#include "conf/keys.h"
#include "conf/snapshot.h"
#include "conf/yaml.h"

enum { NODE_PORTS_DEFAULT = 1000 };

struct decoder {
    struct snapshot *snapshot;
    struct conf_errors *errors;
};

static void decode_section(struct decoder *d, const struct key_section *section, void *base,
                           const struct yaml_node *map);

static void *field_of(const struct key *key, void *base)
{
    return (char *)base + key->offset;
}

/* The index of a word; -1 = none of them. */
static int word_index(const struct key *key, const char *text)
{
    for (int i = 0; key->words[i] != NULL; i++) {
        if (strcmp(key->words[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

static void store_number(const struct key *key, void *field, int64_t value)
{
    if (key->type == KEY_INT) {
        *(int *)field = (int)value;
    } else if (key->type == KEY_SIZE) {
        *(size_t *)field = (size_t)value;
    } else {
        *(uint64_t *)field = (uint64_t)value;
    }
}

/* The rest of the types start as zero, which the arena and the snapshot already hold. */
static void store_default(const struct key *key, void *base)
{
    void *field = field_of(key, base);
    const char *fallback = key->fallback;
    switch (key->type) {
    case KEY_TEXT:
    case KEY_WORD:
        *(const char **)field = fallback != NULL ? fallback : "";
        break;
    case KEY_BOOL:
        *(bool *)field = fallback != NULL && strcmp(fallback, "true") == 0;
        break;
    case KEY_INT:
    case KEY_SIZE:
    case KEY_MS:
        store_number(key, field, fallback != NULL ? strtoll(fallback, NULL, 10) : 0);
        break;
    case KEY_CHOICE:
        *(int *)field = fallback != NULL ? word_index(key, fallback) : 0;
        break;
    default:
        break;
    }
}

static void refuse(struct decoder *d, const struct yaml_node *node, const char *problem)
{
    conf_errors_add(d->errors, node->place, "'%.64s' %s", node->key != NULL ? node->key : "item",
                    problem);
}

/* A credential becomes the file that it is; without a folder of them it stays what it says. */
static bool store_text(struct decoder *d, const struct key *key, const char **field,
                       const struct yaml_node *node, const char *text)
{
    char path[PATH_MAX];
    if ((key->form == form_path || key->form == form_key) && credential_named(text)) {
        if (key->written) {
            refuse(d, node, "is a credential, which cannot be written to (name a file)");
            return false;
        }
        text = credential_resolve(text, path) == NULL ? path : text;
    }
    *field = arena_text(&d->snapshot->arena, text, strlen(text));
    return true;
}

static bool decode_text(struct decoder *d, const struct key *key, const char **field,
                        const struct yaml_node *node)
{
    const char *text = NULL;
    if (!yaml_text(node, d->errors, &text)) {
        return false;
    }
    if (text[0] == '\0' && key->required) {
        refuse(d, node, "is empty (write a value)");
        return false;
    }
    const char *problem = text[0] != '\0' && key->form != NULL ? key->form(text) : NULL;
    if (problem != NULL) {
        refuse(d, node, problem);
        return false;
    }
    return store_text(d, key, field, node, text);
}

/* "one of a, b, c" into text. */
static void list_words(const struct key *key, char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; key->words[i] != NULL && used < size; i++) {
        int wrote = snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", key->words[i]);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

static bool decode_word(struct decoder *d, const struct key *key, int *index_r,
                        const struct yaml_node *node)
{
    const char *text = NULL;
    if (!yaml_text(node, d->errors, &text)) {
        return false;
    }
    const char *problem = key->form != NULL ? key->form(text) : NULL;
    if (problem != NULL) {
        refuse(d, node, problem);
        return false;
    }
    *index_r = word_index(key, text);
    if (*index_r >= 0) {
        return true;
    }
    char words[256];
    list_words(key, words, sizeof words);
    const char *nearest = yaml_nearest(text, key->words);
    if (nearest != NULL) {
        conf_errors_add(d->errors, node->place,
                        "'%s' has no value '%.64s' (did you mean '%s'? Possible: %s)", key->name,
                        text, nearest, words);
    } else {
        conf_errors_add(d->errors, node->place, "'%s' has no value '%.64s' (possible: %s)",
                        key->name, text, words);
    }
    return false;
}

static bool decode_ranges(struct decoder *d, const struct key *key, void *base,
                          const struct yaml_node *node)
{
    const char *text = NULL;
    if (!yaml_text(node, d->errors, &text)) {
        return false;
    }
    if (text[0] == '\0') {
        return true;
    }
    size_t *count = (size_t *)(void *)((char *)base + key->count_offset);
    const char *problem = form_ranges(text, &d->snapshot->arena, field_of(key, base), count);
    if (problem != NULL) {
        refuse(d, node, problem);
    }
    return problem == NULL;
}

static bool decode_address(struct decoder *d, struct conf_address *address,
                           const struct yaml_node *node)
{
    const char *text = NULL;
    address->host = "";
    address->place = node->place;
    address->place.file = d->snapshot->config.file;
    if (!yaml_text(node, d->errors, &text)) {
        return false;
    }
    const char *problem = form_address(text, &d->snapshot->arena, address);
    if (problem != NULL) {
        conf_errors_add(d->errors, node->place, "'%.128s' %s", text, problem);
    }
    return problem == NULL;
}

static bool decode_item(struct decoder *d, const struct key *key, void *item,
                        const struct yaml_node *node)
{
    int index = 0;
    switch (key->type) {
    case KEY_WORDS:
        if (!decode_word(d, key, &index, node)) {
            return false;
        }
        *(const char **)item = key->words[index];
        return true;
    case KEY_TEXTS:
    case KEY_ONE_OR_MORE:
        *(const char **)item = "";
        if (!decode_text(d, key, item, node)) {
            return false;
        }
        if (**(const char **)item == '\0') {
            refuse(d, node, "is empty (write a value)");
            return false;
        }
        return true;
    case KEY_ADDRESSES:
        return decode_address(d, item, node);
    default:
        if (!yaml_is_map(node, d->errors)) {
            return false;
        }
        decode_section(d, key->section, item, node);
        return true;
    }
}

static size_t item_size(const struct key *key)
{
    switch (key->type) {
    case KEY_WORDS:
    case KEY_TEXTS:
    case KEY_ONE_OR_MORE:
        return sizeof(const char *);
    case KEY_ADDRESSES:
        return sizeof(struct conf_address);
    default:
        return key->section->size;
    }
}

static bool count_allowed(struct decoder *d, const struct key *key, const struct yaml_node *list)
{
    size_t min = (size_t)key->min;
    size_t max = (size_t)key->max;
    if (list->count < min) {
        conf_errors_add(d->errors, list->place, "'%s' is empty (write at least %zu)", key->name,
                        min);
    } else if (list->count > max) {
        conf_errors_add(d->errors, list->place, "'%s' has %zu items (at most %zu are allowed)",
                        key->name, list->count, max);
    }
    return list->count >= min && list->count <= max;
}

/* Items that were refused leave no gap: the array holds the good ones. */
static bool decode_list(struct decoder *d, const struct key *key, void *base,
                        const struct yaml_node *list)
{
    if (!yaml_is_list(list, d->errors) || !count_allowed(d, key, list)) {
        return false;
    }
    size_t size = item_size(key);
    char *items = arena_array(&d->snapshot->arena, list->count, size);
    size_t count = 0;
    for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
        char *item = items + count * size;
        if (decode_item(d, key, item, node)) {
            snapshot_note(d->snapshot, item, node->place, false);
            count++;
        }
    }
    *(void **)field_of(key, base) = items;
    *(size_t *)(void *)((char *)base + key->count_offset) = count;
    return count == list->count;
}

/* A list, or its only item without the list around it. */
static bool decode_one_or_more(struct decoder *d, const struct key *key, void *base,
                               const struct yaml_node *node)
{
    const char *text = "";
    if (node->kind != YAML_SCALAR) {
        return decode_list(d, key, base, node);
    }
    if (!decode_text(d, key, &text, node)) {
        return false;
    }
    const char **items = arena_array(&d->snapshot->arena, 1, sizeof *items);
    items[0] = text;
    *(const char ***)field_of(key, base) = items;
    *(size_t *)(void *)((char *)base + key->count_offset) = 1;
    return true;
}

static bool decode_value(struct decoder *d, const struct key *key, void *base,
                         const struct yaml_node *node)
{
    void *field = field_of(key, base);
    int64_t number = 0;
    int index = 0;
    bool good = false;
    switch (key->type) {
    case KEY_TEXT:
        return decode_text(d, key, field, node);
    case KEY_BOOL:
        return yaml_bool(node, d->errors, field);
    case KEY_INT:
    case KEY_SIZE:
    case KEY_MS:
        good = yaml_integer(node, key->min, key->max, d->errors, &number);
        if (good) {
            store_number(key, field, number);
        }
        return good;
    case KEY_CHOICE:
        good = decode_word(d, key, &index, node);
        if (good) {
            *(int *)field = index;
        }
        return good;
    case KEY_WORD:
        good = decode_word(d, key, &index, node);
        if (good) {
            *(const char **)field = key->words[index];
        }
        return good;
    case KEY_RANGES:
        return decode_ranges(d, key, base, node);
    case KEY_ONE_OR_MORE:
        return decode_one_or_more(d, key, base, node);
    case KEY_SECTION:
        if (!yaml_is_map(node, d->errors)) {
            return false;
        }
        decode_section(d, key->section, field, node);
        return true;
    default:
        return decode_list(d, key, base, node);
    }
}

/* A file of an earlier version: what asked for something else than what is so now must be seen. */
static void report_gone(struct decoder *d, const struct key_gone *gone,
                        const struct yaml_node *node)
{
    bool asked = !gone->so_now;
    if (!yaml_bool(node, d->errors, &asked)) {
        return;
    }
    if (asked == gone->so_now) {
        conf_errors_warn(d->errors, node->key_place, "'%s' is no longer a key: %s (remove it)",
                         gone->name, gone->doc);
    } else {
        conf_errors_add(d->errors, node->key_place,
                        "'%s' is no longer a key and cannot be '%s': %s (remove it)", gone->name,
                        asked ? "true" : "false", gone->doc);
    }
}

/* The index of the key an entry is about: its own, or the one it is a slip of; keys_count = none.
 */
static size_t report_unknown(struct decoder *d, const struct key_section *section,
                             const struct yaml_node *node)
{
    size_t near = keys_nearest(section, node->key);
    if (near < section->keys_count) {
        conf_errors_add(d->errors, node->key_place, "unknown key '%.64s' (did you mean '%s'?)",
                        node->key, section->keys[near].name);
    } else {
        conf_errors_add(d->errors, node->key_place,
                        "unknown key '%.64s' (remove it; the keys here are in REFERENCE.md)",
                        node->key);
    }
    return near;
}

/* One entry of a map; answers which key it settles, so that this is not also called missing. */
static uint64_t decode_entry(struct decoder *d, const struct key_section *section, void *base,
                             const struct yaml_node *node)
{
    size_t at = keys_find(section, node->key);
    bool known = at < section->keys_count;
    const struct key_gone *gone = known ? NULL : keys_gone(section, node->key);
    if (gone != NULL && !node->refused) {
        report_gone(d, gone, node);
    } else if (!known && !node->refused) {
        at = report_unknown(d, section, node);
    }
    if (at == section->keys_count) {
        return 0;
    }
    const struct key *key = &section->keys[at];
    bool good = known && !node->refused && decode_value(d, key, base, node);
    /* A section begins where its first field does, whose place must not be hidden by that of the
     * section. */
    if (key->type != KEY_SECTION || !good) {
        snapshot_note(d->snapshot, field_of(key, base), node->place, !good);
    }
    return UINT64_C(1) << at;
}

static void report_missing(struct decoder *d, const struct key_section *section, void *base,
                           const struct yaml_node *map, uint64_t seen)
{
    for (size_t i = 0; i < section->keys_count; i++) {
        const struct key *key = &section->keys[i];
        if (!key->required || (seen & UINT64_C(1) << i) != 0) {
            continue;
        }
        conf_errors_add(d->errors, map->place, "missing key '%s' (add it: %s)", key->name,
                        key->doc);
        snapshot_note(d->snapshot, field_of(key, base), map->place, true);
    }
}

static void store_defaults(const struct key_section *section, void *base)
{
    for (size_t i = 0; i < section->keys_count; i++) {
        const struct key *key = &section->keys[i];
        if (key->type == KEY_SECTION) {
            store_defaults(key->section, field_of(key, base));
        } else {
            store_default(key, base);
        }
    }
}

static void decode_section(struct decoder *d, const struct key_section *section, void *base,
                           const struct yaml_node *map)
{
    store_defaults(section, base);
    if (section->place_offset != KEY_NO_OFFSET) {
        struct conf_place place = map->place;
        place.file = d->snapshot->config.file;
        *(struct conf_place *)(void *)((char *)base + section->place_offset) = place;
    }
    if (section->present_offset != KEY_NO_OFFSET) {
        *(bool *)((char *)base + section->present_offset) = true;
    }
    uint64_t seen = 0;
    for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
        seen |= decode_entry(d, section, base, node);
    }
    report_missing(d, section, base, map, seen);
}

static void derive_mapping(struct config *config)
{
    for (size_t i = 0; i < config->mapping_count; i++) {
        struct conf_mapping *rule = (struct conf_mapping *)&config->mapping[i];
        rule->kind = CONF_MAPPING_EXACT;
        rule->pattern = rule->principal;
        if (rule->principal_glob[0] != '\0') {
            rule->kind = CONF_MAPPING_GLOB;
            rule->pattern = rule->principal_glob;
        } else if (rule->principal_regex[0] != '\0') {
            rule->kind = CONF_MAPPING_REGEX;
            rule->pattern = rule->principal_regex;
        }
    }
}

/* A port per node is a matter of role clients. */
static void derive_listeners(struct config *config)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        struct conf_listener *listener = (struct conf_listener *)&config->listeners[i];
        if (listener->role == CONF_ROLE_CLIENTS && listener->node_ports_max == 0 &&
            listener->node_network[0] == '\0') {
            listener->node_ports_max = NODE_PORTS_DEFAULT;
        }
        (void)form_network_range(listener->node_network, &listener->node_network_first,
                                 &listener->node_network_count);
    }
}

static const struct conf_pkcs11 *token_of(const struct config *config, const char *key)
{
    return config_key_is_token(key) ? &config->pkcs11 : NULL;
}

static void derive_tokens(struct config *config)
{
    for (size_t i = 0; i < config->certificates_count; i++) {
        struct conf_certificate *certificate = (struct conf_certificate *)&config->certificates[i];
        certificate->pkcs11 = token_of(config, certificate->key);
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        struct conf_listener *listener = (struct conf_listener *)&config->listeners[i];
        listener->tls.pkcs11 = token_of(config, listener->tls.key);
    }
}

void decode_config(struct snapshot *snapshot, const struct yaml_node *root,
                   struct conf_errors *errors)
{
    struct decoder d = {.snapshot = snapshot, .errors = errors};
    store_defaults(&keys_root, &snapshot->config);
    if (root->kind == YAML_MAP) {
        decode_section(&d, &keys_root, &snapshot->config, root);
    } else if (!root->refused) {
        conf_errors_add(errors, root->place, "the file must hold a map: lines of 'key: value'");
    }
    derive_mapping(&snapshot->config);
    derive_listeners(&snapshot->config);
    derive_tokens(&snapshot->config);
    snapshot_sort_places(snapshot);
}
