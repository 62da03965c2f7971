/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FILLERS_MAX = 256, SPIN_MS = 300 };

static char folder[] = "/tmp/setu-control-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static uv_loop_t loop;
static struct control *control;
static int messages, ends;
static int fillers[FILLERS_MAX];
static size_t filled;

static void on_message(void *context, uint64_t peer, int kind, struct view payload, const int *fds,
                       size_t fd_count)
{
    (void)context, (void)peer, (void)payload, (void)fds;
    cr_assert_eq(fd_count, 0u);
    messages += kind != 0;
    ends += kind == 0;
}

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    cr_assert_eq(uv_loop_init(&loop), 0);
    int fd = control_listen(address.sun_path);
    cr_assert_geq(fd, 0);
    control = control_new(&loop, fd, on_message, NULL);
    cr_assert_not_null(control);
}

static void teardown(void)
{
    control_close(&control);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
    unlink(address.sun_path);
    rmdir(folder);
}

TestSuite(control, .init = setup, .fini = teardown);

static void turns(void)
{
    for (int i = 0; i < 10; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

/* The loop as it waits in life; how long it computed meanwhile. */
static double rest_ms(uint64_t wall_ms)
{
    struct timespec from, to;
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, wake, wall_ms, 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    while (uv_is_active((uv_handle_t *)&timer)) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    return (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
}

static int socket_new(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    return fd;
}

static void ask(int fd)
{
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert(channel_send_to(fd, HANDOVER_STATUS, view_of(NULL, 0), NULL, 0));
}

/* Clients take every descriptor there is. */
static void fill(void)
{
    struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int fd = -1;
    while (filled < FILLERS_MAX && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        fillers[filled++] = fd;
    }
    cr_assert_lt(fd, 0);
}

static void empty(void)
{
    while (filled > 0) {
        close(fillers[--filled]);
    }
}

Test(control, t09_one_who_administers_is_heard_when_no_descriptor_is_left)
{
    int first = socket_new(), second = socket_new();
    fill();
    ask(first);
    turns();
    cr_assert_eq(messages, 1, "by the spare descriptor");
    ask(second);
    cr_assert_lt(rest_ms(SPIN_MS), SPIN_MS / 3.0, "nobody spins on what cannot be accepted");
    cr_assert_eq(messages, 1);
    close(first);
    (void)rest_ms(SPIN_MS);
    cr_assert_eq(ends, 1);
    cr_assert_eq(messages, 2, "the next one when the first has gone");
    close(second);
    empty();
    turns();
    cr_assert_eq(ends, 2);
}

Test(control, who_waits_is_heard_when_there_is_room_again)
{
    int waiting[3];
    for (int i = 0; i < 3; i++) {
        waiting[i] = socket_new();
    }
    fill();
    for (int i = 0; i < 3; i++) {
        ask(waiting[i]);
    }
    (void)rest_ms(10);
    cr_assert_eq(messages, 1);
    empty();
    (void)rest_ms(SPIN_MS);
    cr_assert_eq(messages, 3);
    for (int i = 0; i < 3; i++) {
        close(waiting[i]);
    }
    turns();
    cr_assert_eq(ends, 3);
}

Test(control, a_pause_lasts_though_there_is_room_again)
{
    int one = socket_new(), two = socket_new();
    fill();
    ask(one);
    ask(two);
    (void)rest_ms(10);
    control_pause(control);
    empty();
    (void)rest_ms(SPIN_MS);
    cr_assert_eq(messages, 1);
    control_resume(control);
    turns();
    cr_assert_eq(messages, 2);
    close(one);
    close(two);
}
