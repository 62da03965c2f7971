/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/worker.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "auth/penalty.h"
#include "auth/tls_sessions.h"
#include "conf/config.h"
#include "proxy/cluster/cluster.h"
#include "proxy/io/tls_memory.h"
#include "proxy/listener.h"
#include "proxy/ops/ledger.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"

enum { WORKER_PENALTY_ADDRESSES = 4096, WORKER_TICK_MS = 20 };

/* What a cluster's callbacks are given. */
struct worker_cluster {
    struct worker *worker;
    struct cluster *cluster;
};

struct worker {
    struct world world;
    uv_loop_t loop;
    uv_async_t order_async; /* the main thread has set order */
    uv_timer_t drain_timer;
    atomic_int order;
    struct worker_cluster *clusters; /* one per configured cluster, in its order */
    struct listener **listeners;
    size_t listener_count;
    size_t clusters_open;
    uint64_t drain_deadline_ms; /* loop time */
    bool first;  /* of all workers */
    bool ending; /* the last handles are being closed */
};

/* ---- the end of a worker ---- */

static void worker_close_all(struct worker *worker, enum close_reason reason)
{
    struct session *next = NULL;
    for (struct session *s = worker->world.sessions; s != NULL; s = next) {
        next = s->next;
        session_close(s, reason);
    }
}

static bool worker_is_idle(const struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (worker->listeners[i] != NULL && !listener_is_idle(worker->listeners[i])) {
            return false;
        }
    }
    return worker->world.session_count == 0;
}

static void worker_cluster_closed(void *context)
{
    struct worker *worker = context;
    worker->clusters_open--;
}

/* The last session has gone: what is left are the handles of the worker itself. */
static void worker_finish(struct worker *worker)
{
    const struct config *config = worker->world.shared->config;
    if (worker->ending || !worker_is_idle(worker)) {
        return;
    }
    worker->ending = true;
    for (size_t i = 0; i < config->clusters_count; i++) {
        cluster_close(&worker->clusters[i].cluster, worker_cluster_closed, worker);
    }
    uv_close((uv_handle_t *)&worker->order_async, NULL);
    uv_close((uv_handle_t *)&worker->drain_timer, NULL);
    io_stop(&worker->world.io);
}

/* Sessions and listeners end in callbacks of their own: a look every tick sees the last of them gone. */
static void worker_drain_tick(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    if (uv_now(&worker->loop) >= worker->drain_deadline_ms) {
        worker_close_all(worker, CLOSE_DRAIN_TIMEOUT);
    }
    worker_finish(worker);
}

static void worker_drain(struct worker *worker)
{
    struct world *world = &worker->world;
    struct session *next = NULL;
    world->draining = true;
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_stop(worker->listeners[i]);
    }
    for (struct session *s = world->sessions; s != NULL; s = next) {
        next = s->next;
        session_drain(s);
    }
    worker->drain_deadline_ms =
        uv_now(&worker->loop) + world->shared->config->limits.drain_timeout_ms;
    uv_timer_start(&worker->drain_timer, worker_drain_tick, WORKER_TICK_MS, WORKER_TICK_MS);
}

static void worker_on_order(uv_async_t *async)
{
    struct worker *worker = async->data;
    int order = atomic_load(&worker->order);
    if (worker->ending) {
        return;
    }
    if (order != WORKER_GO_ON && !worker->world.draining) {
        worker_drain(worker);
    }
    if (order == WORKER_STOP) {
        worker_close_all(worker, CLOSE_STOPPED);
    }
}

/* ---- the beginning of a worker ---- */

static void worker_on_node(void *context, int32_t node_id)
{
    const struct worker_cluster *of = context;
    for (size_t i = 0; i < of->worker->listener_count; i++) {
        struct listener *listener = of->worker->listeners[i];
        if (listener_cluster(listener) == of->cluster) {
            (void)listener_open_node(listener, node_id);
        }
    }
}

static void worker_on_ready(void *context)
{
    const struct worker_cluster *of = context;
    for (size_t i = 0; i < of->worker->listener_count; i++) {
        if (listener_cluster(of->worker->listeners[i]) == of->cluster) {
            listener_open(of->worker->listeners[i]);
        }
    }
}

static bool worker_start_clusters(struct worker *worker)
{
    struct shared *shared = worker->world.shared;
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        struct cluster_params params = {
            .io = &worker->world.io,
            .config = config,
            .conf = &config->clusters[i],
            .certificates = shared->certificates,
            .stats = &worker->world.stats,
            .audit = worker->first ? shared->audit : NULL, /* every worker looks; one tells */
            .on_node = worker_on_node,
            .on_ready = worker_on_ready,
            .context = &worker->clusters[i],
        };
        worker->clusters[i] = (struct worker_cluster){worker, cluster_new(&params)};
        if (worker->clusters[i].cluster == NULL) {
            return false;
        }
        worker->clusters_open++;
    }
    return true;
}

static struct cluster *worker_cluster(const struct worker *worker, const char *name)
{
    const struct config *config = worker->world.shared->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        if (strcmp(config->clusters[i].name, name) == 0) {
            return worker->clusters[i].cluster;
        }
    }
    return NULL;
}

static bool worker_start_listeners(struct worker *worker)
{
    const struct config *config = worker->world.shared->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *conf = &config->listeners[i];
        worker->listeners[i] =
            listener_new(&worker->world, worker_cluster(worker, conf->cluster), conf);
        if (worker->listeners[i] == NULL) {
            return false;
        }
        worker->listener_count++;
    }
    return true;
}

static bool worker_init(struct worker *worker, struct shared *shared)
{
    const struct config *config = shared->config;
    struct penalty_limits limits = {
        .addresses_max = WORKER_PENALTY_ADDRESSES,
        .delay_base_ms = (uint32_t)config->limits.login_failure_delay_ms,
        .delay_max_ms = (uint32_t)config->limits.login_failure_delay_ms * 16,
        .failures_free = 4,
    };
    uint8_t key[16];
    if (uv_loop_init(&worker->loop) != 0 || !world_random(NULL, key, sizeof key)) {
        return false;
    }
    io_init(&worker->world.io, &worker->loop);
    worker->world.shared = shared;
    if (shared->ledger != NULL && (worker->world.ledger = ledger_join(shared->ledger)) == NULL) {
        return false;
    }
    worker->world.penalty = penalty_new(&limits, key);
    worker->world.tls_sessions = tls_sessions_new(&tls_sessions_limits_default);
    writer_init_growing(&worker->world.rewrite, config->limits.rewrite_max_bytes + 65536);
    worker->clusters = calloc(config->clusters_count, sizeof *worker->clusters);
    worker->listeners = calloc(config->listeners_count, sizeof(struct listener *));
    if (worker->world.penalty == NULL || worker->clusters == NULL || worker->listeners == NULL ||
        uv_async_init(&worker->loop, &worker->order_async, worker_on_order) != 0 ||
        uv_timer_init(&worker->loop, &worker->drain_timer) != 0) {
        return false;
    }
    worker->order_async.data = worker;
    worker->drain_timer.data = worker;
    return worker_start_clusters(worker) && worker_start_listeners(worker);
}

struct worker *worker_new(struct shared *shared, bool first)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        return NULL;
    }
    worker->first = first;
    return worker_init(worker, shared) ? worker : NULL;
}

const struct stats *worker_stats(const struct worker *worker)
{
    return &worker->world.stats;
}

void worker_free(struct worker **worker_p)
{
    struct worker *worker = *worker_p;
    *worker_p = NULL;
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_free(&worker->listeners[i]);
    }
    free(worker->listeners);
    free(worker->clusters);
    ledger_leave(worker->world.shared->ledger, &worker->world.ledger);
    penalty_free(&worker->world.penalty);
    writer_free(&worker->world.rewrite);
    world_free(&worker->world);
    io_free(&worker->world.io);
    int rc = uv_loop_close(&worker->loop);
    assert(rc == 0);
    free(worker);
}

void worker_run(struct worker *worker)
{
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    tls_memory_release();
}

void worker_order(struct worker *worker, enum worker_order order)
{
    atomic_store(&worker->order, order);
    uv_async_send(&worker->order_async);
}
