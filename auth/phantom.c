/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/phantom.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
    BLOCK_BYTES = 32,
    NAME_BYTES_MAX = 255,
    KAFKA_SALT_NUMBER_BYTES = 17, /* 130 bits */
    KAFKA_SALT_LENGTH_MIN = 20,   /* almost all have 25 or 26 */
    KAFKA_SALT_LENGTH_MAX = 26
};

static bool salt_is_kafkas(const struct scram_record *record)
{
    if (record->salt_length < KAFKA_SALT_LENGTH_MIN ||
        record->salt_length > KAFKA_SALT_LENGTH_MAX) {
        return false;
    }
    for (size_t i = 0; i < record->salt_length; i++) {
        uint8_t c = record->salt[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z')) {
            return false;
        }
    }
    return true;
}

static int shape_compare(const struct phantom_shape *a, const struct phantom_shape *b)
{
    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }
    if (a->iterations != b->iterations) {
        return a->iterations < b->iterations ? -1 : 1;
    }
    if (a->salt_length != b->salt_length) {
        return a->salt_length < b->salt_length ? -1 : 1;
    }
    return 0;
}

void phantom_shapes_add(struct phantom_shapes *shapes, const struct scram_record *record)
{
    struct phantom_shape shape = {
        .hash = record->hash,
        .iterations = record->iterations,
        .salt_length = salt_is_kafkas(record) ? 0 : record->salt_length,
        .count = 1,
    };
    size_t i = 0;
    while (i < shapes->length && shape_compare(&shapes->at[i], &shape) < 0) {
        i++;
    }
    if (i < shapes->length && shape_compare(&shapes->at[i], &shape) == 0) {
        shapes->at[i].count++;
        shapes->total++;
        return;
    }
    if (shapes->length == PHANTOM_SHAPES_MAX) {
        return;
    }
    memmove(&shapes->at[i + 1], &shapes->at[i], (shapes->length - i) * sizeof shape);
    shapes->at[i] = shape;
    shapes->length++;
    shapes->total++;
}

/* Fills out from HMAC-SHA-256(key, block number, purpose, kind, name). */
static bool stream(const uint8_t *key, char purpose, uint8_t kind, struct view name, uint8_t *out,
                   size_t length)
{
    uint8_t message[3 + NAME_BYTES_MAX] = {0, (uint8_t)purpose, kind};
    size_t name_length = name.length < NAME_BYTES_MAX ? name.length : NAME_BYTES_MAX;
    if (name_length > 0) {
        memcpy(message + 3, name.at, name_length);
    }
    uint8_t block[BLOCK_BYTES];
    bool made = true;
    for (size_t at = 0; made && at < length; at += BLOCK_BYTES) {
        size_t n = length - at < BLOCK_BYTES ? length - at : BLOCK_BYTES;
        made = HMAC(EVP_sha256(), key, PHANTOM_KEY_BYTES, message, 3 + name_length, block, NULL) !=
               NULL;
        memcpy(out + at, block, made ? n : 0);
        message[0]++;
    }
    OPENSSL_cleanse(block, sizeof block);
    return made;
}

/* new BigInteger(130, random).toString(36), as Kafka's ScramFormatter makes a salt. Always all the
 * digits: were it faster for a short number, the time would tell a phantom's length, and whoever
 * shows a salt of another length would be real. */
static size_t kafka_salt(uint8_t number[KAFKA_SALT_NUMBER_BYTES], uint8_t *salt_r)
{
    uint8_t digits[KAFKA_SALT_LENGTH_MAX];
    number[0] &= 0x03;
    for (size_t at = KAFKA_SALT_LENGTH_MAX; at-- > 0;) {
        uint32_t remainder = 0;
        for (size_t i = 0; i < KAFKA_SALT_NUMBER_BYTES; i++) {
            uint32_t v = remainder << 8 | number[i];
            number[i] = (uint8_t)(v / 36);
            remainder = v % 36;
        }
        digits[at] = (uint8_t) "0123456789abcdefghijklmnopqrstuvwxyz"[remainder];
    }
    size_t first = 0;
    while (first < KAFKA_SALT_LENGTH_MAX - 1 && digits[first] == '0') {
        first++;
    }
    memcpy(salt_r, digits + first, KAFKA_SALT_LENGTH_MAX - first);
    return KAFKA_SALT_LENGTH_MAX - first;
}

static struct phantom_shape draw(const struct phantom_shapes *shapes, enum scram_hash fallback,
                                 uint32_t number)
{
    struct phantom_shape none = {.hash = fallback, .iterations = SCRAM_ITERATIONS_MIN};
    uint32_t mark = (uint32_t)((uint64_t)number * shapes->total >> 32);
    for (size_t i = 0; i < shapes->length; i++) {
        if (mark < shapes->at[i].count) {
            return shapes->at[i];
        }
        mark -= shapes->at[i].count;
    }
    return none;
}

bool phantom_make(const struct phantom_shapes *shapes, enum scram_hash fallback,
                  const uint8_t key[PHANTOM_KEY_BYTES], uint8_t kind, struct view name,
                  struct scram_record *record_r)
{
    uint8_t number[4];
    uint8_t kafka_number[KAFKA_SALT_NUMBER_BYTES];
    uint8_t kafka[KAFKA_SALT_LENGTH_MAX] = {0};
    *record_r = (struct scram_record){0};
    bool made = stream(key, 'n', kind, name, number, sizeof number) &&
                stream(key, 'k', kind, name, kafka_number, sizeof kafka_number) &&
                stream(key, 's', kind, name, record_r->salt, sizeof record_r->salt) &&
                stream(key, 'c', kind, name, record_r->stored_key, sizeof record_r->stored_key) &&
                stream(key, 'v', kind, name, record_r->server_key, sizeof record_r->server_key);
    if (!made) {
        scram_record_wipe(record_r);
        return false;
    }
    struct phantom_shape shape = draw(shapes, fallback, bytes_load_u32(number));
    record_r->hash = shape.hash;
    record_r->iterations = shape.iterations;
    size_t kafka_length = kafka_salt(kafka_number, kafka);
    if (shape.salt_length == 0) {
        memcpy(record_r->salt, kafka, sizeof kafka);
    }
    record_r->salt_length = shape.salt_length > 0 ? shape.salt_length : kafka_length;
    return true;
}
