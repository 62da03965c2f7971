/* SPDX-License-Identifier: Apache-2.0 */
/* rng: xoshiro256** (Blackman, Vigna), seeded by splitmix64: the same numbers for a seed everywhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* 0 … n - 1; n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* Both ends included. */
uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high);
/* True `per_mille` times in a thousand. */
bool rng_chance(struct rng *rng, unsigned per_mille);
void rng_fill(struct rng *rng, uint8_t *at, size_t length);
