/* SPDX-License-Identifier: Apache-2.0 */
/*
 * door: a listener as one edition of the configuration has it, with its SSL_CTX and rules. Sessions that began with it
 * keep it: it goes with its last session, or with the listener.
 */
#pragma once

#include <stddef.h>

#include "proxy/session/session.h"

struct cluster;
struct conf_listener;
struct edition;
struct listener;
struct shared;
struct world;

struct door {
    struct gate gate;          /* first: a gate is its door */
    struct listener *listener; /* that has taken it; NULL: none yet */
    size_t sessions;
};

/**
 * Takes a reference on edition; world and cluster must outlive it, as the edition sees to. NULL: no memory, or rules or
 * SSL_CTX could not be made again of what was good when it was loaded; only what OpenSSL says of it is logged.
 */
struct door *door_new(struct world *world, struct edition *edition, struct cluster *cluster,
                      const struct conf_listener *conf) __attribute__((warn_unused_result));

/** For one that no listener has taken, or whose last session is gone. Nulls; NULL is fine. */
void door_free(struct door **door);

/** Certificate and authorities as read later for the same configuration: for those who come from now on. */
void door_rotate(struct door *door, const struct shared *next);

/** The listener a session came in by; gate must be a door's that a listener has taken. */
struct listener *door_listener(const struct gate *gate);
