/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "auth/jws.h"

#include "tests/unit/token_kit.h"

static enum auth_reason open_token(const char *token, const struct jwks *keys, bool unsecured)
{
    uint8_t *payload = malloc(strlen(token) + 1);
    const struct jwk *key = NULL;
    size_t length = 99;
    enum auth_reason reason =
        jws_open(view_from_string(token), keys, unsecured, payload, &length, &key);
    cr_assert(reason == AUTH_REASON_NONE || (length == 0 && key == NULL));
    cr_assert(reason != AUTH_REASON_NONE || unsecured || key != NULL);
    free(payload);
    return reason;
}

static void opens(const char *token, const struct jwks *keys, enum auth_reason wanted)
{
    enum auth_reason got = open_token(token, keys, false);
    cr_assert_eq(got, wanted, "%s: %s", auth_reason_name(got), token);
}

#define assert_opens(token, keys, wanted) opens(token, keys, AUTH_REASON_##wanted)

Test(jws, published_vectors_of_every_family)
{
    static const char *const vectors[][2] = {
        {JWK_JOE_RSA, JOE_RS256},     {JWK_JOE_EC, JOE_ES256},     {JWK_ED, ED_EDDSA},
        {JWK_FRODO_RSA, FRODO_PS384}, {JWK_FRODO_EC, FRODO_ES512},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct jwks *keys = token_kit_keys(vectors[i][0]);
        assert_opens(vectors[i][1], keys, NONE);
        jwks_unref(&keys);
    }
    struct jwks *all =
        token_kit_keys(JWK_JOE_RSA "," JWK_JOE_EC "," JWK_ED "," JWK_FRODO_RSA "," JWK_FRODO_EC);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        assert_opens(vectors[i][1], all, NONE);
    }
    jwks_unref(&all);
}

Test(jws, the_payload_is_what_was_signed)
{
    static const char joe[] = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                              "\"http://example.com/is_root\":true}";
    struct jwks *keys = token_kit_keys(JWK_JOE_EC);
    uint8_t payload[sizeof JOE_ES256];
    const struct jwk *key;
    size_t length;
    cr_assert_eq(jws_open(view_from_string(JOE_ES256), keys, false, payload, &length, &key),
                 AUTH_REASON_NONE);
    cr_assert_eq(length, strlen(joe));
    cr_assert_arr_eq(payload, joe, length);
    jwks_unref(&keys);
}

struct family {
    const char *algorithm, *type, *curve, *hash;
    bool pss;
    int half;
};

static const struct family families[] = {
    {"RS256", "RSA", NULL, "SHA256", false, 0},    {"RS384", "RSA", NULL, "SHA384", false, 0},
    {"RS512", "RSA", NULL, "SHA512", false, 0},    {"PS256", "RSA", NULL, "SHA256", true, 0},
    {"PS384", "RSA", NULL, "SHA384", true, 0},     {"PS512", "RSA", NULL, "SHA512", true, 0},
    {"ES256", "EC", "P-256", "SHA256", false, 32}, {"ES384", "EC", "P-384", "SHA384", false, 48},
    {"ES512", "EC", "P-521", "SHA512", false, 66}, {"EdDSA", "ED25519", NULL, "", false, 0},
};
enum { FAMILIES = sizeof families / sizeof families[0] };

static EVP_PKEY *key_of(const struct family *family)
{
    static EVP_PKEY *rsa;
    if (strcmp(family->type, "RSA") == 0) {
        rsa = rsa != NULL ? rsa : EVP_RSA_gen(2048);
        EVP_PKEY_up_ref(rsa);
        return rsa;
    }
    return family->curve != NULL ? EVP_EC_gen(family->curve)
                                 : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static char *token_of(const struct family *signs, const char *says, EVP_PKEY *key)
{
    char header[64];
    snprintf(header, sizeof header, "{\"alg\":\"%s\"}", says);
    return token_kit_sign(header, "{\"sub\":\"orders\"}", key, signs->hash, signs->pss,
                          signs->half);
}

Test(jws, each_algorithm_takes_its_own_signature_and_no_other)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        EVP_PKEY *key = key_of(&families[i]);
        char *jwk = token_kit_jwk(key, "");
        struct jwks *keys = token_kit_keys(jwk);
        for (size_t says = 0; says < FAMILIES; says++) {
            char *token = token_of(&families[i], families[says].algorithm, key);
            enum auth_reason reason = open_token(token, keys, false);
            cr_assert_eq(reason == AUTH_REASON_NONE, i == says, "%s as %s: %s",
                         families[i].algorithm, families[says].algorithm, auth_reason_name(reason));
            free(token);
        }
        jwks_unref(&keys);
        free(jwk);
        EVP_PKEY_free(key);
    }
}

Test(jws, a_public_key_is_no_hmac_secret)
{
    EVP_PKEY *key = key_of(&families[0]);
    char *jwk = token_kit_jwk(key, ""), name[16];
    struct jwks *keys = token_kit_keys(jwk);
    for (int bits = 256; bits <= 512; bits += 128) {
        snprintf(name, sizeof name, "HS%d", bits);
        char *token = token_of(&families[0], name, key);
        assert_opens(token, keys, TOKEN_ALGORITHM);
        free(token);
    }
    jwks_unref(&keys);
    free(jwk);
    EVP_PKEY_free(key);
}

Test(jws, unsecured_is_refused_unless_asked_for)
{
    static const char *const headers[] = {"{\"alg\":\"none\"}", "{\"alg\":\"None\"}",
                                          "{\"alg\":\"NONE\"}", "{\"alg\":\"nOnE\"}",
                                          "{\"alg\":\"\"}",     "{}",
                                          "{\"alg\":null}",     "{\"alg\":[\"none\"]}"};
    struct jwks *keys = token_kit_keys(JWK_JOE_EC);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char *token = token_kit_sign(headers[i], "{}", NULL, "", false, 0);
        cr_assert_neq(open_token(token, keys, false), AUTH_REASON_NONE, "%s", headers[i]);
        cr_assert_eq(open_token(token, keys, true) == AUTH_REASON_NONE, i == 0, "%s", headers[i]);
        cr_assert_eq(open_token(token, NULL, true) == AUTH_REASON_NONE, i == 0, "%s", headers[i]);
        free(token);
    }
    /* Not even then with something where the signature would be. */
    cr_assert_eq(open_token("eyJhbGciOiJub25lIn0.e30.AAAA", keys, true),
                 AUTH_REASON_TOKEN_UNSECURED);
    /* And a signed one keeps being verified. */
    cr_assert_eq(open_token("eyJhbGciOiJFUzI1NiJ9." JOE ".AAAA", keys, true),
                 AUTH_REASON_TOKEN_SIGNATURE);
    cr_assert_eq(open_token("eyJhbGciOiJFUzI1NiJ9." JOE ".", keys, true),
                 AUTH_REASON_TOKEN_MALFORMED);
    jwks_unref(&keys);
}

Test(jws, the_key_is_chosen_by_its_id_and_keeps_its_algorithm)
{
    EVP_PKEY *one = EVP_EC_gen("P-256"), *two = EVP_EC_gen("P-256"), *rsa = key_of(&families[0]);
    char *a = token_kit_jwk(one, "\"kid\":\"a\","), *b = token_kit_jwk(two, "\"kid\":\"b\",");
    char *r = token_kit_jwk(rsa, "\"kid\":\"r\",\"alg\":\"PS256\","), *list = NULL;
    cr_assert(asprintf(&list, "%s,%s,%s", a, b, r) > 0);
    struct jwks *keys = token_kit_keys(list);
    struct {
        const char *header;
        EVP_PKEY *key;
        bool pss;
        int half;
        enum auth_reason wanted;
    } cases[] = {
        {"{\"alg\":\"ES256\",\"kid\":\"a\"}", one, false, 32, AUTH_REASON_NONE},
        {"{\"alg\":\"ES256\",\"kid\":\"b\"}", two, false, 32, AUTH_REASON_NONE},
        {"{\"alg\":\"ES256\",\"kid\":\"b\"}", one, false, 32, AUTH_REASON_TOKEN_SIGNATURE},
        {"{\"alg\":\"ES256\",\"kid\":\"c\"}", one, false, 32, AUTH_REASON_TOKEN_KEY},
        {"{\"alg\":\"ES256\",\"kid\":5}", one, false, 32, AUTH_REASON_TOKEN_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"r\"}", one, false, 32, AUTH_REASON_TOKEN_ALGORITHM},
        {"{\"alg\":\"ES256\"}", two, false, 32, AUTH_REASON_NONE},
        {"{\"alg\":\"RS256\",\"kid\":\"r\"}", rsa, false, 0, AUTH_REASON_TOKEN_ALGORITHM},
        {"{\"alg\":\"PS256\",\"kid\":\"r\"}", rsa, true, 0, AUTH_REASON_NONE},
        {"{\"alg\":\"PS256\"}", rsa, true, 0, AUTH_REASON_NONE},
        {"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", one, false, 32,
         AUTH_REASON_TOKEN_MALFORMED},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", one, false, 32, AUTH_REASON_TOKEN_MALFORMED},
        {"[\"ES256\"]", one, false, 32, AUTH_REASON_TOKEN_MALFORMED},
        {"{\"alg\":\"ES256\"} ", one, false, 32, AUTH_REASON_NONE},
        {"{\"alg\":\"ES256\"}x", one, false, 32, AUTH_REASON_TOKEN_MALFORMED},
        {"{\"alg\":\"ES256\",\"x\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}", one, false, 32,
         AUTH_REASON_TOKEN_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *token = token_kit_sign(cases[i].header, "{}", cases[i].key, "SHA256", cases[i].pss,
                                     cases[i].half);
        enum auth_reason got = open_token(token, keys, false);
        cr_assert_eq(got, cases[i].wanted, "%s: %s", cases[i].header, auth_reason_name(got));
        free(token);
    }
    jwks_unref(&keys);
    free(list);
    free(a);
    free(b);
    free(r);
    EVP_PKEY_free(one);
    EVP_PKEY_free(two);
    EVP_PKEY_free(rsa);
}

Test(jws, keys_that_come_with_the_token_are_not_looked_at)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *jwk = token_kit_jwk(key, ""), *header = NULL;
    struct jwks *keys = token_kit_keys(JWK_JOE_EC);
    cr_assert(asprintf(&header, "{\"alg\":\"ES256\",\"jwk\":%s,\"jku\":\"file:///etc/passwd\"}",
                       jwk) > 0);
    char *token = token_kit_sign(header, "{}", key, "SHA256", false, 32);
    assert_opens(token, keys, TOKEN_SIGNATURE);
    free(token);
    free(header);
    free(jwk);
    jwks_unref(&keys);
    EVP_PKEY_free(key);
}

Test(jws, at_most_four_keys_are_tried)
{
    EVP_PKEY *key[6];
    char *jwk[6], *list = NULL;
    for (size_t i = 0; i < 6; i++) {
        key[i] = EVP_EC_gen("P-256");
        jwk[i] = token_kit_jwk(key[i], "");
    }
    cr_assert(asprintf(&list, "%s,%s,%s,%s,%s,%s", jwk[0], jwk[1], jwk[2], jwk[3], jwk[4], jwk[5]) >
              0);
    struct jwks *keys = token_kit_keys(list);
    for (size_t i = 0; i < 6; i++) {
        char *token = token_kit_sign("{\"alg\":\"ES256\"}", "{}", key[i], "SHA256", false, 32);
        cr_assert_eq(open_token(token, keys, false),
                     i < JWS_TRIES_MAX ? AUTH_REASON_NONE : AUTH_REASON_TOKEN_SIGNATURE);
        free(token);
        free(jwk[i]);
        EVP_PKEY_free(key[i]);
    }
    jwks_unref(&keys);
    free(list);
}

Test(jws, every_prefix_is_refused)
{
    struct jwks *keys = token_kit_keys(JWK_JOE_EC);
    size_t length = strlen(JOE_ES256);
    uint8_t payload[sizeof JOE_ES256];
    for (size_t n = 0; n < length; n++) {
        /* On the heap, so that one byte too far is seen. */
        uint8_t *cut = malloc(n + 1);
        const struct jwk *key;
        size_t got;
        memcpy(cut, JOE_ES256, n);
        cr_assert_neq(jws_open(view_of(cut, n), keys, false, payload, &got, &key), AUTH_REASON_NONE,
                      "%zu", n);
        free(cut);
    }
    jwks_unref(&keys);
}

Test(jws, every_changed_character_is_refused)
{
    struct jwks *keys = token_kit_keys(JWK_JOE_EC);
    char token[] = JOE_ES256;
    for (size_t i = 0; i < sizeof token - 1; i++) {
        for (const char *c = "Aa0-_.=+/ \n"; *c != 0; c++) {
            char kept = token[i];
            if (*c == kept) {
                continue;
            }
            token[i] = *c;
            cr_assert_neq(open_token(token, keys, false), AUTH_REASON_NONE, "%zu: %c", i, *c);
            token[i] = kept;
        }
    }
    assert_opens(JOE_ES256 ".", keys, TOKEN_MALFORMED);
    assert_opens(JOE_ES256 "=", keys, TOKEN_MALFORMED);
    assert_opens(JOE_ES256 "\n", keys, TOKEN_MALFORMED);
    jwks_unref(&keys);
}

Test(jws, ecdsa_values_are_as_long_as_they_must_be)
{
    /* The same r and s in DER, and with a zero in front. */
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *jwk = token_kit_jwk(key, "");
    struct jwks *keys = token_kit_keys(jwk);
    char *der = token_kit_sign("{\"alg\":\"ES256\"}", "{}", key, "SHA256", false, 0);
    assert_opens(der, keys, TOKEN_SIGNATURE);
    char *wide = token_kit_sign("{\"alg\":\"ES256\"}", "{}", key, "SHA256", false, 33);
    assert_opens(wide, keys, TOKEN_SIGNATURE);
    free(wide);
    free(der);
    free(jwk);
    jwks_unref(&keys);
    EVP_PKEY_free(key);
    /* CVE-2022-21449: zeros */
    keys = token_kit_keys(JWK_JOE_EC);
    assert_opens("eyJhbGciOiJFUzI1NiJ9." JOE
                 ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                 keys, TOKEN_SIGNATURE);
    jwks_unref(&keys);
}

Test(jws, size_is_bounded)
{
    struct jwks *keys = token_kit_keys(JWK_JOE_EC);
    static char token[JWS_BYTES_MAX + 2];
    memset(token, 'A', sizeof token - 1);
    memcpy(token, "eyJhbGciOiJFUzI1NiJ9.", 21);
    assert_opens(token, keys, TOKEN_MALFORMED);
    memset(token, '.', sizeof token - 1);
    assert_opens(token, keys, TOKEN_MALFORMED);
    jwks_unref(&keys);
}

/* --- the key set --- */

static void refused(const char *text, const char *why)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct jwks *keys = jwks_parse(view_from_string(text), "jwks.json", &errors);
    cr_assert_null(keys, "%s", text);
    cr_assert(errors.errors > 0);
    bool found = false;
    for (size_t i = 0; i < errors.count; i++) {
        found = found || strstr(errors.items[i].text, why) != NULL;
    }
    cr_assert(found, "%s instead of %s", errors.items[0].text, why);
    conf_errors_deinit(&errors);
}

Test(jws, key_sets_that_are_refused)
{
    refused("", "no");
    refused("{}", "not a JSON Web Key Set");
    refused("[]", "not a JSON Web Key Set");
    refused("{\"keys\": 5}", "not a JSON Web Key Set");
    refused("{\"keys\": []}", "no key");
    refused("{\"keys\": [5]}", "no key");
    refused("{\"keys\": [{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}", "symmetric");
    refused("{\"keys\": [{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "2048");
    refused("{\"keys\": [{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", "2048");
    refused("{\"keys\": [{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
            "point");
    refused("{\"keys\": [{\"kty\":\"EC\",\"crv\":\"P-256\","
            "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
            "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}]}",
            "point");
    refused("{\"keys\": [{\"kty\":\"EC\",\"crv\":\"P-256\","
            "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
            "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aA\"}]}",
            "point");
    refused("{\"keys\": [{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", "Ed25519");
    refused("{\"keys\": [{\"kty\":\"EC\",\"crv\":\"secp256k1\"}]}", "no key");
    refused("{\"keys\": [{\"use\":\"enc\",\"kty\":\"RSA\"}]}", "no key");
    refused("{\"keys\": [{\"key_ops\":[\"encrypt\"],\"kty\":\"RSA\"}]}", "no key");
    refused("{\"keys\": [], \"keys\": []}", "not a JSON Web Key Set");
}

Test(jws, every_prefix_of_a_key_set_is_refused)
{
    static const char text[] = "{\"keys\": [" JWK_JOE_EC "," JWK_JOE_RSA "]}";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct conf_errors errors;
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, text, n);
        conf_errors_init(&errors);
        cr_assert_null(jwks_parse(view_of(cut, n), "jwks.json", &errors));
        conf_errors_deinit(&errors);
        free(cut);
    }
}

Test(jws, keys_for_other_uses_are_left_out)
{
    struct jwks *keys = token_kit_keys("{\"kty\":\"RSA\",\"use\":\"enc\"},{\"kty\":\"EC\",\"crv\":"
                                       "\"secp256k1\"}," JWK_ED);
    cr_assert_eq(jwks_count(keys), 1);
    cr_assert_eq(jwks_at(keys, 0)->kind, JWK_ED25519);
    struct jwks *again = jwks_ref(keys);
    jwks_unref(&keys);
    assert_opens(ED_EDDSA, again, NONE);
    jwks_unref(&again);
}
