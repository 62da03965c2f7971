/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind a struct config: its memory, its count of references, and where each value
 * came from. Only files of this folder that build or check a configuration include it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/arena.h"
#include "conf/config.h"

struct names;
struct yaml_node;

/* The place of the field at an address; bad = its value was refused and reported. */
struct snapshot_place {
    const void *field;
    int line, column;
    bool bad;
};

struct snapshot {
    struct config config;
    atomic_size_t references;
    struct arena arena;
    struct snapshot_place *places; /* sorted by field once decode_config() has returned */
    size_t places_count, places_size;
};

static inline struct snapshot *snapshot_of(const struct config *config)
{
    return (struct snapshot *)((char *)(uintptr_t)config - offsetof(struct snapshot, config));
}

void snapshot_note(struct snapshot *snapshot, const void *field, struct conf_place place, bool bad);
void snapshot_sort_places(struct snapshot *snapshot);
/* Whether nothing was reported about the field's own value, so that a rule about it makes sense. */
bool snapshot_sound(const struct snapshot *snapshot, const void *field);

/* Fills the snapshot from a tree; everything gets a value, also when something was reported
 * (decode.c). */
void decode_config(struct snapshot *snapshot, const struct yaml_node *root,
                   struct conf_errors *errors);

/* Rules between keys: what single values cannot show. All of them run, whatever has been reported
 * before. */
struct check {
    const struct snapshot *snapshot;
    const struct config *config; /* of the snapshot */
    struct conf_errors *errors;
    size_t errors_before;       /* errors when this file's reading began */
    struct names *certificates; /* sealed */
    struct names *clusters;     /* sealed */
};

/* References, duplicates, limits; calls those below (check.c). errors_before: as above. */
void check_config(const struct snapshot *snapshot, struct conf_errors *errors,
                  size_t errors_before);
/* The rules from principals to certificates (check_mapping.c). */
void check_mapping(const struct check *check);
/* One cluster and its generations (check_cluster.c). */
void check_cluster(const struct check *check, const struct conf_cluster *cluster);
/* What a listener's role asks for; cluster: its own, NULL when there is none (check_role.c). */
void check_role(const struct check *check, const struct conf_listener *listener,
                const struct conf_cluster *cluster);
/* All listeners, also against each other (check_listener.c). */
void check_listeners(const struct check *check);

static inline struct conf_place check_place(const struct check *check, const void *field)
{
    return config_place(check->config, field);
}

static inline bool check_sound(const struct check *check, const void *field)
{
    return snapshot_sound(check->snapshot, field);
}
