/* SPDX-License-Identifier: Apache-2.0 */
/* worker_private: the inside of struct worker, for worker.c (its life) and worker_edition.c (its snapshots). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "proxy/session/edition.h"
#include "proxy/session/world.h"
#include "proxy/worker.h"

struct conf_limits;
struct ledger;
struct listener;

enum { WORKER_REWRITE_ROOM = 65536 };

/* A cluster, and what its callbacks are given. */
struct worker_cluster {
    struct worker *worker;
    struct cluster *cluster; /* NULL: closed with the worker */
    struct worker_cluster *next;
    size_t references; /* of editions */
    char hash[65];     /* shared->cluster_hashes */
};

struct worker_edition {
    struct edition edition; /* first */
    struct worker *worker;
    struct worker_cluster **clusters; /* in the configuration's order */
    size_t clusters_count;
};

/* What a reload is about to make of a listener of the new configuration. */
struct worker_plan {
    struct listener *listener; /* stays, or new */
    struct door *door;         /* for one that stays */
};

struct worker {
    struct world world;
    uv_loop_t loop;
    uv_async_t order_async; /* the main thread has set order, or posted a task */
    uv_timer_t drain_timer;
    atomic_int order;
    pthread_mutex_t lock;
    struct worker_task *tasks, **tasks_tail; /* under lock */
    struct worker_params params; /* its shared is the first one only */
    struct ledger *ledger;       /* the process's, in every snapshot; NULL: off */
    struct worker_cluster *clusters; /* all that live */
    struct worker_edition *edition;  /* of those who come now */
    struct listener **listeners;
    size_t listener_count;
    struct listener **leaving; /* removed; closed, or about to be */
    size_t leaving_count;
    struct worker_edition *next; /* prepared */
    struct worker_plan *plans;   /* one for each of its listeners */
    size_t plan_count;
    size_t clusters_open;
    uint64_t drain_deadline_ms; /* loop time */
    bool awaiting;              /* on_ready is owed */
    bool handed;                /* a successor serves; on_idle is owed, or was told */
    bool idle_told;
    bool draining;
    bool ending; /* the last handles are being closed */
};

/* worker_edition.c */
struct worker_edition *worker_edition_new(struct worker *worker, struct shared *shared);
struct cluster *worker_edition_cluster(const struct worker_edition *edition, const char *name);
/* Opens all ports that the listener's cluster has nodes for, and the bootstrap port when it is ready. */
void worker_open(struct listener *listener);
void worker_leave(struct worker *worker, struct listener *listener);
bool worker_next_is_ready(const struct worker *worker);

/* worker_judge.c */
/* `now` holds, or is about to: sessions that it would not have made, or not so, end or are to be made anew. */
void worker_judge(struct worker *worker, const struct shared *now);

/* worker.c */
void worker_check_ready(struct worker *worker);
struct penalty *worker_penalty_new(const struct conf_limits *limits);
void worker_tick_start(struct worker *worker); /* somebody has to be seen gone */
