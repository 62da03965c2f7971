/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_work: work for libuv's thread pool. What only computes goes there at once. What may wait for another process
 * (a KDC, saslauthd) takes at most SLOW_WORK_MAX of a loop's threads at a time and queues up for them, so that logins
 * which need a thread for milliseconds never stand behind one that waits for half a minute. Clients' logins and
 * logins to brokers have a queue each.
 *
 *   begin ──▶ computes ───────────────────────────▶ thread pool ──▶ done
 *        └──▶ waits ──▶ [queue of this loop] ──▶ two threads a queue ──┘
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct io;
struct slow_work;
typedef void (*slow_work_fn)(struct slow_work *work);

enum { SLOW_WORK_MAX = 2 }; /* of each kind that waits */

/* Whom clients make wait in crowds, with passwords that are wrong, is not before whom brokers are dialled for. */
enum slow_kind { SLOW_COMPUTES, SLOW_FOR_CLIENT, SLOW_FOR_BROKER, SLOW_KINDS };

struct slow_queue {
    size_t running;
    struct slow_work *first, *last;
};

/* The owner's, and not to be freed until done has been called or slow_work_cancel said true. */
struct slow_work {
    uv_work_t request;
    struct io *io;
    struct slow_work *next;
    slow_work_fn run;
    slow_work_fn done;
    void *owner;
    enum slow_kind kind;
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
