/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/frame.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"

enum {
    REQUEST_PAYLOAD_MIN = 8, /* key, version, correlation id */
    RESPONSE_PAYLOAD_MIN = 4,
    COLLECTOR_KEEP_BYTES = 4096 /* a buffer up to this size survives frame_collector_next */
};

/* ---- heads and headers ---- */

enum frame_status frame_request_head(struct view in, struct frame_head *head_r)
{
    struct reader r = reader_init(in);
    struct frame_head head;
    if (!reader_i32(&r, &head.length)) {
        return FRAME_MORE;
    }
    if (head.length < REQUEST_PAYLOAD_MIN) {
        return FRAME_BAD;
    }
    if (!reader_i16(&r, &head.api_key) || !reader_i16(&r, &head.api_version)) {
        return FRAME_MORE;
    }
    if (head.api_version < 0) {
        return FRAME_BAD;
    }
    if (!reader_i32(&r, &head.correlation_id)) {
        return FRAME_MORE;
    }
    *head_r = head;
    return FRAME_OK;
}

enum frame_status frame_response_head(struct view in, int32_t *length_r, int32_t *correlation_id_r)
{
    struct reader r = reader_init(in);
    int32_t length;
    if (!reader_i32(&r, &length)) {
        return FRAME_MORE;
    }
    if (length < RESPONSE_PAYLOAD_MIN) {
        return FRAME_BAD;
    }
    if (!reader_i32(&r, correlation_id_r)) {
        return FRAME_MORE;
    }
    *length_r = length;
    return FRAME_OK;
}

static enum frame_status status_of(const struct reader *r)
{
    return r->malformed ? FRAME_BAD : FRAME_MORE;
}

enum frame_status request_header_decode(struct view payload, struct request_header *header_r)
{
    struct reader r = reader_init(payload);
    struct request_header header = {0};
    if (!reader_i16(&r, &header.api_key) || !reader_i16(&r, &header.api_version)) {
        return FRAME_MORE;
    }
    int version = api_request_header_version(header.api_key, header.api_version);
    if (version < 0 || header.api_version < 0) {
        return FRAME_BAD;
    }
    header.client_id_null = true;
    if (!reader_i32(&r, &header.correlation_id) ||
        (version >= 1 && !reader_string(&r, false, &header.client_id, &header.client_id_null)) ||
        (version >= 2 && !reader_tags_skip(&r))) {
        return status_of(&r);
    }
    header.length = payload.length - r.left;
    *header_r = header;
    return FRAME_OK;
}

enum frame_status response_header_decode(struct view payload, int16_t key, int16_t version,
                                         int32_t *correlation_id_r, size_t *length_r)
{
    struct reader r = reader_init(payload);
    int header_version = api_response_header_version(key, version);
    if (header_version < 0) {
        return FRAME_BAD;
    }
    int32_t correlation_id;
    if (!reader_i32(&r, &correlation_id) || (header_version >= 1 && !reader_tags_skip(&r))) {
        return status_of(&r);
    }
    *correlation_id_r = correlation_id;
    *length_r = payload.length - r.left;
    return FRAME_OK;
}

/* ---- writing ---- */

size_t frame_request_begin(struct writer *w, int16_t key, int16_t version, int32_t correlation_id,
                           const struct view *client_id)
{
    size_t frame = w->length;
    int header_version = api_request_header_version(key, version);
    w->failed = w->failed || header_version < 0;
    writer_i32(w, 0);
    writer_i16(w, key);
    writer_i16(w, version);
    writer_i32(w, correlation_id);
    if (header_version >= 1 && client_id != NULL) {
        writer_string(w, false, *client_id);
    } else if (header_version >= 1) {
        writer_null_string(w, false);
    }
    if (header_version >= 2) {
        writer_no_tags(w);
    }
    return frame;
}

size_t frame_response_begin(struct writer *w, int16_t key, int16_t version, int32_t correlation_id)
{
    size_t frame = w->length;
    int header_version = api_response_header_version(key, version);
    w->failed = w->failed || header_version < 0;
    writer_i32(w, 0);
    writer_i32(w, correlation_id);
    if (header_version >= 1) {
        writer_no_tags(w);
    }
    return frame;
}

void frame_end(struct writer *w, size_t frame)
{
    if (w->failed) {
        return;
    }
    size_t payload = w->length - frame - FRAME_SIZE_BYTES;
    if (payload > INT32_MAX) {
        w->failed = true;
        return;
    }
    writer_patch_i32(w, frame, (int32_t)payload);
}

void frame_token(struct writer *w, struct view token)
{
    writer_bytes(w, false, token);
}

/* ---- collecting ---- */

void frame_collector_init(struct frame_collector *c, size_t cap)
{
    *c = (struct frame_collector){.cap = cap};
}

static void release(struct frame_collector *c)
{
    if (c->at != NULL) {
        explicit_bzero(c->at, c->capacity);
        free(c->at);
    }
    c->at = NULL;
    c->capacity = 0;
}

void frame_collector_free(struct frame_collector *c)
{
    release(c);
    frame_collector_init(c, c->cap);
}

void frame_collector_next(struct frame_collector *c)
{
    if (c->capacity > COLLECTOR_KEEP_BYTES) {
        release(c);
    } else if (c->at != NULL) {
        explicit_bzero(c->at, c->length);
    }
    c->length = 0;
    c->size_have = 0;
    c->expected = 0;
}

struct view frame_collector_payload(const struct frame_collector *c)
{
    return view_of(c->at, c->length);
}

/* Room for `needed` bytes: at most twice what has been received, never more than the frame. */
static bool collector_grow(struct frame_collector *c, size_t needed)
{
    if (needed <= c->capacity) {
        return true;
    }
    size_t capacity = needed * 2;
    if (capacity > c->expected) {
        capacity = c->expected;
    }
    uint8_t *at = malloc(capacity);
    if (at == NULL) {
        return false;
    }
    size_t length = c->length;
    if (length > 0) {
        memcpy(at, c->at, length);
    }
    release(c);
    c->at = at;
    c->capacity = capacity;
    return true;
}

/* The size field, possibly in pieces. True when it is complete. */
static bool collect_size(struct frame_collector *c, struct reader *in)
{
    while (c->size_have < FRAME_SIZE_BYTES && in->left > 0) {
        c->size[c->size_have++] = *in->at++;
        in->left--;
    }
    return c->size_have == FRAME_SIZE_BYTES;
}

enum frame_status frame_collector_feed(struct frame_collector *c, struct view in, size_t *used_r)
{
    struct reader r = reader_init(in);
    bool sized = collect_size(c, &r);
    *used_r = in.length - r.left;
    if (!sized) {
        return FRAME_MORE;
    }
    /* A negative size is above every cap once read as unsigned. */
    c->expected = bytes_load_u32(c->size);
    if (c->expected > INT32_MAX || c->expected > c->cap) {
        return FRAME_BAD;
    }
    size_t wanted = c->expected - c->length;
    size_t n = r.left < wanted ? r.left : wanted;
    if (!collector_grow(c, c->length + n)) {
        return FRAME_BAD;
    }
    if (n > 0) {
        memcpy(c->at + c->length, r.at, n);
    }
    c->length += n;
    *used_r += n;
    return c->length == c->expected ? FRAME_OK : FRAME_MORE;
}
