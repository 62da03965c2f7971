/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/aes_speed.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES = 16384, RECORDS = 4, ROUNDS_MIN = 3, TAG_BYTES = 16, IV_BYTES = 12 };

struct contender {
    EVP_CIPHER_CTX *seal, *open;
    uint64_t best_ns; /* for RECORDS records, both ways */
};

static bool contender_init(struct contender *contender, unsigned key_bits, const char *properties)
{
    static const uint8_t key[32] = {1, 2, 3};
    EVP_CIPHER *cipher =
        EVP_CIPHER_fetch(NULL, key_bits == 128 ? "AES-128-GCM" : "AES-256-GCM", properties);
    contender->best_ns = UINT64_MAX;
    contender->seal = EVP_CIPHER_CTX_new();
    contender->open = EVP_CIPHER_CTX_new();
    const bool good = cipher != NULL && contender->seal != NULL && contender->open != NULL &&
                      EVP_EncryptInit_ex2(contender->seal, cipher, key, NULL, NULL) == 1 &&
                      EVP_DecryptInit_ex2(contender->open, cipher, key, NULL, NULL) == 1;
    EVP_CIPHER_free(cipher);
    return good;
}

static void contender_free(struct contender *contender)
{
    EVP_CIPHER_CTX_free(contender->seal);
    EVP_CIPHER_CTX_free(contender->open);
}

static bool seal(EVP_CIPHER_CTX *ctx, const uint8_t *iv, uint8_t *data, uint8_t *tag)
{
    int length = 0;
    return EVP_EncryptInit_ex2(ctx, NULL, NULL, iv, NULL) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &length, iv, 5) == 1 &&
           EVP_EncryptUpdate(ctx, data, &length, data, RECORD_BYTES) == 1 &&
           EVP_EncryptFinal_ex(ctx, data + length, &length) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
}

static bool open_sealed(EVP_CIPHER_CTX *ctx, const uint8_t *iv, uint8_t *data, uint8_t *tag)
{
    int length = 0;
    return EVP_DecryptInit_ex2(ctx, NULL, NULL, iv, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &length, iv, 5) == 1 &&
           EVP_DecryptUpdate(ctx, data, &length, data, RECORD_BYTES) == 1 &&
           EVP_DecryptFinal_ex(ctx, data + length, &length) == 1;
}

static bool one_round(struct contender *contender, uint8_t *data, aes_speed_clock_fn clock)
{
    uint8_t iv[IV_BYTES] = {0};
    uint8_t tag[TAG_BYTES];
    const uint64_t start = clock();
    for (uint8_t i = 0; i < RECORDS; i++) {
        iv[IV_BYTES - 1] = i;
        if (!seal(contender->seal, iv, data, tag) || !open_sealed(contender->open, iv, data, tag)) {
            return false;
        }
    }
    const uint64_t took = clock() - start;
    contender->best_ns = took > 0 && took < contender->best_ns ? took : contender->best_ns;
    return true;
}

static bool race(struct contender *contenders, size_t count, aes_speed_clock_fn clock,
                 unsigned budget_ms)
{
    static const size_t rounds_max = 100000; /* a clock that stands still must not hold us */
    uint8_t *data = calloc(1, RECORD_BYTES);
    bool good = data != NULL;
    const uint64_t start = clock();
    for (size_t round = 0; good && round < rounds_max; round++) {
        if (round >= ROUNDS_MIN && clock() - start >= (uint64_t)budget_ms * 1000000) {
            break;
        }
        for (size_t i = 0; good && i < count; i++) {
            good = one_round(&contenders[i], data, clock);
        }
    }
    free(data);
    return good;
}

static double bytes_per_second(const struct contender *contender)
{
    return 2.0 * RECORDS * RECORD_BYTES * 1e9 / (double)contender->best_ns;
}

bool aes_speed_measure(unsigned key_bits, const char *first, const char *second,
                       aes_speed_clock_fn clock, unsigned budget_ms, struct aes_speed *speed_r)
{
    struct contender contenders[2] = {{0}, {0}};
    const size_t count = second == NULL ? 1 : 2;
    bool good = contender_init(&contenders[0], key_bits, first) &&
                (count == 1 || contender_init(&contenders[1], key_bits, second)) &&
                race(contenders, count, clock, budget_ms);
    *speed_r = (struct aes_speed){0};
    if (good) {
        speed_r->first = bytes_per_second(&contenders[0]);
        speed_r->second = count == 2 ? bytes_per_second(&contenders[1]) : 0;
    }
    contender_free(&contenders[0]);
    contender_free(&contenders[1]);
    ERR_clear_error();
    return good;
}
