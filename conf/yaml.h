/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict YAML reader that remembers where everything stands. It knows no keys: the configuration,
 * the users file and the credentials file are read with it.
 *
 *   file ──▶ source (bytes checked) ──▶ libyaml (events) ──▶ tree of nodes with places
 *
 * Refused, each with its place: duplicate keys, anchors and aliases, tags, directives, a second
 * document, keys that are not plain text, more than YAML_DEPTH_MAX levels, YAML_NODES_MAX values or
 * SOURCE_BYTES_MAX bytes.
 *
 * Messages of this reader name keys, never values: a value may be secret. A tree is wiped when it
 * is freed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/errors.h"

enum { YAML_DEPTH_MAX = 16, YAML_NODES_MAX = 256 * 1024 };

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

/* A value. Lives as long as its tree. */
struct yaml_node {
    enum yaml_kind kind;
    bool plain;   /* a scalar without quotes */
    bool refused; /* it was reported (an alias, a duplicate…): skip it and say nothing more */
    struct conf_place place;
    const char *key; /* in a map: its key; else NULL */
    struct conf_place key_place;
    const char *text; /* scalar: UTF-8, NUL-terminated, no NUL inside; else "" */
    size_t length;
    size_t count;                  /* list or map: number of children */
    const struct yaml_node *first; /* list or map: first child, in the order of the file */
    const struct yaml_node *next;  /* next child of the same parent */
};

struct yaml_tree;

/* NULL when anything was refused; all of it is in errors. An empty file is refused. */
struct yaml_tree *yaml_load(const char *path, struct conf_errors *errors)
    __attribute__((warn_unused_result));
/* The same from memory; file is only a name and is copied. */
struct yaml_tree *yaml_parse(const char *text, size_t length, const char *file,
                             struct conf_errors *errors) __attribute__((warn_unused_result));
/* As yaml_parse(), but a tree is returned whenever there is one, so that a caller can report its
 * own problems too. It must not be used as good when conf_errors_failed(). */
struct yaml_tree *yaml_parse_partial(const char *text, size_t length, const char *file,
                                     struct conf_errors *errors)
    __attribute__((warn_unused_result));
/* Wipes and frees. (Not called yaml_free: libyaml exports that name for its own use.) */
void yaml_tree_free(struct yaml_tree **tree);

const struct yaml_node *yaml_root(const struct yaml_tree *tree);

/* The child of a map under a key; NULL when there is none or when node is no map. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);

/* Whether node is a list, or a map; false = reported as a wrong type (once: not for a refused
 * node). */
bool yaml_is_list(const struct yaml_node *node, struct conf_errors *errors)
    __attribute__((warn_unused_result));
bool yaml_is_map(const struct yaml_node *node, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/*
 * Scalars by the type that is wanted. false = reported. A text may be "" only when it is written
 * so, and has no control characters; true and false are the only truth values; integers are
 * decimal, without quotes or leading zeros.
 */
bool yaml_text(const struct yaml_node *node, struct conf_errors *errors, const char **text_r)
    __attribute__((warn_unused_result));
bool yaml_bool(const struct yaml_node *node, struct conf_errors *errors, bool *value_r)
    __attribute__((warn_unused_result));
bool yaml_integer(const struct yaml_node *node, int64_t min, int64_t max,
                  struct conf_errors *errors, int64_t *value_r) __attribute__((warn_unused_result));

/* Reports every key of a map that is not in known (ended by NULL), with the nearest known one. true
 * = none. */
bool yaml_known_keys(const struct yaml_node *map, const char *const *known,
                     struct conf_errors *errors);

/* The nearest of names (ended by NULL) when it is near enough to be a typing slip; else NULL. */
const char *yaml_nearest(const char *name, const char *const *names);
