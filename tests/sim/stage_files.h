/* SPDX-License-Identifier: Apache-2.0 */
/* stage_files: the configurations of the runs and all the files they name, made in a directory of their own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "tests/sim/stage.h"

enum { STAGE_VARIANTS = 5, STAGE_NODE_BASE_PORT = 19100, STAGE_PORT = 19092 };

struct credentials;

/* A configuration, and what its brokers are like. */
struct variant {
    const char *name;
    const char *generations; /* YAML; %s: the credentials file */
    const char *limits;      /* further entries of `limits` */
    const char *crc, *api_versions;
    const char *listener;    /* further keys of the listener */
    int sasl_nodes; /* of STAGE_NODES */
    bool passes_logins;
    bool flips; /* nodes change their generation */
    struct shared *shared,
        *other; /* the same, but for one user's certificate and, in some, the cluster */
};

extern struct variant stage_variants[STAGE_VARIANTS];
extern const struct user stage_users[];
extern const size_t stage_user_count;

/** Writes all files and loads all variants; the broker's users. Ends the process when something is refused. */
struct credentials *stage_files_open(void);
void stage_files_close(void);
