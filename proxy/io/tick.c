/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/tick.h"

#include <assert.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000 };

static void link_into(struct tick_wait **first, struct tick_wait *wait)
{
    wait->next = *first;
    wait->link = first;
    if (wait->next != NULL) {
        wait->next->link = &wait->next;
    }
    *first = wait;
}

void tick_forget(struct tick_wait *wait)
{
    if (wait->link == NULL) {
        return;
    }
    if (wait->next != NULL) {
        wait->next->link = wait->link;
    }
    *wait->link = wait->next;
    wait->next = NULL;
    wait->link = NULL;
}

/* uv_hrtime is CLOCK_MONOTONIC. */
static void arm(struct tick *tick)
{
    const struct tick_wait *soonest = tick->first;
    for (const struct tick_wait *it = tick->first; it != NULL; it = it->next) {
        soonest = it->at_ns < soonest->at_ns ? it : soonest;
    }
    if (soonest == NULL) {
        return;
    }
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(soonest->at_ns / NS_PER_S),
                                         .tv_nsec = (long)(soonest->at_ns % NS_PER_S)}};
    int rc = timerfd_settime(tick->fd, TFD_TIMER_ABSTIME, &at, NULL);
    assert(rc == 0);
    (void)rc;
}

static void take_due(struct tick *tick, struct tick_wait **due_r)
{
    uint64_t now_ns = uv_hrtime();
    struct tick_wait *next;
    for (struct tick_wait *it = tick->first; it != NULL; it = next) {
        next = it->next;
        if (it->at_ns <= now_ns) {
            tick_forget(it);
            link_into(due_r, it);
        }
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct tick *tick = poll->data;
    struct tick_wait *due = NULL;
    uint64_t times;
    (void)status, (void)events;
    if (read(tick->fd, &times, sizeof times) < 0) {
        return; /* set anew since */
    }
    take_due(tick, &due);
    while (due != NULL) { /* one may make another be forgotten */
        struct tick_wait *wait = due;
        tick_forget(wait);
        wait->fn(wait);
    }
    arm(tick);
}

void tick_init(struct tick *tick, uv_loop_t *loop)
{
    tick->first = NULL;
    tick->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (tick->fd < 0) {
        return;
    }
    if (uv_poll_init(loop, &tick->poll, tick->fd) != 0) {
        close(tick->fd);
        tick->fd = -1;
        return;
    }
    tick->poll.data = tick;
    (void)uv_poll_start(&tick->poll, UV_READABLE, on_poll);
    uv_unref((uv_handle_t *)&tick->poll); /* who waits keeps the loop alive by other things */
}

bool tick_wait(struct tick *tick, struct tick_wait *wait, uint64_t at_ns, tick_fn fn)
{
    assert(wait->link == NULL);
    if (tick->fd < 0 || at_ns <= uv_hrtime()) {
        return false;
    }
    wait->at_ns = at_ns;
    wait->fn = fn;
    link_into(&tick->first, wait);
    arm(tick);
    return true;
}

void tick_stop(struct tick *tick)
{
    if (tick->fd < 0) {
        return;
    }
    assert(tick->first == NULL);
    uv_close((uv_handle_t *)&tick->poll, NULL); /* from here on libuv leaves the descriptor alone */
    close(tick->fd);
    tick->fd = -1;
}
