/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signed token in compact form (RFC 7515):  base64url(header) "." base64url(payload) "." base64url(signature)
 *
 *     alg           hash      key              signature
 *     RS256/384/512 SHA-2     RSA              PKCS #1 v1.5
 *     PS256/384/512 SHA-2     RSA              PSS, salt as long as the hash
 *     ES256/384/512 SHA-2     P-256/384/521    r and s, each as long as the curve's order
 *     EdDSA         -         Ed25519
 *     none          -         -                empty; only where an operator asked for it
 *
 * Against the known attacks (RFC 8725): the algorithm must be in this table and of the key's own
 * kind, so that no public key can serve as an HMAC secret; `none` is no signature; a key that
 * names its algorithm takes no other; keys come from the set alone (jwk, jku, x5u, x5c are not
 * looked at); `crit` is refused, as RFC 7515 wants of whoever does not know what it lists; each
 * part has one spelling; ECDSA values have one length. A token that names a key (kid) is held
 * against that key; one that does not, against at most JWS_TRIES_MAX that fit.
 *
 * Pure and thread-safe; no clock: what the payload says is for tokens.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/reason.h"
#include "protocol/bytes.h"

struct jwk;
struct jwks;

enum { JWS_BYTES_MAX = 65536, JWS_HEADER_BYTES_MAX = 4096, JWS_TRIES_MAX = 4 };

/* Verifies, and copies the decoded payload into payload_r, which has room for token.length bytes.
 * *key_r is the key that verified it, of keys; NULL: none did, or the token is unsecured.
 * keys may be NULL: then no signature can be verified. unsecured: alg "none" is taken too. NONE, or
 * why not: TOKEN_MALFORMED, TOKEN_UNSECURED, TOKEN_ALGORITHM, TOKEN_KEY, TOKEN_SIGNATURE. SLOW
 * (30 us with RSA of 2048 bits, 1.3 ms with P-384): off the loop. */
enum auth_reason jws_open(struct view token, const struct jwks *keys, bool unsecured,
                          uint8_t *payload_r, size_t *payload_length_r, const struct jwk **key_r)
    __attribute__((warn_unused_result));
