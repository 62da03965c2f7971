/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_sessions.h"

#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/tls_sessions_private.h"

enum {
    REFUSED_MAX = 3, /* a ticket refused more often is not offered again */
    PEER_TAG = 3,    /* of the peer's certificate in OpenSSL's SSL_SESSION_ASN1 */
};

/* What an SSL carries from its offer on. */
struct offer {
    struct tls_sessions *cache;
    uint8_t key[TLS_ORIGIN_KEY_BYTES];
    int64_t trusted_until_s; /* of what a whole handshake gives, as far as it is known before */
    int64_t inherited_s;     /* the same when it is resumed */
    struct tls_sessions_kept *taken; /* owned: the ticket offered, uncached until it is settled */
    bool offered;
    unsigned heard; /* sessions the broker gave */
};

/* What a broker gives ----------------------------------------------------------------------- */

static int offer_index = -1;
static pthread_once_t offer_once = PTHREAD_ONCE_INIT;

static void offer_free(void *parent, void *at, CRYPTO_EX_DATA *data, int index, long number,
                       void *pointer)
{
    struct offer *offer = at;
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    if (offer != NULL) {
        tls_sessions_kept_free(offer->taken);
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

static struct tls_sessions_kept *encode(const SSL_SESSION *session, size_t bytes_max)
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
    struct tls_sessions_kept *kept = bytes == NULL ? NULL : calloc(1, sizeof(*kept) + shorter);
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
    struct tls_sessions_kept *kept =
        until_s > from_s ? encode(session, cache->limits.session_bytes_max) : NULL;
    if (kept == NULL) {
        return;
    }
    kept->from_s = from_s;
    kept->until_s = until_s;
    kept->trusted_until_s = trusted_s;
    if (!kept->once) {
        tls_sessions_drop_key(cache, offer->key);
    }
    tls_sessions_put(cache, offer->key, kept, from_s);
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

static SSL_SESSION *decode(const struct tls_sessions_kept *kept)
{
    const unsigned char *at = kept->bytes;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &at, (long)kept->length);
    ERR_clear_error();
    return session;
}

/* A session of the key that is good now; what is not is dropped on the way. */
static SSL_SESSION *take(struct tls_sessions *cache, struct offer *offer, int64_t now_s)
{
    struct tls_sessions_slot *slot = tls_sessions_find(cache, offer->key);
    SSL_SESSION *session = NULL;
    if (slot == NULL) {
        return NULL;
    }
    while (session == NULL && slot->count > 0) {
        struct tls_sessions_kept *kept = tls_sessions_choose(cache, slot);
        const bool good = kept->from_s <= now_s && now_s < kept->until_s;
        session = good ? decode(kept) : NULL;
        if (session == NULL) {
            tls_sessions_drop(cache, kept);
            continue;
        }
        offer->inherited_s = kept->trusted_until_s;
        if (kept->once) {
            tls_sessions_unlink(cache, kept);
            offer->taken = kept;
        }
    }
    tls_sessions_free_if_empty(cache, slot);
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
    offer->trusted_until_s = origin->facts->until_s < latest_s ? origin->facts->until_s : latest_s;
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
    struct tls_sessions_kept *kept = offer->taken;
    const struct tls_sessions_slot *slot = tls_sessions_find(cache, offer->key);
    offer->taken = NULL;
    if (++kept->refused > REFUSED_MAX || (slot != NULL && slot->count >= TLS_SESSIONS_CHOICE_MAX)) {
        tls_sessions_kept_free(kept);
        return;
    }
    tls_sessions_put(cache, offer->key, kept, kept->from_s);
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
        tls_sessions_drop_key(offer->cache, offer->key);
    }
}
