/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: what a run is played on: configurations and users, loaded once from real files by Setu's own code, and one
 * real worker a run between simulated clients and brokers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/wire.h"

enum { STAGE_NODES = 3 };

struct shared;
struct worker;

enum user_kind {
    USER_GOOD,
    USER_UNMAPPED,  /* no rule of the mapping holds */
    USER_AMBIGUOUS, /* two do, for different certificates */
    USER_KEYLESS,   /* no password for brokers is stored */
    USER_STALE,     /* …a wrong one is */
    USER_UNKNOWN    /* not in the users file */
};

struct user {
    const char *name, *password;
    const char *legacy; /* what brokers with SASL know it as */
    enum user_kind kind;
};

/** Ends the process when Setu's own loaders refuse anything. */
void stage_open(void);
void stage_close(void);

/** One run; returns its digest. Violations do not return. */
uint64_t stage_run(uint64_t seed, bool trace);

/* ---- for the actors ---- */

const struct user *stage_user(size_t drawn);
/** The password proves the name. */
bool stage_proves(const struct user *user, const char *password);
/** The login may be, and must be, accepted. */
bool stage_may_admit(const struct user *user, const char *password);
bool stage_must_admit(const struct user *user, const char *password);
/** A broker that wants SASL is to see this user as `who`. */
bool stage_is_shown_as(const struct user *user, const char *who);
/** The brokers judge the clients' logins. */
bool stage_passes_logins(void);
/** Logins at Setu end, and are to be renewed. */
bool stage_renews(void);
/** Nodes change over while it runs. */
bool stage_flips(void);
/** Setu's port for a node; -1: bootstrap. */
uint16_t stage_port(int32_t node_id);
struct wire_address stage_shown_address(void *context, int32_t node_id);
/** exchange_random_fn of an actor. */
bool stage_random(void *context, uint8_t *at, size_t length);
