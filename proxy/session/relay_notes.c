/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/relay_notes.h"

#include <assert.h>
#include <stdlib.h>

#include "proxy/ops/ledger_lane.h"

enum { NOTES_MIN = 16, NOTES_KEPT = 64 /* that a connection at rest keeps room for */ };

/* Of a ring that is as large as this: what the lane has lent. */
static uint32_t lent(uint32_t capacity)
{
    return capacity > RELAY_NOTES_SURE ? capacity - RELAY_NOTES_SURE : 0;
}

void relay_notes_init(struct relay_notes *notes, struct ledger_lane *lane)
{
    *notes = (struct relay_notes){.lane = lane};
}

void relay_notes_free(struct relay_notes *notes)
{
    ledger_lane_take_back(notes->lane, lent(notes->capacity));
    free(notes->ring);
    notes->ring = NULL;
    notes->capacity = notes->first = notes->count = 0;
}

struct relay_note *relay_notes_at(const struct relay_notes *notes, uint32_t index)
{
    return &notes->ring[(notes->first + index) & (notes->capacity - 1)];
}

static bool grow(struct relay_notes *notes)
{
    const uint32_t capacity = notes->capacity == 0 ? NOTES_MIN : notes->capacity * 2;
    if (capacity > RELAY_NOTES_MAX ||
        !ledger_lane_lend(notes->lane, lent(capacity) - lent(notes->capacity))) {
        return false;
    }
    struct relay_note *ring = calloc(capacity, sizeof *ring);
    if (ring == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < notes->count; i++) {
        ring[i] = *relay_notes_at(notes, i);
    }
    free(notes->ring);
    notes->ring = ring;
    notes->capacity = capacity;
    notes->first = 0;
    return true;
}

bool relay_notes_add(struct relay_notes *notes, struct ledger_stream *stream,
                     const struct ledger_record *record, uint32_t request)
{
    if (notes->count == notes->capacity && !grow(notes)) {
        return false;
    }
    *relay_notes_at(notes, notes->count) = (struct relay_note){stream, *record, request};
    stream->users++;
    notes->count++;
    return true;
}

void relay_notes_drop(struct relay_notes *notes)
{
    assert(notes->count > 0 && relay_notes_at(notes, 0)->stream == NULL);
    notes->first = (notes->first + 1) & (notes->capacity - 1);
    notes->count--;
    if (notes->count == 0 && notes->capacity > NOTES_KEPT) {
        relay_notes_free(notes);
    }
}
