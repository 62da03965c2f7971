/* SPDX-License-Identifier: Apache-2.0 */
/* Looks with a token, which expires: its file is read anew for each, by a thread. */
#include <semaphore.h>
#include <unistd.h>

#include "tests/unit/cluster_kit.h"

TestSuite(cluster_token, .init = kit_setup, .fini = kit_teardown);

static size_t good_before, bad_before;

static bool has_looked(void)
{
    return kit.bearer.good > good_before;
}

static bool is_refused(void)
{
    return kit.bearer.bad > bad_before;
}

static void start(void)
{
    kit.bearer.token = "one";
    kit_start(kit_legacy_by_rule, "one", "");
}

static void note(void)
{
    good_before = kit.bearer.good;
    bad_before = kit.bearer.bad;
}

Test(cluster_token, each_look_reads_it_anew)
{
    start();
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_expect_eq(kit.bearer.bad, 0);
    kit.bearer.token = "two";
    note();
    cr_assert(kit_run_until(is_refused, 20000));
    kit_write_password("two");
    note();
    cr_assert(kit_run_until(has_looked, 20000));
}

Test(cluster_token, the_old_one_stays_when_the_new_one_cannot_be_read)
{
    start();
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(unlink(kit.password_file), 0);
    note();
    cr_assert(kit_run_until(has_looked, 20000));
    cr_expect_eq(kit.bearer.bad, bad_before);
}

enum { THREADS = 4 };

static sem_t begun, go;
static uv_work_t blocks[THREADS];

static void block(uv_work_t *work)
{
    (void)work;
    sem_post(&begun);
    sem_wait(&go);
}

static void on_blocked(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
}

/* No thread gets to read: as if the file system did not answer. */
static void hold(void)
{
    cr_assert_eq(sem_init(&begun, 0, 0) + sem_init(&go, 0, 0), 0);
    cr_assert_eq(setenv("UV_THREADPOOL_SIZE", "4", 1), 0);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(uv_queue_work(&kit.loop, &blocks[i], block, on_blocked), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        sem_wait(&begun);
    }
}

static void let_go(void)
{
    for (int i = 0; i < THREADS; i++) {
        sem_post(&go);
    }
}

Test(cluster_token, the_loop_does_not_read_it)
{
    hold();
    kit.connect_timeout_ms = 60000;
    start();
    cr_expect_not(kit_run_until(kit_is_ready, 300));
    cr_expect_eq(kit.bearer.good, 0);
    let_go();
    cr_expect(kit_run_until(kit_is_ready, 20000));
}

Test(cluster_token, the_old_one_stays_when_the_new_one_is_not_read_in_time)
{
    hold();
    kit.connect_timeout_ms = 200;
    start();
    cr_expect(kit_run_until(kit_is_ready, 20000));
    cr_expect_gt(kit.bearer.good, 0);
    let_go();
}

static bool is_closed(void)
{
    return kit.closed;
}

/* Some are queued, some given to threads: none is waited for. The teardown runs until they are back. */
Test(cluster_token, a_cluster_goes_while_it_is_read)
{
    hold();
    kit.bootstrap_all = true;
    kit.connect_timeout_ms = 60000;
    start();
    cr_expect_not(kit_run_until(kit_is_ready, 100));
    cluster_close(&kit.cluster, kit_on_closed, NULL);
    cr_expect(kit_run_until(is_closed, 20000));
    cr_expect_eq(kit.bearer.good + kit.bearer.bad, 0);
    let_go();
}
