/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/bytes.h"

#include <stdlib.h>
#include <string.h>

enum { WRITER_FIRST_BYTES = 256 };

void writer_init_fixed(struct writer *w, void *memory, size_t capacity)
{
    *w = (struct writer){.at = memory, .capacity = capacity, .cap = capacity};
}

void writer_init_growing(struct writer *w, size_t cap)
{
    *w = (struct writer){.cap = cap, .growing = true};
}

/* Zeroing must not be optimised away: explicit_bzero. */
static void writer_release(struct writer *w)
{
    if (w->wipe && w->at != NULL) {
        explicit_bzero(w->at, w->capacity);
    }
    if (w->growing) {
        free(w->at);
    }
}

void writer_free(struct writer *w)
{
    writer_release(w);
    if (w->growing) {
        w->at = NULL;
        w->capacity = 0;
    }
    w->length = 0;
    w->failed = false;
}

void writer_reset(struct writer *w)
{
    if (w->wipe && w->at != NULL) {
        explicit_bzero(w->at, w->capacity);
    }
    w->length = 0;
    w->failed = false;
}

bool writer_ok(const struct writer *w)
{
    return !w->failed;
}

struct view writer_view(const struct writer *w)
{
    return (struct view){.at = w->at, .length = w->length};
}

/* Not realloc: the old block may hold a credential, and realloc gives it back as it is. */
static bool grow(struct writer *w, size_t needed)
{
    size_t capacity = w->capacity > 0 ? w->capacity : WRITER_FIRST_BYTES;
    while (capacity < needed && capacity <= w->cap / 2) {
        capacity *= 2;
    }
    if (capacity < needed || capacity > w->cap) {
        capacity = w->cap;
    }
    uint8_t *at = malloc(capacity);
    if (at == NULL) {
        return false;
    }
    if (w->length > 0) {
        memcpy(at, w->at, w->length);
    }
    writer_release(w);
    w->at = at;
    w->capacity = capacity;
    return true;
}

/* Room for n more bytes, or failed. */
static bool room(struct writer *w, size_t n)
{
    if (w->failed) {
        return false;
    }
    if (n <= w->capacity - w->length) {
        return true;
    }
    if (!w->growing || n > w->cap - w->length || !grow(w, w->length + n)) {
        w->failed = true;
        return false;
    }
    return true;
}

uint8_t *writer_reserve(struct writer *w, size_t n)
{
    if (!room(w, n)) {
        return NULL;
    }
    uint8_t *at = w->at + w->length;
    w->length += n;
    return at;
}

void writer_put(struct writer *w, struct view v)
{
    if (v.length == 0) {
        return;
    }
    uint8_t *at = writer_reserve(w, v.length);
    if (at != NULL) {
        memcpy(at, v.at, v.length);
    }
}

void writer_i8(struct writer *w, int8_t v)
{
    uint8_t *at = writer_reserve(w, 1);
    if (at != NULL) {
        *at = (uint8_t)v;
    }
}

void writer_u16(struct writer *w, uint16_t v)
{
    uint8_t *at = writer_reserve(w, 2);
    if (at != NULL) {
        bytes_store_u16(at, v);
    }
}

void writer_i16(struct writer *w, int16_t v)
{
    writer_u16(w, (uint16_t)v);
}

void writer_u32(struct writer *w, uint32_t v)
{
    uint8_t *at = writer_reserve(w, 4);
    if (at != NULL) {
        bytes_store_u32(at, v);
    }
}

void writer_i32(struct writer *w, int32_t v)
{
    writer_u32(w, (uint32_t)v);
}

void writer_i64(struct writer *w, int64_t v)
{
    uint8_t *at = writer_reserve(w, 8);
    if (at != NULL) {
        bytes_store_u64(at, (uint64_t)v);
    }
}

void writer_bool(struct writer *w, bool v)
{
    writer_i8(w, v ? 1 : 0);
}

static void varint_to(struct writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v > 0x7f) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    writer_put(w, (struct view){.at = bytes, .length = n});
}

void writer_uvarint(struct writer *w, uint32_t v)
{
    varint_to(w, v);
}

void writer_varint(struct writer *w, int32_t v)
{
    varint_to(w, ((uint32_t)v << 1) ^ (v < 0 ? UINT32_MAX : 0U));
}

void writer_varlong(struct writer *w, int64_t v)
{
    varint_to(w, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0U));
}

/* A length prefix; -1 = null. */
static void length_to(struct writer *w, bool compact, bool wide, int32_t length)
{
    if (compact) {
        writer_uvarint(w, (uint32_t)length + 1);
    } else if (wide) {
        writer_i32(w, length);
    } else {
        writer_i16(w, (int16_t)length);
    }
}

static void prefixed_to(struct writer *w, bool compact, bool wide, struct view v)
{
    size_t longest = wide ? INT32_MAX : BYTES_STRING_MAX;
    if (v.length > longest) {
        w->failed = true;
        return;
    }
    length_to(w, compact, wide, (int32_t)v.length);
    writer_put(w, v);
}

void writer_string(struct writer *w, bool compact, struct view v)
{
    prefixed_to(w, compact, false, v);
}

void writer_null_string(struct writer *w, bool compact)
{
    length_to(w, compact, false, -1);
}

void writer_bytes(struct writer *w, bool compact, struct view v)
{
    prefixed_to(w, compact, true, v);
}

void writer_null_bytes(struct writer *w, bool compact)
{
    length_to(w, compact, true, -1);
}

void writer_array(struct writer *w, bool compact, int32_t count)
{
    length_to(w, compact, true, count);
}

void writer_no_tags(struct writer *w)
{
    writer_uvarint(w, 0);
}

void writer_patch_i32(struct writer *w, size_t offset, int32_t v)
{
    if (w->failed) {
        return;
    }
    if (offset > w->length || w->length - offset < 4) {
        w->failed = true;
        return;
    }
    bytes_store_u32(w->at + offset, (uint32_t)v);
}

void writer_insert(struct writer *w, size_t offset, struct view v)
{
    size_t end = w->length;
    if (offset > end || v.length == 0 || writer_reserve(w, v.length) == NULL) {
        w->failed = w->failed || offset > end;
        return;
    }
    memmove(w->at + offset + v.length, w->at + offset, end - offset);
    memcpy(w->at + offset, v.at, v.length);
}
