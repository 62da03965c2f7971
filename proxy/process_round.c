/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process_private.h"

static void round_run(struct worker *worker, struct worker_task *task)
{
    struct process_worker *of =
        (struct process_worker *)((char *)task - offsetof(struct process_worker, task));
    struct process *process = of->process;
    (void)worker;
    process->round_fn(of);
    if (atomic_fetch_sub(&process->round_left, 1) == 1) {
        uv_async_send(&process->wake);
    }
}

bool process_round(struct process *process, process_round_fn fn, process_then_fn then)
{
    if (process->round_then != NULL || process->order != WORKER_GO_ON) {
        return false;
    }
    process->round_fn = fn;
    process->round_then = then;
    atomic_store(&process->round_left, process->worker_count);
    for (size_t i = 0; i < process->worker_count; i++) {
        struct process_worker *of = &process->workers[i];
        of->good = true;
        of->task.run = round_run;
        worker_post(of->worker, &of->task);
    }
    return true;
}

bool process_round_good(const struct process *process)
{
    bool good = true;
    for (size_t i = 0; i < process->worker_count; i++) {
        good = good && process->workers[i].good;
    }
    return good;
}

static void on_ready(void *context)
{
    struct process *process = context;
    atomic_fetch_add(&process->ready, 1);
    uv_async_send(&process->wake);
}

static void on_idle(void *context)
{
    struct process *process = context;
    atomic_fetch_add(&process->idle, 1);
    uv_async_send(&process->wake);
}

struct worker_events process_events(struct process *process)
{
    return (struct worker_events){on_ready, on_idle, process};
}

static void await_run(struct process_worker *of)
{
    worker_await(of->worker);
}

static void awaiting(struct process *process)
{
    (void)process;
}

void process_await(struct process *process, process_then_fn then)
{
    atomic_store(&process->ready, 0);
    process->ready_then = then;
    if (!process_round(process, await_run, awaiting)) {
        process->ready_then = NULL;
    }
}

void process_on_wake(uv_async_t *async)
{
    struct process *process = async->data;
    if (process->threads && atomic_load(&process->ended) == process->worker_count) {
        process_end(process);
        return;
    }
    if (process->order != WORKER_GO_ON) {
        return; /* only the end is awaited */
    }
    if (process->round_then != NULL && atomic_load(&process->round_left) == 0) {
        process_then_fn then = process->round_then;
        process->round_then = NULL;
        then(process);
    }
    if (process->ready_then != NULL && process->round_then == NULL &&
        atomic_load(&process->ready) == process->worker_count) {
        process_then_fn then = process->ready_then;
        process->ready_then = NULL;
        then(process);
    }
    if (process->phase == PHASE_HANDED && atomic_load(&process->idle) == process->worker_count) {
        process_order(process, WORKER_DRAIN);
    }
}
