/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a login stream. First byte: the size of the pieces. Collected in pieces and
 * collected at once, the same frames must come out; a head that is read from the stream must be the
 * head of that frame.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/frame.h"

enum { CAP = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Frames of the stream so far, one after the other, and how it ended. */
struct collected {
    struct writer frames;
    enum frame_status last;
};

static void check_head(struct view payload)
{
    uint8_t memory[CAP + FRAME_SIZE_BYTES];
    struct writer w;
    struct frame_head head;
    writer_init_fixed(&w, memory, sizeof memory);
    frame_token(&w, payload);
    if (frame_request_head(writer_view(&w), &head) == FRAME_OK &&
        ((size_t)head.length != payload.length || payload.length < 8)) {
        abort();
    }
}

static void collect(struct view stream, size_t piece, struct collected *out)
{
    struct frame_collector c;
    frame_collector_init(&c, CAP);
    writer_init_growing(&out->frames, 1 << 20);
    out->last = FRAME_MORE;
    size_t kept = 0;
    while (stream.length > 0 && out->last != FRAME_BAD) {
        size_t used;
        struct view part = view_of(stream.at, piece < stream.length ? piece : stream.length);
        out->last = frame_collector_feed(&c, part, &used);
        if (used > part.length || c.capacity > CAP ||
            (c.capacity > kept && c.capacity > 2 * c.length)) {
            abort();
        }
        stream = view_from(stream, used);
        if (out->last == FRAME_OK) {
            check_head(frame_collector_payload(&c));
            writer_bytes(&out->frames, false, frame_collector_payload(&c));
            frame_collector_next(&c);
            kept = c.capacity;
        }
    }
    frame_collector_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct view stream = view_of(data + 1, size - 1);
    struct collected whole;
    struct collected pieces;
    collect(stream, SIZE_MAX, &whole);
    collect(stream, (size_t)data[0] + 1, &pieces);
    if (!view_equal(writer_view(&whole.frames), writer_view(&pieces.frames)) ||
        (whole.last == FRAME_BAD) != (pieces.last == FRAME_BAD)) {
        abort();
    }
    writer_free(&whole.frames);
    writer_free(&pieces.frames);
    return 0;
}
