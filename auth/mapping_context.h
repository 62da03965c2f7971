/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every situation in which the mapping can be asked, as the configuration has it: a client comes by
 * a listener, has logged in by one of its mechanisms, and a broker of some generation of the
 * listener's cluster is dialled for it. What is said of a principal "anywhere" is said of all these.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/mapping.h"

struct conf_cluster;
struct conf_generation;
struct conf_listener;

/* Of the configuration it was begun with; NULL in `only` = all. */
struct mapping_context {
    const struct conf_listener *listener;
    const struct conf_cluster *cluster;
    const struct conf_generation *generation;
    const char *mechanism; /* "SSL" = a client certificate */
    /* private */
    const struct config *config;
    struct mapping_query only;
    size_t next_listener, next_generation, next_mechanism;
};

/* Those that have what `only` names (its principal does not matter). Names are borrowed. */
void mapping_context_begin(struct mapping_context *context, const struct config *config,
                           const struct mapping_query *only);
/* The first, or the next one: false = there is none. */
bool mapping_context_next(struct mapping_context *context);

/* What is asked there for a principal. */
struct mapping_query mapping_context_query(const struct mapping_context *context,
                                           const char *principal);

/* Whether there is a situation in which both rules hold; one rule twice: in which it holds. */
bool mapping_context_shared(const struct mapping *mapping, const struct config *config, size_t rule,
                            size_t other);
