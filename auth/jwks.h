/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON Web Key Set (RFC 7517): the public keys that tokens may be signed with. Immutable once
 * made, reference-counted, thread-safe.
 *
 * Taken are RSA (2048 to 8192 bits, e below 2^32), EC (P-256, P-384, P-521; the point must be on
 * the curve) and OKP (Ed25519) keys for verifying. Symmetric keys are refused as an error: whoever
 * can read the file could sign. Keys for other uses, or of kinds not known, are skipped with a
 * warning, since providers publish several.
 */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct conf_errors;
struct jwks;

enum { JWK_DIGEST_BYTES = 32 };

enum { JWKS_FILE_BYTES_MAX = 1048576, JWKS_KEYS_MAX = 256 };

enum jwk_kind { JWK_RSA, JWK_P256, JWK_P384, JWK_P521, JWK_ED25519 };

struct jwk {
    const char *id;        /* kid; NULL: none */
    const char *algorithm; /* alg: the only one it may be used with; NULL: any of its kind */
    enum jwk_kind kind;
    EVP_PKEY *key;
    uint8_t digest[JWK_DIGEST_BYTES]; /* of the key itself, whatever it is called */
};

/* Reads a file that may be public, but must be a plain file of root's or ours that nobody else may
 * write. NULL with at least one error added otherwise; warnings may be added either way. The
 * reference is the caller's. */
struct jwks *jwks_load(const char *path, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* The same from text; `file` is the name errors carry. */
struct jwks *jwks_parse(struct view text, const char *file, struct conf_errors *errors)
    __attribute__((warn_unused_result));

struct jwks *jwks_ref(const struct jwks *keys);
void jwks_unref(struct jwks **keys);

size_t jwks_count(const struct jwks *keys);
const struct jwk *jwks_at(const struct jwks *keys, size_t i);
