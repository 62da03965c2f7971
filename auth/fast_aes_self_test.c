/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/fast_aes.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DATA_MAX = 16384 + 256,
    IV_BYTES = 12,
    TAG_BYTES = 16,
    AAD_MAX = 20,
    FRONT = EVP_GCM_TLS_EXPLICIT_IV_LEN /* of a TLS 1.2 record */
};

/* "The Galois/Counter Mode of Operation", appendix B: test cases 1-4 and 13-16. */
struct known {
    const char *key, *iv, *aad, *plain, *sealed, *tag;
};

#define ZEROS "00000000000000000000000000000000"
#define KEY "feffe9928665731c6d6a8f9467308308"
#define IV "cafebabefacedbaddecaf888"
#define AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define PLAIN_60                                                                                   \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define SEALED_128                                                                                 \
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"                             \
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
#define SEALED_256                                                                                 \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                             \
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"

static const struct known known_answers[] = {
    {ZEROS, "000000000000000000000000", "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {ZEROS, "000000000000000000000000", "", ZEROS, "0388dace60b6a392f328c2b971b2fe78",
     "ab6e47d42cec13bdf53a67b21257bddf"},
    {KEY, IV, "", PLAIN_60 "1aafd255", SEALED_128 "473f5985", "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {KEY, IV, AAD, PLAIN_60, SEALED_128, "5bc94fbc3221a5db94fae95ae7121a47"},
    {ZEROS ZEROS, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {ZEROS ZEROS, "000000000000000000000000", "", ZEROS, "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {KEY KEY, IV, "", PLAIN_60 "1aafd255", SEALED_256 "898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {KEY KEY, IV, AAD, PLAIN_60, SEALED_256, "76fc6ece0f4e1768cddf8853bb2d551b"},
};

struct message {
    uint8_t key[32], iv[IV_BYTES], aad[AAD_MAX];
    size_t aad_bytes;
    size_t piece; /* bytes an update; 0 = all at once */
};

struct bench {
    EVP_CIPHER *cipher, *reference;
    EVP_CIPHER_CTX *ctx;
    struct message message;
    uint8_t plain[DATA_MAX], ours[DATA_MAX + TAG_BYTES], theirs[DATA_MAX + TAG_BYTES];
};

/* One message through EVP -------------------------------------------------------------------- */

static bool update_all(EVP_CIPHER_CTX *ctx, const struct message *message, uint8_t *data,
                       size_t bytes)
{
    int length = 0;
    const size_t piece = message->piece == 0 ? DATA_MAX : message->piece;
    if (message->aad_bytes > 0 &&
        EVP_CipherUpdate(ctx, NULL, &length, message->aad, (int)message->aad_bytes) != 1) {
        return false;
    }
    for (size_t at = 0; at < bytes; at += piece) {
        const size_t next = bytes - at < piece ? bytes - at : piece;
        if (EVP_CipherUpdate(ctx, data + at, &length, data + at, (int)next) != 1 ||
            (size_t)length != next) {
            return false;
        }
    }
    return true;
}

/* In place; the tag goes behind the data. */
static bool seal(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const struct message *message,
                 uint8_t *data, size_t bytes)
{
    int length = 0;
    EVP_CIPHER_CTX_reset(ctx);
    return EVP_EncryptInit_ex2(ctx, cipher, message->key, message->iv, NULL) == 1 &&
           update_all(ctx, message, data, bytes) &&
           EVP_EncryptFinal_ex(ctx, data + bytes, &length) == 1 && length == 0 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, data + bytes) == 1;
}

static bool unseal(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const struct message *message,
                   uint8_t *data, size_t bytes)
{
    int length = 0;
    EVP_CIPHER_CTX_reset(ctx);
    return EVP_DecryptInit_ex2(ctx, cipher, message->key, message->iv, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, data + bytes) == 1 &&
           update_all(ctx, message, data, bytes) &&
           EVP_DecryptFinal_ex(ctx, data + bytes, &length) == 1 && length == 0;
}

/* A TLS 1.2 record in place, as libssl does it: explicit IV, `bytes` of data, tag. */
static bool tls12(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, struct message *message,
                  bool sealing, uint8_t *record, size_t bytes)
{
    uint8_t aad[EVP_AEAD_TLS1_AAD_LEN] = {0, 0, 0, 0, 0, 0, 0, 1, 23, 3, 3};
    const size_t told = FRONT + bytes + (sealing ? 0 : TAG_BYTES);
    const size_t whole = FRONT + bytes + TAG_BYTES;
    int length = 0;
    aad[11] = (uint8_t)(told >> 8);
    aad[12] = (uint8_t)told;
    EVP_CIPHER_CTX_reset(ctx);
    return EVP_CipherInit_ex2(ctx, cipher, message->key, NULL, sealing, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IV_FIXED, EVP_GCM_TLS_FIXED_IV_LEN,
                               message->iv) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, sizeof aad, aad) == TAG_BYTES &&
           EVP_CipherUpdate(ctx, record, &length, record, (int)whole) == 1 &&
           (size_t)length == (sealing ? whole : bytes);
}

/* Known answers ------------------------------------------------------------------------------ */

static size_t unhex(uint8_t *out, size_t capacity, const char *text)
{
    size_t length = 0;
    return text[0] != '\0' && OPENSSL_hexstr2buf_ex(out, capacity, &length, text, '\0') == 1
               ? length
               : 0;
}

static bool known_holds(struct bench *bench, const struct known *known)
{
    uint8_t expected[64 + TAG_BYTES];
    struct message *message = &bench->message;
    const size_t bytes = unhex(bench->plain, sizeof bench->plain, known->plain);
    unhex(message->key, sizeof message->key, known->key);
    unhex(message->iv, sizeof message->iv, known->iv);
    message->aad_bytes = unhex(message->aad, sizeof message->aad, known->aad);
    message->piece = 0;
    unhex(expected, sizeof expected, known->sealed);
    unhex(expected + bytes, TAG_BYTES, known->tag);
    memcpy(bench->ours, bench->plain, bytes);
    return seal(bench->ctx, bench->cipher, message, bench->ours, bytes) &&
           memcmp(bench->ours, expected, bytes + TAG_BYTES) == 0 &&
           unseal(bench->ctx, bench->cipher, message, bench->ours, bytes) &&
           memcmp(bench->ours, bench->plain, bytes) == 0;
}

static bool known_answers_hold(struct bench *bench)
{
    const size_t key_digits = 2 * (size_t)EVP_CIPHER_get_key_length(bench->cipher);
    bool good = true;
    for (size_t i = 0; i < sizeof known_answers / sizeof known_answers[0]; i++) {
        good = good && (strlen(known_answers[i].key) != key_digits ||
                        known_holds(bench, &known_answers[i]));
    }
    return good;
}

/* Against OpenSSL ---------------------------------------------------------------------------- */

static void fill(struct bench *bench)
{
    uint32_t x = 2463534242;
    for (size_t i = 0; i < sizeof bench->plain; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bench->plain[i] = (uint8_t)x;
    }
    memcpy(bench->message.key, bench->plain + 100, sizeof bench->message.key);
    memcpy(bench->message.iv, bench->plain + 200, sizeof bench->message.iv);
    memcpy(bench->message.aad, bench->plain + 300, sizeof bench->message.aad);
}

static bool same_as_reference(struct bench *bench, size_t bytes)
{
    memcpy(bench->ours, bench->plain, bytes);
    memcpy(bench->theirs, bench->plain, bytes);
    return seal(bench->ctx, bench->cipher, &bench->message, bench->ours, bytes) &&
           seal(bench->ctx, bench->reference, &bench->message, bench->theirs, bytes) &&
           memcmp(bench->ours, bench->theirs, bytes + TAG_BYTES) == 0 &&
           unseal(bench->ctx, bench->cipher, &bench->message, bench->ours, bytes) &&
           memcmp(bench->ours, bench->plain, bytes) == 0;
}

static bool tls12_crosses(struct bench *bench, size_t bytes)
{
    struct message *message = &bench->message;
    memcpy(bench->ours + FRONT, bench->plain, bytes);
    memcpy(bench->theirs + FRONT, bench->plain, bytes);
    return tls12(bench->ctx, bench->cipher, message, true, bench->ours, bytes) &&
           tls12(bench->ctx, bench->reference, message, false, bench->ours, bytes) &&
           memcmp(bench->ours + FRONT, bench->plain, bytes) == 0 &&
           tls12(bench->ctx, bench->reference, message, true, bench->theirs, bytes) &&
           tls12(bench->ctx, bench->cipher, message, false, bench->theirs, bytes) &&
           memcmp(bench->theirs + FRONT, bench->plain, bytes) == 0;
}

static bool lengths_agree(struct bench *bench)
{
    /* Around one block, 8 blocks, 16, 32, 48, and whole records with and without overhead. */
    static const size_t lengths[] = {0,   1,   15,  16,  17,  31,  127, 128,  129,   255,  256,
                                     257, 511, 513, 767, 768, 769, 800, 1535, 16383, 16384};
    static const size_t pieces[] = {0, 1, 13, 333};
    bool good = true;
    for (size_t i = 0; good && i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t k = 0; good && k < sizeof pieces / sizeof pieces[0]; k++) {
            bench->message.piece = pieces[k];
            bench->message.aad_bytes = (i + k) % 3 == 0 ? 5 : (i + k) % 3 == 1 ? 13 : AAD_MAX;
            /* Small pieces take long, and show all they can on a few blocks. */
            const bool slow = pieces[k] > 0 && pieces[k] < 100 && lengths[i] > 800;
            good = slow || same_as_reference(bench, lengths[i]);
        }
        good = good && tls12_crosses(bench, lengths[i]);
    }
    return good;
}

/* Forgeries ---------------------------------------------------------------------------------- */

static bool refuses_flip(struct bench *bench, size_t bytes, size_t at)
{
    bench->message.piece = 0;
    memcpy(bench->ours, bench->plain, bytes);
    if (!seal(bench->ctx, bench->cipher, &bench->message, bench->ours, bytes)) {
        return false;
    }
    bench->ours[at] ^= 1;
    return !unseal(bench->ctx, bench->cipher, &bench->message, bench->ours, bytes);
}

static bool refuses_tls12_flip(struct bench *bench, size_t bytes, size_t at)
{
    memcpy(bench->ours + FRONT, bench->plain, bytes);
    if (!tls12(bench->ctx, bench->cipher, &bench->message, true, bench->ours, bytes)) {
        return false;
    }
    bench->ours[at] ^= 1;
    return !tls12(bench->ctx, bench->cipher, &bench->message, false, bench->ours, bytes);
}

static bool refuses_other_aad(struct bench *bench, size_t bytes)
{
    bench->message.aad_bytes = 5;
    memcpy(bench->ours, bench->plain, bytes);
    if (!seal(bench->ctx, bench->cipher, &bench->message, bench->ours, bytes)) {
        return false;
    }
    bench->message.aad[4] ^= 1;
    const bool refused = !unseal(bench->ctx, bench->cipher, &bench->message, bench->ours, bytes);
    bench->message.aad[4] ^= 1;
    return refused;
}

static bool forgeries_fail(struct bench *bench)
{
    enum { BYTES = 1000 };
    return refuses_flip(bench, BYTES, 0) && refuses_flip(bench, BYTES, BYTES - 1) &&
           refuses_flip(bench, BYTES, BYTES) && refuses_flip(bench, BYTES, BYTES + TAG_BYTES - 1) &&
           refuses_tls12_flip(bench, BYTES, 0) && refuses_tls12_flip(bench, BYTES, FRONT) &&
           refuses_tls12_flip(bench, BYTES, FRONT + BYTES) && refuses_other_aad(bench, BYTES);
}

/* All ---------------------------------------------------------------------------------------- */

static bool test_one(struct bench *bench, const char *name, char *why_r, size_t capacity)
{
    const char *fault = NULL;
    if (bench->cipher == NULL || bench->reference == NULL) {
        fault = "there is no such code";
    } else if (!known_answers_hold(bench)) {
        fault = "a known answer is wrong";
    } else {
        fill(bench);
        fault = !lengths_agree(bench)    ? "differs from OpenSSL"
                : !forgeries_fail(bench) ? "a forgery was accepted"
                                         : NULL;
    }
    if (fault != NULL) {
        snprintf(why_r, capacity, "self-test of %s: %s", name, fault);
    }
    return fault == NULL;
}

bool fast_aes_self_test(const char *properties, char *why_r, size_t capacity)
{
    static const char *const names[] = {"AES-128-GCM", "AES-256-GCM"};
    struct bench *bench = calloc(1, sizeof *bench);
    bool good = bench != NULL && (bench->ctx = EVP_CIPHER_CTX_new()) != NULL;
    for (size_t i = 0; good && i < sizeof names / sizeof names[0]; i++) {
        bench->cipher = EVP_CIPHER_fetch(NULL, names[i], properties);
        bench->reference = EVP_CIPHER_fetch(NULL, names[i], "provider=default");
        good = test_one(bench, names[i], why_r, capacity);
        EVP_CIPHER_free(bench->cipher);
        EVP_CIPHER_free(bench->reference);
    }
    if (bench == NULL) {
        snprintf(why_r, capacity, "no memory for the self-tests");
    } else {
        EVP_CIPHER_CTX_free(bench->ctx);
    }
    free(bench);
    ERR_clear_error();
    return good;
}
