/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siphash: SipHash-2-4 (Aumasson and Bernstein, 2012), for tables whose keys a peer chooses: without the key of the
 * table nobody can make names that meet in one bucket.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY_BYTES = 16 };

struct siphash_key {
    uint64_t words[2];
};

/** bytes are random, and stay a secret of the table. */
struct siphash_key siphash_key_of(const uint8_t bytes[SIPHASH_KEY_BYTES]);

/** bytes may be NULL when length is 0. */
uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t length);
