/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: one loop, and everything that serves clients on it. Workers share only what is immutable (configuration,
 * certificates, mapping, users) and what locks itself (log, audit log, visitors). Who gives them threads: process.h.
 */
#pragma once

#include <stdbool.h>

struct shared;
struct stats;
struct worker;

enum worker_order { WORKER_GO_ON, WORKER_DRAIN, WORKER_STOP };

/**
 * With its clusters, which look for brokers as soon as it runs, and its listeners, which open when they have found
 * some. `first`: of all; the one that tells the audit log what is seen of brokers. shared outlives it. NULL: something
 * could not be started, the log says what, and the process cannot go on.
 */
struct worker *worker_new(struct shared *shared, bool first) __attribute__((warn_unused_result));

/** Serves, in the thread that calls it, until it was ordered to end and has. */
void worker_run(struct worker *worker);

/** Any thread. DRAIN: ends each session when nothing of it is in flight. STOP: at once. */
void worker_order(struct worker *worker, enum worker_order order);

/** Written by the worker only; stats_sum reads it from any thread. Dies with the worker. */
const struct stats *worker_stats(const struct worker *worker);

/** After worker_run has returned. Nulls. */
void worker_free(struct worker **worker);
