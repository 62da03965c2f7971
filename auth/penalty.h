/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of failed logins per client address or per name, and the delay each denial waits. Bounded: a fixed
 * table, keyed hash, four places a bucket; when a bucket is full the address with the least to
 * remember gives way. The clock and the randomness are arguments; one table per worker, no locks.
 *
 *     delay_ms
 *     max  ┤            ┌───────      base while failures are free, then 2, 4, 8 … times base up
 *     base ┤────────────┘             to max, and jitter of up to a quarter on top; half of the
 *          │                          failures are forgotten every forget_ms
 *          └──────────────── failures
 *
 * Only a denial is delayed. A right password from an address with any history is accepted at once:
 * an attacker who shares an address with its owner, or guesses at his name, cannot lock the owner out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct penalty;

struct penalty_limits {
    size_t addresses_max;   /* rounded up to a power of two, 64..1048576; about 32 bytes each */
    uint32_t delay_base_ms; /* every denial waits at least this (limits.login_failure_delay_ms) */
    uint32_t delay_max_ms;  /* no denial waits longer, jitter aside; raised to the base if lower */
    uint32_t failures_free; /* failures remembered before the delay grows */
    uint32_t forget_ms;     /* half-life of failures; 0 = 60000 */
};

/* Sixteen bytes: IPv6, or IPv4 as ::ffff:a.b.c.d. IPv6 is remembered by its /64, which is what one
 * host owns. */
struct penalty_address {
    uint8_t bytes[16];
};

/* A name, in the form of an address (of an IPv6 kind, so that no IPv4 address meets it). Remember names in a table of
 * their own. Whether anybody has that name makes no difference; forget nothing when its owner comes, or it would. */
struct penalty_address penalty_name(const struct penalty *penalty, const char *name);

/* key is 16 random bytes, so that nobody can aim at a bucket. NULL: no memory. */
struct penalty *penalty_new(const struct penalty_limits *limits, const uint8_t key[16])
    __attribute__((warn_unused_result));

/* Nulls; accepts NULL. */
void penalty_free(struct penalty **penalty);

/* Remembers one failure and returns how long its denial waits, in ms: at least delay_base_ms, at
 * most delay_max_ms and a quarter. now_ms is monotonic and may stand still; a step back counts as
 * standing still. jitter is any random number. */
uint32_t penalty_failed(struct penalty *penalty, const struct penalty_address *address,
                        uint64_t now_ms, uint32_t jitter);

/* A login succeeded: half of what is remembered of this address is forgotten (not all: a thief with
 * one good account may not wash his record at will). */
void penalty_succeeded(struct penalty *penalty, const struct penalty_address *address,
                       uint64_t now_ms);

/* So many are remembered now that a further one would wait longer than the first. */
bool penalty_is_delayed(const struct penalty *penalty, const struct penalty_address *address,
                        uint64_t now_ms);

/* Failures remembered now, for log and metrics. */
uint32_t penalty_failures(const struct penalty *penalty, const struct penalty_address *address,
                          uint64_t now_ms);
