/* SPDX-License-Identifier: Apache-2.0 */
/*
 * visitors: how many client connections are open, in all and of each address, over all listeners
 * and workers. Entered at each accept, never on the data path: one lock is enough.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct visitors;

/** At most `limit` connections, of one address at most `address_limit` (0: no such limit). NULL: no
 * memory. */
struct visitors *visitors_new(size_t limit, size_t address_limit)
    __attribute__((warn_unused_result));

/** One more of peer, an IPv4 or IPv6 address. False: a limit is reached, or no memory; nothing is
 * counted. Any thread. */
bool visitors_enter(struct visitors *visitors, const struct sockaddr *peer)
    __attribute__((warn_unused_result));

/** One less; each entered one must leave once. Any thread. */
void visitors_leave(struct visitors *visitors, const struct sockaddr *peer);

/**
 * True once when more than half of the most that ever were in have left, and that were at least `least`; the count of
 * the most starts anew with those who are still in. Any thread.
 */
bool visitors_have_left(struct visitors *visitors, size_t least);

/** Other limits for those who come from now on; who came while an address had none is not counted for it. */
void visitors_limit(struct visitors *visitors, size_t limit, size_t address_limit);

/** Nulls; NULL is fine. */
void visitors_free(struct visitors **visitors);
