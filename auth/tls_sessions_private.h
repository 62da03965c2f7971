/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the two parts of tls_sessions: what is kept, in which order and how much of it
 * (tls_sessions_cache.c, which knows no TLS), and what brokers give and are offered
 * (tls_sessions.c).
 */
#pragma once

#include "auth/tls_sessions.h"

enum {
    TLS_SESSIONS_BUCKETS = 1024,
    /* Of so many newest of a key one is offered; as many refused ones are kept. */
    TLS_SESSIONS_CHOICE_MAX = 8
};

struct tls_sessions_slot;

/* One session, in two lists: of its key and of all, both from the newest to the oldest. */
struct tls_sessions_kept {
    struct tls_sessions_kept *newer, *older;         /* of the key */
    struct tls_sessions_kept *newer_all, *older_all; /* of the cache */
    struct tls_sessions_slot *slot;
    int64_t from_s, until_s;
    int64_t trusted_until_s; /* of what descends from the same whole handshake */
    bool once;
    unsigned refused; /* times */
    size_t length;
    uint8_t bytes[];
};

/* The sessions of one key; gone with the last of them. */
struct tls_sessions_slot {
    struct tls_sessions_slot *next;
    uint8_t key[TLS_ORIGIN_KEY_BYTES];
    struct tls_sessions_kept *newest, *oldest;
    size_t count, bytes;
};

struct tls_sessions {
    struct tls_sessions_limits limits;
    struct tls_sessions_slot *buckets[TLS_SESSIONS_BUCKETS];
    struct tls_sessions_kept *newest, *oldest;
    size_t count, bytes;
    uint64_t spread; /* where to choose next; no secret */
};

/* The sessions of a key; NULL: none is kept. */
struct tls_sessions_slot *tls_sessions_find(struct tls_sessions *cache, const uint8_t *key);

/* One of the newest of a slot that is not empty. Which, is a matter of chance: see tls_sessions.h. */
struct tls_sessions_kept *tls_sessions_choose(struct tls_sessions *cache,
                                              const struct tls_sessions_slot *slot);

/* Takes kept, as the newest; older ones make room. */
void tls_sessions_put(struct tls_sessions *cache, const uint8_t *key,
                      struct tls_sessions_kept *kept, int64_t now_s);

/* Out of the cache, which does not own it any more; drop frees it too. Its slot stays, even empty. */
void tls_sessions_unlink(struct tls_sessions *cache, struct tls_sessions_kept *kept);
void tls_sessions_drop(struct tls_sessions *cache, struct tls_sessions_kept *kept);

/* After unlink and drop. */
void tls_sessions_free_if_empty(struct tls_sessions *cache, struct tls_sessions_slot *slot);

/* Every session of a key, and its slot. */
void tls_sessions_drop_key(struct tls_sessions *cache, const uint8_t *key);

/* Of one that is in no cache; wipes. NULL is fine. */
void tls_sessions_kept_free(struct tls_sessions_kept *kept);
