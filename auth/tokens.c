/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tokens.h"

#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "auth/bounded_json.h"
#include "auth/jwks.h"
#include "auth/jws.h"
#include "conf/config.h"

enum { SECONDS_TO_MS = 1000 };
static const double SECONDS_MAX = 253402300799.0; /* the end of the year 9999 */

struct tokens {
    atomic_size_t references;
    struct config *config;            /* NULL: policy is the caller's */
    const struct conf_oauth *policy;  /* of it */
    struct jwks *keys;                /* NULL: none */
    uint8_t rules[TOKEN_STAMP_BYTES]; /* digest of what policy asks of a token */
};

/* ---- claims ---- */

enum presence { ABSENT, PRESENT, BROKEN };

/* NumericDate (RFC 7519 §2): seconds, possibly with a fraction. */
static enum presence time_claim(const json_t *claims, const char *name, int64_t *ms_r)
{
    const json_t *value = json_object_get(claims, name);
    if (value == NULL) {
        return ABSENT;
    }
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !isfinite(seconds) || seconds < 0 || seconds > SECONDS_MAX) {
        return BROKEN;
    }
    *ms_r = (int64_t)(seconds * SECONDS_TO_MS);
    return PRESENT;
}

static enum auth_reason judge_times(const struct conf_oauth *policy, const json_t *claims,
                                    int64_t now_ms, int64_t *expires_ms_r)
{
    static const char *const beginnings[] = {"nbf", "iat"};
    int64_t skew_ms = (int64_t)policy->clock_skew_ms, at_ms = 0;
    if (time_claim(claims, "exp", &at_ms) != PRESENT) {
        return AUTH_REASON_TOKEN_MALFORMED;
    }
    *expires_ms_r = at_ms + skew_ms;
    if (now_ms >= *expires_ms_r) {
        return AUTH_REASON_TOKEN_EXPIRED;
    }
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        enum presence presence = time_claim(claims, beginnings[i], &at_ms);
        if (presence == BROKEN) {
            return AUTH_REASON_TOKEN_MALFORMED;
        }
        if (presence == PRESENT && at_ms - skew_ms > now_ms) {
            return AUTH_REASON_TOKEN_NOT_YET;
        }
    }
    return AUTH_REASON_NONE;
}

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; text != NULL && i < count; i++) {
        if (strcmp(text, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* One text, or a list of them (RFC 7519 §4.1.3): one of ours must be among them. */
static bool audience_holds(const struct conf_oauth *policy, const json_t *claims)
{
    const json_t *claim = json_object_get(claims, "aud"), *value;
    size_t i;
    if (policy->audience_count == 0 ||
        is_one_of(json_string_value(claim), policy->audience, policy->audience_count)) {
        return true;
    }
    json_array_foreach(claim, i, value)
    {
        if (is_one_of(json_string_value(value), policy->audience, policy->audience_count)) {
            return true;
        }
    }
    return false;
}

/* Words with single spaces between them (RFC 8693 §4.2), or a list. */
static bool has_scope(const json_t *claim, const char *wanted)
{
    const char *words = json_string_value(claim);
    size_t length = strlen(wanted), i;
    json_t *value;
    for (const char *at = words; at != NULL; at = strchr(at, ' ')) {
        at += *at == ' ' ? 1 : 0;
        if (strncmp(at, wanted, length) == 0 && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    json_array_foreach(claim, i, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), wanted) == 0) {
            return true;
        }
    }
    return false;
}

static bool scopes_hold(const struct conf_oauth *policy, const json_t *claims)
{
    const json_t *claim = json_object_get(claims, policy->scope_claim);
    for (size_t i = 0; i < policy->scopes_count; i++) {
        if (!has_scope(claim, policy->scopes[i])) {
            return false;
        }
    }
    return true;
}

static enum auth_reason judge_claims(const struct conf_oauth *policy, const json_t *claims,
                                     int64_t now_ms, struct token_facts *facts)
{
    const char *name = bounded_json_text(claims, policy->principal_claim);
    if (name == NULL ||
        principal_canonical(view_from_string(name), facts->principal) != PRINCIPAL_OK) {
        return AUTH_REASON_TOKEN_PRINCIPAL;
    }
    enum auth_reason reason = judge_times(policy, claims, now_ms, &facts->expires_ms);
    if (reason != AUTH_REASON_NONE) {
        return reason;
    }
    const char *issuer = bounded_json_text(claims, "iss");
    if (policy->issuer[0] != '\0' && (issuer == NULL || strcmp(issuer, policy->issuer) != 0)) {
        return AUTH_REASON_TOKEN_ISSUER;
    }
    if (!audience_holds(policy, claims)) {
        return AUTH_REASON_TOKEN_AUDIENCE;
    }
    return scopes_hold(policy, claims) ? AUTH_REASON_NONE : AUTH_REASON_TOKEN_SCOPE;
}

/* ---- by what a token was believed ---- */

static void hash_text(EVP_MD_CTX *md, const char *text)
{
    EVP_DigestUpdate(md, text, strlen(text) + 1);
}

static void hash_texts(EVP_MD_CTX *md, const char *const *texts, size_t count)
{
    EVP_DigestUpdate(md, &count, sizeof count);
    for (size_t i = 0; i < count; i++) {
        hash_text(md, texts[i]);
    }
}

static EVP_MD_CTX *hash_begin(void)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        abort();
    }
    return md;
}

static void hash_end(EVP_MD_CTX *md, uint8_t digest_r[TOKEN_STAMP_BYTES])
{
    if (EVP_DigestFinal_ex(md, digest_r, NULL) != 1) {
        abort();
    }
    EVP_MD_CTX_free(md);
}

static void rules_hash(const struct conf_oauth *policy, uint8_t digest_r[TOKEN_STAMP_BYTES])
{
    EVP_MD_CTX *md = hash_begin();
    hash_text(md, policy->issuer);
    hash_text(md, policy->principal_claim);
    hash_text(md, policy->scope_claim);
    hash_texts(md, policy->audience, policy->audience_count);
    hash_texts(md, policy->scopes, policy->scopes_count);
    hash_end(md, digest_r);
}

/* key NULL: no signature was asked for. */
static void stamp(const struct tokens *tokens, const struct jwk *key,
                  uint8_t stamp_r[TOKEN_STAMP_BYTES])
{
    EVP_MD_CTX *md = hash_begin();
    EVP_DigestUpdate(md, tokens->rules, sizeof tokens->rules);
    if (key != NULL) {
        EVP_DigestUpdate(md, key->digest, sizeof key->digest);
    }
    hash_end(md, stamp_r);
}

static size_t key_count(const struct tokens *tokens)
{
    return tokens->keys != NULL ? jwks_count(tokens->keys) : 0;
}

bool tokens_stand(const struct tokens *now, const uint8_t stamp_then[TOKEN_STAMP_BYTES])
{
    uint8_t stamp_now[TOKEN_STAMP_BYTES];
    stamp(now, NULL, stamp_now);
    bool stands =
        now->policy->allow_unsecured_jws && memcmp(stamp_now, stamp_then, sizeof stamp_now) == 0;
    for (size_t i = 0; !stands && i < key_count(now); i++) {
        stamp(now, jwks_at(now->keys, i), stamp_now);
        stands = memcmp(stamp_now, stamp_then, sizeof stamp_now) == 0;
    }
    return stands;
}

bool tokens_equal(const struct tokens *a, const struct tokens *b)
{
    bool equal = memcmp(a->rules, b->rules, sizeof a->rules) == 0 &&
                 a->policy->allow_unsecured_jws == b->policy->allow_unsecured_jws &&
                 key_count(a) == key_count(b);
    for (size_t i = 0; equal && i < key_count(a); i++) {
        equal =
            memcmp(jwks_at(a->keys, i)->digest, jwks_at(b->keys, i)->digest, JWK_DIGEST_BYTES) == 0;
    }
    return equal;
}

enum auth_reason tokens_judge(const struct tokens *tokens, struct view token, int64_t now_ms,
                              struct token_facts *facts_r)
{
    *facts_r = (struct token_facts){0};
    uint8_t *payload = token.length <= JWS_BYTES_MAX ? malloc(token.length + 1) : NULL;
    const struct jwk *key = NULL;
    size_t length = 0;
    if (payload == NULL) {
        return token.length > JWS_BYTES_MAX ? AUTH_REASON_TOKEN_TOO_LARGE : AUTH_REASON_INTERNAL;
    }
    enum auth_reason reason =
        jws_open(token, tokens->keys, tokens->policy->allow_unsecured_jws, payload, &length, &key);
    if (reason == AUTH_REASON_NONE) {
        json_t *claims = bounded_json_object(view_of(payload, length));
        reason = claims != NULL ? judge_claims(tokens->policy, claims, now_ms, facts_r)
                                : AUTH_REASON_TOKEN_MALFORMED;
        json_decref(claims);
    }
    if (reason == AUTH_REASON_NONE) {
        stamp(tokens, key, facts_r->stamp);
    }
    OPENSSL_cleanse(payload, length);
    free(payload);
    return reason;
}

/* ---- life ---- */

struct tokens *tokens_new(const struct conf_oauth *policy, const struct jwks *keys)
{
    struct tokens *tokens = calloc(1, sizeof *tokens);
    if (tokens == NULL) {
        abort();
    }
    atomic_init(&tokens->references, 1);
    tokens->policy = policy;
    rules_hash(policy, tokens->rules);
    tokens->keys = keys != NULL ? jwks_ref(keys) : NULL;
    return tokens;
}

struct tokens *tokens_load(const struct config *config, struct conf_errors *errors)
{
    struct jwks *keys = NULL;
    if (config->oauth.jwks_file[0] != '\0') {
        keys = jwks_load(config->oauth.jwks_file, errors);
        if (keys == NULL) {
            return NULL;
        }
    }
    struct tokens *tokens = tokens_new(&config->oauth, keys);
    tokens->config = config_ref(config);
    jwks_unref(&keys);
    return tokens;
}

struct tokens *tokens_ref(const struct tokens *tokens)
{
    struct tokens *it = (struct tokens *)(uintptr_t)tokens;
    atomic_fetch_add_explicit(&it->references, 1, memory_order_relaxed);
    return it;
}

void tokens_unref(struct tokens **tokens)
{
    struct tokens *it = *tokens;
    *tokens = NULL;
    if (it == NULL || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    jwks_unref(&it->keys);
    config_unref(&it->config);
    free(it);
}
