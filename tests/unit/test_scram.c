/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/scram.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "auth/base64.h"

/* RFC 7677 §3; the SHA-512 values of the same exchange come from Python's hashlib and hmac. */
static const char auth_message[] =
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

static const struct vector {
    const char *stored_key, *server_key, *proof, *signature;
} vectors[SCRAM_HASH_COUNT] = {
    [SCRAM_SHA_256] = {"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
                       "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
                       "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                       "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
    [SCRAM_SHA_512] =
        {"6AAub3065EYRmyFpM2RNwqK+eGnrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==",
         "jZHbYjC1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24mvD5nmE6rA==",
         "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
         "ZQnYEgWQMFmmsM8aQMF0nDDCy/"
         "AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="},
};

static void is_base64(const uint8_t *bytes, size_t length, const char *expected)
{
    uint8_t memory[128];
    struct writer out;
    writer_init_fixed(&out, memory, sizeof memory);
    base64_write(&out, view_of(bytes, length));
    cr_assert(view_is(writer_view(&out), expected), "%.*s", (int)out.length, (char *)memory);
}

static struct scram_record pencil(enum scram_hash hash)
{
    uint8_t salt[32];
    size_t length;
    struct scram_record record;
    cr_assert(base64_read(view_from_string("W22ZaJ0SNY7soEsUEjb6gQ=="), salt, 32, &length));
    cr_assert(
        scram_record_make(hash, view_from_string("pencil"), view_of(salt, length), 4096, &record));
    return record;
}

Test(scram, vectors_of_rfc_7677_for_both_hashes)
{
    for (int i = 0; i < SCRAM_HASH_COUNT; i++) {
        enum scram_hash hash = (enum scram_hash)i;
        size_t n = scram_key_bytes(hash);
        struct scram_record record = pencil(hash);
        is_base64(record.stored_key, n, vectors[i].stored_key);
        is_base64(record.server_key, n, vectors[i].server_key);
        struct scram_keys keys;
        uint8_t proof[64], signature[64];
        struct view message = view_from_string(auth_message);
        cr_assert(scram_keys_make(hash, view_from_string("pencil"),
                                  view_of(record.salt, record.salt_length), 4096, &keys));
        cr_assert(scram_proof(&keys, message, proof));
        is_base64(proof, n, vectors[i].proof);
        cr_assert(scram_proof_holds(hash, record.stored_key, proof, message));
        cr_assert(scram_signature(hash, record.server_key, message, signature));
        is_base64(signature, n, vectors[i].signature);
    }
}

Test(scram, t27_a_proof_with_any_bit_flipped_does_not_hold)
{
    for (int i = 0; i < SCRAM_HASH_COUNT; i++) {
        enum scram_hash hash = (enum scram_hash)i;
        struct scram_record record = pencil(hash);
        struct view message = view_from_string(auth_message);
        uint8_t proof[64];
        size_t length;
        cr_assert(base64_read(view_from_string(vectors[i].proof), proof, 64, &length));
        for (size_t bit = 0; bit < 8 * length; bit++) {
            proof[bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_assert_not(scram_proof_holds(hash, record.stored_key, proof, message));
            proof[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        cr_assert(scram_proof_holds(hash, record.stored_key, proof, message));
    }
}

Test(scram, names_and_sizes)
{
    enum scram_hash hash;
    cr_assert(scram_hash_of("SCRAM-SHA-256", &hash));
    cr_assert_eq(hash, SCRAM_SHA_256);
    cr_assert(scram_hash_of("SCRAM-SHA-512", &hash));
    cr_assert_eq(hash, SCRAM_SHA_512);
    cr_assert_not(scram_hash_of("SCRAM-SHA-1", &hash));
    cr_assert_not(scram_hash_of("scram-sha-256", &hash));
    cr_assert_not(scram_hash_of("SCRAM-SHA-512-PLUS", &hash));
}

Test(scram, a_record_prints_and_parses_back_in_kafkas_format)
{
    for (int i = 0; i < SCRAM_HASH_COUNT; i++) {
        struct scram_record record = pencil((enum scram_hash)i), back;
        char expected[SCRAM_RECORD_TEXT_MAX];
        uint8_t memory[SCRAM_RECORD_TEXT_MAX];
        struct writer out;
        const char *error;
        writer_init_fixed(&out, memory, sizeof memory);
        scram_record_print(&record, &out);
        snprintf(expected, sizeof expected,
                 "salt=W22ZaJ0SNY7soEsUEjb6gQ==,stored_key=%s,server_key=%s,iterations=4096",
                 vectors[i].stored_key, vectors[i].server_key);
        cr_assert(view_is(writer_view(&out), expected));
        cr_assert(scram_record_parse(writer_view(&out), record.hash, &back, &error));
        cr_assert_arr_eq((const uint8_t *)&record, (const uint8_t *)&back, sizeof record);
        for (size_t n = 0; n < out.length; n++) {
            cr_assert_not(scram_record_parse(view_of(memory, n), record.hash, &back, &error),
                          "prefix of %zu bytes", n);
        }
    }
}

Test(scram, the_longest_record_fits_its_text)
{
    struct scram_record record = {.hash = SCRAM_SHA_512,
                                  .salt_length = SCRAM_SALT_BYTES_MAX,
                                  .iterations = SCRAM_ITERATIONS_MAX};
    uint8_t memory[SCRAM_RECORD_TEXT_MAX];
    struct writer out;
    writer_init_fixed(&out, memory, sizeof memory);
    scram_record_print(&record, &out);
    cr_assert(writer_ok(&out));
}

static void refused(const char *text, const char *why)
{
    struct scram_record record;
    const char *error = NULL;
    static const struct scram_record zero;
    cr_assert_not(scram_record_parse(view_from_string(text), SCRAM_SHA_256, &record, &error), "%s",
                  text);
    cr_assert_not_null(strstr(error, why), "%s: %s", text, error);
    cr_assert_arr_eq((const uint8_t *)&record, (const uint8_t *)&zero, sizeof record);
}

#define KEY "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="

Test(scram, a_bad_record_is_refused_with_the_field_that_is_wrong)
{
    refused("", "form");
    refused("password=hunter2", "form");
    refused("stored_key=" KEY ",server_key=" KEY ",iterations=4096,iterations=4096", "form");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY, "form");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY ",iterations=4096,", "comma");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY ",iterations=4096,x=1",
            "follows");
    refused("salt=c2Fs,stored_key=" KEY ",server_key=" KEY ",iterations=4096", "salt");
    refused("salt=!,stored_key=" KEY ",server_key=" KEY ",iterations=4096", "salt");
    refused("salt=c2FsdHNhbHQ=,stored_key=Zg==,server_key=" KEY ",iterations=4096", "32 bytes");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=Zg==,iterations=4096", "32 bytes");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY ",iterations=4095", "4096");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY ",iterations=1000001", "4096");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY ",iterations=04096", "4096");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY ",iterations=+4096", "4096");
    refused("salt=c2FsdHNhbHQ=,stored_key=" KEY ",server_key=" KEY
            ",iterations=18446744073709555712",
            "4096");
}

Test(scram, fields_of_a_record_may_stand_in_any_order)
{
    struct scram_record record;
    const char *error;
    cr_assert(scram_record_parse(
        view_from_string("iterations=8192,server_key=" KEY ",salt=c2FsdHNhbHQ=,stored_key=" KEY),
        SCRAM_SHA_256, &record, &error));
    cr_assert_eq(record.iterations, 8192);
    cr_assert_eq(record.salt_length, 8);
}

Test(scram, a_record_matches_its_password_only)
{
    struct scram_record record = pencil(SCRAM_SHA_512);
    cr_assert(scram_record_matches(&record, view_from_string("pencil")));
    cr_assert_not(scram_record_matches(&record, view_from_string("pencil2")));
    cr_assert_not(scram_record_matches(&record, view_from_string("Pencil")));
    cr_assert_not(scram_record_matches(&record, view_of(NULL, 0)));
}

Test(scram, records_are_equal_in_all_their_parts_only)
{
    for (int i = 0; i < SCRAM_HASH_COUNT; i++) {
        struct scram_record record = pencil((enum scram_hash)i), other = record;
        uint8_t *parts[] = {&other.salt[0], &other.stored_key[0], &other.server_key[31]};
        cr_assert(scram_record_equal(&record, &other));
        for (size_t n = 0; n < sizeof parts / sizeof parts[0]; n++) {
            *parts[n] ^= 1;
            cr_assert_not(scram_record_equal(&record, &other), "part %zu", n);
            *parts[n] ^= 1;
        }
        other.iterations++;
        cr_assert_not(scram_record_equal(&record, &other));
        other = record;
        other.salt_length--;
        cr_assert_not(scram_record_equal(&record, &other));
        other = pencil((enum scram_hash)(1 - i));
        cr_assert_not(scram_record_equal(&record, &other));
    }
}

Test(scram, making_a_record_keeps_to_the_limits)
{
    uint8_t salt[SCRAM_SALT_BYTES_MAX + 1] = {1};
    struct scram_record record;
    struct view pw = view_from_string("pw"), good = view_of(salt, 32);
    cr_assert_not(scram_record_make(SCRAM_SHA_256, view_of(NULL, 0), good, 4096, &record));
    cr_assert_not(scram_record_make(SCRAM_SHA_256, pw, view_of(salt, 7), 4096, &record));
    cr_assert_not(scram_record_make(SCRAM_SHA_256, pw, view_of(salt, sizeof salt), 4096, &record));
    cr_assert_not(scram_record_make(SCRAM_SHA_256, pw, good, 4095, &record));
    cr_assert_not(scram_record_make(SCRAM_SHA_256, pw, good, 1000001, &record));
    cr_assert(scram_record_make(SCRAM_SHA_256, pw, good, 4096, &record));
    struct scram_keys keys;
    cr_assert_not(scram_keys_make(SCRAM_SHA_256, pw, good, 0, &keys));
    cr_assert_not(scram_keys_make(SCRAM_SHA_256, pw, view_of(NULL, 0), 4096, &keys));
}

Test(scram, numbers_saturate_and_have_one_spelling)
{
    uint32_t n;
    cr_assert(scram_number_read(view_from_string("4294967295"), &n));
    cr_assert_eq(n, UINT32_MAX);
    cr_assert(scram_number_read(view_from_string("99999999999999999999999"), &n));
    cr_assert_eq(n, UINT32_MAX);
    cr_assert(scram_number_read(view_from_string("4096"), &n));
    cr_assert_eq(n, 4096);
    cr_assert_not(scram_number_read(view_from_string(""), &n));
    cr_assert_not(scram_number_read(view_from_string("0"), &n));
    cr_assert_not(scram_number_read(view_from_string("01"), &n));
    cr_assert_not(scram_number_read(view_from_string("-1"), &n));
    cr_assert_not(scram_number_read(view_from_string("4 "), &n));
}
