/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tick: the end of a wait, to the instant. The loop's timers count whole milliseconds from where the loop is when it
 * goes to sleep, so when they end tells how long it was busy before. What must not tell that waits here for its last
 * milliseconds:
 *
 *     asked ──▶ judged, in a time that is nobody's business ──▶ timer of the loop ──▶ tick ──▶ answered
 *       └───────────────────────── always the same ─────────────────────────────────────────────┘
 *
 * One descriptor (timerfd) per loop, set only when somebody is to end before everybody else. Whoever is refused in the
 * same two milliseconds waits here at the same time, so it may be all sessions of a worker that are logging in: the
 * waits are a pairing heap. To begin to wait costs a step, to end or be forgotten O(log n) of them amortized.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* How long before its instant a wait should come here: a timer of the loop that was set for then is not later. */
enum { TICK_AHEAD_MS = 2 };

struct tick_wait;
typedef void (*tick_fn)(struct tick_wait *wait);

/* The owner's; zeroed, it does not wait. */
struct tick_wait {
    struct tick_wait *next, **link; /* link is NULL while it does not wait */
    struct tick_wait *child;        /* none of these ends before */
    uint64_t at_ns;
    tick_fn fn;
    void *owner;
};

struct tick {
    uv_poll_t poll;
    int fd;                  /* -1: there is none; nobody waits then */
    struct tick_wait *first; /* the soonest */
};

/** Without a descriptor it still works, as one that never lets wait. */
void tick_init(struct tick *tick, uv_loop_t *loop);

/** Whether somebody can wait here. */
static inline bool tick_works(const struct tick *tick)
{
    return tick->fd >= 0;
}

/**
 * fn is called, from the loop, at uv_hrtime() == at_ns or as little later as can be. False: that is now or was before,
 * or the tick does not work; fn will not be called.
 */
bool tick_wait(struct tick *tick, struct tick_wait *wait, uint64_t at_ns, tick_fn fn)
    __attribute__((warn_unused_result));

/** fn will not be called. Also for one that does not wait. */
void tick_forget(struct tick_wait *wait);

/** Nobody may wait any more. The handle is gone after the loop has run its close callbacks. */
void tick_stop(struct tick *tick);
