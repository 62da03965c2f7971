/* SPDX-License-Identifier: Apache-2.0 */
/* What a mapping is made of; for mapping.c, which asks it, and mapping_build.c, which makes it. */
#pragma once

#include <stdatomic.h>

#include "auth/mapping.h"

struct pattern;

struct mapping_rule {
    const struct conf_mapping *conf;
    struct pattern *pattern; /* regex only */
    char *when;              /* owned, as mapping_when() */
};

struct mapping {
    atomic_size_t references;
    struct config *config;      /* holds every string and place */
    struct mapping_rule *rules; /* in file order, as config->mapping */
    size_t count;
    bool by_generation;
    char hash[MAPPING_HASH_SIZE];
};

/* The pattern alone; *why_r: as in struct mapping_step. */
enum mapping_verdict mapping_ask(const struct mapping_rule *rule, const char *principal,
                                 const char **why_r);
