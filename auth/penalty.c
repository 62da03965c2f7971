/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/penalty.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "auth/siphash.h"

enum { BUCKET_PLACES = 4, ADDRESSES_MIN = 64, ADDRESSES_MAX = 1048576, FORGET_MS_DEFAULT = 60000 };

struct place {
    struct penalty_address address;
    uint64_t since_ms; /* up to when forgetting has been applied */
    uint32_t failures; /* 0 = free place */
};

struct penalty {
    struct penalty_limits limits;
    struct siphash_key key;
    size_t buckets; /* a power of two */
    struct place places[];
};

static uint64_t address_hash(const struct penalty *p, const struct penalty_address *address)
{
    return siphash(&p->key, address->bytes, sizeof address->bytes);
}

struct penalty_address penalty_name(const struct penalty *penalty, const char *name)
{
    struct penalty_address address = {{0}};
    uint64_t hash = siphash(&penalty->key, name, strlen(name));
    memcpy(address.bytes, &hash, sizeof hash);
    return address;
}

static struct penalty_address address_remembered(const struct penalty_address *address)
{
    static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct penalty_address kept = *address;
    if (memcmp(kept.bytes, v4_mapped, sizeof v4_mapped) != 0) {
        memset(kept.bytes + 8, 0, 8);
    }
    return kept;
}

static void place_forget(const struct penalty *p, struct place *place, uint64_t now_ms)
{
    if (now_ms <= place->since_ms) {
        return;
    }
    uint64_t halvings = (now_ms - place->since_ms) / p->limits.forget_ms;
    place->failures = halvings < 32 ? place->failures >> halvings : 0;
    place->since_ms += halvings * p->limits.forget_ms;
}

static struct place *bucket_of(struct penalty *p, const struct penalty_address *address,
                               uint64_t now_ms)
{
    struct place *bucket =
        &p->places[(address_hash(p, address) & (p->buckets - 1)) * BUCKET_PLACES];
    for (int i = 0; i < BUCKET_PLACES; i++) {
        place_forget(p, &bucket[i], now_ms);
    }
    return bucket;
}

static struct place *bucket_find(struct place *bucket, const struct penalty_address *address)
{
    for (int i = 0; i < BUCKET_PLACES; i++) {
        if (bucket[i].failures > 0 && memcmp(&bucket[i].address, address, sizeof *address) == 0) {
            return &bucket[i];
        }
    }
    return NULL;
}

static struct place *bucket_make_room(struct place *bucket)
{
    struct place *least = &bucket[0];
    for (int i = 1; i < BUCKET_PLACES; i++) {
        const struct place *it = &bucket[i];
        if (it->failures < least->failures ||
            (it->failures == least->failures && it->since_ms < least->since_ms)) {
            least = &bucket[i];
        }
    }
    return least;
}

static size_t buckets_for(size_t addresses)
{
    size_t rounded = ADDRESSES_MIN;
    while (rounded < addresses && rounded < ADDRESSES_MAX) {
        rounded *= 2;
    }
    return rounded / BUCKET_PLACES;
}

struct penalty *penalty_new(const struct penalty_limits *limits, const uint8_t key[16])
{
    size_t buckets = buckets_for(limits->addresses_max);
    struct penalty *p = calloc(1, sizeof *p + buckets * BUCKET_PLACES * sizeof(struct place));
    if (p == NULL) {
        return NULL;
    }
    p->limits = *limits;
    if (p->limits.forget_ms == 0) {
        p->limits.forget_ms = FORGET_MS_DEFAULT;
    }
    if (p->limits.delay_max_ms < p->limits.delay_base_ms) {
        p->limits.delay_max_ms = p->limits.delay_base_ms;
    }
    p->key = siphash_key_of(key);
    p->buckets = buckets;
    return p;
}

void penalty_free(struct penalty **penalty)
{
    free(*penalty);
    *penalty = NULL;
}

static uint32_t delay_ms(const struct penalty_limits *limits, uint32_t failures, uint32_t jitter)
{
    uint32_t excess = failures > limits->failures_free ? failures - limits->failures_free : 0;
    uint64_t delay = (uint64_t)limits->delay_base_ms << (excess < 31 ? excess : 31);
    if (delay > limits->delay_max_ms) {
        delay = limits->delay_max_ms;
    }
    delay += jitter % (delay / 4 + 1);
    return delay > UINT32_MAX ? UINT32_MAX : (uint32_t)delay;
}

uint32_t penalty_failed(struct penalty *penalty, const struct penalty_address *address,
                        uint64_t now_ms, uint32_t jitter)
{
    struct penalty_address kept = address_remembered(address);
    struct place *bucket = bucket_of(penalty, &kept, now_ms);
    struct place *place = bucket_find(bucket, &kept);
    if (place == NULL) {
        place = bucket_make_room(bucket);
        *place = (struct place){.address = kept, .since_ms = now_ms};
    }
    if (place->failures < UINT32_MAX) {
        place->failures++;
    }
    return delay_ms(&penalty->limits, place->failures, jitter);
}

void penalty_succeeded(struct penalty *penalty, const struct penalty_address *address,
                       uint64_t now_ms)
{
    struct penalty_address kept = address_remembered(address);
    struct place *place = bucket_find(bucket_of(penalty, &kept, now_ms), &kept);
    if (place != NULL) {
        place->failures /= 2;
    }
}

uint32_t penalty_failures(const struct penalty *penalty, const struct penalty_address *address,
                          uint64_t now_ms)
{
    struct penalty_address kept = address_remembered(address);
    size_t bucket = (size_t)(address_hash(penalty, &kept) & (penalty->buckets - 1));
    for (int i = 0; i < BUCKET_PLACES; i++) {
        struct place place = penalty->places[bucket * BUCKET_PLACES + (size_t)i];
        place_forget(penalty, &place, now_ms);
        if (memcmp(&place.address, &kept, sizeof kept) == 0) {
            return place.failures;
        }
    }
    return 0;
}

bool penalty_is_delayed(const struct penalty *penalty, const struct penalty_address *address,
                        uint64_t now_ms)
{
    return penalty_failures(penalty, address, now_ms) >= penalty->limits.failures_free;
}
