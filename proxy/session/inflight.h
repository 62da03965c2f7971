/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight: the requests of one client connection that wait for their response, oldest first. Responses come strictly
 * in this order (kafka-protocol: one request at a time per connection), so the front says what the next response is.
 *
 *   push ──▶ [ newest … oldest ] ──▶ front, pop
 *
 * An entry may carry an answer that Setu made itself; it leaves when it has become the front. Or the request was Setu's
 * own, and the broker's response stays here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/gaps.h"

enum {
    INFLIGHT_FULL = 4096,   /* then the client leg is not read until responses have come */
    INFLIGHT_MAX = 16384,   /* one more read of a worker's scratch cannot exceed this */
    /* answers of Setu's own that may wait; no client has more than one */
    INFLIGHT_ANSWERS_MAX = 32,
};

struct inflight_entry {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct gaps_question question; /* of a FindCoordinator whose answer may have gaps */
    uint8_t *answer;        /* owned; a whole frame made by Setu, or NULL: the broker answers */
    uint32_t answer_length;
    bool own;               /* Setu's own request: its response goes to nobody */
};

struct inflight {
    struct inflight_entry *ring; /* capacity is a power of two; NULL while nothing was pushed */
    uint32_t capacity, first, count;
    uint32_t answers;            /* entries that carry one */
};

/**
 * Appends a copy of entry, answer included (ownership passes). false: INFLIGHT_MAX or INFLIGHT_ANSWERS_MAX is reached;
 * nothing is taken.
 */
bool inflight_push(struct inflight *fl, const struct inflight_entry *entry)
    __attribute__((warn_unused_result));

/** The oldest, or NULL. Dies with the next push or pop. */
const struct inflight_entry *inflight_front(const struct inflight *fl);

/** Drops the oldest and frees its answer. There must be one. */
void inflight_pop(struct inflight *fl);

bool inflight_full(const struct inflight *fl);

/** Frees everything. */
void inflight_clear(struct inflight *fl);
