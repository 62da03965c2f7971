/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_work: work for libuv's thread pool. What only computes goes there at once. What strangers make be computed, and
 * what may wait for another process (a KDC, saslauthd), takes a few of a loop's threads at a time and queues up for
 * them, so that logins which need a thread for milliseconds never stand behind one that waits for half a minute, nor
 * behind a crowd of guesses. Clients' logins and logins to brokers have a queue each.
 *
 *   begin ──▶ computes ───────────────────────────────────▶ thread pool ──▶ done
 *        └──▶ the rest ──▶ [queue of this loop] ──▶ its threads ──┘
 *                    └──▶ [those that are to stand behind] ──┘ when the queue is empty, the last to come first
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct io;
struct slow_work;
typedef void (*slow_work_fn)(struct slow_work *work);

enum {
    SLOW_WORK_MAX = 2,   /* threads of a loop, for each kind that waits for others */
    SLOW_VERIFY_MAX = 4, /* and for what computes for strangers */
};

/*
 * FOR_CLIENT and FOR_BROKER wait for others, VERIFIES computes what a client of no name yet has sent. Whom clients make
 * wait in crowds, with passwords that are wrong, is not before whom brokers are dialled for.
 */
enum slow_kind { SLOW_COMPUTES, SLOW_VERIFIES, SLOW_FOR_CLIENT, SLOW_FOR_BROKER, SLOW_KINDS };

struct slow_queue {
    size_t running;
    struct slow_work *first, *last;
    /* Only when nobody is in the queue. The newest first: where more come than can be served, some are served at once,
     * instead of all of them too late. */
    struct slow_work *behind;
};

/* The owner's, and not to be freed until done has been called or slow_work_cancel said true. */
struct slow_work {
    uv_work_t request;
    struct io *io;
    struct slow_work *next, *before; /* of those that are queued with it */
    slow_work_fn run;
    slow_work_fn done;
    void *owner;
    enum slow_kind kind;
    bool stands_behind; /* the owner's to set: it gives way to others of its kind */
    bool queued;
};

/**
 * Before the process has threads: makes the pool large enough for that many loops, unless UV_THREADPOOL_SIZE says how
 * large it is to be.
 */
void slow_work_size_pool(size_t loops);

/** run on a thread, then done on the loop, also when run was cancelled. False: neither will be called. */
bool slow_work_begin(struct io *io, struct slow_work *work, enum slow_kind kind, slow_work_fn run,
                     slow_work_fn done) __attribute__((warn_unused_result));

/** Asks to forget it. True: it has not begun, and done will not be called. False: done comes in any case. */
bool slow_work_cancel(struct slow_work *work) __attribute__((warn_unused_result));
