/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of RFC 5802 (SCRAM) over SHA-256 (RFC 7677) and SHA-512, for both ends, and the
 * credential record in the one format Kafka stores:
 *
 *     salt=<base64>,stored_key=<base64>,server_key=<base64>,iterations=<n>
 *
 *     SaltedPassword  = PBKDF2-HMAC-H(password, salt, iterations)    milliseconds: off the loop
 *     ClientKey       = HMAC(SaltedPassword, "Client Key")            proves the client
 *     StoredKey       = H(ClientKey)                                  verifies the client
 *     ServerKey       = HMAC(SaltedPassword, "Server Key")            proves the server
 *     ClientProof     = ClientKey XOR HMAC(StoredKey, AuthMessage)
 *     ServerSignature = HMAC(ServerKey, AuthMessage)
 *
 * As in Kafka, passwords are taken as their UTF-8 bytes, without SASLprep. No OpenSSL type appears
 * here: a caller such as `setu scram` needs this header only. Everything is thread-safe. Functions
 * that return bool fail only when the crypto library does (or where their comment says more).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum scram_hash { SCRAM_SHA_256, SCRAM_SHA_512, SCRAM_HASH_COUNT };

enum {
    SCRAM_KEY_BYTES_MAX = 64,
    SCRAM_SALT_BYTES_MIN = 8,
    SCRAM_SALT_BYTES_MAX = 128,
    SCRAM_ITERATIONS_MIN = 4096, /* Kafka's own minimum */
    SCRAM_ITERATIONS_MAX = 1000000,
    SCRAM_RECORD_TEXT_MAX = 512, /* longest printed record fits, without NUL */
    SCRAM_SALT_BYTES_DEFAULT = 32
};

/* One user's verifier under one mechanism. Holds keys: wipe with scram_record_wipe. */
struct scram_record {
    enum scram_hash hash;
    uint32_t iterations;
    size_t salt_length;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    uint8_t stored_key[SCRAM_KEY_BYTES_MAX]; /* scram_key_bytes(hash) of them count */
    uint8_t server_key[SCRAM_KEY_BYTES_MAX];
};

/* A client's own keys for one (password, salt, iterations, hash): what PBKDF2 costs, kept. Wipe
 * with scram_keys_wipe. */
struct scram_keys {
    enum scram_hash hash;
    uint32_t iterations;
    size_t salt_length;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    uint8_t client_key[SCRAM_KEY_BYTES_MAX];
    uint8_t server_key[SCRAM_KEY_BYTES_MAX];
};

/* 32 or 64. */
size_t scram_key_bytes(enum scram_hash hash);

/* "SCRAM-SHA-256" or "SCRAM-SHA-512". Static. */
const char *scram_mechanism(enum scram_hash hash);

/* The inverse, exact spelling. False: not a SCRAM mechanism of ours. */
bool scram_hash_of(const char *mechanism, enum scram_hash *hash_r)
    __attribute__((warn_unused_result));

/* Computes the keys of a password. SLOW (about 3 ms for 4096 iterations of SHA-256, 10 ms of
 * SHA-512): off the loop. False also when the salt is empty or longer than SCRAM_SALT_BYTES_MAX, or
 * iterations are 0 or above SCRAM_ITERATIONS_MAX; lower bounds are the caller's policy. *keys_r is
 * zero on failure. */
bool scram_keys_make(enum scram_hash hash, struct view password, struct view salt,
                     uint32_t iterations, struct scram_keys *keys_r)
    __attribute__((warn_unused_result));
void scram_keys_wipe(struct scram_keys *keys);

/* Makes the record of a password, e.g. for `setu scram`. SLOW. False also when the password is
 * empty, the salt is outside SCRAM_SALT_BYTES_MIN..MAX or iterations outside
 * SCRAM_ITERATIONS_MIN..MAX. *record_r is zero on failure. */
bool scram_record_make(enum scram_hash hash, struct view password, struct view salt,
                       uint32_t iterations, struct scram_record *record_r)
    __attribute__((warn_unused_result));

/* Reads Kafka's format: the four keys once each, in any order, nothing else; strict base64; key
 * lengths as the hash demands; salt and iterations in range. On failure *record_r is zero and
 * *error_r (static, never quoting the text) says what is wrong. */
bool scram_record_parse(struct view text, enum scram_hash hash, struct scram_record *record_r,
                        const char **error_r) __attribute__((warn_unused_result));

/* Writes Kafka's format, in Kafka's order, no newline. */
void scram_record_print(const struct scram_record *record, struct writer *out);

/* True if the password gives this record's StoredKey. SLOW, always the full cost; compared in
 * constant time. */
bool scram_record_matches(const struct scram_record *record, struct view password)
    __attribute__((warn_unused_result));
/* Does every password that holds for one hold for the other? Constant time in the keys. */
bool scram_record_equal(const struct scram_record *a, const struct scram_record *b);
void scram_record_wipe(struct scram_record *record);

/* H(ClientKey). stored_key_r has room for scram_key_bytes(hash). */
bool scram_stored_key(enum scram_hash hash, const uint8_t *client_key, uint8_t *stored_key_r)
    __attribute__((warn_unused_result));

/* HMAC(key, message): ClientSignature with StoredKey as key, ServerSignature with ServerKey. The
 * key is scram_key_bytes(hash) long, as is the result. */
bool scram_signature(enum scram_hash hash, const uint8_t *key, struct view message,
                     uint8_t *signature_r) __attribute__((warn_unused_result));

/* ClientProof of a client with these keys. proof_r has room for scram_key_bytes(hash). */
bool scram_proof(const struct scram_keys *keys, struct view auth_message, uint8_t *proof_r)
    __attribute__((warn_unused_result));

/* Server side: true if H(proof XOR ClientSignature) is stored_key. Constant time. A false crypto
 * result is false. proof is scram_key_bytes(hash) long. */
bool scram_proof_holds(enum scram_hash hash, const uint8_t *stored_key, const uint8_t *proof,
                       struct view auth_message) __attribute__((warn_unused_result));

/* Server side, of a proof that holds: the ClientKey behind it, proof XOR ClientSignature. With it one
 * can log in as that user wherever the same salt and iterations are used: wipe it. client_key_r has
 * room for scram_key_bytes(hash). */
bool scram_client_key(enum scram_hash hash, const uint8_t *stored_key, const uint8_t *proof,
                      struct view auth_message, uint8_t *client_key_r)
    __attribute__((warn_unused_result));

/* Reads a positive decimal number without sign or leading zero; saturates at UINT32_MAX. */
bool scram_number_read(struct view text, uint32_t *number_r) __attribute__((warn_unused_result));

/* Appends a number in decimal. */
void scram_number_write(struct writer *out, uint32_t number);
