/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/tick.h"

#include <assert.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000 };

/* Puts wait, which is nowhere, in front of the list that *first begins. */
static void link_into(struct tick_wait **first, struct tick_wait *wait)
{
    wait->next = *first;
    wait->link = first;
    if (wait->next != NULL) {
        wait->next->link = &wait->next;
    }
    *first = wait;
}

static void unlink_one(struct tick_wait *wait)
{
    if (wait->next != NULL) {
        wait->next->link = wait->link;
    }
    *wait->link = wait->next;
    wait->next = NULL;
    wait->link = NULL;
}

/* Two heaps that are nowhere become one that is nowhere. */
static struct tick_wait *meld(struct tick_wait *a, struct tick_wait *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    struct tick_wait *sooner = b->at_ns < a->at_ns ? b : a;
    link_into(&sooner->child, sooner == a ? b : a);
    return sooner;
}

static struct tick_wait *take_first(struct tick_wait **list)
{
    struct tick_wait *first = *list;
    if (first != NULL) {
        unlink_one(first);
    }
    return first;
}

/* Empties a list of heaps: in pairs, then those from the last to the first. */
static struct tick_wait *meld_all(struct tick_wait **list)
{
    struct tick_wait *pairs = NULL, *all = NULL;
    while (*list != NULL) {
        struct tick_wait *one = take_first(list);
        link_into(&pairs, meld(one, take_first(list)));
    }
    while (pairs != NULL) {
        all = meld(all, take_first(&pairs));
    }
    return all;
}

/* None below it is sooner than what it is itself below of: they take its place. */
void tick_forget(struct tick_wait *wait)
{
    if (wait->link == NULL) {
        return;
    }
    struct tick_wait **place = wait->link;
    struct tick_wait *rest = meld_all(&wait->child);
    unlink_one(wait);
    if (rest != NULL) {
        link_into(place, rest);
    }
}

/* uv_hrtime is CLOCK_MONOTONIC. */
static void arm(const struct tick *tick)
{
    uint64_t at_ns = tick->first->at_ns;
    struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)}};
    int rc = timerfd_settime(tick->fd, TFD_TIMER_ABSTIME, &at, NULL);
    assert(rc == 0);
    (void)rc;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct tick *tick = poll->data;
    uint64_t times, now_ns = uv_hrtime();
    (void)status, (void)events;
    if (read(tick->fd, &times, sizeof times) < 0) {
        return; /* set anew since */
    }
    /* Who begins to wait meanwhile does so for later than now. */
    while (tick->first != NULL && tick->first->at_ns <= now_ns) {
        struct tick_wait *wait = tick->first;
        tick_forget(wait);
        wait->fn(wait);
    }
    if (tick->first != NULL) {
        arm(tick);
    }
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
    wait->child = NULL;
    struct tick_wait *before = take_first(&tick->first);
    link_into(&tick->first, meld(before, wait));
    if (tick->first == wait) {
        arm(tick);
    }
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
