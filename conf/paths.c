/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/paths.h"

#include <string.h>

#include "conf/config.h"
#include "conf/keys.h"

struct walk {
    const struct config *config;
    config_path_fn fn;
    void *context;
};

static bool is_path_key(const struct key *key)
{
    return key->form == form_path || key->form == form_key || key->form == form_module ||
           key->form == form_folder || key->form == form_socket;
}

static enum conf_path_kind kind_of(const struct key *key)
{
    if (key->form == form_folder) {
        return key->written ? CONF_PATH_FOLDER : CONF_PATH_READ_FOLDER;
    }
    if (key->written) {
        return CONF_PATH_WRITTEN;
    }
    return key->form == form_socket ? CONF_PATH_SOCKET : CONF_PATH_READ;
}

static void tell(const struct walk *walk, const struct key *key, const char *const *text)
{
    if ((*text)[0] != '\0' && strcmp(*text, "-") != 0 && strncmp(*text, "pkcs11:", 7) != 0) {
        walk->fn(walk->context, kind_of(key), *text, config_place(walk->config, text));
    }
}

static void walk_section(const struct walk *walk, const struct key_section *section,
                         const char *base);

static void walk_items(const struct walk *walk, const struct key *key, const char *base)
{
    const char *items = *(const char *const *)(const void *)(base + key->offset);
    const size_t count = *(const size_t *)(const void *)(base + key->count_offset);
    for (size_t i = 0; i < count; i++) {
        if (key->type == KEY_ITEMS) {
            walk_section(walk, key->section, items + i * key->section->size);
        } else {
            tell(walk, key, (const char *const *)(const void *)items + i);
        }
    }
}

static void walk_section(const struct walk *walk, const struct key_section *section,
                         const char *base)
{
    for (size_t i = 0; i < section->keys_count; i++) {
        const struct key *key = &section->keys[i];
        const char *field = base + key->offset;
        if (key->type == KEY_SECTION) {
            walk_section(walk, key->section, field);
        } else if (key->type == KEY_ITEMS) {
            walk_items(walk, key, base);
        } else if (is_path_key(key) && key->type == KEY_TEXT) {
            tell(walk, key, (const char *const *)(const void *)field);
        } else if (is_path_key(key)) {
            walk_items(walk, key, base);
        }
    }
}

void config_paths(const struct config *config, config_path_fn fn, void *context)
{
    const struct walk walk = {config, fn, context};
    walk_section(&walk, &keys_root, (const char *)config);
}
