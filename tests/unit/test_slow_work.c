/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/slow_work.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/io/io.h"

enum { MANY = 40 };

static struct io io;
static uv_loop_t loop;
static uv_sem_t held;
static atomic_int inside, most_inside;
static int done_count, quick_done;

static void setup(void)
{
    uv_loop_init(&loop);
    io_init(&io, &loop);
    uv_sem_init(&held, 0);
}

static void teardown(void)
{
    io_stop(&io);
    uv_run(&loop, UV_RUN_DEFAULT);
    io_free(&io);
    cr_assert_eq(uv_loop_close(&loop), 0);
    uv_sem_destroy(&held);
}

TestSuite(slow_work, .init = setup, .fini = teardown, .timeout = 60);

static void wait_run(struct slow_work *work)
{
    int now = atomic_fetch_add(&inside, 1) + 1;
    if (now > atomic_load(&most_inside)) {
        atomic_store(&most_inside, now);
    }
    *(bool *)work->owner = true;
    uv_sem_wait(&held);
    atomic_fetch_sub(&inside, 1);
}

static void count_done(struct slow_work *work)
{
    (void)work;
    done_count++;
}

static void quick_run(struct slow_work *work)
{
    (void)work;
}

/* The quick ones are through while every slow one is held: now let those go. */
static void count_quick(struct slow_work *work)
{
    (void)work;
    if (++quick_done == MANY) {
        cr_assert_eq(done_count, 0);
        for (int i = 0; i < MANY; i++) {
            uv_sem_post(&held);
        }
    }
}

static void release_all(struct slow_work *work)
{
    (void)work;
    cr_assert_eq(done_count, 0);
    for (int i = 0; i < MANY; i++) {
        uv_sem_post(&held);
    }
}

Test(slow_work, what_waits_leaves_threads_to_what_computes)
{
    static struct slow_work slow[MANY], quick[MANY];
    static bool ran[MANY];
    for (int i = 0; i < MANY; i++) {
        slow[i].owner = &ran[i];
        cr_assert(slow_work_begin(&io, &slow[i], SLOW_FOR_CLIENT, wait_run, count_done));
    }
    for (int i = 0; i < MANY; i++) {
        cr_assert(slow_work_begin(&io, &quick[i], SLOW_COMPUTES, quick_run, count_quick));
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(quick_done, MANY);
    cr_assert_eq(done_count, MANY);
    cr_assert_leq(atomic_load(&most_inside), SLOW_WORK_MAX);
    cr_assert_eq(io.slow[SLOW_FOR_CLIENT].running, 0);
    cr_assert_null(io.slow[SLOW_FOR_CLIENT].first);
    cr_assert_null(io.slow[SLOW_FOR_CLIENT].last);
}

/* A crowd of logins that wait does not stand before a broker's. */
Test(slow_work, clients_and_brokers_do_not_wait_for_each_other)
{
    static struct slow_work slow[MANY], broker[1];
    static bool ran[MANY];
    for (int i = 0; i < MANY; i++) {
        slow[i].owner = &ran[i];
        cr_assert(slow_work_begin(&io, &slow[i], SLOW_FOR_CLIENT, wait_run, count_done));
    }
    cr_assert(slow_work_begin(&io, &broker[0], SLOW_FOR_BROKER, quick_run, release_all));
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(done_count, MANY);
    cr_assert_eq(io.slow[SLOW_FOR_BROKER].running, 0);
}

Test(slow_work, what_has_not_begun_can_be_forgotten)
{
    static struct slow_work slow[6];
    static bool ran[6];
    for (int i = 0; i < 6; i++) {
        slow[i].owner = &ran[i];
        cr_assert(slow_work_begin(&io, &slow[i], SLOW_FOR_CLIENT, wait_run, count_done));
    }
    cr_assert(slow_work_cancel(&slow[5])); /* the last, the first in line, one between */
    cr_assert(slow_work_cancel(&slow[2]));
    cr_assert(slow_work_cancel(&slow[3]));
    cr_assert_eq(io.slow[SLOW_FOR_CLIENT].first, &slow[4]);
    cr_assert_eq(io.slow[SLOW_FOR_CLIENT].last, &slow[4]);
    cr_assert(slow_work_begin(&io, &slow[5], SLOW_FOR_CLIENT, wait_run, count_done));
    for (int i = 0; i < 6; i++) {
        uv_sem_post(&held);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(done_count, 4);
    cr_assert(ran[0] && ran[1] && !ran[2] && !ran[3] && ran[4] && ran[5]);
    cr_assert_eq(io.slow[SLOW_FOR_CLIENT].running, 0);
}

Test(slow_work, what_libuv_has_is_done_in_any_case)
{
    static struct slow_work slow[2];
    static bool ran[2];
    for (int i = 0; i < 2; i++) {
        slow[i].owner = &ran[i];
        cr_assert(slow_work_begin(&io, &slow[i], SLOW_FOR_CLIENT, wait_run, count_done));
        cr_assert_not(slow_work_cancel(&slow[i]));
        uv_sem_post(&held);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(done_count, 2);
    cr_assert_eq(io.slow[SLOW_FOR_CLIENT].running, 0);
}

/* Four run, and are held; then the queue in its order, then who stands behind, the last to come first. */
Test(slow_work, who_is_to_stand_behind_does)
{
    static struct slow_work work[9];
    static bool ran[9];
    for (int i = 0; i < 9; i++) {
        work[i].owner = &ran[i];
        work[i].stands_behind = i >= 4 && i <= 6;
        cr_assert(slow_work_begin(&io, &work[i], SLOW_VERIFIES, wait_run, count_done));
    }
    const struct slow_queue *queue = &io.slow[SLOW_VERIFIES];
    cr_assert(queue->first == &work[7] && queue->last == &work[8]);
    cr_assert(queue->behind == &work[6]);
    cr_assert(slow_work_cancel(&work[5]));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(done_count, i);
        uv_sem_post(&held);
        while (done_count == i) {
            uv_run(&loop, UV_RUN_ONCE);
        }
    }
    cr_assert(queue->first == NULL && queue->last == NULL && queue->behind == &work[4]);
    uv_sem_post(&held);
    while (done_count == 3) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    cr_assert(queue->first == NULL && queue->last == NULL && queue->behind == NULL);
    for (int i = 0; i < 4; i++) {
        uv_sem_post(&held);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(done_count, 8);
    cr_assert_not(ran[5]);
    cr_assert_eq(queue->running, 0u);
}

Test(slow_work, the_pool_grows_with_the_loops)
{
    unsetenv("UV_THREADPOOL_SIZE");
    slow_work_size_pool(1);
    cr_assert_str_eq(getenv("UV_THREADPOOL_SIZE"), "10");
    slow_work_size_pool(8); /* it is what the operator says */
    cr_assert_str_eq(getenv("UV_THREADPOOL_SIZE"), "10");
    unsetenv("UV_THREADPOOL_SIZE");
    slow_work_size_pool(8);
    cr_assert_str_eq(getenv("UV_THREADPOOL_SIZE"), "66");
    unsetenv("UV_THREADPOOL_SIZE");
    slow_work_size_pool(256000);
    cr_assert_str_eq(getenv("UV_THREADPOOL_SIZE"), "1024");
}
