/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/jws.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "auth/base64.h"
#include "auth/bounded_json.h"
#include "auth/jwks.h"

enum {
    SIGNATURE_BYTES_MAX = 1024, /* of RSA with 8192 bits */
    DER_BYTES_MAX = 160         /* of ECDSA with P-521 */
};

static const struct algorithm {
    const char *name;
    const char *hash; /* NULL: the key's own */
    enum jwk_kind kind;
    bool pss;
    size_t integer_bytes; /* ECDSA: of r and of s; else 0 */
} algorithms[] = {
    {"RS256", "SHA256", JWK_RSA, false, 0},   {"RS384", "SHA384", JWK_RSA, false, 0},
    {"RS512", "SHA512", JWK_RSA, false, 0},   {"PS256", "SHA256", JWK_RSA, true, 0},
    {"PS384", "SHA384", JWK_RSA, true, 0},    {"PS512", "SHA512", JWK_RSA, true, 0},
    {"ES256", "SHA256", JWK_P256, false, 32}, {"ES384", "SHA384", JWK_P384, false, 48},
    {"ES512", "SHA512", JWK_P521, false, 66}, {"EdDSA", NULL, JWK_ED25519, false, 0},
};

struct parts {
    struct view header, payload, signature; /* as sent */
    struct view signed_text;                /* header "." payload */
};

static bool cut(struct view *left, struct view *part_r)
{
    const uint8_t *dot = left->length > 0 ? memchr(left->at, '.', left->length) : NULL;
    if (dot == NULL) {
        return false;
    }
    *part_r = view_of(left->at, (size_t)(dot - left->at));
    *left = view_from(*left, part_r->length + 1);
    return true;
}

static bool parts_of(struct view token, struct parts *out)
{
    struct view left = token;
    if (token.length > JWS_BYTES_MAX || !cut(&left, &out->header) || !cut(&left, &out->payload)) {
        return false;
    }
    out->signature = left; /* a further dot is no base64url */
    out->signed_text = view_of(token.at, out->header.length + 1 + out->payload.length);
    return true;
}

static json_t *header_read(struct view text)
{
    uint8_t bytes[JWS_HEADER_BYTES_MAX];
    size_t length;
    if (!base64url_read(text, bytes, sizeof bytes, &length)) {
        return NULL;
    }
    return bounded_json_object(view_of(bytes, length));
}

/* ---- one signature, one key ---- */

/* OpenSSL takes r and s as DER. */
static size_t ecdsa_der(struct view raw, uint8_t der_r[DER_BYTES_MAX])
{
    size_t half = raw.length / 2;
    BIGNUM *r = BN_bin2bn(raw.at, (int)half, NULL);
    BIGNUM *s = BN_bin2bn(raw.at + half, (int)half, NULL);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    int length = 0;
    if (r != NULL && s != NULL && signature != NULL && ECDSA_SIG_set0(signature, r, s) == 1) {
        uint8_t *end = der_r;
        length =
            i2d_ECDSA_SIG(signature, NULL) <= DER_BYTES_MAX ? i2d_ECDSA_SIG(signature, &end) : 0;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(signature);
    return length > 0 ? (size_t)length : 0;
}

static bool begin(EVP_MD_CTX *ctx, const struct algorithm *algorithm, EVP_PKEY *key)
{
    EVP_PKEY_CTX *key_ctx = NULL; /* of ctx */
    if (ctx == NULL ||
        EVP_DigestVerifyInit_ex(ctx, &key_ctx, algorithm->hash, NULL, NULL, key, NULL) != 1) {
        return false;
    }
    return !algorithm->pss ||
           (EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static bool verify(const struct algorithm *algorithm, EVP_PKEY *key, struct view text,
                   struct view signature)
{
    uint8_t der[DER_BYTES_MAX];
    if (algorithm->integer_bytes > 0) {
        if (signature.length != 2 * algorithm->integer_bytes) {
            return false;
        }
        signature = view_of(der, ecdsa_der(signature, der));
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = begin(ctx, algorithm, key) &&
                EVP_DigestVerify(ctx, signature.at, signature.length, text.at, text.length) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error(); /* or the next user of this thread's queue takes it for its own */
    return good;
}

/* ---- the right key ---- */

static const struct algorithm *algorithm_find(const char *name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (strcmp(algorithms[i].name, name) == 0) {
            return &algorithms[i];
        }
    }
    return NULL;
}

static bool is_meant(const struct jwk *key, const char *id)
{
    return id == NULL || (key->id != NULL && strcmp(key->id, id) == 0);
}

static bool fits(const struct jwk *key, const struct algorithm *algorithm)
{
    return key->kind == algorithm->kind &&
           (key->algorithm == NULL || strcmp(key->algorithm, algorithm->name) == 0);
}

static enum auth_reason verify_with_any(const struct jwks *keys, const struct algorithm *algorithm,
                                        const char *id, struct view text, struct view signature,
                                        const struct jwk **key_r)
{
    bool known = false;
    int tries = 0;
    for (size_t i = 0; keys != NULL && i < jwks_count(keys) && tries < JWS_TRIES_MAX; i++) {
        const struct jwk *key = jwks_at(keys, i);
        if (!is_meant(key, id)) {
            continue;
        }
        known = true;
        if (!fits(key, algorithm)) {
            continue;
        }
        tries++;
        if (verify(algorithm, key->key, text, signature)) {
            *key_r = key;
            return AUTH_REASON_NONE;
        }
    }
    if (tries > 0) {
        return AUTH_REASON_TOKEN_SIGNATURE;
    }
    return known ? AUTH_REASON_TOKEN_ALGORITHM : AUTH_REASON_TOKEN_KEY;
}

static enum auth_reason judge(const json_t *header, const struct parts *parts,
                              const struct jwks *keys, bool unsecured, const struct jwk **key_r)
{
    const char *name = bounded_json_text(header, "alg");
    const json_t *id = json_object_get(header, "kid");
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t length;
    if (name == NULL || json_object_get(header, "crit") != NULL ||
        (id != NULL && !json_is_string(id))) {
        return AUTH_REASON_TOKEN_MALFORMED;
    }
    if (strcmp(name, "none") == 0) {
        return unsecured && parts->signature.length == 0 ? AUTH_REASON_NONE
                                                         : AUTH_REASON_TOKEN_UNSECURED;
    }
    const struct algorithm *algorithm = algorithm_find(name);
    if (algorithm == NULL) {
        return AUTH_REASON_TOKEN_ALGORITHM;
    }
    if (!base64url_read(parts->signature, signature, sizeof signature, &length) || length == 0) {
        return AUTH_REASON_TOKEN_MALFORMED;
    }
    return verify_with_any(keys, algorithm, json_string_value(id), parts->signed_text,
                           view_of(signature, length), key_r);
}

enum auth_reason jws_open(struct view token, const struct jwks *keys, bool unsecured,
                          uint8_t *payload_r, size_t *payload_length_r, const struct jwk **key_r)
{
    struct parts parts;
    *payload_length_r = 0;
    *key_r = NULL;
    json_t *header = parts_of(token, &parts) ? header_read(parts.header) : NULL;
    if (header == NULL) {
        return AUTH_REASON_TOKEN_MALFORMED;
    }
    enum auth_reason reason = judge(header, &parts, keys, unsecured, key_r);
    json_decref(header);
    if (reason == AUTH_REASON_NONE &&
        !base64url_read(parts.payload, payload_r, token.length, payload_length_r)) {
        return AUTH_REASON_TOKEN_MALFORMED;
    }
    return reason;
}
