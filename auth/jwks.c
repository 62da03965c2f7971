/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/jwks.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64.h"
#include "auth/bounded_json.h"
#include "auth/pem.h"
#include "conf/errors.h"

enum {
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 8192, /* above, one signature would cost a stranger's choice of time */
    RSA_EXPONENT_BYTES_MAX = 4,
    COORDINATE_BYTES_MAX = 66,
    NUMBER_BYTES_MAX = RSA_BITS_MAX / 8
};

struct jwks {
    atomic_size_t references;
    size_t count;
    json_t *text; /* owner of the strings of all keys */
    struct jwk keys[];
};

static const struct curve {
    const char *name;
    const char *group;
    enum jwk_kind kind;
    size_t coordinate_bytes;
} curves[] = {
    {"P-256", "prime256v1", JWK_P256, 32},
    {"P-384", "secp384r1", JWK_P384, 48},
    {"P-521", "secp521r1", JWK_P521, 66},
};

/* ---- one key ---- */

static bool read_number(const json_t *object, const char *name, uint8_t *bytes_r, size_t capacity,
                        size_t *length_r)
{
    return base64url_read(view_from_string(bounded_json_text(object, name)), bytes_r, capacity,
                          length_r) &&
           *length_r > 0;
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *parts)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *key_checked(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = key != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    bool good = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!good) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static EVP_PKEY *rsa_key(const json_t *object, const char **why_r)
{
    uint8_t n[NUMBER_BYTES_MAX], e[RSA_EXPONENT_BYTES_MAX];
    size_t n_length, e_length;
    *why_r = "'n' and 'e' are not those of an RSA key of 2048 to 8192 bits";
    if (!read_number(object, "n", n, sizeof n, &n_length) ||
        !read_number(object, "e", e, sizeof e, &e_length)) {
        return NULL;
    }
    BIGNUM *modulus = BN_bin2bn(n, (int)n_length, NULL);
    BIGNUM *exponent = BN_bin2bn(e, (int)e_length, NULL);
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (modulus != NULL && exponent != NULL && parts != NULL &&
        BN_num_bits(modulus) >= RSA_BITS_MIN && BN_is_odd(modulus) && BN_is_odd(exponent) &&
        !BN_is_one(exponent) &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        key = key_from("RSA", parts);
    }
    OSSL_PARAM_BLD_free(parts);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static EVP_PKEY *ec_key(const json_t *object, const struct curve *curve, const char **why_r)
{
    uint8_t point[1 + 2 * COORDINATE_BYTES_MAX] = {4}; /* uncompressed */
    size_t bytes = curve->coordinate_bytes, x_length, y_length;
    *why_r = "'x' and 'y' are not a point of the curve";
    if (!read_number(object, "x", point + 1, bytes, &x_length) || x_length != bytes ||
        !read_number(object, "y", point + 1 + bytes, bytes, &y_length) || y_length != bytes) {
        return NULL;
    }
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (parts != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * bytes) ==
            1) {
        key = key_from("EC", parts);
    }
    OSSL_PARAM_BLD_free(parts);
    return key_checked(key);
}

static EVP_PKEY *ed25519_key(const json_t *object, const char **why_r)
{
    uint8_t x[32];
    size_t length;
    *why_r = "'x' is not an Ed25519 key";
    if (!read_number(object, "x", x, sizeof x, &length) || length != sizeof x) {
        return NULL;
    }
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof x);
}

static const struct curve *find_curve(const char *name)
{
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (name != NULL && strcmp(curves[i].name, name) == 0) {
            return &curves[i];
        }
    }
    return NULL;
}

/* ---- what it is for ---- */

static bool is_for_signatures(const json_t *object)
{
    const char *use = bounded_json_text(object, "use");
    const json_t *operations = json_object_get(object, "key_ops");
    if (use != NULL && strcmp(use, "sig") != 0) {
        return false;
    }
    if (operations == NULL) {
        return true;
    }
    size_t i;
    json_t *operation;
    json_array_foreach(operations, i, operation)
    {
        const char *name = json_string_value(operation);
        if (name != NULL && strcmp(name, "verify") == 0) {
            return true;
        }
    }
    return false;
}

static bool digest(EVP_PKEY *key, uint8_t digest_r[JWK_DIGEST_BYTES])
{
    uint8_t *der = NULL;
    int length = i2d_PUBKEY(key, &der);
    bool made =
        length > 0 && EVP_Digest(der, (size_t)length, digest_r, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return made;
}

static bool is(const char *text, const char *wanted)
{
    return text != NULL && strcmp(text, wanted) == 0;
}

enum verdict { VERDICT_TAKEN, VERDICT_SKIPPED, VERDICT_REFUSED };

static enum verdict key_read(const json_t *object, struct jwk *out, const char **why_r)
{
    const char *type = bounded_json_text(object, "kty");
    const char *curve_name = bounded_json_text(object, "crv");
    const struct curve *curve = find_curve(curve_name);
    if (!json_is_object(object) || type == NULL) {
        *why_r = "is no key (it has no 'kty')";
        return VERDICT_REFUSED;
    }
    if (is(type, "oct")) {
        *why_r = "is symmetric: whoever reads the file could sign tokens (take it out)";
        return VERDICT_REFUSED;
    }
    if (!is_for_signatures(object)) {
        *why_r = "is not for signatures";
        return VERDICT_SKIPPED;
    }
    *out = (struct jwk){.id = bounded_json_text(object, "kid"),
                        .algorithm = bounded_json_text(object, "alg")};
    if (is(type, "RSA")) {
        out->kind = JWK_RSA;
        out->key = rsa_key(object, why_r);
    } else if (is(type, "EC") && curve != NULL) {
        out->kind = curve->kind;
        out->key = ec_key(object, curve, why_r);
    } else if (is(type, "OKP") && is(curve_name, "Ed25519")) {
        out->kind = JWK_ED25519;
        out->key = ed25519_key(object, why_r);
    } else {
        *why_r = "is of a kind that is not known here";
        return VERDICT_SKIPPED;
    }
    ERR_clear_error();
    if (out->key != NULL && !digest(out->key, out->digest)) {
        EVP_PKEY_free(out->key);
        *why_r = "the crypto library failed";
        return VERDICT_REFUSED;
    }
    return out->key != NULL ? VERDICT_TAKEN : VERDICT_REFUSED;
}

/* ---- the set ---- */

static void keys_read(struct jwks *keys, const json_t *list, struct conf_place place,
                      struct conf_errors *errors)
{
    size_t i;
    json_t *object;
    json_array_foreach(list, i, object)
    {
        const char *why = "";
        switch (key_read(object, &keys->keys[keys->count], &why)) {
        case VERDICT_TAKEN:
            keys->count++;
            break;
        case VERDICT_SKIPPED:
            conf_errors_warn(errors, place, "key %zu %s and is not used", i + 1, why);
            break;
        case VERDICT_REFUSED:
            conf_errors_add(errors, place, "key %zu: %s", i + 1, why);
            break;
        }
        if (json_object_get(object, "d") != NULL) {
            conf_errors_warn(errors, place,
                             "key %zu comes with its private part, which belongs to the issuer "
                             "alone (publish 'kty' and the public numbers only)",
                             i + 1);
        }
    }
    if (keys->count == 0) {
        conf_errors_add(errors, place, "no key in it can verify a signature");
    }
}

struct jwks *jwks_parse(struct view text, const char *file, struct conf_errors *errors)
{
    struct conf_place place = {.file = file};
    json_t *set = text.length <= JWKS_FILE_BYTES_MAX ? bounded_json_object(text) : NULL;
    const json_t *list = json_object_get(set, "keys");
    size_t count = json_array_size(list), errors_before = errors->errors;
    if (!json_is_array(list) || count > JWKS_KEYS_MAX) {
        conf_errors_add(errors, place,
                        "is not a JSON Web Key Set of at most %d keys ({\"keys\": [...]})",
                        JWKS_KEYS_MAX);
        json_decref(set);
        return NULL;
    }
    struct jwks *keys = calloc(1, sizeof *keys + (count + 1) * sizeof keys->keys[0]);
    if (keys == NULL) {
        abort();
    }
    atomic_init(&keys->references, 1);
    keys->text = set;
    keys_read(keys, list, place, errors);
    if (errors->errors > errors_before) {
        jwks_unref(&keys);
    }
    return keys;
}

struct jwks *jwks_load(const char *path, struct conf_errors *errors)
{
    struct pem_fault fault;
    char *text = pem_read_public(path, &fault);
    if (text == NULL) {
        conf_errors_add(errors, (struct conf_place){.file = path}, "%s", fault.text);
        return NULL;
    }
    struct jwks *keys = jwks_parse(view_from_string(text), path, errors);
    free(text);
    return keys;
}

struct jwks *jwks_ref(const struct jwks *keys)
{
    struct jwks *it = (struct jwks *)(uintptr_t)keys;
    atomic_fetch_add_explicit(&it->references, 1, memory_order_relaxed);
    return it;
}

void jwks_unref(struct jwks **keys)
{
    struct jwks *it = *keys;
    *keys = NULL;
    if (it == NULL || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < it->count; i++) {
        EVP_PKEY_free(it->keys[i].key);
    }
    json_decref(it->text);
    free(it);
}

size_t jwks_count(const struct jwks *keys)
{
    return keys->count;
}

const struct jwk *jwks_at(const struct jwks *keys, size_t i)
{
    return &keys->keys[i];
}
