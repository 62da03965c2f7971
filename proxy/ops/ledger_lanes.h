/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_lanes: the lanes of all workers. Workers come and go; the ledger's thread takes from each in its turn, and
 * what a lane had lost is remembered when it goes.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "proxy/ops/ledger_lane.h"

enum { LEDGER_LANES_MAX = 512 };

struct ledger_lanes {
    pthread_mutex_t lock;
    struct ledger_lane *_Atomic at[LEDGER_LANES_MAX]; /* set and freed under lock; NULL: free */
    atomic_uint count;                                /* of them, that have ever been used */
    atomic_uint_fast64_t lost[LEDGER_KINDS];          /* by lanes that have gone, and otherwise */
    sem_t *bell;                                      /* borrowed: of each of them */
    unsigned first; /* of the thread: whose turn it is to be the first */
};

/** bell: see ledger_lane_new. */
void ledger_lanes_init(struct ledger_lanes *lanes, sem_t *bell);
/** Frees every lane. */
void ledger_lanes_free(struct ledger_lanes *lanes);

/* ---- any thread ---- */

/** A lane for one more worker; it belongs to lanes. NULL: no memory, or too many. */
struct ledger_lane *ledger_lanes_join(struct ledger_lanes *lanes)
    __attribute__((warn_unused_result));

/** n records that no lane knows of are lost. */
void ledger_lanes_miss(struct ledger_lanes *lanes, enum ledger_kind kind, uint64_t n);

/** How many of each kind were ever lost, and how many wait now. */
void ledger_lanes_stats(struct ledger_lanes *lanes, uint64_t lost_r[LEDGER_KINDS],
                        uint64_t *waiting_r);

/* ---- the ledger's thread ---- */

/** How many of each kind were ever lost. */
void ledger_lanes_lost(const struct ledger_lanes *lanes, uint64_t lost_r[LEDGER_KINDS]);

/**
 * The i-th lane of this turn, i below lanes->count; NULL: none there. Frees it when its worker has ended and all of it
 * has been taken.
 */
struct ledger_lane *ledger_lanes_turn(struct ledger_lanes *lanes, unsigned i);

/** The next turn begins with the next lane. */
void ledger_lanes_next(struct ledger_lanes *lanes);
