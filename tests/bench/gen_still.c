/* SPDX-License-Identifier: Apache-2.0 */
/* The two modes that are about connections, not requests. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/common.h"
#include "tests/bench/gen.h"

static const uint64_t second_ns = 1000000000u;

static void sleep_for(double seconds)
{
    struct timespec rest = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

void gen_hold(const struct gen_options *options, const struct gen_link *links)
{
    struct epoll_event event = {.events = EPOLLRDHUP};
    uint64_t end = clock_now_ns() + (uint64_t)(options->duration_s * (double)second_ns);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < options->conns; i++) {
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, links[i].fd, &event) != 0) {
            die("epoll_ctl: %s", strerror(errno));
        }
    }
    printf(options->json ? "{\"held\": %zu}\n" : "%zu connections are up\n", options->conns);
    fflush(stdout);
    for (uint64_t now = clock_now_ns(); now < end; now = clock_now_ns()) {
        int count = epoll_wait(epoll, &event, 1, (int)((end - now) / 1000000 + 1));
        if (count > 0) {
            die("a connection that was held has ended");
        }
    }
    close(epoll);
}

static double watched_cpu_s(const struct gen_options *options)
{
    uint64_t ns = options->watch > 0 ? clock_cpu_of_ns(options->watch) : 0;
    if (options->watch > 0 && ns == 0) {
        die("--watch %d: no such process", (int)options->watch);
    }
    return (double)ns / 1e9;
}

void gen_storm(const struct gen_options *options, SSL_CTX *tls, struct gen_link *links,
               struct gen_result *r)
{
    double before = watched_cpu_s(options);
    gen_close(links, options->conns);
    sleep_for(options->pause_s);
    double dropped = watched_cpu_s(options);
    uint64_t own = clock_cpu_ns();
    uint64_t began = clock_now_ns();
    gen_login(options, tls, links, &r->latency);
    r->seconds = (double)(clock_now_ns() - began) / 1e9;
    r->cpu_s = (double)(clock_cpu_ns() - own) / 1e9;
    r->watched_cpu_s = watched_cpu_s(options) - dropped;
    r->drop_cpu_s = dropped - before;
    r->batches = options->conns;
}
