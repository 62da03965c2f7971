/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/fake_uv.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/net.h"
#include "tests/sim/sim.h"

enum { READY_MAX = 1024, TURN_NS_MAX = 30000, WORK_NS_MAX = 40 * 1000000 };

/* What the fake knows of a handle; uv_handle_t.u.reserved[0] points here. */
struct fake {
    struct fake *next, **link;
    struct fake *next_closing;
    uv_handle_t *uv;
    uv_close_cb on_closed;
    union {
        uv_timer_cb timer;
        uv_poll_cb poll;
        uv_idle_cb idle;
        uv_async_cb async;
    } fn;
    uint64_t due_ms, order, repeat_ms; /* timer */
    int fd, mask;                      /* poll */
    bool active, closing;
    bool signalled; /* async */
    bool deaf;      /* a planted fault: it never comes, or is never readable, again */
};

enum request_state { REQUEST_WAITING, REQUEST_RUNNING, REQUEST_DONE };

/* Work for the pool, or a name to be resolved. */
struct request {
    struct request *next, **link;
    uv_req_t *uv; /* NULL once its callback has been called */
    enum request_state state;
    int status;
    struct addrinfo *addresses;
    char host[256], service[8];
};

void (*fake_uv_after_turn)(void);

static struct fake *handles;
static struct fake *closing;
static struct request *requests;
static uv_loop_t *the_loop;
static uint64_t timer_order;

uint64_t fake_uv_now_ms(void)
{
    return the_loop->time;
}

size_t fake_uv_alive(void)
{
    size_t count = 0;
    for (const struct fake *h = handles; h != NULL; h = h->next) {
        count++;
    }
    for (const struct request *r = requests; r != NULL; r = r->next) {
        count++;
    }
    return count;
}

void fake_uv_reset(void)
{
    while (handles != NULL) {
        struct fake *gone = handles;
        handles = gone->next;
        free(gone);
    }
    requests = NULL; /* of the run's own memory */
    closing = NULL;
    the_loop = NULL;
}

/* ---- handles ---- */

static struct fake *fake_of(const void *handle)
{
    return ((const uv_handle_t *)handle)->u.reserved[0];
}

static struct fake *fake_new(uv_loop_t *loop, void *handle, uv_handle_type type)
{
    struct fake *fake = calloc(1, sizeof *fake);
    uv_handle_t *uv = handle;
    if (fake == NULL) {
        abort();
    }
    uv->loop = loop;
    uv->type = type;
    uv->u.reserved[0] = fake;
    fake->uv = uv;
    fake->fd = -1;
    fake->next = handles;
    fake->link = &handles;
    if (fake->next != NULL) {
        fake->next->link = &fake->next;
    }
    handles = fake;
    return fake;
}

static void fake_free(struct fake *fake)
{
    *fake->link = fake->next;
    if (fake->next != NULL) {
        fake->next->link = fake->link;
    }
    free(fake);
}

int uv_is_active(const uv_handle_t *handle)
{
    return fake_of(handle)->active;
}

int uv_is_closing(const uv_handle_t *handle)
{
    return fake_of(handle)->closing;
}

void uv_close(uv_handle_t *handle, uv_close_cb on_closed)
{
    struct fake *fake = fake_of(handle);
    if (fake->closing) {
        sim_violated("loop", "a handle is closed twice");
    }
    fake->closing = true;
    fake->active = false;
    fake->on_closed = on_closed;
    fake->next_closing = closing;
    closing = fake;
}

static void run_closing(void)
{
    struct fake *list = closing;
    closing = NULL;
    while (list != NULL) {
        struct fake *fake = list;
        list = fake->next_closing;
        if (fake->on_closed != NULL && sim_mutates(MUTATION_LOSE_CLOSE, 100)) {
            continue;
        }
        uv_handle_t *uv = fake->uv;
        uv_close_cb on_closed = fake->on_closed;
        fake_free(fake);
        if (on_closed != NULL) {
            on_closed(uv);
        }
    }
}

/* ---- timers ---- */

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    fake_new(loop, timer, UV_TIMER);
    return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb fn, uint64_t after_ms, uint64_t repeat_ms)
{
    struct fake *fake = fake_of(timer);
    if (fake->closing || fn == NULL) {
        return UV_EINVAL;
    }
    fake->fn.timer = fn;
    fake->due_ms = timer->loop->time + after_ms;
    fake->order = timer_order++;
    fake->repeat_ms = repeat_ms;
    fake->deaf = fake->deaf || (after_ms >= 4000 && sim_mutates(MUTATION_LOSE_TIMER, 200));
    fake->active = !fake->deaf;
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    fake_of(timer)->active = false;
    return 0;
}

static struct fake *first_timer(void)
{
    struct fake *first = NULL;
    for (struct fake *h = handles; h != NULL; h = h->next) {
        if (h->uv->type == UV_TIMER && h->active &&
            (first == NULL || h->due_ms < first->due_ms ||
             (h->due_ms == first->due_ms && h->order < first->order))) {
            first = h;
        }
    }
    return first;
}

static void run_timers(uv_loop_t *loop)
{
    struct fake *fake = first_timer();
    while (fake != NULL && fake->due_ms <= loop->time) {
        uv_timer_t *timer = (uv_timer_t *)fake->uv;
        fake->active = false;
        if (fake->repeat_ms > 0) {
            (void)uv_timer_start(timer, fake->fn.timer, fake->repeat_ms, fake->repeat_ms);
        }
        fake->fn.timer(timer);
        fake = first_timer();
    }
}

/* ---- idle and async ---- */

int uv_idle_init(uv_loop_t *loop, uv_idle_t *idle)
{
    fake_new(loop, idle, UV_IDLE);
    return 0;
}

int uv_idle_start(uv_idle_t *idle, uv_idle_cb fn)
{
    struct fake *fake = fake_of(idle);
    fake->fn.idle = fn;
    fake->active = true;
    return 0;
}

int uv_idle_stop(uv_idle_t *idle)
{
    fake_of(idle)->active = false;
    return 0;
}

int uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb fn)
{
    struct fake *fake = fake_new(loop, async, UV_ASYNC);
    fake->fn.async = fn;
    fake->active = true;
    return 0;
}

int uv_async_send(uv_async_t *async)
{
    fake_of(async)->signalled = true;
    return 0;
}

static void run_idles(void)
{
    struct fake *ready[8];
    size_t count = 0;
    for (struct fake *h = handles; h != NULL && count < 8; h = h->next) {
        if (h->uv->type == UV_IDLE && h->active) {
            ready[count++] = h;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ready[i]->active) {
            ready[i]->fn.idle((uv_idle_t *)ready[i]->uv);
        }
    }
}

/* ---- sockets ---- */

int uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd)
{
    fake_new(loop, poll, UV_POLL)->fd = fd;
    return 0;
}

int uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb fn)
{
    struct fake *fake = fake_of(poll);
    fake->fn.poll = fn;
    fake->mask = events;
    fake->active = events != 0;
    return 0;
}

int uv_poll_stop(uv_poll_t *poll)
{
    struct fake *fake = fake_of(poll);
    fake->active = false;
    fake->mask = 0;
    return 0;
}

/* What an epoll_wait would say: UV_READABLE, UV_WRITABLE, and UV_DISCONNECT for an error. */
static int readiness(const struct fake *fake)
{
    int ready = net_ready(fake->fd);
    int events = fake->deaf ? ready & fake->mask & ~UV_READABLE : ready & fake->mask;
    return events | (ready & UV_DISCONNECT);
}

static void poll_one(struct fake *fake, int events)
{
    uv_poll_t *poll = (uv_poll_t *)fake->uv;
    if (!fake->active) {
        return;
    }
    if ((events & UV_DISCONNECT) != 0) {
        fake->active = false; /* libuv: an error stops the handle */
        fake->mask = 0;
        fake->fn.poll(poll, UV_EBADF, 0);
        return;
    }
    events &= fake->mask;
    if ((events & UV_READABLE) != 0 && net_is_stream(fake->fd) &&
        sim_mutates(MUTATION_LOSE_WAKEUP, 20)) {
        fake->deaf = true;
        return;
    }
    if (events != 0) {
        fake->fn.poll(poll, 0, events);
    }
}

static void run_polls(void)
{
    static struct fake *ready[READY_MAX];
    static int events[READY_MAX];
    size_t count = 0;
    for (struct fake *h = handles; h != NULL && count < READY_MAX; h = h->next) {
        bool asks = h->active && (h->uv->type == UV_POLL || h->uv->type == UV_ASYNC);
        int found = !asks ? 0 : h->uv->type == UV_ASYNC ? h->signalled : readiness(h);
        if (found != 0) {
            ready[count] = h;
            events[count++] = found;
        }
    }
    while (count > 0) {
        size_t at = rng_below(&sim.rng, count);
        struct fake *fake = ready[at];
        int found = events[at];
        ready[at] = ready[--count];
        events[at] = events[count];
        if (fake->uv->type == UV_POLL) {
            poll_one(fake, found);
        } else if (fake->active) {
            fake->signalled = false;
            fake->fn.async((uv_async_t *)fake->uv);
        }
    }
}

/* ---- the thread pool ---- */

static struct request *request_new(uv_req_t *uv, uv_loop_t *loop, uv_req_type type)
{
    struct request *request = sim_alloc(sizeof *request);
    request->uv = uv;
    uv->type = type;
    ((uv_work_t *)uv)->loop = loop; /* the same place in both kinds, checked below */
    request->next = requests;
    request->link = &requests;
    if (request->next != NULL) {
        request->next->link = &request->next;
    }
    requests = request;
    return request;
}

_Static_assert(offsetof(uv_work_t, loop) == offsetof(uv_getaddrinfo_t, loop), "as libuv lays them");

static void request_done(void *context)
{
    struct request *request = context;
    request->state = REQUEST_DONE;
}

static void work_begin(void *context)
{
    struct request *request = context;
    if (request->state != REQUEST_WAITING) {
        return;
    }
    uv_work_t *work = (uv_work_t *)request->uv;
    request->state = REQUEST_RUNNING;
    work->work_cb(work);
    sim_after(rng_between(&sim.rng, SIM_US, WORK_NS_MAX), request_done, request);
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb fn, uv_after_work_cb after)
{
    if (sim.faults && rng_chance(&sim.rng, 10)) {
        return UV_ENOMEM;
    }
    struct request *request = request_new((uv_req_t *)work, loop, UV_WORK);
    work->work_cb = fn;
    work->after_work_cb = after;
    sim_after(rng_between(&sim.rng, SIM_US, WORK_NS_MAX), work_begin, request);
    return 0;
}

static void name_found(void *context)
{
    struct request *request = context;
    if (request->state != REQUEST_WAITING) {
        return;
    }
    request->status = net_resolve(request->host, request->service, &request->addresses);
    request->state = REQUEST_DONE;
}

int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *uv, uv_getaddrinfo_cb fn, const char *host,
                   const char *service, const struct addrinfo *hints)
{
    struct request *request = request_new((uv_req_t *)uv, loop, UV_GETADDRINFO);
    (void)hints;
    uv->cb = fn;
    snprintf(request->host, sizeof request->host, "%s", host);
    snprintf(request->service, sizeof request->service, "%s", service);
    sim_after(rng_between(&sim.rng, 10 * SIM_US, 30 * SIM_MS), name_found, request);
    return 0;
}

void uv_freeaddrinfo(struct addrinfo *list)
{
    net_free_addresses(list);
}

int uv_cancel(uv_req_t *uv)
{
    struct request *request = requests;
    while (request != NULL && request->uv != uv) {
        request = request->next;
    }
    if (request == NULL || request->state != REQUEST_WAITING) {
        sim_see(SEEN_WORK_TOO_LATE);
        return UV_EBUSY;
    }
    sim_see(SEEN_WORK_CANCELLED);
    request->state = REQUEST_DONE;
    request->status = UV_ECANCELED;
    return 0;
}

static void request_call(struct request *request)
{
    uv_req_t *uv = request->uv;
    *request->link = request->next;
    if (request->next != NULL) {
        request->next->link = request->link;
    }
    if (uv->type == UV_WORK) {
        uv_work_t *work = (uv_work_t *)uv;
        work->after_work_cb(work, request->status);
    } else {
        uv_getaddrinfo_t *name = (uv_getaddrinfo_t *)uv;
        name->cb(name, request->status, request->addresses);
    }
}

static struct request *request_due(void)
{
    struct request *request = requests;
    while (request != NULL && request->state != REQUEST_DONE) {
        request = request->next;
    }
    return request;
}

static void run_requests(void)
{
    for (struct request *r = request_due(); r != NULL; r = request_due()) {
        request_call(r);
    }
}

/* ---- the loop ---- */

int uv_loop_init(uv_loop_t *loop)
{
    memset(loop, 0, sizeof *loop);
    if (the_loop != NULL) {
        sim_violated("loop", "a second loop");
    }
    the_loop = loop;
    loop->time = sim.now_ns / SIM_MS;
    return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
    if (handles != NULL || requests != NULL) {
        sim_violated("leftovers", "%zu handles or requests are left in the loop", fake_uv_alive());
    }
    the_loop = loop == the_loop ? NULL : the_loop;
    return 0;
}

uint64_t uv_now(const uv_loop_t *loop)
{
    return loop->time;
}

uint64_t uv_hrtime(void)
{
    return sim.now_ns;
}

void uv_update_time(uv_loop_t *loop)
{
    loop->time = sim.now_ns / SIM_MS;
}

static bool is_alive(void)
{
    if (closing != NULL || requests != NULL) {
        return true;
    }
    for (const struct fake *h = handles; h != NULL; h = h->next) {
        if (h->active) {
            return true;
        }
    }
    return false;
}

/* There is something to do without waiting. */
static bool is_busy(void)
{
    if (closing != NULL || request_due() != NULL) {
        return true;
    }
    for (const struct fake *h = handles; h != NULL; h = h->next) {
        if (h->active && ((h->uv->type == UV_POLL && readiness(h) != 0) || h->uv->type == UV_IDLE ||
                          (h->uv->type == UV_ASYNC && h->signalled))) {
            return true;
        }
    }
    return false;
}

static void run_until(uint64_t until_ns)
{
    while (sim_next_ns() <= until_ns) {
        sim_step();
    }
    sim.now_ns = until_ns > sim.now_ns ? until_ns : sim.now_ns;
}

/* Lets time pass until the loop has something to do. */
static void pass_time(void)
{
    run_until(sim.now_ns + rng_between(&sim.rng, 200, TURN_NS_MAX)); /* a turn takes its time */
    for (;;) {
        struct fake *timer = first_timer();
        uint64_t due_ns = timer != NULL ? timer->due_ms * SIM_MS : UINT64_MAX;
        if (sim.frozen_until_ns > sim.now_ns) {
            run_until(sim.frozen_until_ns);
            continue;
        }
        if (due_ns <= sim.now_ns || is_busy()) {
            return;
        }
        if (due_ns == UINT64_MAX && sim_next_ns() == UINT64_MAX) {
            sim_violated("progress", "nothing is left that could happen, and Setu waits");
        }
        if (due_ns <= sim_next_ns()) {
            sim.now_ns = due_ns;
        } else {
            sim_step();
        }
        if (sim.now_ns > sim.must_end_ns) {
            return; /* without anything to do: who looks after the turn will tell */
        }
    }
}

int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    (void)mode;
    while (is_alive()) {
        pass_time();
        sim.turns++;
        sim.steps++;
        uv_update_time(loop);
        run_timers(loop);
        run_idles();
        run_requests();
        run_polls();
        run_closing();
        if (fake_uv_after_turn != NULL) {
            fake_uv_after_turn();
        }
    }
    return 0;
}
