/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: one loop, and everything that serves clients on it. Workers share only what is immutable (a snapshot of the
 * configuration, certificates, mapping, users) and what locks itself (log, audit log, visitors). Who gives them
 * threads, and decides what they do: process.h.
 *
 *   worker ─▶ editions ─▶ clusters      one edition for each snapshot that still has sessions, the newest for those
 *      │         ▲                      who come; a cluster that a reload did not change is common to several
 *      └─▶ listeners ─▶ door
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct handover_socket;
struct handover_sockets;
struct shared;
struct stats;
struct worker;

enum worker_order { WORKER_GO_ON, WORKER_DRAIN, WORKER_STOP };

/** Told in the worker's thread. */
struct worker_events {
    void (*on_ready)(void *context); /* after worker_await */
    void (*on_idle)(void *context);  /* after worker_hand_over, each time: no session is left */
    void *context;
};

struct worker_params {
    struct shared *shared; /* a reference is taken */
    size_t number, count;  /* of all workers; number 0 audits what is seen of brokers */
    /* the ports that a predecessor has, whose sockets will come; NULL: there is none */
    const struct handover_sockets *promised;
    struct worker_events events;
};

/**
 * With its clusters, which look for brokers as soon as it runs, and its listeners, which open when they have found
 * some; when something is promised, not before worker_adopt. NULL: something could not be started, the log says what,
 * and nothing is left of it.
 */
struct worker *worker_new(const struct worker_params *params) __attribute__((warn_unused_result));

/** Serves, in the thread that calls it, until it was ordered to end and has. */
void worker_run(struct worker *worker);

/** Any thread. DRAIN: ends each session when nothing of it is in flight. STOP: at once. */
void worker_order(struct worker *worker, enum worker_order order);

/** Written by the worker only; stats_sum reads it from any thread. Dies with the worker. */
const struct stats *worker_stats(const struct worker *worker);

/** After worker_run has returned. Nulls. */
void worker_free(struct worker **worker);

/* ---- in the worker's thread ---- */

/** run is called once by the worker's loop, unless that ends before; task lives until then. Any thread. */
struct worker_task {
    void (*run)(struct worker *worker, struct worker_task *task);
    struct worker_task *next;
};
void worker_post(struct worker *worker, struct worker_task *task);

/** Tells on_ready, once, when what is asked for can be served: after worker_new the promised ports that were listened
 * on, after worker_prepare the new clusters of ports that stay. */
void worker_await(struct worker *worker);

/** Its listening sockets and their addresses. Returns how many there are, of which it gives at most max. */
size_t worker_sockets(const struct worker *worker, struct handover_socket *sockets, size_t max);

/** Accepts nothing until worker_resume; sockets stay open, and what waits in them waits. */
void worker_suspend(struct worker *worker);

/** After worker_suspend: sessions end, each at its next response boundary; then on_idle. */
void worker_hand_over(struct worker *worker);

/** Accepts again; what has begun to end goes on to end. */
void worker_resume(struct worker *worker);

/** Takes the descriptors, each in its place; those for which there is none are closed. Then everything opens. */
bool worker_adopt(struct worker *worker, const struct handover_socket *sockets, size_t count)
    __attribute__((warn_unused_result));

/**
 * Makes everything that another snapshot needs beside what is there; nobody is served by it yet. Takes a reference.
 * False: it cannot be had, the log says why, and nothing is left of it.
 */
bool worker_prepare(struct worker *worker, struct shared *shared)
    __attribute__((warn_unused_result));

/** Serves with what was prepared; drains what it has no place for. */
void worker_commit(struct worker *worker);

/**
 * In this worker's thread: `next` is the snapshot in use with certificates, authorities and lists that were read later
 * (shared_rotate). Serves with them; connections to brokers made with what is not in use any more end, spread over
 * rotation.overlap_ms, or at once where somebody is not to be believed any more.
 */
void worker_rotate(struct worker *worker, struct shared *next);

/** Forgets what was prepared. */
void worker_abandon(struct worker *worker);
