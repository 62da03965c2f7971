/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/*
 * Frames and headers.
 *
 *   request   | size i32 | api_key i16, api_version i16, correlation_id i32, client_id, tags? |
 * body response  | size i32 | correlation_id i32, tags? | body
 *                        `------------------- payload: size bytes --------------------------------
 *
 * ClientId keeps the old int16 length in header v2; tags are there only in request header v2 and
 * response header v1.
 */

enum {
    FRAME_SIZE_BYTES = 4,
    FRAME_HEAD_BYTES = 12,        /* enough of a request for frame_request_head */
    FRAME_RESPONSE_HEAD_BYTES = 8 /* enough of a response for frame_response_head */
};

/* MORE: what is there is fine, but it ends too early. BAD: no continuation can make it valid. */
enum frame_status { FRAME_OK, FRAME_MORE, FRAME_BAD };

struct frame_head {
    int32_t length; /* of the payload, >= 8 */
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
};

/*
 * The first 12 bytes of a request frame, the size included. BAD: size below 8 (no room for the
 * header), or a negative api version. Whether the key is known and the size acceptable is the
 * caller's to judge.
 */
enum frame_status frame_request_head(struct view in, struct frame_head *head_r)
    __attribute__((warn_unused_result));
/* The first 8 bytes of a response frame, the size included. BAD: size below 4. */
enum frame_status frame_response_head(struct view in, int32_t *length_r, int32_t *correlation_id_r)
    __attribute__((warn_unused_result));

struct request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct view client_id; /* points into the payload */
    bool client_id_null;
    size_t length; /* bytes of the payload that are header; the body starts there */
};

/*
 * Header of a request; `payload` starts after the size and may be cut anywhere (MORE). BAD: unknown
 * key (its header cannot be framed), negative version, malformed client id, more tags than
 * BYTES_TAGS_MAX allows.
 */
enum frame_status request_header_decode(struct view payload, struct request_header *header_r)
    __attribute__((warn_unused_result));
/* Header of a response to (key, version): its correlation id, and where the body starts. */
enum frame_status response_header_decode(struct view payload, int16_t key, int16_t version,
                                         int32_t *correlation_id_r, size_t *length_r)
    __attribute__((warn_unused_result));

/*
 * Start a frame: a placeholder for the size and the header this (key, version) wants. Returns the
 * frame's offset in the writer, to be given to frame_end, which fills in the size. client_id may be
 * NULL (null string). An unknown key or a payload above INT32_MAX fails the writer.
 */
size_t frame_request_begin(struct writer *w, int16_t key, int16_t version, int32_t correlation_id,
                           const struct view *client_id);
size_t frame_response_begin(struct writer *w, int16_t key, int16_t version, int32_t correlation_id);
void frame_end(struct writer *w, size_t frame);
/* A raw SASL token as SaslHandshake v0 wants it: size and bytes, no header. */
void frame_token(struct writer *w, struct view token);

/*
 * Collects one whole frame at a time, for the login phase. Memory grows with the bytes received,
 * never with the size declared, and is zeroed before it is given back, since it may hold a
 * password.
 */
struct frame_collector {
    uint8_t *at; /* payload so far */
    size_t length;
    size_t capacity;
    size_t cap;      /* largest payload accepted */
    size_t expected; /* payload size, valid once size_have == 4 */
    uint8_t size[FRAME_SIZE_BYTES];
    size_t size_have;
};

void frame_collector_init(struct frame_collector *c, size_t cap);
void frame_collector_free(struct frame_collector *c);
/*
 * Takes at most n bytes, *used_r says how many (the rest belongs to the next frame). OK: one frame
 * is complete, see frame_collector_payload; feed nothing more before frame_collector_next. An empty
 * payload is a frame (raw SASL). BAD: negative size or one above the cap, or out of memory; then
 * the collector is of no more use.
 */
enum frame_status frame_collector_feed(struct frame_collector *c, struct view in, size_t *used_r)
    __attribute__((warn_unused_result));
/* The frame without its size; valid until next or free. */
struct view frame_collector_payload(const struct frame_collector *c);
/* Zeroes the frame and starts over; keeps a small buffer, frees a large one. */
void frame_collector_next(struct frame_collector *c);
