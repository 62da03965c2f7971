/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/siphash.h"

#include <string.h>

static uint64_t load_le64(const uint8_t *at, size_t length)
{
    uint64_t v = 0;
    for (size_t i = length; i > 0; i--) {
        v = (v << 8) | at[i - 1];
    }
    return v;
}

/* A whole word: compilers know this pattern, and make one load of it. */
static uint64_t load_word(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
           (uint64_t)at[7] << 56;
}

static uint64_t rotate_left(uint64_t v, unsigned bits)
{
    return (v << bits) | (v >> (64 - bits));
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

struct siphash_key siphash_key_of(const uint8_t bytes[SIPHASH_KEY_BYTES])
{
    return (struct siphash_key){{load_word(bytes), load_word(bytes + 8)}};
}

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t v[4] = {
        key->words[0] ^ UINT64_C(0x736f6d6570736575),
        key->words[1] ^ UINT64_C(0x646f72616e646f6d),
        key->words[0] ^ UINT64_C(0x6c7967656e657261),
        key->words[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t left = length;
    for (; left >= 8; left -= 8, at += 8) {
        sip_word(v, load_word(at));
    }
    sip_word(v, load_le64(at, left) | (uint64_t)(length & 0xff) << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
