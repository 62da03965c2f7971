/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private key with its certificate chain, loaded and judged as one thing. Used for the identities
 * shown to brokers (clientAuth) and for the listeners' own certificates (serverAuth).
 */
#pragma once

#include "conf/errors.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    KEY_PAIR_CHAIN_MAX = 16, /* certificates in a chain file, leaf included */
    KEY_PAIR_BITS_MIN = 112  /* security bits of key and signature: RSA 2048, SHA-256 */
};

enum key_pair_use { KEY_PAIR_CLIENT, KEY_PAIR_SERVER };

struct conf_pkcs11;

struct key_pair_source {
    const char *chain, *key;          /* paths; the key may be a PKCS#11 URI */
    const struct conf_pkcs11 *pkcs11; /* not NULL exactly then */
    struct conf_place chain_place, key_place;
    enum key_pair_use use;
};

struct key_pair {
    X509 *leaf;
    STACK_OF(X509) * issuers; /* may be empty */
    EVP_PKEY *key;
};

/*
 * Load and check: files (pem.h) or token (pkcs11_key.h), the key fits the leaf, each certificate
 * issued the one before it,
 * all are valid at `now_s`, key usage and extended key usage of the leaf allow the use, key and
 * signature are strong enough. false: every fault found is in `errors`, and *pair_r is empty.
 */
__attribute__((warn_unused_result)) bool key_pair_load(const struct key_pair_source *source,
                                                       int64_t now_s, struct conf_errors *errors,
                                                       struct key_pair *pair_r);
void key_pair_free(struct key_pair *pair); /* leaves it empty; empty is allowed */

/* The same leaf with the same issuers behind it; NULL is a leaf that is not there. */
bool key_pair_same_chain(const X509 *a, const STACK_OF(X509) * behind_a, const X509 *b,
                         const STACK_OF(X509) * behind_b);

/* Seconds since 1970 UTC; false when the time is malformed. */
__attribute__((warn_unused_result)) bool key_pair_time(const ASN1_TIME *time, int64_t *seconds_r);
