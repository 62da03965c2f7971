/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/scram.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/base64.h"

static const EVP_MD *digest_of(enum scram_hash hash)
{
    return hash == SCRAM_SHA_256 ? EVP_sha256() : EVP_sha512();
}

size_t scram_key_bytes(enum scram_hash hash)
{
    return hash == SCRAM_SHA_256 ? 32 : 64;
}

const char *scram_mechanism(enum scram_hash hash)
{
    return hash == SCRAM_SHA_256 ? "SCRAM-SHA-256" : "SCRAM-SHA-512";
}

bool scram_hash_of(const char *mechanism, enum scram_hash *hash_r)
{
    for (int hash = 0; hash < SCRAM_HASH_COUNT; hash++) {
        if (strcmp(mechanism, scram_mechanism((enum scram_hash)hash)) == 0) {
            *hash_r = (enum scram_hash)hash;
            return true;
        }
    }
    return false;
}

bool scram_signature(enum scram_hash hash, const uint8_t *key, struct view message,
                     uint8_t *signature_r)
{
    return HMAC(digest_of(hash), key, (int)scram_key_bytes(hash), message.at, message.length,
                signature_r, NULL) != NULL;
}

bool scram_stored_key(enum scram_hash hash, const uint8_t *client_key, uint8_t *stored_key_r)
{
    return EVP_Digest(client_key, scram_key_bytes(hash), stored_key_r, NULL, digest_of(hash),
                      NULL) == 1;
}

static bool password_hashed(const struct scram_keys *keys, struct view password, uint8_t *salted_r)
{
    return PKCS5_PBKDF2_HMAC(password.length > 0 ? (const char *)password.at : "",
                             (int)password.length, keys->salt, (int)keys->salt_length,
                             (int)keys->iterations, digest_of(keys->hash),
                             (int)scram_key_bytes(keys->hash), salted_r) == 1;
}

bool scram_keys_make(enum scram_hash hash, struct view password, struct view salt,
                     uint32_t iterations, struct scram_keys *keys_r)
{
    *keys_r = (struct scram_keys){.hash = hash, .iterations = iterations};
    if (salt.length == 0 || salt.length > SCRAM_SALT_BYTES_MAX || iterations == 0 ||
        iterations > SCRAM_ITERATIONS_MAX || password.length > INT32_MAX) {
        *keys_r = (struct scram_keys){0};
        return false;
    }
    memcpy(keys_r->salt, salt.at, salt.length);
    keys_r->salt_length = salt.length;
    uint8_t salted[SCRAM_KEY_BYTES_MAX];
    bool made = password_hashed(keys_r, password, salted) &&
                scram_signature(hash, salted, view_from_string("Client Key"), keys_r->client_key) &&
                scram_signature(hash, salted, view_from_string("Server Key"), keys_r->server_key);
    OPENSSL_cleanse(salted, sizeof salted);
    if (!made) {
        scram_keys_wipe(keys_r);
    }
    return made;
}

void scram_keys_wipe(struct scram_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof *keys);
}

bool scram_record_make(enum scram_hash hash, struct view password, struct view salt,
                       uint32_t iterations, struct scram_record *record_r)
{
    *record_r = (struct scram_record){0};
    if (password.length == 0 || salt.length < SCRAM_SALT_BYTES_MIN ||
        iterations < SCRAM_ITERATIONS_MIN) {
        return false;
    }
    struct scram_keys keys;
    bool made = scram_keys_make(hash, password, salt, iterations, &keys) &&
                scram_stored_key(hash, keys.client_key, record_r->stored_key);
    if (made) {
        record_r->hash = hash;
        record_r->iterations = iterations;
        record_r->salt_length = keys.salt_length;
        memcpy(record_r->salt, keys.salt, sizeof keys.salt);
        memcpy(record_r->server_key, keys.server_key, sizeof keys.server_key);
    }
    scram_keys_wipe(&keys);
    return made;
}

bool scram_record_equal(const struct scram_record *a, const struct scram_record *b)
{
    size_t key = scram_key_bytes(a->hash);
    return a->hash == b->hash && a->iterations == b->iterations &&
           a->salt_length == b->salt_length && memcmp(a->salt, b->salt, a->salt_length) == 0 &&
           (CRYPTO_memcmp(a->stored_key, b->stored_key, key) |
            CRYPTO_memcmp(a->server_key, b->server_key, key)) == 0;
}

void scram_record_wipe(struct scram_record *record)
{
    OPENSSL_cleanse(record, sizeof *record);
}

bool scram_record_matches(const struct scram_record *record, struct view password)
{
    struct scram_keys keys;
    uint8_t stored_key[SCRAM_KEY_BYTES_MAX];
    bool matches =
        scram_keys_make(record->hash, password, view_of(record->salt, record->salt_length),
                        record->iterations, &keys) &&
        scram_stored_key(record->hash, keys.client_key, stored_key) &&
        CRYPTO_memcmp(stored_key, record->stored_key, scram_key_bytes(record->hash)) == 0;
    scram_keys_wipe(&keys);
    OPENSSL_cleanse(stored_key, sizeof stored_key);
    return matches;
}

bool scram_proof(const struct scram_keys *keys, struct view auth_message, uint8_t *proof_r)
{
    uint8_t stored_key[SCRAM_KEY_BYTES_MAX];
    bool made = scram_stored_key(keys->hash, keys->client_key, stored_key) &&
                scram_signature(keys->hash, stored_key, auth_message, proof_r);
    OPENSSL_cleanse(stored_key, sizeof stored_key);
    for (size_t i = 0; made && i < scram_key_bytes(keys->hash); i++) {
        proof_r[i] ^= keys->client_key[i];
    }
    return made;
}

bool scram_client_key(enum scram_hash hash, const uint8_t *stored_key, const uint8_t *proof,
                      struct view auth_message, uint8_t *client_key_r)
{
    size_t n = scram_key_bytes(hash);
    if (!scram_signature(hash, stored_key, auth_message, client_key_r)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        client_key_r[i] ^= proof[i]; /* the signature turns into the client's key */
    }
    return true;
}

bool scram_proof_holds(enum scram_hash hash, const uint8_t *stored_key, const uint8_t *proof,
                       struct view auth_message)
{
    uint8_t client_key[SCRAM_KEY_BYTES_MAX];
    uint8_t computed[SCRAM_KEY_BYTES_MAX];
    bool holds = scram_client_key(hash, stored_key, proof, auth_message, client_key) &&
                 scram_stored_key(hash, client_key, computed) &&
                 CRYPTO_memcmp(computed, stored_key, scram_key_bytes(hash)) == 0;
    OPENSSL_cleanse(client_key, sizeof client_key);
    OPENSSL_cleanse(computed, sizeof computed);
    return holds;
}

void scram_record_print(const struct scram_record *record, struct writer *out)
{
    size_t key_bytes = scram_key_bytes(record->hash);
    writer_put(out, view_from_string("salt="));
    base64_write(out, view_of(record->salt, record->salt_length));
    writer_put(out, view_from_string(",stored_key="));
    base64_write(out, view_of(record->stored_key, key_bytes));
    writer_put(out, view_from_string(",server_key="));
    base64_write(out, view_of(record->server_key, key_bytes));
    writer_put(out, view_from_string(",iterations="));
    scram_number_write(out, record->iterations);
}

void scram_number_write(struct writer *out, uint32_t number)
{
    char digits[10];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    writer_put(out, view_of(digits + first, sizeof digits - first));
}

bool scram_number_read(struct view text, uint32_t *number_r)
{
    uint32_t number = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') {
            return false;
        }
        bool full = number > (UINT32_MAX - 9) / 10;
        number = full ? UINT32_MAX : number * 10 + (uint32_t)(text.at[i] - '0');
    }
    *number_r = number;
    return text.length > 0 && text.at[0] != '0';
}

enum record_field { FIELD_SALT, FIELD_STORED_KEY, FIELD_SERVER_KEY, FIELD_ITERATIONS, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {"salt", "stored_key", "server_key",
                                                     "iterations"};

static const char *key_read(enum scram_hash hash, struct view value, uint8_t *key_r)
{
    size_t length;
    if (!base64_read(value, key_r, scram_key_bytes(hash), &length) ||
        length != scram_key_bytes(hash)) {
        return hash == SCRAM_SHA_256 ? "a SHA-256 key is 32 bytes in base64"
                                     : "a SHA-512 key is 64 bytes in base64";
    }
    return NULL;
}

static const char *field_read(enum record_field field, struct view value,
                              struct scram_record *record)
{
    switch (field) {
    case FIELD_SALT:
        if (!base64_read(value, record->salt, sizeof record->salt, &record->salt_length) ||
            record->salt_length < SCRAM_SALT_BYTES_MIN) {
            return "salt is not 8 to 128 bytes in base64";
        }
        return NULL;
    case FIELD_STORED_KEY:
        return key_read(record->hash, value, record->stored_key);
    case FIELD_SERVER_KEY:
        return key_read(record->hash, value, record->server_key);
    default:
        if (!scram_number_read(value, &record->iterations) ||
            record->iterations < SCRAM_ITERATIONS_MIN ||
            record->iterations > SCRAM_ITERATIONS_MAX) {
            return "iterations is not a number from 4096 to 1000000";
        }
        return NULL;
    }
}

/* Cuts the text up to the separator off *left; the separator is gone. */
static struct view cut(struct view *left, char separator)
{
    const uint8_t *end = left->length > 0 ? memchr(left->at, separator, left->length) : NULL;
    struct view piece = *left;
    if (end == NULL) {
        *left = view_from(*left, left->length);
    } else {
        piece.length = (size_t)(end - left->at);
        *left = view_from(*left, piece.length + 1);
    }
    return piece;
}

static const char *record_read(struct view text, struct scram_record *record)
{
    bool seen[FIELD_COUNT] = {false};
    if (text.length > 0 && text.at[text.length - 1] == ',') {
        return "a comma stands at the end";
    }
    for (int i = 0; i < FIELD_COUNT; i++) {
        struct view value = cut(&text, ',');
        struct view name = cut(&value, '=');
        int field = 0;
        while (field < FIELD_COUNT && !view_is(name, field_names[field])) {
            field++;
        }
        if (field == FIELD_COUNT || seen[field]) {
            return "not of the form salt=…,stored_key=…,server_key=…,iterations=…";
        }
        seen[field] = true;
        const char *error = field_read((enum record_field)field, value, record);
        if (error != NULL) {
            return error;
        }
    }
    return text.length == 0 ? NULL : "text follows the four fields";
}

bool scram_record_parse(struct view text, enum scram_hash hash, struct scram_record *record_r,
                        const char **error_r)
{
    *record_r = (struct scram_record){.hash = hash};
    *error_r = record_read(text, record_r);
    if (*error_r != NULL) {
        scram_record_wipe(record_r);
        return false;
    }
    return true;
}
