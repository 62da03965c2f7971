/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/bytes.h"

#include <string.h>

/* ---- views ---- */

struct view view_of(const void *at, size_t length)
{
    return (struct view){.at = at, .length = length};
}

struct view view_from_string(const char *text)
{
    return view_of(text, text != NULL ? strlen(text) : 0);
}

bool view_equal(struct view a, struct view b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

bool view_is(struct view v, const char *text)
{
    return view_equal(v, view_from_string(text));
}

struct view view_from(struct view v, size_t n)
{
    if (n > v.length) {
        n = v.length;
    }
    return n > 0 ? view_of(v.at + n, v.length - n) : v;
}

/* ---- reader ---- */

struct reader reader_init(struct view input)
{
    return (struct reader){.at = input.at, .left = input.length};
}

struct view reader_rest(const struct reader *r)
{
    return view_of(r->at, r->left);
}

static bool malformed(struct reader *r)
{
    r->malformed = true;
    return false;
}

/* Back to where a compound getter began, so that a failure consumes nothing; what it learned stays.
 */
static bool rewind_to(struct reader *r, const struct reader *start)
{
    r->at = start->at;
    r->left = start->left;
    return false;
}

/* The next n > 0 bytes, consumed, or NULL. */
static const uint8_t *next(struct reader *r, size_t n)
{
    if (r->left < n) {
        return NULL;
    }
    const uint8_t *at = r->at;
    r->at += n;
    r->left -= n;
    return at;
}

bool reader_i8(struct reader *r, int8_t *v_r)
{
    const uint8_t *at = next(r, 1);
    if (at == NULL) {
        return false;
    }
    *v_r = (int8_t)at[0];
    return true;
}

bool reader_u16(struct reader *r, uint16_t *v_r)
{
    const uint8_t *at = next(r, 2);
    if (at == NULL) {
        return false;
    }
    *v_r = bytes_load_u16(at);
    return true;
}

bool reader_i16(struct reader *r, int16_t *v_r)
{
    uint16_t v;
    if (!reader_u16(r, &v)) {
        return false;
    }
    *v_r = (int16_t)v;
    return true;
}

bool reader_u32(struct reader *r, uint32_t *v_r)
{
    const uint8_t *at = next(r, 4);
    if (at == NULL) {
        return false;
    }
    *v_r = bytes_load_u32(at);
    return true;
}

bool reader_i32(struct reader *r, int32_t *v_r)
{
    uint32_t v;
    if (!reader_u32(r, &v)) {
        return false;
    }
    *v_r = (int32_t)v;
    return true;
}

bool reader_i64(struct reader *r, int64_t *v_r)
{
    const uint8_t *at = next(r, 8);
    if (at == NULL) {
        return false;
    }
    *v_r = (int64_t)bytes_load_u64(at);
    return true;
}

bool reader_bool(struct reader *r, bool *v_r)
{
    const uint8_t *at = next(r, 1);
    if (at == NULL) {
        return false;
    }
    *v_r = at[0] != 0;
    return true;
}

/* Little-endian groups of 7 bits; bits beyond `bits` are refused rather than lost. */
static bool varint_of(struct reader *r, unsigned bits, uint64_t *v_r)
{
    uint64_t value = 0;
    for (unsigned shift = 0, i = 0; shift < bits; shift += 7, i++) {
        if (i == r->left) {
            return false;
        }
        uint64_t group = r->at[i] & 0x7fU;
        if (shift + 7 > bits && group >> (bits - shift) != 0) {
            return malformed(r);
        }
        value |= group << shift;
        if ((r->at[i] & 0x80U) == 0) {
            r->at += i + 1;
            r->left -= i + 1;
            *v_r = value;
            return true;
        }
    }
    return malformed(r);
}

bool reader_uvarint(struct reader *r, uint32_t *v_r)
{
    uint64_t v;
    /* Nearly every one is a single byte. */
    if (r->left > 0 && r->at[0] < 0x80) {
        *v_r = *r->at++;
        r->left--;
        return true;
    }
    if (!varint_of(r, 32, &v)) {
        return false;
    }
    *v_r = (uint32_t)v;
    return true;
}

bool reader_varint(struct reader *r, int32_t *v_r)
{
    uint32_t v;
    if (!reader_uvarint(r, &v)) {
        return false;
    }
    *v_r = (int32_t)((v >> 1) ^ (0U - (v & 1U)));
    return true;
}

bool reader_varlong(struct reader *r, int64_t *v_r)
{
    uint64_t v;
    if (!varint_of(r, 64, &v)) {
        return false;
    }
    *v_r = (int64_t)((v >> 1) ^ (0U - (v & 1U)));
    return true;
}

bool reader_uuid(struct reader *r, uint8_t v_r[16])
{
    const uint8_t *at = next(r, 16);
    if (at == NULL) {
        return false;
    }
    memcpy(v_r, at, 16);
    return true;
}

bool reader_take(struct reader *r, size_t n, struct view *v_r)
{
    if (n == 0) {
        *v_r = view_of(r->at, 0);
        return true;
    }
    const uint8_t *at = next(r, n);
    if (at == NULL) {
        return false;
    }
    *v_r = view_of(at, n);
    return true;
}

bool reader_skip(struct reader *r, size_t n)
{
    struct view ignored;
    return reader_take(r, n, &ignored);
}

/* A length prefix in one of its three spellings; -1 = null, anything else below 0 is malformed. */
static bool length_of(struct reader *r, bool compact, bool wide, int64_t *length_r)
{
    if (compact) {
        uint32_t v;
        if (!reader_uvarint(r, &v)) {
            return false;
        }
        *length_r = (int64_t)v - 1;
    } else if (wide) {
        int32_t v;
        if (!reader_i32(r, &v)) {
            return false;
        }
        *length_r = v;
    } else {
        int16_t v;
        if (!reader_i16(r, &v)) {
            return false;
        }
        *length_r = v;
    }
    return *length_r < -1 ? malformed(r) : true;
}

static bool prefixed(struct reader *r, bool compact, bool wide, struct view *v_r, bool *null_r)
{
    struct reader start = *r;
    int64_t length;
    if (!length_of(r, compact, wide, &length)) {
        return rewind_to(r, &start);
    }
    bool null = length == -1;
    int64_t longest = wide ? INT32_MAX : BYTES_STRING_MAX;
    if ((null && null_r == NULL) || length > longest) {
        r->malformed = true;
        return rewind_to(r, &start);
    }
    struct view v;
    if (!reader_take(r, null ? 0 : (size_t)length, &v)) {
        return rewind_to(r, &start);
    }
    *v_r = v;
    if (null_r != NULL) {
        *null_r = null;
    }
    return true;
}

bool reader_string(struct reader *r, bool compact, struct view *v_r, bool *null_r)
{
    return prefixed(r, compact, false, v_r, null_r);
}

bool reader_bytes(struct reader *r, bool compact, struct view *v_r, bool *null_r)
{
    return prefixed(r, compact, true, v_r, null_r);
}

bool reader_array(struct reader *r, bool compact, bool nullable, int32_t *count_r)
{
    struct reader start = *r;
    int64_t count;
    if (!length_of(r, compact, true, &count)) {
        return rewind_to(r, &start);
    }
    if ((count == -1 && !nullable) || count > INT32_MAX) {
        r->malformed = true;
        return rewind_to(r, &start);
    }
    if (count > 0 && (size_t)count > r->left) {
        return rewind_to(r, &start);
    }
    *count_r = (int32_t)count;
    return true;
}

bool reader_tag(struct reader *r, uint32_t *number_r, struct view *content_r)
{
    struct reader start = *r;
    uint32_t number;
    uint32_t size;
    if (!reader_uvarint(r, &number) || !reader_uvarint(r, &size) ||
        !reader_take(r, size, content_r)) {
        return rewind_to(r, &start);
    }
    *number_r = number;
    return true;
}

static bool tags_skip(struct reader *r)
{
    uint32_t count;
    if (!reader_uvarint(r, &count)) {
        return false;
    }
    if (count > BYTES_TAGS_MAX) {
        return malformed(r);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;
        uint32_t size;
        if (!reader_uvarint(r, &number) || !reader_uvarint(r, &size)) {
            return false;
        }
        if (size > BYTES_TAG_BYTES_MAX) {
            return malformed(r);
        }
        if (!reader_skip(r, size)) {
            return false;
        }
    }
    return true;
}

bool reader_tags_skip(struct reader *r)
{
    struct reader start = *r;
    return tags_skip(r) || rewind_to(r, &start);
}
