/* SPDX-License-Identifier: Apache-2.0 */
/*
 * served: which versions of which API one broker takes, as it said when somebody logged in to it.
 *
 * A connection is joined to one broker for all its life, and a broker does not change what it takes
 * while it runs. So whatever a client believes, from an older answer or from another connection, is
 * held against this table: a request that the broker would not take ends the connection with a name
 * instead of by the broker's silent close, and the client asks anew.
 *
 * Shared by the sessions of one broker; one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/handshake.h"

enum { SERVED_KEYS = 128 };

struct served {
    size_t refs;
    int16_t min[SERVED_KEYS], max[SERVED_KEYS]; /* max < min: not at all */
};

/* One reference is the caller's. NULL without memory. */
struct served *served_new(const struct api_versions *versions) __attribute__((warn_unused_result));
struct served *served_ref(struct served *served); /* NULL is fine */
void served_unref(struct served **served);        /* nulls; NULL is fine */

/* Made of just these? */
bool served_is(const struct served *served, const struct api_versions *versions);

static inline bool served_takes(const struct served *served, int16_t key, int16_t version)
{
    return key >= 0 && key < SERVED_KEYS && version >= served->min[key] &&
           version <= served->max[key];
}

/* Everything that was promised is taken; what Setu answers itself is not asked about. */
bool served_keeps(const struct served *served, const struct api_versions *promised);

/* Takes from `versions` what the broker does not take; what Setu answers itself stays. */
void served_limit(const struct served *served, struct api_versions *versions);
