/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With whom a broker leg speaks TLS, and as whom: everything that a whole handshake decides, as one key. A resumed one
 * decides nothing anew, so a session may only be resumed where the key is the same.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum { TLS_ORIGIN_KEY_BYTES = 32 };

/* What a ctx shows and trusts, as it was loaded. Taken once when the ctx is complete. */
struct tls_facts {
    uint8_t shown[TLS_ORIGIN_KEY_BYTES];   /* own leaf and the chain behind it; none: of nothing */
    uint8_t trusted[TLS_ORIGIN_KEY_BYTES]; /* anchors, revocation lists, flags, oldest version */
    /* when the first own certificate or revocation list ends, seconds since 1970 UTC; none: the end of time */
    int64_t until_s;
};

/* false: a time in it cannot be read; then nothing is to be resumed. */
__attribute__((warn_unused_result)) bool tls_facts_of(SSL_CTX *ctx, struct tls_facts *facts_r);

struct tls_origin {
    const char *cluster;
    const char *generation;
    const char *host; /* dialled, and expected in the certificate */
    int32_t node_id;
    uint64_t flips; /* of its generation: what was kept before one is not its own */
    uint16_t port;
    const char *identity; /* configured name of the certificate shown; NULL: none */
    const struct tls_facts *facts;
};

/* SHA-256 over all of it, each part with its length: two origins that differ anywhere have two keys. */
void tls_origin_key(const struct tls_origin *origin, uint8_t key_r[TLS_ORIGIN_KEY_BYTES]);

/* *until_s becomes the end of the first certificate of the chain, if that is earlier. NULL chain: no change. */
__attribute__((warn_unused_result)) bool tls_origin_until(const STACK_OF(X509) * chain,
                                                          int64_t *until_s);
