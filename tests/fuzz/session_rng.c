/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/rng.h for the fuzz target `session`: what happens in a run is drawn from the fuzzer's bytes while there are
 * any, small numbers from few of them, so that one byte changed is one decision changed; then from a generator.
 */
#include "tests/fuzz/session_rng.h"

#include "tests/sim/rng.h"
#include "tests/sim/sim.h"

static const uint8_t *input;
static size_t left;

void session_rng_feed(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    rng->s[0] = seed;
}

/* Up to 8 bytes of the input; false: it is used up, or these draws are not of it. */
static bool take(const struct rng *rng, size_t bytes, uint64_t *v_r)
{
    if (rng != &sim.rng || left < bytes) {
        return false;
    }
    *v_r = 0;
    for (size_t i = 0; i < bytes; i++) {
        *v_r = *v_r << 8 | input[i];
    }
    input += bytes;
    left -= bytes;
    return true;
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t v;
    return take(rng, 8, &v) ? v : splitmix(&rng->s[0]);
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
    size_t bytes = n <= 256 ? 1 : n <= 65536 ? 2 : n <= UINT32_MAX ? 4 : 8;
    uint64_t v;
    return (take(rng, bytes, &v) ? v : splitmix(&rng->s[0])) % n;
}

uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
    return low + rng_below(rng, high - low + 1);
}

bool rng_chance(struct rng *rng, unsigned per_mille)
{
    return rng_below(rng, 1000) < per_mille;
}

void rng_fill(struct rng *rng, uint8_t *at, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        at[i] = (uint8_t)rng_below(rng, 256);
    }
}
