/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/fast_aes.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "auth/fast_aes_provider.h"

enum { LENGTH_MAX = 17 * 1024, SLACK = 64, TAG = 16, IV = 12, FRONT = 8 };

static struct fast_aes_decision decision;

static uint64_t real_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Loads the provider, or skips the test and says why. */
static void want_ours(void)
{
    char why[192];
    if (!fast_aes_provider_load(why, sizeof why)) {
        /* Criterion says nothing of skips; this line is what tests/counts.py counts. */
        fprintf(stderr, "SKIPPED: no fast AES here: %s\n", why);
        cr_skip("%s", why);
    }
}

static EVP_CIPHER *fetch(int bits, bool ours)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, bits == 128 ? "AES-128-GCM" : "AES-256-GCM",
                                          ours ? "?provider=setu-fast-aes" : "provider=default");
    cr_assert_not_null(cipher);
    const char *name = OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(cipher));
    cr_assert_str_eq(name, ours ? "setu-fast-aes" : "default");
    return cipher;
}

static uint32_t dice = 88172645;

static uint32_t roll(uint32_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 17;
    dice ^= dice << 5;
    return dice % below;
}

struct message {
    uint8_t key[32], iv[IV], aad[64];
    size_t aad_length;
    uint8_t tag[TAG];
};

static struct message some_message(void)
{
    struct message message;
    RAND_bytes((unsigned char *)&message, sizeof message);
    message.aad_length = roll(65);
    return message;
}

/* Random pieces when `split`; sealing fills the tag in. */
static bool run(const EVP_CIPHER *cipher, bool sealing, struct message *message, uint8_t *out,
                const uint8_t *in, size_t length, bool split)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int got = 0;
    bool good =
        EVP_CipherInit_ex2(ctx, cipher, message->key, message->iv, sealing, NULL) == 1 &&
        (sealing || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, message->tag) == 1);
    for (size_t at = 0, n = 0; good && at < message->aad_length; at += n) {
        n = split ? 1 + roll((uint32_t)(message->aad_length - at)) : message->aad_length;
        good = EVP_CipherUpdate(ctx, NULL, &got, message->aad + at, (int)n) == 1;
    }
    for (size_t at = 0, n = 0; good && at < length; at += n) {
        n = split ? 1 + roll((uint32_t)(length - at)) : length;
        good = EVP_CipherUpdate(ctx, out + at, &got, in + at, (int)n) == 1 && got == (int)n;
    }
    good = good && EVP_CipherFinal_ex(ctx, out + length, &got) == 1 && got == 0 &&
           (!sealing || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, message->tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

/* ---- the same bytes as OpenSSL ---- */

struct buffers {
    uint8_t plain[LENGTH_MAX], theirs[LENGTH_MAX];
    uint8_t in[LENGTH_MAX + SLACK], out[LENGTH_MAX + SLACK];
};

static void agree(const EVP_CIPHER *ours, const EVP_CIPHER *theirs, struct buffers *b,
                  size_t length, size_t in_at, size_t out_at, bool in_place)
{
    struct message message = some_message();
    struct message reference = message;
    uint8_t *in = b->in + in_at;
    uint8_t *out = in_place ? in : b->out + out_at;
    memcpy(in, b->plain, length);
    cr_assert(run(ours, true, &message, out, in, length, roll(2) == 1));
    cr_assert(run(theirs, true, &reference, b->theirs, b->plain, length, false));
    cr_assert_arr_eq(out, b->theirs, length, "length %zu at %zu %zu", length, in_at, out_at);
    cr_assert_arr_eq(message.tag, reference.tag, TAG, "length %zu", length);
    memcpy(in, b->theirs, length);
    cr_assert(run(ours, false, &message, out, in, length, roll(2) == 1), "length %zu", length);
    cr_assert_arr_eq(out, b->plain, length);
}

static void agree_on_all(int bits)
{
    static struct buffers b;
    EVP_CIPHER *ours = fetch(bits, true);
    EVP_CIPHER *theirs = fetch(bits, false);
    RAND_bytes(b.plain, sizeof b.plain);
    for (size_t length = 0; length <= 1100; length++) {
        agree(ours, theirs, &b, length, roll(SLACK), roll(SLACK), roll(2) == 1);
    }
    for (size_t at = 0; at < SLACK; at++) {
        agree(ours, theirs, &b, 800 + roll(1000), at, 0, true);
        agree(ours, theirs, &b, 800 + roll(1000), at, roll(SLACK), false);
        agree(ours, theirs, &b, 800 + roll(1000), roll(SLACK), at, false);
    }
    for (size_t i = 0; i < 1000; i++) {
        agree(ours, theirs, &b, roll(LENGTH_MAX + 1), roll(SLACK), roll(SLACK), roll(2) == 1);
    }
    EVP_CIPHER_free(ours);
    EVP_CIPHER_free(theirs);
}

Test(fast_aes, same_bytes_as_openssl_128)
{
    want_ours();
    agree_on_all(128);
}

Test(fast_aes, same_bytes_as_openssl_256)
{
    want_ours();
    agree_on_all(256);
}

/* The code is assembler, which no sanitizer sees: pages that may not be touched do. */
static uint8_t *fenced(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *at = mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(at != MAP_FAILED);
    cr_assert_eq(mprotect(at + page, bytes, PROT_READ | PROT_WRITE), 0);
    return at + page;
}

/* Data up to a fence on either side; what lies on its other side must stay as it was. */
static void stay_inside(const EVP_CIPHER *ours, uint8_t *in, uint8_t *out, size_t length,
                        ptrdiff_t untouched)
{
    struct message message = some_message();
    cr_assert(run(ours, true, &message, out, in, length, length % 2 == 0));
    cr_assert(run(ours, false, &message, in, out, length, length % 2 == 0));
    cr_assert_eq(out[untouched], 0, "written beyond %zu bytes", length);
    cr_assert_eq(in[untouched], 0, "written beyond %zu bytes", length);
    memset(in, 0, length);
    memset(out, 0, length);
}

Test(fast_aes, touches_nothing_beyond_the_data)
{
    enum { ROOM = 5 * 4096 };
    want_ours();
    uint8_t *in = fenced(ROOM);
    uint8_t *out = fenced(ROOM);
    for (int bits = 128; bits <= 256; bits += 128) {
        EVP_CIPHER *ours = fetch(bits, true);
        for (size_t length = 1; length <= 16384; length += length < 1100 ? 1 : 97) {
            stay_inside(ours, in, out, length, (ptrdiff_t)length);
            stay_inside(ours, in + ROOM - length, out + ROOM - length, length, -1);
        }
        EVP_CIPHER_free(ours);
    }
}

Test(fast_aes, self_test_holds_for_both)
{
    char why[192] = "";
    cr_assert(fast_aes_self_test("provider=default", why, sizeof why), "%s", why);
    cr_assert_not(fast_aes_self_test("provider=nobody", why, sizeof why));
    cr_assert_not_null(strstr(why, "no such code"));
    want_ours();
    cr_assert(fast_aes_self_test("provider=setu-fast-aes", why, sizeof why), "%s", why);
}

/* ---- forgeries ---- */

static void refuse_flips(const EVP_CIPHER *ours, struct message *message, uint8_t *field,
                         size_t bits, const uint8_t *sealed, size_t length, const char *name)
{
    uint8_t out[256];
    for (size_t i = 0; i < bits; i++) {
        field[i / 8] ^= (uint8_t)(1 << i % 8);
        cr_assert_not(run(ours, false, message, out, sealed, length, false), "%s bit %zu", name, i);
        field[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    cr_assert(run(ours, false, message, out, sealed, length, false));
}

static void refuse_every_bit(int bits)
{
    EVP_CIPHER *ours = fetch(bits, true);
    struct message message = some_message();
    uint8_t plain[200], sealed[200];
    RAND_bytes(plain, sizeof plain);
    message.aad_length = 13;
    cr_assert(run(ours, true, &message, sealed, plain, sizeof plain, false));
    const size_t n = sizeof sealed;
    refuse_flips(ours, &message, sealed, 8 * n, sealed, n, "ciphertext");
    refuse_flips(ours, &message, message.tag, 8 * TAG, sealed, n, "tag");
    refuse_flips(ours, &message, message.aad, 8 * message.aad_length, sealed, n, "aad");
    refuse_flips(ours, &message, message.iv, 8 * IV, sealed, n, "iv");
    refuse_flips(ours, &message, message.key, (size_t)bits, sealed, n, "key");
    cr_assert_not(run(ours, false, &message, plain, sealed, n - 1, false), "cut");
    message.aad_length--;
    cr_assert_not(run(ours, false, &message, plain, sealed, n, false), "aad cut");
    EVP_CIPHER_free(ours);
}

Test(fast_aes, every_flipped_bit_is_refused)
{
    want_ours();
    refuse_every_bit(128);
    refuse_every_bit(256);
}

Test(fast_aes, flips_in_long_records_are_refused)
{
    static uint8_t plain[16384], sealed[16384], out[16384];
    want_ours();
    EVP_CIPHER *ours = fetch(256, true);
    struct message message = some_message();
    cr_assert(run(ours, true, &message, sealed, plain, sizeof plain, false));
    for (size_t at = 0; at < sizeof sealed; at += 1 + roll(96)) {
        sealed[at] ^= (uint8_t)(1 << roll(8));
        cr_assert_not(run(ours, false, &message, out, sealed, sizeof sealed, true), "%zu", at);
        run(ours, true, &message, sealed, plain, sizeof plain, false);
    }
    EVP_CIPHER_free(ours);
}

/* ---- TLS 1.2 records ---- */

static EVP_CIPHER_CTX *tls12_new(const EVP_CIPHER *cipher, const struct message *message,
                                 bool sealing)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    cr_assert_eq(EVP_CipherInit_ex2(ctx, cipher, message->key, NULL, sealing, NULL), 1);
    cr_assert_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IV_FIXED, 4, (void *)message->iv), 1);
    return ctx;
}

/* `length` of the data alone. */
static bool tls12_run(EVP_CIPHER_CTX *ctx, bool sealing, uint8_t aad[13], uint8_t *record,
                      size_t length)
{
    int got = 0;
    const size_t told = FRONT + length + (sealing ? 0 : TAG);
    aad[11] = (uint8_t)(told >> 8);
    aad[12] = (uint8_t)told;
    const bool good = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, 13, aad) == TAG &&
                      EVP_CipherUpdate(ctx, record, &got, record, (int)(FRONT + length + TAG)) == 1;
    ERR_clear_error();
    return good && (size_t)got == (sealing ? FRONT + length + TAG : length);
}

Test(fast_aes, tls12_records_cross_with_openssl)
{
    static uint8_t plain[16384], record[FRONT + 16384 + TAG + SLACK];
    want_ours();
    RAND_bytes(plain, sizeof plain);
    for (int turn = 0; turn < 4; turn++) {
        EVP_CIPHER *seals = fetch(turn < 2 ? 128 : 256, turn % 2 == 0);
        EVP_CIPHER *opens = fetch(turn < 2 ? 128 : 256, turn % 2 != 0);
        struct message message = some_message();
        EVP_CIPHER_CTX *sealer = tls12_new(seals, &message, true);
        EVP_CIPHER_CTX *opener = tls12_new(opens, &message, false);
        uint8_t last[FRONT] = {0};
        for (size_t i = 0; i < 600; i++) {
            const size_t length = i < 300 ? i : roll(16385);
            uint8_t *at = record + roll(SLACK);
            memcpy(at + FRONT, plain, length);
            cr_assert(tls12_run(sealer, true, message.aad, at, length));
            cr_assert(memcmp(last, at, FRONT) != 0, "an explicit IV came twice");
            memcpy(last, at, FRONT);
            cr_assert(tls12_run(opener, false, message.aad, at, length), "length %zu", length);
            cr_assert_arr_eq(at + FRONT, plain, length);
        }
        EVP_CIPHER_CTX_free(sealer);
        EVP_CIPHER_CTX_free(opener);
        EVP_CIPHER_free(seals);
        EVP_CIPHER_free(opens);
    }
}

Test(fast_aes, tls12_flips_are_refused_and_wiped)
{
    enum { LENGTH = 100, WHOLE = FRONT + LENGTH + TAG };
    uint8_t sealed[WHOLE], record[WHOLE], aad[13];
    static const uint8_t zeros[LENGTH];
    want_ours();
    EVP_CIPHER *ours = fetch(256, true);
    struct message message = some_message();
    memset(sealed, 'x', sizeof sealed);
    EVP_CIPHER_CTX *ctx = tls12_new(ours, &message, true);
    cr_assert(tls12_run(ctx, true, message.aad, sealed, LENGTH));
    EVP_CIPHER_CTX_free(ctx);
    ctx = tls12_new(ours, &message, false);
    for (size_t bit = 0; bit < 8 * (WHOLE + 11); bit++) {
        memcpy(record, sealed, WHOLE);
        memcpy(aad, message.aad, sizeof aad);
        uint8_t *field = bit < 8 * (size_t)WHOLE ? &record[bit / 8] : &aad[bit / 8 - WHOLE];
        *field ^= (uint8_t)(1 << bit % 8);
        cr_assert_not(tls12_run(ctx, false, aad, record, LENGTH), "bit %zu", bit);
        cr_assert_arr_eq(record + FRONT, zeros, LENGTH, "plaintext of a forgery was left");
    }
    cr_assert(tls12_run(ctx, false, message.aad, sealed, LENGTH), "the right one still opens");
    cr_assert_eq(sealed[FRONT], 'x');
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(ours);
}

Test(fast_aes, tls12_refuses_what_is_no_record)
{
    uint8_t record[64] = {0}, aad[13] = {0}, other[64];
    int got = 0;
    want_ours();
    EVP_CIPHER *ours = fetch(128, true);
    struct message message = some_message();
    EVP_CIPHER_CTX *ctx = tls12_new(ours, &message, false);
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, 12, aad), 0, "12 bytes");
    aad[12] = FRONT + TAG - 1;
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, 13, aad), 0, "no room");
    aad[12] = FRONT + TAG;
    cr_assert_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, 13, aad), TAG);
    cr_assert_eq(EVP_CipherUpdate(ctx, record, &got, record, FRONT + TAG - 1), 0, "short");
    cr_assert_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, 13, aad), TAG);
    cr_assert_eq(EVP_CipherUpdate(ctx, other, &got, record, FRONT + TAG), 0, "not in place");
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IV_FIXED, 3, aad), 0, "3 bytes fixed");
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(ours);
    ERR_clear_error();
}

Test(fast_aes, generated_ivs_count_as_openssls_do)
{
    uint8_t made[FRONT], again[FRONT], out[32], back[32];
    static const uint8_t plain[32] = "thirty-two bytes of plain text.";
    int got = 0;
    want_ours();
    EVP_CIPHER *ours = fetch(256, true);
    EVP_CIPHER *theirs = fetch(256, false);
    struct message m = some_message();
    EVP_CIPHER_CTX *sealer = tls12_new(ours, &m, true);
    EVP_CIPHER_CTX *opener = tls12_new(theirs, &m, false);
    for (size_t i = 0; i < 300; i++) {
        cr_assert_eq(EVP_CIPHER_CTX_ctrl(sealer, EVP_CTRL_GCM_IV_GEN, FRONT, made), 1);
        cr_assert_eq(EVP_EncryptUpdate(sealer, out, &got, plain, 32), 1);
        cr_assert_eq(EVP_EncryptFinal_ex(sealer, out, &got), 1);
        cr_assert_eq(EVP_CIPHER_CTX_ctrl(sealer, EVP_CTRL_AEAD_GET_TAG, TAG, m.tag), 1);
        cr_assert_eq(EVP_CIPHER_CTX_ctrl(opener, EVP_CTRL_GCM_SET_IV_INV, FRONT, made), 1);
        cr_assert_eq(EVP_CIPHER_CTX_ctrl(opener, EVP_CTRL_AEAD_SET_TAG, TAG, m.tag), 1);
        cr_assert_eq(EVP_DecryptUpdate(opener, back, &got, out, 32), 1);
        cr_assert_eq(EVP_DecryptFinal_ex(opener, back, &got), 1);
        cr_assert_arr_eq(back, plain, 32);
        cr_assert(i == 0 || (uint8_t)(again[7] + 1) == made[7], "it counts by one");
        memcpy(again, made, FRONT);
    }
    EVP_CIPHER_CTX_free(sealer);
    EVP_CIPHER_CTX_free(opener);
    EVP_CIPHER_free(ours);
    EVP_CIPHER_free(theirs);
}

/* ---- limits ---- */

Test(fast_aes, refuses_what_it_cannot_do)
{
    uint8_t data[300] = {0}, tag[TAG] = {0};
    int got = 0;
    want_ours();
    EVP_CIPHER *ours = fetch(128, true);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    struct message m = some_message();
    cr_assert_eq(EVP_EncryptInit_ex2(ctx, ours, NULL, m.iv, NULL), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, data, &got, data, 16), 0, "no key");
    cr_assert_eq(EVP_EncryptInit_ex2(ctx, NULL, m.key, NULL, NULL), 1, "IV first, then the key");
    cr_assert_eq(EVP_EncryptUpdate(ctx, NULL, &got, data, FAST_AES_AAD_MAX), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, NULL, &got, data, 1), 0, "too much AAD");
    cr_assert_eq(EVP_EncryptUpdate(ctx, data, &got, data, 16), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, NULL, &got, data, 1), 0, "AAD after data");
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag), 0, "no tag yet");
    cr_assert_eq(EVP_EncryptFinal_ex(ctx, data, &got), 1);
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 12, tag), 0, "short tag");
    cr_assert_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag), 1);
    cr_assert_eq(EVP_EncryptFinal_ex(ctx, data, &got), 0, "ended twice");
    cr_assert_eq(EVP_EncryptUpdate(ctx, data, &got, data, 16), 0, "the IV was used");
    cr_assert_eq(EVP_EncryptInit_ex2(ctx, NULL, NULL, NULL, NULL), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, data, &got, data, 16), 0, "still the same IV");
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 16, NULL), 0, "long IV");
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag), 0, "sealing");
    cr_assert_eq(EVP_DecryptInit_ex2(ctx, NULL, NULL, m.iv, NULL), 1);
    cr_assert_leq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 12, tag), 0, "short tag");
    cr_assert_eq(EVP_DecryptFinal_ex(ctx, data, &got), 0, "no tag to expect");
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(ours);
    ERR_clear_error();
}

Test(fast_aes, a_copy_goes_on_by_itself)
{
    uint8_t plain[500], one[500], two[500], tag_one[TAG], tag_two[TAG];
    int got = 0;
    want_ours();
    RAND_bytes(plain, sizeof plain);
    EVP_CIPHER *ours = fetch(256, true);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX *copy = EVP_CIPHER_CTX_new();
    struct message m = some_message();
    cr_assert_eq(EVP_EncryptInit_ex2(ctx, ours, m.key, m.iv, NULL), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, one, &got, plain, 123), 1);
    memcpy(two, one, 123);
    cr_assert_eq(EVP_CIPHER_CTX_copy(copy, ctx), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, one + 123, &got, plain + 123, 377), 1);
    cr_assert_eq(EVP_EncryptFinal_ex(ctx, one, &got), 1);
    cr_assert_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag_one), 1);
    EVP_CIPHER_CTX_free(ctx);
    cr_assert_eq(EVP_EncryptUpdate(copy, two + 123, &got, plain + 123, 377), 1);
    cr_assert_eq(EVP_EncryptFinal_ex(copy, two, &got), 1);
    cr_assert_eq(EVP_CIPHER_CTX_ctrl(copy, EVP_CTRL_AEAD_GET_TAG, TAG, tag_two), 1);
    EVP_CIPHER_CTX_free(copy);
    cr_assert_arr_eq(one, two, sizeof one);
    cr_assert_arr_eq(tag_one, tag_two, TAG);
    EVP_CIPHER_free(ours);
}

/* ---- threads ---- */

static void *work(void *wrong)
{
    static const uint8_t plain[4000] = "some plain text";
    uint8_t sealed[4000], back[4000];
    EVP_CIPHER *ours = fetch(256, true);
    EVP_CIPHER *theirs = fetch(256, false);
    struct message message = {.aad_length = 5};
    for (size_t i = 0; i < 1000; i++) {
        RAND_bytes(message.key, sizeof message.key);
        const size_t length = i * 4;
        if (!run(ours, true, &message, sealed, plain, length, false) ||
            !run(theirs, false, &message, back, sealed, length, false) ||
            !run(ours, false, &message, back, sealed, length, false) ||
            memcmp(back, plain, length) != 0) {
            *(bool *)wrong = true;
        }
    }
    EVP_CIPHER_free(ours);
    EVP_CIPHER_free(theirs);
    return NULL;
}

Test(fast_aes, threads_do_not_disturb_each_other)
{
    pthread_t threads[4];
    bool wrong[4] = {false};
    want_ours();
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &wrong[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_not(wrong[i]);
    }
}

/* ---- the decision ---- */

/*
 * As aes_speed_measure() asks: once at the beginning, then before and after each contender's turn,
 * three rounds, then once more, which ends it.
 */
static uint64_t clock_now, first_takes, second_takes;
static unsigned clock_calls;

static uint64_t staged_clock(void)
{
    const unsigned call = clock_calls++ % 14;
    if (call == 13) {
        clock_now += 1000000000;
    } else if (call > 0 && call % 4 == 2) {
        clock_now += first_takes;
    } else if (call > 0 && call % 4 == 0) {
        clock_now += second_takes;
    }
    return clock_now;
}

static bool is_chosen(uint64_t openssl_takes, uint64_t ours_takes)
{
    first_takes = openssl_takes;
    second_takes = ours_takes;
    clock_calls = 0;
    fast_aes_start(CONF_FAST_AES_AUTO, staged_clock, &decision);
    cr_assert_eq(clock_calls, 28, "%s", decision.why);
    cr_assert_eq(fast_aes_properties() != NULL, decision.active);
    return decision.active;
}

Test(fast_aes, auto_wants_a_gain)
{
    want_ours();
    cr_assert(is_chosen(1000, 500), "%s", decision.why);
    cr_assert_str_eq(decision.implementation, "ipsec-mb");
    cr_assert(is_chosen(1100, 999), "%s", decision.why);
    cr_assert_not(is_chosen(1050, 1000), "%s", decision.why);
    cr_assert_not_null(strstr(decision.why, "not used"));
    cr_assert_str_eq(decision.implementation, "openssl");
    cr_assert_not(is_chosen(500, 1000));
    cr_assert_not(decision.failed, "slow is not wrong");
}

Test(fast_aes, off_is_off)
{
    fast_aes_start(CONF_FAST_AES_OFF, real_clock, &decision);
    cr_assert_not(decision.active);
    cr_assert_null(fast_aes_properties());
    cr_assert_str_eq(fast_aes_implementation(), "openssl");
    cr_assert_eq(OSSL_PROVIDER_available(NULL, "setu-fast-aes"), 0);
}

Test(fast_aes, on_is_on_and_nobody_else_is_served)
{
    want_ours();
    fast_aes_start(CONF_FAST_AES_ON, real_clock, &decision);
    cr_assert(decision.active, "%s", decision.why);
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    cr_assert_str_eq(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(cipher)), "default");
    EVP_CIPHER_free(cipher);
    fast_aes_stop();
    cr_assert_null(fast_aes_properties());
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", "?provider=setu-fast-aes");
    cr_assert_str_eq(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(cipher)), "default");
    EVP_CIPHER_free(cipher);
}

/* T56: our code is not validated, so that FIPS mode has no place for it; nothing has failed then. */
Test(fast_aes, t56_is_not_used_in_fips_mode)
{
    cr_assert_eq(EVP_default_properties_enable_fips(NULL, 1), 1);
    fast_aes_start(CONF_FAST_AES_ON, real_clock, &decision);
    cr_assert_not(decision.active);
    cr_assert_not(decision.failed);
    cr_assert_not_null(strstr(decision.why, "FIPS mode"), "%s", decision.why);
    cr_assert_eq(OSSL_PROVIDER_available(NULL, "setu-fast-aes"), 0);
}

Test(fast_aes, speed_is_measured)
{
    struct aes_speed speed;
    cr_assert(aes_speed_measure(256, "provider=default", NULL, real_clock, 1, &speed));
    cr_assert_gt(speed.first, 1e6);
    cr_assert_not(aes_speed_measure(256, "provider=nobody", NULL, real_clock, 1, &speed));
}
