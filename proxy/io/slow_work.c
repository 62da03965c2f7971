/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/slow_work.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/io/io.h"

enum {
    POOL_SPARE = 2, /* for what computes and is quick */
    POOL_MAX = 1024 /* libuv's own */
};

static const size_t most[SLOW_KINDS] = {[SLOW_VERIFIES] = SLOW_VERIFY_MAX,
                                        [SLOW_FOR_CLIENT] = SLOW_WORK_MAX,
                                        [SLOW_FOR_BROKER] = SLOW_WORK_MAX};

void slow_work_size_pool(size_t loops)
{
    char text[24];
    size_t size = POOL_SPARE;
    for (size_t kind = 0; kind < SLOW_KINDS; kind++) {
        size += most[kind] * (loops > 1 ? loops : 1);
    }
    snprintf(text, sizeof text, "%zu", size < POOL_MAX ? size : POOL_MAX);
    (void)setenv("UV_THREADPOOL_SIZE", text, 0);
}

static void on_run(uv_work_t *request)
{
    struct slow_work *work = request->data;
    work->run(work);
}

static void on_done(uv_work_t *request, int status);

static bool submit(struct slow_work *work)
{
    work->request.data = work;
    return uv_queue_work(work->io->loop, &work->request, on_run, on_done) == 0;
}

static void link_into(struct slow_queue *queue, struct slow_work *work)
{
    work->queued = true;
    work->next = work->before = NULL;
    if (work->stands_behind) {
        work->next = queue->behind;
        queue->behind = work;
        if (work->next != NULL) {
            work->next->before = work;
        }
        return;
    }
    work->before = queue->last;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = work;
    queue->last = work;
}

static void unlink_from(struct slow_queue *queue, struct slow_work *work)
{
    struct slow_work **first = work->stands_behind ? &queue->behind : &queue->first;
    *(work->before != NULL ? &work->before->next : first) = work->next;
    if (work->next != NULL) {
        work->next->before = work->before;
    } else if (!work->stands_behind) {
        queue->last = work->before;
    }
    work->next = work->before = NULL;
    work->queued = false;
}

/* What libuv does not take waits for the next turn; its own deadline ends it where none comes. */
static void begin_next(struct slow_queue *queue)
{
    struct slow_work *work = queue->first != NULL ? queue->first : queue->behind;
    if (work == NULL || queue->running >= most[work->kind]) {
        return;
    }
    unlink_from(queue, work);
    if (submit(work)) {
        queue->running++;
    } else {
        link_into(queue, work);
    }
}

static void on_done(uv_work_t *request, int status)
{
    struct slow_work *work = request->data;
    (void)status;
    if (work->kind != SLOW_COMPUTES) {
        work->io->slow[work->kind].running--;
        begin_next(&work->io->slow[work->kind]);
    }
    work->done(work);
}

bool slow_work_begin(struct io *io, struct slow_work *work, enum slow_kind kind, slow_work_fn run,
                     slow_work_fn done)
{
    struct slow_queue *queue = &io->slow[kind];
    assert(!work->queued);
    work->io = io;
    work->kind = kind;
    work->run = run;
    work->done = done;
    if (kind == SLOW_COMPUTES) {
        return submit(work);
    }
    link_into(queue, work);
    begin_next(queue);
    if (work->queued && queue->running == 0) {
        unlink_from(queue, work); /* nobody would come back for it */
        return false;
    }
    return true;
}

bool slow_work_cancel(struct slow_work *work)
{
    if (work->queued) {
        unlink_from(&work->io->slow[work->kind], work);
        return true;
    }
    (void)uv_cancel((uv_req_t *)&work->request);
    return false;
}
