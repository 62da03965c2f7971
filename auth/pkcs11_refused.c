/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pkcs11_refused.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"

enum { TAG_BYTES = 32, KEY_BYTES = 32 };

struct token {
    uint8_t tag[TAG_BYTES];
    uint8_t pins[PKCS11_REFUSED_PINS][TAG_BYTES];
    size_t count; /* ever; 0: the place is free */
};

static uint8_t key[KEY_BYTES];
static bool key_drawn;
static struct token tokens[PKCS11_REFUSED_TOKENS];

static void draw_key(void)
{
    static bool registered;
    if (key_drawn) {
        return;
    }
    if ((!registered && atexit(pkcs11_refused_wipe) != 0) ||
        RAND_priv_bytes(key, sizeof key) != 1) {
        abort();
    }
    registered = true;
    key_drawn = true;
}

static void keyed(struct view text, uint8_t tag_r[TAG_BYTES])
{
    draw_key();
    if (HMAC(EVP_sha256(), key, sizeof key, text.at, text.length, tag_r, NULL) == NULL) {
        abort();
    }
}

static uint8_t nibble(char hex)
{
    return (uint8_t)(hex <= '9' ? hex - '0' : (hex | 0x20) - 'a' + 10);
}

/* As form_key takes it: after each '%' there are two digits. */
static size_t decode(const char *at, size_t length, uint8_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        const bool escaped = at[i] == '%' && length - i > 2;
        const int byte = escaped ? nibble(at[i + 1]) * 16 + nibble(at[i + 2]) : at[i];
        out[count++] = (uint8_t)byte;
        i += escaped ? 2 : 0;
    }
    return count;
}

/* "name=" and the value behind it, in a URI without its scheme. NULL: it is not there. */
static const char *find_value(const char *attributes, const char *name, size_t *length_r)
{
    const size_t skipped = strlen(name);
    for (const char *at = attributes;; at++) {
        const size_t part = strcspn(at, ";");
        if (strncmp(at, name, skipped) == 0) {
            *length_r = part - skipped;
            return at + skipped;
        }
        at += part;
        if (*at == '\0') {
            return NULL;
        }
    }
}

/* What names the token, in this order and as it is meant, however it is written; a NUL is in no value. */
static void tag_token(const char *uri, uint8_t tag_r[TAG_BYTES])
{
    static const char *const naming[] = {"token=", "serial="};
    static const char scheme[] = "pkcs11:";
    const char *attributes = uri;
    uint8_t *names = calloc(1, strlen(uri) + sizeof naming / sizeof naming[0]);
    size_t length = 0, value;
    if (names == NULL) {
        abort();
    }
    attributes += strncmp(uri, scheme, sizeof scheme - 1) == 0 ? sizeof scheme - 1 : 0;
    for (size_t i = 0; i < sizeof naming / sizeof naming[0]; i++) {
        const char *at = find_value(attributes, naming[i], &value);
        length += at != NULL ? decode(at, value, names + length) : 0;
        names[length++] = '\0';
    }
    keyed(view_of(names, length), tag_r);
    free(names);
}

/* The same PIN has another tag at another token. */
static void tag_pin(const uint8_t token[TAG_BYTES], struct view pin, uint8_t tag_r[TAG_BYTES])
{
    uint8_t *both = malloc(TAG_BYTES + pin.length);
    if (both == NULL) {
        abort();
    }
    memcpy(both, token, TAG_BYTES);
    if (pin.length > 0) {
        memcpy(both + TAG_BYTES, pin.at, pin.length);
    }
    keyed(view_of(both, TAG_BYTES + pin.length), tag_r);
    secret_cleanse(both, TAG_BYTES + pin.length);
    free(both);
}

static struct token *find(const uint8_t tag[TAG_BYTES])
{
    for (size_t i = 0; i < PKCS11_REFUSED_TOKENS; i++) {
        if (tokens[i].count > 0 && memcmp(tokens[i].tag, tag, TAG_BYTES) == 0) {
            return &tokens[i];
        }
    }
    return NULL;
}

static struct token *find_free(void)
{
    for (size_t i = 0; i < PKCS11_REFUSED_TOKENS; i++) {
        if (tokens[i].count == 0) {
            return &tokens[i];
        }
    }
    return NULL;
}

static bool has(const struct token *token, const uint8_t tag[TAG_BYTES])
{
    for (size_t i = 0; i < PKCS11_REFUSED_PINS && i < token->count; i++) {
        if (CRYPTO_memcmp(token->pins[i], tag, TAG_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

enum pkcs11_refused pkcs11_refused_before(const char *uri, struct view pin)
{
    uint8_t at[TAG_BYTES], with[TAG_BYTES];
    tag_token(uri, at);
    const struct token *token = find(at);
    if (token == NULL) {
        return find_free() == NULL ? PKCS11_REFUSED_ROOM : PKCS11_REFUSED_NEVER;
    }
    tag_pin(at, pin, with);
    return has(token, with) ? PKCS11_REFUSED_BEFORE : PKCS11_REFUSED_NEVER;
}

void pkcs11_refused_add(const char *uri, struct view pin)
{
    uint8_t at[TAG_BYTES];
    tag_token(uri, at);
    struct token *token = find(at);
    token = token == NULL ? find_free() : token;
    if (token == NULL) {
        return;
    }
    memcpy(token->tag, at, TAG_BYTES);
    tag_pin(at, pin, token->pins[token->count++ % PKCS11_REFUSED_PINS]);
}

void pkcs11_refused_wipe(void)
{
    secret_cleanse(tokens, sizeof tokens);
    secret_cleanse(key, sizeof key);
    key_drawn = false;
}
