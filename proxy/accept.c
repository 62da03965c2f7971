/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/listener_private.h"
#include "proxy/session/edition.h"
#include "proxy/session/session.h"
#include "proxy/visitors.h"

enum {
    TURN_MAX = 64, /* accepts in one turn: then the sessions get theirs */
    REST_MS = 100,
};

static void on_rested(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    accept_start(listener);
    if (listener->refused) {
        listener_open(listener);
    }
}

void accept_later(struct listener *listener, uint64_t ms)
{
    uv_timer_start(&listener->rest, on_rested, ms, 0);
}

static bool is_exhausted(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS;
}

/*
 * No descriptor is left: the spare one takes the connection and lets it go, so that the backlog
 * does not spin. Another thread may be faster to take the one that is set free: then a rest.
 */
static void take_spare(struct port *port)
{
    struct listener *listener = port->listener;
    if (listener->spare_fd >= 0) {
        close(listener->spare_fd);
    }
    int fd = accept(port->fd, NULL, NULL);
    bool failed = fd < 0 && is_exhausted(errno);
    if (fd >= 0) {
        close(fd);
    }
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (failed || listener->spare_fd < 0) {
        accept_stop(listener);
        accept_later(listener, REST_MS);
    }
}

static void let_in(struct port *port, int fd, const struct sockaddr *peer)
{
    struct listener *listener = port->listener;
    struct door *door = listener->door;
    struct stats *stats = &listener->world->stats;
    if (!listener->open) {
        stats_add(&stats->client_refused_not_ready, 1);
        close(fd);
        return;
    }
    if (!visitors_enter(door->gate.edition->shared->visitors, peer)) {
        stats_add(&stats->client_refused_limit, 1);
        close(fd);
        return;
    }
    stats_add(&stats->client_accepted, 1);
    door->sessions++;
    listener->sessions++;
    if (!session_start(&door->gate, fd, peer, port->node_id)) {
        door->gate.on_gone(&door->gate, peer);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct port *port = poll->data;
    struct stats *stats = &port->listener->world->stats;
    (void)events;
    for (int turn = 0; status == 0 && turn < TURN_MAX; turn++) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        int fd = accept4(port->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            let_in(port, fd, (const struct sockaddr *)&peer);
            continue;
        }
        if (is_exhausted(errno)) {
            stats_add(&stats->client_accept_errors, 1);
            take_spare(port);
            return;
        }
        if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

bool accept_poll(struct port *port)
{
    return uv_poll_start(&port->poll, UV_READABLE, on_poll) == 0;
}

void accept_start(struct listener *listener)
{
    for (struct port *port = listener->ports; port != NULL; port = port->next) {
        if (listener->open ? port->listening : port->came && listener->turns_away) {
            (void)accept_poll(port);
        }
    }
}

void accept_stop(struct listener *listener)
{
    for (struct port *port = listener->ports; port != NULL; port = port->next) {
        uv_poll_stop(&port->poll);
    }
}
