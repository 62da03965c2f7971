/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_sessions_private.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

const struct tls_sessions_limits tls_sessions_limits_default = {
    .bytes_max = 16 * 1024 * 1024,
    .key_bytes_max = 4 * 1024 * 1024,
    .key_count_max = 1024,
    .session_bytes_max = 16 * 1024,
};

static size_t cost(const struct tls_sessions_kept *kept)
{
    return sizeof(*kept) + kept->length;
}

/* Slots ------------------------------------------------------------------------------------- */

static struct tls_sessions_slot **bucket_of(struct tls_sessions *cache, const uint8_t *key)
{
    uint32_t hash;
    memcpy(&hash, key, sizeof(hash));
    return &cache->buckets[hash % TLS_SESSIONS_BUCKETS];
}

struct tls_sessions_slot *tls_sessions_find(struct tls_sessions *cache, const uint8_t *key)
{
    struct tls_sessions_slot *slot = *bucket_of(cache, key);
    while (slot != NULL && memcmp(slot->key, key, sizeof(slot->key)) != 0) {
        slot = slot->next;
    }
    return slot;
}

static struct tls_sessions_slot *find_or_make(struct tls_sessions *cache, const uint8_t *key)
{
    struct tls_sessions_slot *slot = tls_sessions_find(cache, key);
    if (slot == NULL) {
        slot = calloc(1, sizeof(*slot));
        if (slot == NULL) {
            abort();
        }
        memcpy(slot->key, key, sizeof(slot->key));
        struct tls_sessions_slot **bucket = bucket_of(cache, key);
        slot->next = *bucket;
        *bucket = slot;
    }
    return slot;
}

void tls_sessions_free_if_empty(struct tls_sessions *cache, struct tls_sessions_slot *slot)
{
    if (slot->count > 0) {
        return;
    }
    struct tls_sessions_slot **at = bucket_of(cache, slot->key);
    while (*at != slot) {
        at = &(*at)->next;
    }
    *at = slot->next;
    free(slot);
}

/* Sessions kept ----------------------------------------------------------------------------- */

static void link_newest(struct tls_sessions *cache, struct tls_sessions_slot *slot,
                        struct tls_sessions_kept *kept)
{
    kept->slot = slot;
    kept->older = slot->newest;
    *(slot->newest != NULL ? &slot->newest->newer : &slot->oldest) = kept;
    slot->newest = kept;
    slot->count++;
    slot->bytes += cost(kept);
    kept->older_all = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer_all : &cache->oldest) = kept;
    cache->newest = kept;
    cache->count++;
    cache->bytes += cost(kept);
}

void tls_sessions_unlink(struct tls_sessions *cache, struct tls_sessions_kept *kept)
{
    struct tls_sessions_slot *slot = kept->slot;
    *(kept->newer != NULL ? &kept->newer->older : &slot->newest) = kept->older;
    *(kept->older != NULL ? &kept->older->newer : &slot->oldest) = kept->newer;
    slot->count--;
    slot->bytes -= cost(kept);
    *(kept->newer_all != NULL ? &kept->newer_all->older_all : &cache->newest) = kept->older_all;
    *(kept->older_all != NULL ? &kept->older_all->newer_all : &cache->oldest) = kept->newer_all;
    cache->count--;
    cache->bytes -= cost(kept);
    kept->newer = kept->older = kept->newer_all = kept->older_all = NULL;
    kept->slot = NULL;
}

void tls_sessions_kept_free(struct tls_sessions_kept *kept)
{
    if (kept != NULL) {
        OPENSSL_cleanse(kept->bytes, kept->length);
        free(kept);
    }
}

void tls_sessions_drop(struct tls_sessions *cache, struct tls_sessions_kept *kept)
{
    tls_sessions_unlink(cache, kept);
    tls_sessions_kept_free(kept);
}

void tls_sessions_drop_key(struct tls_sessions *cache, const uint8_t *key)
{
    struct tls_sessions_slot *slot = tls_sessions_find(cache, key);
    if (slot == NULL) {
        return;
    }
    while (slot->oldest != NULL) {
        tls_sessions_drop(cache, slot->oldest);
    }
    tls_sessions_free_if_empty(cache, slot);
}

static void drop_oldest(struct tls_sessions *cache)
{
    struct tls_sessions_slot *slot = cache->oldest->slot;
    tls_sessions_drop(cache, cache->oldest);
    tls_sessions_free_if_empty(cache, slot);
}

/* Makes room for one more of `size` bytes in slot, which may be empty but is not freed. */
static void make_room(struct tls_sessions *cache, struct tls_sessions_slot *slot, size_t size,
                      int64_t now_s)
{
    const struct tls_sessions_limits *limits = &cache->limits;
    while (slot->count > 0 && (slot->count + 1 > limits->key_count_max ||
                               slot->bytes + size > limits->key_bytes_max)) {
        tls_sessions_drop(cache, slot->oldest);
    }
    while (cache->oldest != NULL &&
           (cache->bytes + size > limits->bytes_max || cache->oldest->until_s <= now_s)) {
        if (cache->oldest->slot == slot) {
            tls_sessions_drop(cache, cache->oldest);
        } else {
            drop_oldest(cache);
        }
    }
}

void tls_sessions_put(struct tls_sessions *cache, const uint8_t *key,
                      struct tls_sessions_kept *kept, int64_t now_s)
{
    struct tls_sessions_slot *slot = find_or_make(cache, key);
    make_room(cache, slot, cost(kept), now_s);
    link_newest(cache, slot, kept);
}

struct tls_sessions_kept *tls_sessions_choose(struct tls_sessions *cache,
                                              const struct tls_sessions_slot *slot)
{
    const size_t among =
        slot->count < TLS_SESSIONS_CHOICE_MAX ? slot->count : TLS_SESSIONS_CHOICE_MAX;
    struct tls_sessions_kept *kept = slot->newest;
    cache->spread = cache->spread * 6364136223846793005U + 1442695040888963407U;
    for (size_t skip = (size_t)(cache->spread >> 33) % among; skip > 0; skip--) {
        kept = kept->older;
    }
    return kept;
}

struct tls_sessions *tls_sessions_new(const struct tls_sessions_limits *limits)
{
    struct tls_sessions *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        abort();
    }
    cache->limits = *limits;
    return cache;
}

void tls_sessions_free(struct tls_sessions **cache)
{
    if (*cache == NULL) {
        return;
    }
    while ((*cache)->oldest != NULL) {
        drop_oldest(*cache);
    }
    free(*cache);
    *cache = NULL;
}

size_t tls_sessions_count(const struct tls_sessions *cache)
{
    return cache->count;
}

size_t tls_sessions_bytes(const struct tls_sessions *cache)
{
    return cache->bytes;
}
