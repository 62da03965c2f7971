/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of tokens share: published vectors, and an issuer of our own that signs whatever it
 * is told to. Include criterion first.
 */
#pragma once

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwks.h"
#include "conf/errors.h"

/* RFC 7515 A.2 and A.3: {"iss":"joe","exp":1300819380,"http://example.com/is_root":true} */
#define JOE                                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
#define JOE_RS256                                                                                  \
    "eyJhbGciOiJSUzI1NiJ9." JOE ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh" \
    "7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO" \
    "75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6B" \
    "fI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe7" \
    "7Rw"
#define JOE_ES256                                                                                  \
    "eyJhbGciOiJFUzI1NiJ9." JOE ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlS" \
    "ApmWQxfKTUJqPP3-Kg6NU1Q"
/* RFC 8037 A.4; RFC 7520 4.2 and 4.3 */
#define ED_EDDSA                                                                                   \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvM" \
    "g3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
#define FRODO                                                                                      \
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250" \
    "byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hl" \
    "cmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4"
#define FRODO_PS384                                                                                \
    "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." FRODO              \
    ".cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8T" \
    "TB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqr" \
    "YRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHt" \
    "fa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"
#define FRODO_ES512                                                                                \
    "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." FRODO              \
    ".AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy" \
    "3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2"

#define JWK_JOE_RSA                                                                                \
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W2" \
    "6mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47s" \
    "oMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQ" \
    "Y4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9g" \
    "b54h4FRWyuXpoQ\"}"
#define JWK_JOE_EC                                                                                 \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","     \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define JWK_ED                                                                                     \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define JWK_FRODO_RSA                                                                              \
    "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"e\":\"AQAB\","  \
    "\"n\":\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZ" \
    "QHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpP" \
    "e7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_" \
    "vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\"}"
#define JWK_FRODO_EC                                                                               \
    "{\"kty\":\"EC\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"crv\":\"P-521\","                \
    "\"x\":\"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5c" \
    "j0Kt\",\"y\":\"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cw" \
    "lGfP-HqHZR1\"}"

static inline struct jwks *token_kit_keys(const char *list)
{
    struct conf_errors errors;
    char *text = NULL;
    conf_errors_init(&errors);
    cr_assert(asprintf(&text, "{\"keys\": [%s]}", list) > 0);
    struct jwks *keys = jwks_parse(view_from_string(text), "jwks.json", &errors);
    if (keys == NULL) {
        conf_errors_print(&errors, stderr);
    }
    cr_assert_not_null(keys);
    conf_errors_deinit(&errors);
    free(text);
    return keys;
}

static inline size_t token_kit_url(char *out, const uint8_t *bytes, size_t length)
{
    int n = EVP_EncodeBlock((uint8_t *)out, bytes, (int)length);
    while (n > 0 && out[n - 1] == '=') {
        n--;
    }
    for (int i = 0; i < n; i++) {
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    }
    out[n] = '\0';
    return (size_t)n;
}

/* r and s of a DER signature, each as long as the order. */
static inline size_t token_kit_raw(uint8_t *signature, size_t length, int half)
{
    const uint8_t *at = signature;
    ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &at, (long)length);
    cr_assert_not_null(parsed);
    cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_r(parsed), signature, half), half);
    cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_s(parsed), signature + half, half), half);
    ECDSA_SIG_free(parsed);
    return (size_t)(2 * half);
}

/* A token with these two JSON texts, signed by key: hash "" is the key's own, half 0 is not ECDSA.
 * NULL key: no signature. The caller frees. */
static inline char *token_kit_sign(const char *header, const char *payload, EVP_PKEY *key,
                                   const char *hash, bool pss, int half)
{
    size_t room = 2 * (strlen(header) + strlen(payload)) + 4096;
    char *token = malloc(room);
    uint8_t signature[1024];
    size_t used = token_kit_url(token, (const uint8_t *)header, strlen(header));
    token[used++] = '.';
    used += token_kit_url(token + used, (const uint8_t *)payload, strlen(payload));
    size_t length = sizeof signature;
    if (key != NULL) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *key_ctx = NULL;
        cr_assert_eq(
            EVP_DigestSignInit_ex(ctx, &key_ctx, hash[0] != 0 ? hash : NULL, NULL, NULL, key, NULL),
            1);
        if (pss) {
            cr_assert_eq(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING), 1);
            cr_assert_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST), 1);
        }
        cr_assert_eq(EVP_DigestSign(ctx, signature, &length, (uint8_t *)token, used), 1);
        EVP_MD_CTX_free(ctx);
        length = half > 0 ? token_kit_raw(signature, length, half) : length;
    } else {
        length = 0;
    }
    token[used++] = '.';
    token_kit_url(token + used, signature, length);
    return token;
}

/* The public half as a JWK with these further members, which end in a comma. The caller frees. */
static inline char *token_kit_jwk(EVP_PKEY *key, const char *members)
{
    char a[1500], b[1500], *text = NULL;
    uint8_t bytes[1024];
    size_t length = 0;
    if (EVP_PKEY_is_a(key, "RSA")) {
        BIGNUM *n = NULL, *e = NULL;
        cr_assert(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1);
        token_kit_url(a, bytes, (size_t)BN_bn2bin(n, bytes));
        token_kit_url(b, bytes, (size_t)BN_bn2bin(e, bytes));
        BN_free(n);
        BN_free(e);
        cr_assert(asprintf(&text, "{%s\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", members, a, b) >
                  0);
        return text;
    }
    cr_assert_eq(
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, bytes, sizeof bytes, &length),
        1);
    if (EVP_PKEY_is_a(key, "ED25519")) {
        token_kit_url(a, bytes, length);
        cr_assert(asprintf(&text, "{%s\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", members,
                           a) > 0);
        return text;
    }
    size_t half = (length - 1) / 2;
    const char *curve = half == 32 ? "P-256" : half == 48 ? "P-384" : "P-521";
    token_kit_url(a, bytes + 1, half);
    token_kit_url(b, bytes + 1 + half, half);
    cr_assert(asprintf(&text, "{%s\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}",
                       members, curve, a, b) > 0);
    return text;
}
