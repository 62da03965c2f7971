/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes: borrowed views, a checked reader, a sticky writer. Everything on the wire is big-endian.
 *
 * Kafka has two spellings of every length. The old one is an int16 (strings) or int32 (bytes,
 * arrays), -1 = null. The compact one of flexible versions (KIP-482) is an unsigned varint of
 * length + 1, 0 = null. All functions that touch a length take `compact` and do the rest.
 */

enum {
    BYTES_STRING_MAX = INT16_MAX,   /* of a string, in both spellings */
    BYTES_TAGS_MAX = 64,            /* tagged fields reader_tags_skip accepts in one section */
    BYTES_TAG_BYTES_MAX = 64 * 1024 /* and the size of each */
};

/*
 * Borrowed bytes. Never NUL-terminated, never freed through the view; valid as long as what it
 * points into.
 */
struct view {
    const uint8_t *at;
    size_t length;
};

struct view view_of(const void *at, size_t length);
/* The bytes of a C string without its NUL; NULL gives an empty view. */
struct view view_from_string(const char *text);
bool view_equal(struct view a, struct view b);
bool view_is(struct view v, const char *text);
/* The view without its first n bytes; n beyond the end gives an empty view. */
struct view view_from(struct view v, size_t n);

/*
 * Checked cursor over a view. Every getter returns false when the input ends too early or makes no
 * sense, and then has consumed nothing and written nothing. `malformed` tells the two apart: it is
 * set, for good, when more bytes could not have helped (an over-long varint, a length below -1, a
 * null that is not allowed). Views handed out point into the input.
 */
struct reader {
    const uint8_t *at;
    size_t left;
    bool malformed;
};

struct reader reader_init(struct view input);
struct view reader_rest(const struct reader *r);

bool reader_i8(struct reader *r, int8_t *v_r) __attribute__((warn_unused_result));
bool reader_i16(struct reader *r, int16_t *v_r) __attribute__((warn_unused_result));
bool reader_u16(struct reader *r, uint16_t *v_r) __attribute__((warn_unused_result));
bool reader_i32(struct reader *r, int32_t *v_r) __attribute__((warn_unused_result));
bool reader_u32(struct reader *r, uint32_t *v_r) __attribute__((warn_unused_result));
bool reader_i64(struct reader *r, int64_t *v_r) __attribute__((warn_unused_result));
/* One byte; any value but 0 is true, as Kafka reads it. */
bool reader_bool(struct reader *r, bool *v_r) __attribute__((warn_unused_result));
/* Unsigned varint of at most 5 bytes and 32 bits. */
bool reader_uvarint(struct reader *r, uint32_t *v_r) __attribute__((warn_unused_result));
/* Zigzag varints of records: 32 bits in 5 bytes, 64 bits in 10. */
bool reader_varint(struct reader *r, int32_t *v_r) __attribute__((warn_unused_result));
bool reader_varlong(struct reader *r, int64_t *v_r) __attribute__((warn_unused_result));
bool reader_uuid(struct reader *r, uint8_t v_r[16]) __attribute__((warn_unused_result));
bool reader_take(struct reader *r, size_t n, struct view *v_r) __attribute__((warn_unused_result));
bool reader_skip(struct reader *r, size_t n) __attribute__((warn_unused_result));

/*
 * String (int16 length) and bytes (int32 length), or compact. null_r says whether it was null (the
 * view is then empty); with null_r == NULL a null is malformed. A string longer than 32767 is
 * malformed in both forms.
 */
bool reader_string(struct reader *r, bool compact, struct view *v_r, bool *null_r)
    __attribute__((warn_unused_result));
bool reader_bytes(struct reader *r, bool compact, struct view *v_r, bool *null_r)
    __attribute__((warn_unused_result));

/*
 * Element count of an array, -1 = null (malformed unless nullable). A count above the bytes left
 * fails as "too short", so a loop over it is always bounded by the input.
 */
bool reader_array(struct reader *r, bool compact, bool nullable, int32_t *count_r)
    __attribute__((warn_unused_result));

/* One tagged field: number and content. The count before them is a plain reader_uvarint. */
bool reader_tag(struct reader *r, uint32_t *number_r, struct view *content_r)
    __attribute__((warn_unused_result));
/*
 * A whole tagged section, contents ignored; more than BYTES_TAGS_MAX or BYTES_TAG_BYTES_MAX is
 * malformed.
 */
bool reader_tags_skip(struct reader *r) __attribute__((warn_unused_result));

/*
 * Sticky writer: after the first write that does not fit, `failed` stays set, nothing more is
 * written, and the caller asks once at the end. Either over memory the caller owns, or growing by
 * doubling up to a cap.
 *
 *   at                 length            capacity          cap
 *   |== written =======|-- ready to use --|.. may be grown ..|
 */
struct writer {
    uint8_t *at;
    size_t length;
    size_t capacity;
    size_t cap;   /* growing only: capacity never exceeds it */
    bool growing; /* `at` is ours: writer_free releases it */
    bool failed;
    bool wipe; /* set by the caller when it writes credentials: memory is zeroed before release */
};

void writer_init_fixed(struct writer *w, void *memory, size_t capacity);
/* Owns its memory from the first write on; call writer_free. */
void writer_init_growing(struct writer *w, size_t cap);
/*
 * Releases (and, with wipe, zeroes) and resets to an empty writer of the same cap. Safe to repeat.
 */
void writer_free(struct writer *w);
/* Forgets what was written and the failure, keeps the memory (zeroed with wipe). */
void writer_reset(struct writer *w);
bool writer_ok(const struct writer *w);
/* What was written; valid until the next write, reset or free. */
struct view writer_view(const struct writer *w);

void writer_i8(struct writer *w, int8_t v);
void writer_i16(struct writer *w, int16_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_i32(struct writer *w, int32_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_i64(struct writer *w, int64_t v);
void writer_bool(struct writer *w, bool v);
void writer_uvarint(struct writer *w, uint32_t v);
void writer_varint(struct writer *w, int32_t v);
void writer_varlong(struct writer *w, int64_t v);
/* Bytes as they are, no length before them. v must not point into the writer. */
void writer_put(struct writer *w, struct view v);
/* n > 0 bytes for the caller to fill at once; NULL when it failed. Valid until the next write. */
uint8_t *writer_reserve(struct writer *w, size_t n) __attribute__((warn_unused_result));

/* A string above 32767 bytes or bytes above INT32_MAX fail the writer. */
void writer_string(struct writer *w, bool compact, struct view v);
void writer_null_string(struct writer *w, bool compact);
void writer_bytes(struct writer *w, bool compact, struct view v);
void writer_null_bytes(struct writer *w, bool compact);
/* Array length; -1 = null. */
void writer_array(struct writer *w, bool compact, int32_t count);
/* An empty tagged section. */
void writer_no_tags(struct writer *w);

/* Overwrites 4 bytes already written at offset. */
void writer_patch_i32(struct writer *w, size_t offset, int32_t v);
/* Inserts v at offset, moving what was written after it. For short tails only. */
void writer_insert(struct writer *w, size_t offset, struct view v);

/* Plain loads and stores, for fixed layouts. Here, for the record walk wants them inline. */
static inline uint16_t bytes_load_u16(const uint8_t *at)
{
    return (uint16_t)((uint32_t)at[0] << 8 | at[1]);
}

static inline uint32_t bytes_load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t bytes_load_u64(const uint8_t *at)
{
    return (uint64_t)bytes_load_u32(at) << 32 | bytes_load_u32(at + 4);
}

static inline void bytes_store_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void bytes_store_u32(uint8_t *at, uint32_t v)
{
    bytes_store_u16(at, (uint16_t)(v >> 16));
    bytes_store_u16(at + 2, (uint16_t)v);
}

static inline void bytes_store_u64(uint8_t *at, uint64_t v)
{
    bytes_store_u32(at, (uint32_t)(v >> 32));
    bytes_store_u32(at + 4, (uint32_t)v);
}
