/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow: one direction of a relay, as a walk over the bytes of one read: where frames begin, what becomes of each, and
 * which runs of bytes are sent on. The same walk serves both directions; what differs is a table of functions.
 *
 *   bytes  [tail of A][ B ][ C: held ][ head of D]
 *           └── run ──────┘└ held() ─┘└ cut: kept for the next read
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leg;
struct records_walk;
struct session;

enum flow_mode { FLOW_HEAD, FLOW_STREAM, FLOW_WATCH, FLOW_HOLD };

enum { FLOW_HEAD_BYTES_MAX = 12 };

struct flow {
    enum flow_mode mode;
    uint8_t cut_length;           /* bytes in cut */
    uint8_t cut[FLOW_HEAD_BYTES_MAX]; /* the beginning of a frame head */
    bool secret;                  /* the frame under way is held, and wiped wherever it lay */
    /* bytes of the frame still to come, in WATCH and HOLD and STREAM */
    size_t remaining;
    size_t frame_bytes;           /* of the whole frame under way, its 4 size bytes included */
    int16_t api_key, api_version; /* of it */
    int32_t correlation_id;
    uint64_t sent_bytes;          /* handed to the other leg since the caller looked last */
    struct records_walk *walk;    /* owned; NULL until the first record set */
    uint8_t *held;                /* owned; the beginning of a frame that is held */
    size_t held_length, held_capacity;
};

/** What a direction does at each moment. Each returns false when it has closed the session. */
struct flow_direction {
    size_t head_bytes; /* that head() needs */
    /* A frame begins; at holds head_bytes. Sets api_key…, frame_bytes, and mode (STREAM, WATCH or HOLD); secret
     * is false before. */
    bool (*head)(struct session *s, struct flow *flow, const uint8_t *at);
    /* The next bytes of a watched frame's payload, about to be sent; flow->remaining == length with the last ones. */
    bool (*watch)(struct session *s, struct flow *flow, uint8_t *at, size_t length);
    /* A held frame is whole: frame_bytes at `at`, the size bytes included. It has to be sent by this function. */
    bool (*held)(struct session *s, struct flow *flow, uint8_t *at);
    /* The last byte of any frame has been dealt with. */
    bool (*end)(struct session *s, struct flow *flow);
    /* After end: something of our own goes between this frame and the next. Both NULL where nothing ever does. */
    bool (*between_due)(const struct session *s);
    bool (*between)(struct session *s);
    struct leg *(*to)(struct session *s);
    void (*to_failed)(struct session *s);
};

/**
 * Walks bytes[0..length), which lie behind FLOW_HEAD_BYTES_MAX writable bytes (a cut head is put back there). false:
 * the session was closed.
 */
bool flow_bytes(struct session *s, struct flow *flow, const struct flow_direction *direction,
                uint8_t *bytes, size_t length) __attribute__((warn_unused_result));

/** At a frame boundary. */
bool flow_rests(const struct flow *flow);

/** Bytes that the frame or the head under way is known to lack; 0 at a frame boundary. */
size_t flow_missing(const struct flow *flow, const struct flow_direction *direction);

/** The walk of this flow, made at first use. */
struct records_walk *flow_walk(struct flow *flow);

/** Frees what flow owns. */
void flow_free(struct flow *flow);
