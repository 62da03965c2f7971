/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/base64.h"

#include <openssl/crypto.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_length(size_t n)
{
    return (n + 2) / 3 * 4;
}

void base64_write(struct writer *out, struct view bytes)
{
    uint8_t *to = writer_reserve(out, base64_length(bytes.length));
    if (to == NULL) {
        return;
    }
    for (size_t i = 0; i < bytes.length; i += 3) {
        size_t left = bytes.length - i;
        uint32_t three = (uint32_t)bytes.at[i] << 16;
        three |= left > 1 ? (uint32_t)bytes.at[i + 1] << 8 : 0;
        three |= left > 2 ? (uint32_t)bytes.at[i + 2] : 0;
        *to++ = (uint8_t)alphabet[three >> 18];
        *to++ = (uint8_t)alphabet[(three >> 12) & 63];
        *to++ = left > 1 ? (uint8_t)alphabet[(three >> 6) & 63] : (uint8_t)'=';
        *to++ = left > 2 ? (uint8_t)alphabet[three & 63] : (uint8_t)'=';
    }
}

/* 0..63, or 64 for anything else; last is the two characters in which alphabets differ. */
static uint32_t digit(uint8_t c, const char last[2])
{
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0' + 52);
    }
    return c == (uint8_t)last[0] ? 62 : c == (uint8_t)last[1] ? 63 : 64;
}

/* padding: how many digits are missing to a multiple of four, written or not. */
static bool decode(struct view text, size_t padding, const char last[2], uint8_t *to)
{
    size_t digits = text.length;
    uint32_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        uint32_t d = digit(text.at[i], last);
        if (d > 63) {
            return false;
        }
        bits = (bits << 6 | d) & 0xffffff;
        switch (i % 4) {
        case 1:
            *to++ = (uint8_t)(bits >> 4);
            break;
        case 2:
            *to++ = (uint8_t)(bits >> 2);
            break;
        case 3:
            *to++ = (uint8_t)bits;
            break;
        default:
            break;
        }
    }
    uint32_t unused = padding == 2 ? 0x0f : padding == 1 ? 0x03 : 0;
    return (bits & unused) == 0;
}

bool base64_read(struct view text, uint8_t *bytes_r, size_t capacity, size_t *length_r)
{
    *length_r = 0;
    if (text.length % 4 != 0) {
        return false;
    }
    size_t padding = 0;
    while (padding < 2 && padding < text.length && text.at[text.length - 1 - padding] == '=') {
        padding++;
    }
    size_t length = text.length / 4 * 3 - padding;
    if (length > capacity) {
        return false;
    }
    if (!decode(view_of(text.at, text.length - padding), padding, "+/", bytes_r)) {
        OPENSSL_cleanse(bytes_r, length);
        return false;
    }
    *length_r = length;
    return true;
}

bool base64url_read(struct view text, uint8_t *bytes_r, size_t capacity, size_t *length_r)
{
    *length_r = 0;
    size_t padding = (4 - text.length % 4) % 4;
    if (padding == 3) {
        return false;
    }
    size_t length = (text.length + padding) / 4 * 3 - padding;
    if (length > capacity) {
        return false;
    }
    if (!decode(text, padding, "-_", bytes_r)) {
        OPENSSL_cleanse(bytes_r, length);
        return false;
    }
    *length_r = length;
    return true;
}
