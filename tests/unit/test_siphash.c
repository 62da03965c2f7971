/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/siphash.h"

#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

static const uint8_t key_bytes[SIPHASH_KEY_BYTES] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                     8, 9, 10, 11, 12, 13, 14, 15};

/* From the paper (appendix A) and the authors' table. */
Test(siphash, is_what_its_authors_say)
{
    const struct siphash_key key = siphash_key_of(key_bytes);
    uint8_t bytes[15];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    cr_assert_eq(siphash(&key, bytes, sizeof bytes), UINT64_C(0xa129ca6149be45e5));
    cr_assert_eq(siphash(&key, bytes, 0), UINT64_C(0x726fdb47dd0e0e31));
    cr_assert_eq(siphash(&key, NULL, 0), UINT64_C(0x726fdb47dd0e0e31));
    cr_assert_eq(siphash(&key, bytes, 1), UINT64_C(0x74f839c593dc67fd));
    cr_assert_eq(siphash(&key, bytes, 8), UINT64_C(0x93f5f5799a932462));
}

static uint64_t by_openssl(const uint8_t *bytes, size_t length)
{
    uint8_t out[8];
    size_t size = sizeof out, got = 0;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    cr_assert_eq(EVP_MAC_init(context, key_bytes, sizeof key_bytes, params), 1);
    cr_assert_eq(EVP_MAC_update(context, bytes, length), 1);
    cr_assert_eq(EVP_MAC_final(context, out, &got, sizeof out), 1);
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    uint64_t v = 0;
    for (size_t i = got; i > 0; i--) {
        v = v << 8 | out[i - 1];
    }
    return v;
}

Test(siphash, is_that_of_openssl_at_every_length)
{
    const struct siphash_key key = siphash_key_of(key_bytes);
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 197 + 31);
    }
    for (size_t length = 0; length < sizeof bytes; length++) {
        cr_assert_eq(siphash(&key, bytes + 300 - length, length),
                     by_openssl(bytes + 300 - length, length), "%zu bytes", length);
    }
}

Test(siphash, differs_from_key_to_key)
{
    uint8_t other_bytes[SIPHASH_KEY_BYTES];
    memcpy(other_bytes, key_bytes, sizeof other_bytes);
    other_bytes[15] ^= 1;
    const struct siphash_key key = siphash_key_of(key_bytes), other = siphash_key_of(other_bytes);
    cr_assert_neq(siphash(&key, "orders", 6), siphash(&other, "orders", 6));
}
