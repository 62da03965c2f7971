/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bearer tokens are believed, and what they say (JWT, RFC 7519): the section `oauth` of the
 * configuration with its key set. Immutable once made, reference-counted, thread-safe; no clock:
 * now is an argument.
 *
 *     token ──▶ jws (signature) ──▶ claims: exp, nbf, iat, iss, aud, scope ──▶ principal, expiry
 *
 * exp is required. nbf and iat, where given, must not lie in the future. iss and aud are compared
 * byte for byte where the configuration names them. The clock may be off by clock_skew_ms either
 * way. The principal is the text claim principal_claim, canonical (principal.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "auth/principal.h"
#include "auth/reason.h"
#include "protocol/bytes.h"

struct conf_errors;
struct conf_oauth;
struct config;
struct jwks;
struct tokens;

enum { TOKEN_STAMP_BYTES = 32 };

struct token_facts {
    char principal[PRINCIPAL_SIZE];   /* "" unless the signature holds and the claim is usable */
    int64_t expires_ms;               /* since 1970: from when on this token is believed no more */
    uint8_t stamp[TOKEN_STAMP_BYTES]; /* of the rules and the key by which it was believed */
};

/* Reads the key set. The configuration is kept by reference. NULL with at least one error added
 * otherwise. The reference is the caller's. */
struct tokens *tokens_load(const struct config *config, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* The same from parts: policy must outlive it, keys (NULL: none) are referenced. */
struct tokens *tokens_new(const struct conf_oauth *policy, const struct jwks *keys)
    __attribute__((warn_unused_result));

struct tokens *tokens_ref(const struct tokens *tokens);
void tokens_unref(struct tokens **tokens); /* nulls; accepts NULL */

/* NONE, or why the token is not believed. SLOW (jws.h): off the loop. */
enum auth_reason tokens_judge(const struct tokens *tokens, struct view token, int64_t now_ms,
                              struct token_facts *facts_r) __attribute__((warn_unused_result));

/* Whether a token that was believed with this stamp would be now, time aside: the rules are the same,
 * and its key is still there. For a reload: tokens themselves are not kept. */
bool tokens_stand(const struct tokens *now, const uint8_t stamp[TOKEN_STAMP_BYTES]);

/* The same rules and the same keys. */
bool tokens_equal(const struct tokens *a, const struct tokens *b);
