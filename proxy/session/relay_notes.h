/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_notes: the batches of one session that wait for their answers, oldest first, in a ring that grows.
 *
 * A note takes 88 bytes, and a batch that a client sends 70: what waits must have a bound. Every session has room for
 * RELAY_NOTES_SURE; what is above that, up to RELAY_NOTES_MAX, is lent by the worker's lane, which never gives one
 * session more than half of what it has left. So one client cannot take the room of others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proxy/ops/ledger_record.h"

struct ledger_lane;
struct ledger_stream;

enum {
    RELAY_NOTES_SURE = 1 << 8,
    RELAY_NOTES_MAX = 1 << 14,
};

/* A batch that was sent. */
struct relay_note {
    struct ledger_stream *stream; /* held (users); NULL: settled */
    struct ledger_record record;
    uint32_t request; /* which Produce request of this session, counted from 0 */
};

struct relay_notes {
    struct ledger_lane *lane; /* borrowed */
    struct relay_note *ring;  /* owned; capacity is a power of two; NULL while there is none */
    uint32_t capacity, first, count;
};

/** lane outlives the notes. */
void relay_notes_init(struct relay_notes *notes, struct ledger_lane *lane);
/** Of streams only memory is freed: settle all notes before. */
void relay_notes_free(struct relay_notes *notes);

/** Holds stream. false: there is no room. */
bool relay_notes_add(struct relay_notes *notes, struct ledger_stream *stream,
                     const struct ledger_record *record, uint32_t request)
    __attribute__((warn_unused_result));

/** The one at index, counted from the oldest; below notes->count. Lives until the next add or drop. */
struct relay_note *relay_notes_at(const struct relay_notes *notes, uint32_t index);

/** The oldest one, which is settled, goes. */
void relay_notes_drop(struct relay_notes *notes);
