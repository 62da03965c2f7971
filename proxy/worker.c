/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/penalty.h"
#include "auth/tls_sessions.h"
#include "conf/config.h"
#include "proxy/cluster/cluster.h"
#include "proxy/io/leg.h"
#include "proxy/io/tls_memory.h"
#include "proxy/door.h"
#include "proxy/listener.h"
#include "proxy/ops/handover.h"
#include "proxy/ops/ledger.h"
#include "proxy/ops/log.h"
#include "proxy/session/session.h"
#include "proxy/worker_private.h"

enum { WORKER_PENALTY_ADDRESSES = 4096, WORKER_TICK_MS = 20, WORKER_PORTS_MAX = 4096 };

/* ---- the end of a worker ---- */

static void worker_close_all(struct worker *worker, enum close_reason reason)
{
    struct session *next = NULL;
    for (struct session *s = worker->world.sessions; s != NULL; s = next) {
        next = s->next;
        session_close(s, reason);
    }
}

static void worker_drain_all(struct worker *worker, enum close_reason reason, bool patient)
{
    struct session *next = NULL;
    for (struct session *s = worker->world.sessions; s != NULL; s = next) {
        next = s->next;
        session_drain(s, reason, patient);
    }
    worker->drain_deadline_ms =
        uv_now(&worker->loop) + worker->edition->edition.shared->config->limits.drain_timeout_ms;
    worker_tick_start(worker);
}

static bool worker_is_idle(const struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (!listener_is_idle(worker->listeners[i])) {
            return false;
        }
    }
    return worker->world.session_count == 0 && worker->leaving_count == 0;
}

/* The last session has gone: what is left are the handles of the worker itself. */
static void worker_finish(struct worker *worker)
{
    if (worker->ending || !worker_is_idle(worker)) {
        return;
    }
    worker->ending = true;
    for (struct worker_cluster *of = worker->clusters; of != NULL; of = of->next) {
        cluster_close(&of->cluster, NULL, NULL);
    }
    uv_close((uv_handle_t *)&worker->order_async, NULL);
    uv_close((uv_handle_t *)&worker->drain_timer, NULL);
    io_stop(&worker->world.io);
}

static void worker_sweep(struct worker *worker)
{
    size_t kept = 0;
    for (size_t i = 0; i < worker->leaving_count; i++) {
        if (listener_is_idle(worker->leaving[i])) {
            listener_free(&worker->leaving[i]);
        } else {
            worker->leaving[kept++] = worker->leaving[i];
        }
    }
    worker->leaving_count = kept;
}

/* Sessions and listeners end in callbacks of their own: a look every tick sees the last of them gone. */
static void worker_on_tick(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    bool late = uv_now(&worker->loop) >= worker->drain_deadline_ms;
    worker_sweep(worker);
    if ((worker->draining || worker->handed) && late) {
        worker_close_all(worker, CLOSE_DRAIN_TIMEOUT);
    }
    if (worker->handed && !worker->idle_told && worker->world.session_count == 0) {
        worker->idle_told = true;
        worker->params.events.on_idle(worker->params.events.context);
    }
    if (worker->draining) {
        worker_finish(worker);
    } else if (worker->leaving_count == 0 && (!worker->handed || worker->idle_told)) {
        uv_timer_stop(timer);
    }
}

void worker_tick_start(struct worker *worker)
{
    uv_timer_start(&worker->drain_timer, worker_on_tick, WORKER_TICK_MS, WORKER_TICK_MS);
}

static void worker_drain(struct worker *worker)
{
    worker->draining = true;
    worker_abandon(worker);
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_stop(worker->listeners[i]);
    }
    worker_drain_all(worker, worker->handed ? CLOSE_HANDED_OVER : CLOSE_DRAINED, false);
}

static void worker_run_tasks(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct worker_task *task = worker->tasks;
    worker->tasks = NULL;
    worker->tasks_tail = &worker->tasks;
    pthread_mutex_unlock(&worker->lock);
    while (task != NULL) {
        struct worker_task *next = task->next;
        task->run(worker, task);
        task = next;
    }
}

static void worker_on_order(uv_async_t *async)
{
    struct worker *worker = async->data;
    int order = atomic_load(&worker->order);
    if (worker->ending) {
        return;
    }
    if (!worker->draining) {
        worker_run_tasks(worker);
    }
    if (order != WORKER_GO_ON && !worker->draining) {
        worker_drain(worker);
    }
    if (order == WORKER_STOP) {
        worker_close_all(worker, CLOSE_STOPPED);
    }
}

void worker_order(struct worker *worker, enum worker_order order)
{
    atomic_store(&worker->order, order);
    uv_async_send(&worker->order_async);
}

void worker_post(struct worker *worker, struct worker_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&worker->lock);
    *worker->tasks_tail = task;
    worker->tasks_tail = &task->next;
    pthread_mutex_unlock(&worker->lock);
    uv_async_send(&worker->order_async);
}

/* ---- readiness ---- */

static bool sockets_have(const struct handover_sockets *sockets, const struct conf_listener *conf,
                         bool listening)
{
    char address[HANDOVER_ADDRESS_SIZE];
    listener_address(conf, address, sizeof address);
    for (size_t i = 0; sockets != NULL && i < sockets->count; i++) {
        if (strcmp(sockets->sockets[i].address, address) == 0 &&
            (sockets->sockets[i].listening || !listening)) {
            return true;
        }
    }
    return false;
}

static bool worker_is_ready(const struct worker *worker)
{
    if (worker->next != NULL) {
        return worker_next_is_ready(worker);
    }
    const struct config *config = worker->edition->edition.shared->config;
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (sockets_have(worker->params.promised, &config->listeners[i], true) &&
            !cluster_ready(listener_cluster(worker->listeners[i]))) {
            return false;
        }
    }
    return true;
}

void worker_check_ready(struct worker *worker)
{
    if (worker->awaiting && worker_is_ready(worker)) {
        worker->awaiting = false;
        worker->params.events.on_ready(worker->params.events.context);
    }
}

void worker_await(struct worker *worker)
{
    worker->awaiting = true;
    worker_check_ready(worker);
}

/* ---- succession ---- */

static bool socket_address(int fd, struct sockaddr_storage *address)
{
    socklen_t length = sizeof *address;
    return getsockname(fd, (struct sockaddr *)address, &length) == 0;
}

size_t worker_sockets(const struct worker *worker, struct handover_socket *sockets, size_t max)
{
    struct listener_socket own[WORKER_PORTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < worker->listener_count; i++) {
        size_t ports = listener_sockets(worker->listeners[i], own, WORKER_PORTS_MAX);
        for (size_t k = 0; k < ports; k++, count++) {
            struct sockaddr_storage address;
            if (count >= max || !socket_address(own[k].fd, &address)) {
                continue;
            }
            struct handover_socket *to = &sockets[count];
            *to = (struct handover_socket){.worker = (int32_t)worker->params.number,
                                           .listening = own[k].listening,
                                           .fd = own[k].fd};
            leg_address_text((const struct sockaddr *)&address, to->address, sizeof to->address);
        }
    }
    return count;
}

void worker_suspend(struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_suspend(worker->listeners[i]);
    }
}

void worker_hand_over(struct worker *worker)
{
    worker->handed = true;
    worker->idle_told = false;
    worker_drain_all(worker, CLOSE_HANDED_OVER, true);
}

void worker_resume(struct worker *worker)
{
    worker->handed = false;
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_resume(worker->listeners[i]);
        worker_open(worker->listeners[i]); /* what has become known meanwhile */
    }
}

static bool worker_adopt_one(struct worker *worker, const struct handover_socket *from)
{
    const struct config *config = worker->edition->edition.shared->config;
    struct sockaddr_storage address;
    int32_t node_id = 0;
    for (size_t i = 0; socket_address(from->fd, &address) && i < worker->listener_count; i++) {
        if (listener_place(&config->listeners[i], (const struct sockaddr *)&address, &node_id)) {
            return listener_adopt(worker->listeners[i], node_id, from->fd, from->listening);
        }
    }
    struct log_field fields[] = {log_str("address", from->address)};
    log_write(LOG_LEVEL_WARN, "port_given_up", fields, 1);
    close(from->fd);
    return true;
}

bool worker_adopt(struct worker *worker, const struct handover_socket *sockets, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = worker_adopt_one(worker, &sockets[i]) && good;
    }
    worker->params.promised = NULL;
    for (size_t i = 0; i < worker->listener_count; i++) {
        good = listener_unhold(worker->listeners[i]) && good;
        worker_open(worker->listeners[i]);
    }
    return good;
}

/* ---- the beginning of a worker ---- */

static bool worker_start_listeners(struct worker *worker)
{
    const struct config *config = worker->edition->edition.shared->config;
    const struct handover_sockets *promised = worker->params.promised;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *conf = &config->listeners[i];
        struct cluster *cluster = worker_edition_cluster(worker->edition, conf->cluster);
        struct door *door = door_new(&worker->world, &worker->edition->edition, cluster, conf);
        worker->listeners[i] =
            door != NULL ? listener_new(&worker->world, &door, promised != NULL,
                                        sockets_have(promised, conf, false))
                         : NULL;
        if (worker->listeners[i] == NULL) {
            return false;
        }
        worker->listener_count++;
    }
    return true;
}

struct penalty *worker_penalty_new(const struct conf_limits *conf)
{
    struct penalty_limits limits = {
        .addresses_max = WORKER_PENALTY_ADDRESSES,
        .delay_base_ms = (uint32_t)conf->login_failure_delay_ms,
        .delay_max_ms = (uint32_t)conf->login_failure_delay_ms * 16,
        .failures_free = 4,
    };
    uint8_t key[16];
    return world_random(NULL, key, sizeof key) ? penalty_new(&limits, key) : NULL;
}

/* False: the loop itself cannot be had. */
static bool worker_init(struct worker *worker)
{
    const struct config *config = worker->params.shared->config;
    if (uv_loop_init(&worker->loop) != 0) {
        return false;
    }
    io_init(&worker->world.io, &worker->loop);
    if (uv_async_init(&worker->loop, &worker->order_async, worker_on_order) != 0) {
        abort();
    }
    (void)uv_timer_init(&worker->loop, &worker->drain_timer); /* never fails */
    worker->order_async.data = worker;
    worker->drain_timer.data = worker;
    pthread_mutex_init(&worker->lock, NULL);
    worker->tasks_tail = &worker->tasks;
    worker->world.ports_shared = worker->params.count > 1;
    worker->world.tls_sessions = tls_sessions_new(&tls_sessions_limits_default);
    writer_init_growing(&worker->world.rewrite,
                        config->limits.rewrite_max_bytes + WORKER_REWRITE_ROOM);
    writer_init_growing(&worker->world.filled,
                        config->limits.rewrite_max_bytes + WORKER_REWRITE_ROOM);
    return true;
}

static bool worker_start(struct worker *worker)
{
    struct shared *shared = worker->params.shared;
    worker->ledger = shared->ledger;
    if (shared->ledger != NULL &&
        (worker->world.ledger = ledger_join(shared->ledger)) == NULL) {
        return false;
    }
    worker->world.penalty = worker_penalty_new(&shared->config->limits);
    worker->world.guesses = worker_penalty_new(&shared->config->limits);
    worker->listeners = calloc(shared->config->listeners_count, sizeof(struct listener *));
    if (worker->world.penalty == NULL || worker->world.guesses == NULL ||
        worker->listeners == NULL) {
        return false;
    }
    worker->edition = worker_edition_new(worker, shared);
    return worker->edition != NULL && worker_start_listeners(worker);
}

/* What a start that failed has left. */
static void worker_discard(struct worker **worker_p)
{
    struct worker *worker = *worker_p;
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_stop(worker->listeners[i]);
    }
    while (!worker_is_idle(worker)) {
        uv_run(&worker->loop, UV_RUN_ONCE);
    }
    worker_finish(worker);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    worker_free(worker_p);
}

struct worker *worker_new(const struct worker_params *params)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        return NULL;
    }
    worker->params = *params;
    if (!worker_init(worker)) {
        free(worker);
        return NULL;
    }
    if (!worker_start(worker)) {
        worker_discard(&worker);
    }
    return worker;
}

const struct stats *worker_stats(const struct worker *worker)
{
    return &worker->world.stats;
}

void worker_free(struct worker **worker_p)
{
    struct worker *worker = *worker_p;
    *worker_p = NULL;
    if (worker == NULL) {
        return;
    }
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_free(&worker->listeners[i]);
    }
    free(worker->listeners);
    ledger_leave(worker->ledger, &worker->world.ledger);
    free(worker->leaving);
    if (worker->edition != NULL) {
        struct edition *edition = &worker->edition->edition;
        edition_unref(&edition);
    }
    assert(worker->clusters == NULL);
    penalty_free(&worker->world.penalty);
    penalty_free(&worker->world.guesses);
    tls_sessions_free(&worker->world.tls_sessions);
    writer_free(&worker->world.rewrite);
    writer_free(&worker->world.filled);
    io_free(&worker->world.io);
    int rc = uv_loop_close(&worker->loop);
    assert(rc == 0);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

void worker_run(struct worker *worker)
{
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    tls_memory_release();
}
