/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_sessions.h"

#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1024,
    CHOICE_MAX = 8,  /* of so many newest of a key one is offered; as many refused ones are kept */
    REFUSED_MAX = 3, /* a ticket refused more often is not offered again */
    PEER_TAG = 3,    /* of the peer's certificate in OpenSSL's SSL_SESSION_ASN1 */
};

const struct tls_sessions_limits tls_sessions_limits_default = {
    .bytes_max = 16 * 1024 * 1024,
    .key_bytes_max = 4 * 1024 * 1024,
    .key_count_max = 1024,
    .session_bytes_max = 16 * 1024,
};

struct slot;

/* One session, in two lists: of its key and of all, both from the newest to the oldest. */
struct kept {
    struct kept *newer, *older;         /* of the key */
    struct kept *newer_all, *older_all; /* of the cache */
    struct slot *slot;
    int64_t from_s, until_s;
    int64_t trusted_until_s; /* of what descends from the same whole handshake */
    bool once;
    unsigned refused; /* times */
    size_t length;
    uint8_t bytes[];
};

/* The sessions of one key; gone with the last of them. */
struct slot {
    struct slot *next;
    uint8_t key[TLS_ORIGIN_KEY_BYTES];
    struct kept *newest, *oldest;
    size_t count, bytes;
};

struct tls_sessions {
    struct tls_sessions_limits limits;
    struct slot *buckets[BUCKETS];
    struct kept *newest, *oldest;
    size_t count, bytes;
    uint64_t spread; /* where to choose next; no secret */
};

/* What an SSL carries from its offer on. */
struct offer {
    struct tls_sessions *cache;
    uint8_t key[TLS_ORIGIN_KEY_BYTES];
    int64_t trusted_until_s; /* of what a whole handshake gives, as far as it is known before */
    int64_t inherited_s;     /* the same when it is resumed */
    struct kept *taken;      /* owned: the ticket offered, out of the cache until it is settled */
    bool offered;
    unsigned heard; /* sessions the broker gave */
};

static size_t cost(const struct kept *kept)
{
    return sizeof(*kept) + kept->length;
}

/* Slots ------------------------------------------------------------------------------------- */

static struct slot **bucket_of(struct tls_sessions *cache, const uint8_t *key)
{
    uint32_t hash;
    memcpy(&hash, key, sizeof(hash));
    return &cache->buckets[hash % BUCKETS];
}

static struct slot *find(struct tls_sessions *cache, const uint8_t *key)
{
    struct slot *slot = *bucket_of(cache, key);
    while (slot != NULL && memcmp(slot->key, key, sizeof(slot->key)) != 0) {
        slot = slot->next;
    }
    return slot;
}

static struct slot *find_or_make(struct tls_sessions *cache, const uint8_t *key)
{
    struct slot *slot = find(cache, key);
    if (slot == NULL) {
        slot = calloc(1, sizeof(*slot));
        if (slot == NULL) {
            abort();
        }
        memcpy(slot->key, key, sizeof(slot->key));
        struct slot **bucket = bucket_of(cache, key);
        slot->next = *bucket;
        *bucket = slot;
    }
    return slot;
}

static void free_if_empty(struct tls_sessions *cache, struct slot *slot)
{
    if (slot->count > 0) {
        return;
    }
    struct slot **at = bucket_of(cache, slot->key);
    while (*at != slot) {
        at = &(*at)->next;
    }
    *at = slot->next;
    free(slot);
}

/* Sessions kept ----------------------------------------------------------------------------- */

static void link_newest(struct tls_sessions *cache, struct slot *slot, struct kept *kept)
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

/* Out of both lists; its slot stays. */
static void unlink_kept(struct tls_sessions *cache, struct kept *kept)
{
    struct slot *slot = kept->slot;
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

static void kept_free(struct kept *kept)
{
    if (kept != NULL) {
        OPENSSL_cleanse(kept->bytes, kept->length);
        free(kept);
    }
}

static void drop(struct tls_sessions *cache, struct kept *kept)
{
    unlink_kept(cache, kept);
    kept_free(kept);
}

static void drop_key(struct tls_sessions *cache, const uint8_t *key)
{
    struct slot *slot = find(cache, key);
    if (slot == NULL) {
        return;
    }
    while (slot->oldest != NULL) {
        drop(cache, slot->oldest);
    }
    free_if_empty(cache, slot);
}

static void drop_oldest(struct tls_sessions *cache)
{
    struct slot *slot = cache->oldest->slot;
    drop(cache, cache->oldest);
    free_if_empty(cache, slot);
}

/* Makes room for one more of `size` bytes in slot, which may be empty but is not freed. */
static void make_room(struct tls_sessions *cache, struct slot *slot, size_t size, int64_t now_s)
{
    const struct tls_sessions_limits *limits = &cache->limits;
    while (slot->count > 0 && (slot->count + 1 > limits->key_count_max ||
                               slot->bytes + size > limits->key_bytes_max)) {
        drop(cache, slot->oldest);
    }
    while (cache->oldest != NULL &&
           (cache->bytes + size > limits->bytes_max || cache->oldest->until_s <= now_s)) {
        if (cache->oldest->slot == slot) {
            drop(cache, cache->oldest);
        } else {
            drop_oldest(cache);
        }
    }
}

static void put(struct tls_sessions *cache, const uint8_t *key, struct kept *kept, int64_t now_s)
{
    struct slot *slot = find_or_make(cache, key);
    make_room(cache, slot, cost(kept), now_s);
    link_newest(cache, slot, kept);
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

/* What a broker gives ----------------------------------------------------------------------- */

static int offer_index = -1;
static pthread_once_t offer_once = PTHREAD_ONCE_INIT;

static void offer_free(void *parent, void *at, CRYPTO_EX_DATA *data, int index, long number,
                       void *pointer)
{
    struct offer *offer = at;
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    if (offer != NULL) {
        kept_free(offer->taken);
        free(offer);
    }
}

static void offer_make_index(void)
{
    offer_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, offer_free);
    if (offer_index < 0) {
        abort();
    }
}

static struct offer *offer_of(const SSL *ssl)
{
    pthread_once(&offer_once, offer_make_index);
    return SSL_get_ex_data(ssl, offer_index);
}

static bool is_once(const SSL_SESSION *session)
{
    return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

/* Until when what the handshake of ssl has proved may be relied on; false: it has proved nothing. */
static bool trusted_until(const SSL *ssl, const struct offer *offer, int64_t *until_s)
{
    if (SSL_get_verify_result(ssl) != X509_V_OK) {
        return false;
    }
    if (SSL_session_reused(ssl)) {
        *until_s = offer->inherited_s;
        return true;
    }
    const STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    *until_s = offer->trusted_until_s;
    return sk_X509_num(chain) > 0 && tls_origin_until(chain, until_s);
}

/* 0 in TLS 1.3 means: not at all; in TLS 1.2: not told. */
static int64_t lifetime_s(const SSL_SESSION *session)
{
    const unsigned long told = SSL_SESSION_get_ticket_lifetime_hint(session);
    if (told == 0 && !is_once(session)) {
        return SSL_SESSION_get_timeout(session);
    }
    return told < TLS_SESSIONS_AGE_MAX_S ? (int64_t)told : TLS_SESSIONS_AGE_MAX_S;
}

/* One element of DER at `at`: its length with its header; 0: there is none. */
static size_t element(const uint8_t *at, size_t length, int *tag_r, size_t *header_r)
{
    const unsigned char *inside = at;
    long inner = 0;
    int class = 0;
    if (length == 0 ||
        (ASN1_get_object(&inside, &inner, tag_r, &class, (long)length) & 0x80) != 0) {
        return 0;
    }
    *tag_r = class == V_ASN1_CONTEXT_SPECIFIC ? *tag_r : -1;
    *header_r = (size_t)(inside - at);
    return *header_r + (size_t)inner;
}

/* Where the peer's certificate stands in an encoded session; its length, 0: nowhere. */
static size_t find_peer(const uint8_t *der, size_t length, size_t *head_r, size_t *at_r)
{
    int tag = 0;
    size_t header = 0, size = element(der, length, &tag, head_r);
    *at_r = *head_r;
    if (size != length) {
        return 0;
    }
    while ((size = element(der + *at_r, length - *at_r, &tag, &header)) != 0 && tag != PEER_TAG) {
        *at_r += size;
    }
    return size;
}

/*
 * The encoded session without the peer's certificate. A resumption needs it for nothing, and to
 * decode it costs as much as all the rest of a resumed handshake. Returns the length; `out` has
 * room for `length`.
 */
static size_t without_peer(const uint8_t *der, size_t length, uint8_t *out)
{
    size_t head = 0, at = 0;
    const size_t size = find_peer(der, length, &head, &at);
    if (size == 0) {
        memcpy(out, der, length);
        return length;
    }
    unsigned char *end = out;
    ASN1_put_object(&end, 1, (int)(length - head - size), V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    memcpy(end, der + head, at - head);
    end += at - head;
    memcpy(end, der + at + size, length - at - size);
    end += length - at - size;
    return (size_t)(end - out);
}

static struct kept *encode(const SSL_SESSION *session, size_t bytes_max)
{
    unsigned char *der = NULL;
    const int encoded = i2d_SSL_SESSION(session, &der);
    if (encoded <= 0 || (size_t)encoded > bytes_max) {
        OPENSSL_clear_free(der, encoded > 0 ? (size_t)encoded : 0);
        return NULL;
    }
    const size_t length = (size_t)encoded;
    uint8_t *bytes = malloc(length);
    const size_t shorter = bytes == NULL ? 0 : without_peer(der, length, bytes);
    struct kept *kept = bytes == NULL ? NULL : calloc(1, sizeof(*kept) + shorter);
    if (kept == NULL) {
        abort();
    }
    kept->length = shorter;
    kept->once = is_once(session);
    memcpy(kept->bytes, bytes, shorter);
    OPENSSL_cleanse(bytes, shorter);
    free(bytes);
    OPENSSL_clear_free(der, length);
    return kept;
}

static void keep(struct offer *offer, const SSL *ssl, const SSL_SESSION *session)
{
    struct tls_sessions *cache = offer->cache;
    int64_t trusted_s = 0;
    if (!SSL_SESSION_is_resumable(session) || !trusted_until(ssl, offer, &trusted_s)) {
        return;
    }
    const int64_t from_s = SSL_SESSION_get_time(session);
    const int64_t ends_s = from_s + lifetime_s(session);
    const int64_t until_s = ends_s < trusted_s ? ends_s : trusted_s;
    struct kept *kept = until_s > from_s ? encode(session, cache->limits.session_bytes_max) : NULL;
    if (kept == NULL) {
        return;
    }
    kept->from_s = from_s;
    kept->until_s = until_s;
    kept->trusted_until_s = trusted_s;
    if (!kept->once) {
        drop_key(cache, offer->key);
    }
    put(cache, offer->key, kept, from_s);
}

/* For OpenSSL: 0 says that no reference to the session was kept. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct offer *offer = offer_of(ssl);
    if (offer != NULL && offer->heard < TLS_SESSIONS_PER_CONNECTION_MAX) {
        offer->heard++;
        keep(offer, ssl, session);
        ERR_clear_error();
    }
    return 0;
}

void tls_sessions_enable(SSL_CTX *ctx)
{
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
}

/* What a broker is offered ------------------------------------------------------------------ */

static SSL_SESSION *decode(const struct kept *kept)
{
    const unsigned char *at = kept->bytes;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &at, (long)kept->length);
    ERR_clear_error();
    return session;
}

/* One of the newest. Which, is a matter of chance: see tls_sessions.h. */
static struct kept *choose(struct tls_sessions *cache, const struct slot *slot)
{
    const size_t among = slot->count < CHOICE_MAX ? slot->count : CHOICE_MAX;
    struct kept *kept = slot->newest;
    cache->spread = cache->spread * 6364136223846793005U + 1442695040888963407U;
    for (size_t skip = (size_t)(cache->spread >> 33) % among; skip > 0; skip--) {
        kept = kept->older;
    }
    return kept;
}

/* A session of the key that is good now; what is not is dropped on the way. */
static SSL_SESSION *take(struct tls_sessions *cache, struct offer *offer, int64_t now_s)
{
    struct slot *slot = find(cache, offer->key);
    SSL_SESSION *session = NULL;
    if (slot == NULL) {
        return NULL;
    }
    while (session == NULL && slot->count > 0) {
        struct kept *kept = choose(cache, slot);
        const bool good = kept->from_s <= now_s && now_s < kept->until_s;
        session = good ? decode(kept) : NULL;
        if (session == NULL) {
            drop(cache, kept);
            continue;
        }
        offer->inherited_s = kept->trusted_until_s;
        if (kept->once) {
            unlink_kept(cache, kept);
            offer->taken = kept;
        }
    }
    free_if_empty(cache, slot);
    return session;
}

static struct offer *offer_new(struct tls_sessions *cache, SSL *ssl,
                               const struct tls_origin *origin, int64_t now_s)
{
    pthread_once(&offer_once, offer_make_index);
    struct offer *offer = calloc(1, sizeof(*offer));
    if (offer == NULL || SSL_set_ex_data(ssl, offer_index, offer) != 1) {
        abort();
    }
    const int64_t latest_s = now_s + TLS_SESSIONS_AGE_MAX_S;
    offer->cache = cache;
    offer->trusted_until_s =
        origin->facts->until_s < latest_s ? origin->facts->until_s : latest_s;
    tls_origin_key(origin, offer->key);
    return offer;
}

bool tls_sessions_offer(struct tls_sessions *cache, SSL *ssl, const struct tls_origin *origin,
                        int64_t now_s)
{
    if (cache == NULL) {
        return false;
    }
    struct offer *offer = offer_new(cache, ssl, origin, now_s);
    SSL_SESSION *session = take(cache, offer, now_s);
    offer->offered = session != NULL && SSL_set_session(ssl, session) == 1;
    SSL_SESSION_free(session);
    return offer->offered;
}

/* A ticket that was refused was not used; another thread of the broker may know it. */
static void give_back(struct offer *offer)
{
    struct tls_sessions *cache = offer->cache;
    struct kept *kept = offer->taken;
    const struct slot *slot = find(cache, offer->key);
    offer->taken = NULL;
    if (++kept->refused > REFUSED_MAX || (slot != NULL && slot->count >= CHOICE_MAX)) {
        kept_free(kept);
        return;
    }
    put(cache, offer->key, kept, kept->from_s);
}

bool tls_sessions_settle(SSL *ssl)
{
    struct offer *offer = offer_of(ssl);
    const bool resumed = SSL_session_reused(ssl) == 1;
    if (offer != NULL && offer->taken != NULL && !resumed) {
        give_back(offer);
    }
    return resumed;
}

void tls_sessions_forget(SSL *ssl)
{
    struct offer *offer = offer_of(ssl);
    if (offer != NULL && offer->offered) {
        drop_key(offer->cache, offer->key);
    }
}
