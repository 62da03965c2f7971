/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/snapshot.h"
#include "conf/source.h"
#include "conf/yaml.h"

static_assert(offsetof(struct snapshot, config) == 0, "a config is the start of its snapshot");

static struct snapshot *snapshot_new(const char *file)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) {
        abort();
    }
    atomic_init(&snapshot->references, 1);
    snapshot->config.file = arena_text(&snapshot->arena, file, strlen(file));
    return snapshot;
}

static void snapshot_free(struct snapshot *snapshot)
{
    arena_deinit(&snapshot->arena);
    free(snapshot->places);
    free(snapshot);
}

void snapshot_note(struct snapshot *snapshot, const void *field, struct conf_place place, bool bad)
{
    if (snapshot->places_count == snapshot->places_size) {
        snapshot->places_size = snapshot->places_size * 2 + 64;
        snapshot->places =
            reallocarray(snapshot->places, snapshot->places_size, sizeof *snapshot->places);
        if (snapshot->places == NULL) {
            abort();
        }
    }
    snapshot->places[snapshot->places_count++] = (struct snapshot_place){
        .field = field,
        .line = place.line,
        .column = place.column,
        .bad = bad,
    };
}

static int compare_places(const void *left, const void *right)
{
    const struct snapshot_place *a = left;
    const struct snapshot_place *b = right;
    return (a->field > b->field) - (a->field < b->field);
}

void snapshot_sort_places(struct snapshot *snapshot)
{
    if (snapshot->places_count > 0) {
        qsort(snapshot->places, snapshot->places_count, sizeof *snapshot->places, compare_places);
    }
}

static const struct snapshot_place *find_place(const struct snapshot *snapshot, const void *field)
{
    if (snapshot->places_count == 0) {
        return NULL;
    }
    struct snapshot_place wanted = {.field = field};
    return bsearch(&wanted, snapshot->places, snapshot->places_count, sizeof wanted,
                   compare_places);
}

bool snapshot_sound(const struct snapshot *snapshot, const void *field)
{
    const struct snapshot_place *place = find_place(snapshot, field);
    return place == NULL || !place->bad;
}

struct conf_place config_place(const struct config *config, const void *field)
{
    const struct snapshot_place *place = find_place(snapshot_of(config), field);
    return (struct conf_place){
        .line = place != NULL ? place->line : 0,
        .column = place != NULL ? place->column : 0,
        .file = config->file,
    };
}

struct config *config_parse(const char *text, size_t length, const char *file,
                            struct conf_errors *errors)
{
    size_t kept_before = errors->count;
    size_t errors_before = errors->errors;
    struct snapshot *snapshot = snapshot_new(file);
    struct yaml_tree *tree = yaml_parse_partial(text, length, file, errors);
    if (tree != NULL) {
        decode_config(snapshot, yaml_root(tree), errors);
        check_config(snapshot, errors, errors_before);
    }
    yaml_tree_free(&tree);
    conf_errors_sort(errors, kept_before);
    if (errors->errors != errors_before) {
        snapshot_free(snapshot);
        return NULL;
    }
    return &snapshot->config;
}

struct config *config_load(const char *path, struct conf_errors *errors)
{
    char *text = NULL;
    size_t length = 0;
    if (!source_read(path, errors, &text, &length)) {
        return NULL;
    }
    struct config *config = config_parse(text, length, path, errors);
    free(text);
    return config;
}

struct config *config_ref(const struct config *config)
{
    struct snapshot *snapshot = snapshot_of(config);
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return &snapshot->config;
}

void config_unref(struct config **config)
{
    if (*config == NULL) {
        return;
    }
    struct snapshot *snapshot = snapshot_of(*config);
    *config = NULL;
    /* Release and acquire: whoever frees has seen every other thread's last look. */
    if (atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) == 1) {
        snapshot_free(snapshot);
    }
}
