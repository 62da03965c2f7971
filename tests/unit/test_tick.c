/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/tick.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MS = 1000000, WAITS = 5, FLOOD = 10000 };

static uv_loop_t loop;
static uv_timer_t alive; /* as some handle of a worker always is */
static struct tick tick;
static struct tick_wait waits[WAITS];
static char order[WAITS + 1];
static size_t ended;
static struct tick_wait *victim;
static size_t armed;

/* In place of the C library's, to count. */
int timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *before_r)
{
    armed++;
    return (int)syscall(SYS_timerfd_settime, fd, flags, at, before_r);
}

static void on_end(struct tick_wait *wait)
{
    cr_assert_geq(uv_hrtime(), wait->at_ns);
    order[ended++] = (char)('a' + (wait - waits));
    if (victim != NULL) {
        tick_forget(victim);
        victim = NULL;
    }
}

static void on_never(uv_timer_t *timer)
{
    (void)timer;
}

static void setup(void)
{
    cr_assert_eq(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &alive);
    uv_timer_start(&alive, on_never, UINT64_C(3600000), 0);
    tick_init(&tick, &loop);
    cr_assert(tick_works(&tick));
    memset(waits, 0, sizeof waits);
    memset(order, 0, sizeof order);
    ended = 0;
    armed = 0;
}

static void teardown(void)
{
    tick_stop(&tick);
    tick_stop(&tick);
    cr_assert_not(tick_works(&tick));
    uv_close((uv_handle_t *)&alive, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

/* Runs until `wanted` have ended. */
static void run_until(size_t wanted)
{
    uint64_t until_ns = uv_hrtime() + UINT64_C(10000) * MS;
    while (ended < wanted && uv_hrtime() < until_ns) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(ended, wanted);
}

TestSuite(tick, .init = setup, .fini = teardown);

Test(tick, every_wait_ends_and_none_before_its_instant)
{
    static const uint64_t after_ms[WAITS] = {30, 10, 40, 20, 50};
    uint64_t now_ns = uv_hrtime();
    for (size_t i = 0; i < WAITS; i++) {
        cr_assert(tick_wait(&tick, &waits[i], now_ns + after_ms[i] * MS, on_end));
    }
    run_until(WAITS);
    for (char name = 'a'; name < 'a' + WAITS; name++) {
        cr_assert_not_null(strchr(order, name));
    }
}

static struct tick_wait flood[FLOOD];
static uint64_t last_ns;
static size_t flood_ended;

static void on_flood(struct tick_wait *wait)
{
    cr_assert_geq(uv_hrtime(), wait->at_ns);
    cr_assert_geq(wait->at_ns, last_ns, "one that was to end before ends after");
    last_ns = wait->at_ns;
    flood_ended++;
}

/* Whoever is refused at one time: the descriptor is not set for each, and each ends in its turn. */
Test(tick, a_flood_ends_in_order_and_is_armed_once)
{
    uint64_t start_ns = uv_hrtime() + 500 * (uint64_t)MS;
    size_t forgotten = 0;
    cr_assert(tick_wait(&tick, &waits[0], start_ns, on_end));
    srand(1);
    for (size_t i = 0; i < FLOOD; i++) {
        uint64_t at_ns = start_ns + 1 + (uint64_t)rand() % (20 * MS);
        flood_ended +=
            !tick_wait(&tick, &flood[i], at_ns, on_flood); /* a machine that stood still */
    }
    cr_assert_eq(armed, 1u);
    while (uv_hrtime() < start_ns + 10 * (uint64_t)MS) {
    }
    uv_run(&loop, UV_RUN_NOWAIT); /* about half of them; the rest has a shape by now */
    cr_assert_eq(ended, 1u);
    for (size_t i = 0; i < FLOOD; i += 3) {
        forgotten += flood[i].link != NULL;
        flood_ended += flood[i].link != NULL;
        tick_forget(&flood[i]);
    }
    uint64_t until_ns = uv_hrtime() + 60000 * (uint64_t)MS;
    while (flood_ended < FLOOD && uv_hrtime() < until_ns) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    cr_assert_eq(flood_ended, (size_t)FLOOD, "%zu forgotten", forgotten);
    cr_assert_null(tick.first);
}

Test(tick, what_is_due_does_not_wait)
{
    cr_assert_not(tick_wait(&tick, &waits[0], 0, on_end));
    cr_assert_not(tick_wait(&tick, &waits[0], uv_hrtime(), on_end));
    tick_forget(&waits[0]);
    cr_assert_eq(ended, 0u);
}

Test(tick, who_is_forgotten_is_not_called)
{
    uint64_t now_ns = uv_hrtime();
    for (size_t i = 0; i < 3; i++) {
        cr_assert(tick_wait(&tick, &waits[i], now_ns + (i + 1) * 5 * MS, on_end));
    }
    tick_forget(&waits[0]);
    tick_forget(&waits[0]);
    run_until(2);
    cr_assert_null(strchr(order, 'a'));
}

Test(tick, one_that_ends_may_make_another_be_forgotten_that_is_due_too)
{
    uint64_t at_ns = uv_hrtime() + 5 * MS;
    cr_assert(tick_wait(&tick, &waits[0], at_ns, on_end));
    cr_assert(tick_wait(&tick, &waits[1], at_ns, on_end));
    cr_assert(tick_wait(&tick, &waits[2], at_ns + 20 * MS, on_end));
    victim = &waits[1];
    while (uv_hrtime() < at_ns) {
    }
    run_until(2);
    cr_assert_str_eq(order, "ac");
}

Test(tick, a_waiter_does_not_keep_the_loop_alive)
{
    cr_assert(tick_wait(&tick, &waits[0], uv_hrtime() + UINT64_C(60000) * MS, on_end));
    uv_timer_stop(&alive);
    cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    tick_forget(&waits[0]);
}

Test(tick, without_a_descriptor_nobody_waits)
{
    struct tick none = {.fd = -1};
    cr_assert_not(tick_works(&none));
    cr_assert_not(tick_wait(&none, &waits[0], uv_hrtime() + MS, on_end));
    tick_stop(&none);
}
