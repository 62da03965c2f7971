/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "auth/rules.h"
#include "auth/tls_context.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/log.h"
#include "proxy/session/edition.h"
#include "proxy/session/session.h"
#include "proxy/visitors.h"

enum {
    LISTENER_BACKLOG = 1024,
    LISTENER_TURN_MAX = 64, /* accepts in one turn: then the sessions get theirs */
    LISTENER_REST_MS = 100,
    LISTENER_RETRY_MS = 1000,
};

/* One socket. */
struct port {
    uv_poll_t poll;
    struct listener *listener;
    struct port *next;
    int32_t node_id; /* -1: bootstrap */
    int fd;
    bool listening;
};

/* A listener as one edition of the configuration has it. Goes with its last session, or with the listener. */
struct door {
    struct gate gate; /* first: a gate is its door */
    struct listener *listener;
    size_t sessions;
};

struct listener {
    struct world *world;
    struct door *door; /* for those who come now */
    struct port *ports;
    uv_timer_t rest; /* while it runs nothing is accepted */
    size_t open_handles;
    size_t sessions; /* of all its doors */
    int spare_fd;
    bool refused;   /* the bootstrap port was somebody else's when it was to be opened */
    bool held;      /* a predecessor still accepts */
    bool suspended; /* a successor accepts */
    bool stopped;
};

static void port_log(const struct conf_listener *conf, int32_t node_id, enum log_level level,
                     const char *event, int number)
{
    int shown = node_id < 0 ? conf->port : conf->node_base_port + node_id;
    struct log_field fields[] = {
        log_str("listener", conf->name),
        log_str("bind", conf->bind),
        log_int("port", shown),
        log_int("node_id", node_id),
        log_str("error", number != 0 ? strerror(number) : NULL),
    };
    log_write(level, event, fields, sizeof fields / sizeof fields[0]);
}

static const struct conf_listener *listener_conf(const struct listener *listener)
{
    return listener->door->gate.conf;
}

static void gate_gone(struct gate *gate, const struct sockaddr *peer)
{
    struct door *door = (struct door *)gate;
    struct listener *listener = door->listener;
    assert(door->sessions > 0 && listener->sessions > 0);
    door->sessions--;
    listener->sessions--;
    visitors_leave(gate->edition->shared->visitors, peer);
    if (door != listener->door && door->sessions == 0) {
        door_free(&door);
    }
}

/* ---- accept ---- */

static void port_on_poll(uv_poll_t *poll, int status, int events);

static void listener_accept(struct listener *listener)
{
    for (struct port *port = listener->ports; port != NULL; port = port->next) {
        if (port->listening) {
            (void)uv_poll_start(&port->poll, UV_READABLE, port_on_poll);
        }
    }
}

static void listener_on_rested(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    listener_accept(listener);
    if (listener->refused) {
        listener_open(listener);
    }
}

static void listener_accept_not(struct listener *listener)
{
    for (struct port *port = listener->ports; port != NULL; port = port->next) {
        uv_poll_stop(&port->poll);
    }
}

static void listener_rest(struct listener *listener)
{
    listener_accept_not(listener);
    uv_timer_start(&listener->rest, listener_on_rested, LISTENER_REST_MS, 0);
}

static bool is_exhaustion(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS;
}

/*
 * No descriptor is left: the spare one takes the connection and lets it go, so that the backlog
 * does not spin. Another thread may be faster to take the one that is set free: then a rest.
 */
static void port_accept_spare(struct port *port)
{
    struct listener *listener = port->listener;
    if (listener->spare_fd >= 0) {
        close(listener->spare_fd);
    }
    int fd = accept(port->fd, NULL, NULL);
    bool failed = fd < 0 && is_exhaustion(errno);
    if (fd >= 0) {
        close(fd);
    }
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (failed || listener->spare_fd < 0) {
        listener_rest(listener);
    }
}

static void port_accepted(struct port *port, int fd, const struct sockaddr *peer)
{
    struct listener *listener = port->listener;
    struct door *door = listener->door;
    struct stats *stats = &listener->world->stats;
    if (!visitors_enter(door->gate.edition->shared->visitors, peer)) {
        stats_add(&stats->client_refused_limit, 1);
        close(fd);
        return;
    }
    stats_add(&stats->client_accepted, 1);
    door->sessions++;
    listener->sessions++;
    if (!session_start(&door->gate, fd, peer, port->node_id)) {
        gate_gone(&door->gate, peer);
    }
}

static void port_on_poll(uv_poll_t *poll, int status, int events)
{
    struct port *port = poll->data;
    struct stats *stats = &port->listener->world->stats;
    (void)events;
    for (int turn = 0; status == 0 && turn < LISTENER_TURN_MAX; turn++) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        int fd = accept4(port->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            port_accepted(port, fd, (const struct sockaddr *)&peer);
            continue;
        }
        if (is_exhaustion(errno)) {
            stats_add(&stats->client_accept_errors, 1);
            port_accept_spare(port);
            return;
        }
        if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* ---- ports ---- */

static socklen_t port_address(const struct conf_listener *conf, int number,
                              struct sockaddr_storage *address)
{
    memset(address, 0, sizeof *address);
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET, conf->bind, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)number);
        return sizeof *in;
    }
    if (inet_pton(AF_INET6, conf->bind, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)number);
        return sizeof *in6;
    }
    return 0;
}

/* Only several workers share a port: a second Setu on the same port has to be told, not let in. */
static int port_socket(const struct conf_listener *conf, int number, bool shared)
{
    struct sockaddr_storage address;
    int one = 1;
    socklen_t length = port_address(conf, number, &address);
    if (length == 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) ||
        bind(fd, (const struct sockaddr *)&address, length) != 0) {
        int number_kept = errno;
        close(fd);
        errno = number_kept;
        return -1;
    }
    return fd;
}

bool listener_place(const struct conf_listener *conf, const struct sockaddr *address,
                    int32_t *node_id_r)
{
    struct sockaddr_storage own;
    uint16_t number = 0;
    if (address->sa_family == AF_INET) {
        number = ntohs(((const struct sockaddr_in *)address)->sin_port);
    } else if (address->sa_family == AF_INET6) {
        number = ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    }
    if (port_address(conf, number, &own) == 0 || own.ss_family != address->sa_family ||
        (own.ss_family == AF_INET
             ? memcmp(&((const struct sockaddr_in *)&own)->sin_addr,
                      &((const struct sockaddr_in *)address)->sin_addr, 4)
             : memcmp(&((const struct sockaddr_in6 *)&own)->sin6_addr,
                      &((const struct sockaddr_in6 *)address)->sin6_addr, 16)) != 0) {
        return false;
    }
    *node_id_r = number == conf->port ? -1 : number - conf->node_base_port;
    return number == conf->port ||
           (conf->role == CONF_ROLE_CLIENTS && number >= conf->node_base_port &&
            *node_id_r < conf->node_ports_max);
}

void listener_address(const struct conf_listener *conf, char *text, size_t size)
{
    struct sockaddr_storage address;
    text[0] = '\0';
    if (port_address(conf, conf->port, &address) > 0) {
        leg_address_text((const struct sockaddr *)&address, text, size);
    }
}

/* Takes fd in any case. */
static struct port *port_add(struct listener *listener, int32_t node_id, int fd)
{
    struct port *port = calloc(1, sizeof *port);
    if (port == NULL || uv_poll_init(listener->world->io.loop, &port->poll, fd) != 0) {
        free(port);
        close(fd);
        return NULL;
    }
    port->listener = listener;
    port->node_id = node_id;
    port->fd = fd;
    port->poll.data = port;
    port->next = listener->ports;
    listener->ports = port;
    listener->open_handles++;
    return port;
}

static struct port *port_new(struct listener *listener, int32_t node_id)
{
    const struct conf_listener *conf = listener_conf(listener);
    int fd = port_socket(conf, node_id < 0 ? conf->port : conf->node_base_port + node_id,
                         listener->world->ports_shared);
    struct port *port = fd >= 0 ? port_add(listener, node_id, fd) : NULL;
    if (port == NULL) {
        port_log(conf, node_id, LOG_LEVEL_ERROR, "port_not_opened", errno);
    }
    return port;
}

static bool port_listen(struct port *port)
{
    const struct conf_listener *conf = listener_conf(port->listener);
    if (port->listening) {
        return true;
    }
    if (listen(port->fd, LISTENER_BACKLOG) != 0 ||
        uv_poll_start(&port->poll, UV_READABLE, port_on_poll) != 0) {
        port_log(conf, port->node_id, LOG_LEVEL_ERROR, "port_not_opened", errno);
        return false;
    }
    port->listening = true;
    port_log(conf, port->node_id, LOG_LEVEL_INFO, "port_opened", 0);
    return true;
}

static struct port *port_find(const struct listener *listener, int32_t node_id)
{
    struct port *port = listener->ports;
    while (port != NULL && port->node_id != node_id) {
        port = port->next;
    }
    return port;
}

bool listener_open_node(struct listener *listener, int32_t node_id)
{
    const struct conf_listener *conf = listener_conf(listener);
    struct port *port = node_id >= 0 ? port_find(listener, node_id) : NULL;
    if (listener->held || listener->suspended) {
        return false; /* the ports are another process's */
    }
    if (port != NULL) {
        return port_listen(port);
    }
    if (node_id < 0 || node_id >= conf->node_ports_max || listener->stopped) {
        struct log_field fields[] = {
            log_str("listener", conf->name),
            log_int("node_id", node_id),
            log_int("node_ports_max", conf->node_ports_max),
        };
        log_write(LOG_LEVEL_ERROR, "node_port_refused", fields, 3);
        return false;
    }
    port = port_new(listener, node_id);
    return port != NULL && port_listen(port);
}

static uint16_t gate_node_port(struct gate *gate, int32_t node_id)
{
    struct listener *listener = ((struct door *)gate)->listener;
    /* A draining listener still names the ports: the next connections are another process's. */
    bool known = listener->stopped || listener->suspended
                     ? node_id >= 0 && node_id < gate->conf->node_ports_max
                     : listener_open_node(listener, node_id);
    if (!known) {
        return 0;
    }
    return (uint16_t)(gate->conf->node_base_port + node_id);
}

/* ---- doors ---- */

static void log_all(const struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        log_text(LOG_LEVEL_ERROR, "listener_tls_failed", errors->items[i].text);
    }
}

static bool door_secure(struct door *door)
{
    const struct conf_listener *conf = door->gate.conf;
    struct rules_error rules_error;
    struct conf_errors errors;
    if (!conf->tls.present) {
        return true;
    }
    conf_errors_init(&errors);
    door->gate.tls = tls_server_ctx_new(conf, world_now_ns() / 1000000000, &errors);
    log_all(&errors);
    conf_errors_deinit(&errors);
    door->gate.rules =
        rules_parse(view_from_string(conf->tls.principal_mapping_rules), &rules_error);
    return door->gate.tls != NULL && door->gate.rules != NULL;
}

struct door *door_new(struct world *world, struct edition *edition, struct cluster *cluster,
                      const struct conf_listener *conf)
{
    struct door *door = calloc(1, sizeof *door);
    if (door == NULL) {
        return NULL;
    }
    door->gate = (struct gate){.world = world,
                               .edition = edition_ref(edition),
                               .cluster = cluster,
                               .conf = conf,
                               .node_port = gate_node_port,
                               .on_gone = gate_gone};
    if (!door_secure(door)) {
        door_free(&door);
    }
    return door;
}

void door_free(struct door **door)
{
    struct door *gone = *door;
    *door = NULL;
    if (gone == NULL) {
        return;
    }
    assert(gone->sessions == 0);
    SSL_CTX_free(gone->gate.tls);
    rules_free(&gone->gate.rules);
    edition_unref(&gone->gate.edition);
    free(gone);
}

struct listener *door_listener(const struct gate *gate)
{
    return ((const struct door *)gate)->listener;
}

/* ---- life ---- */

struct listener *listener_new(struct world *world, struct door **door, bool held, bool promised)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        door_free(door);
        return NULL;
    }
    listener->world = world;
    listener->door = *door;
    listener->held = held;
    *door = NULL;
    listener->door->listener = listener;
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (!promised && port_new(listener, -1) == NULL) {
        listener_free(&listener);
        return NULL;
    }
    (void)uv_timer_init(world->io.loop, &listener->rest); /* never fails */
    listener->rest.data = listener;
    listener->open_handles++;
    return listener;
}

void listener_swap(struct listener *listener, struct door **door)
{
    struct door *before = listener->door;
    listener->door = *door;
    *door = NULL;
    listener->door->listener = listener;
    if (before->sessions == 0) {
        door_free(&before);
    }
}

bool listener_keeps(const struct listener *listener, const struct conf_listener *conf)
{
    const struct conf_listener *own = listener_conf(listener);
    return strcmp(own->bind, conf->bind) == 0 && own->port == conf->port;
}

bool listener_port_is_free(const struct conf_listener *conf)
{
    int fd = port_socket(conf, conf->port, false);
    if (fd < 0) {
        port_log(conf, -1, LOG_LEVEL_ERROR, "port_not_opened", errno);
        return false;
    }
    close(fd);
    return true;
}

void listener_open(struct listener *listener)
{
    struct port *port = port_find(listener, -1);
    if (port == NULL || listener->stopped || listener->held || listener->suspended) {
        return;
    }
    listener->refused = false;
    for (; port != NULL; port = port->next) {
        if (port->node_id < 0 && !port_listen(port)) {
            listener->refused = true;
        }
    }
    if (listener->refused) {
        uv_timer_start(&listener->rest, listener_on_rested, LISTENER_RETRY_MS, 0);
    }
}

bool listener_adopt(struct listener *listener, int32_t node_id, int fd, bool listening)
{
    struct port *port = port_add(listener, node_id, fd);
    if (port == NULL) {
        port_log(listener_conf(listener), node_id, LOG_LEVEL_ERROR, "port_not_adopted", errno);
        return false;
    }
    if (!listening) {
        return true;
    }
    port->listening = true;
    port_log(listener_conf(listener), node_id, LOG_LEVEL_INFO, "port_adopted", 0);
    return uv_poll_start(&port->poll, UV_READABLE, port_on_poll) == 0;
}

bool listener_unhold(struct listener *listener)
{
    listener->held = false;
    return port_find(listener, -1) != NULL || port_new(listener, -1) != NULL;
}

void listener_suspend(struct listener *listener)
{
    if (!listener->stopped) {
        listener->suspended = true;
        uv_timer_stop(&listener->rest);
        listener_accept_not(listener);
    }
}

void listener_resume(struct listener *listener)
{
    if (listener->suspended) {
        listener->suspended = false;
        listener_accept(listener);
    }
}

size_t listener_sockets(const struct listener *listener, struct listener_socket *sockets,
                        size_t max)
{
    size_t count = 0;
    for (const struct port *port = listener->ports; port != NULL && count < max;
         port = port->next) {
        sockets[count++] = (struct listener_socket){port->fd, port->listening};
    }
    return count;
}

static void port_on_closed(uv_handle_t *handle)
{
    struct port *port = handle->data;
    struct listener *listener = port->listener;
    close(port->fd);
    free(port);
    listener->open_handles--;
}

static void listener_on_rest_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    listener->open_handles--;
}

void listener_stop(struct listener *listener)
{
    if (listener->stopped) {
        return;
    }
    listener->stopped = true;
    uv_close((uv_handle_t *)&listener->rest, listener_on_rest_closed);
    while (listener->ports != NULL) {
        struct port *port = listener->ports;
        listener->ports = port->next;
        uv_close((uv_handle_t *)&port->poll, port_on_closed);
    }
}

bool listener_is_idle(const struct listener *listener)
{
    return listener->open_handles == 0 && listener->sessions == 0;
}

void listener_free(struct listener **listener)
{
    struct listener *gone = *listener;
    *listener = NULL;
    if (gone == NULL) {
        return;
    }
    assert(listener_is_idle(gone));
    if (gone->spare_fd >= 0) {
        close(gone->spare_fd);
    }
    door_free(&gone->door);
    free(gone);
}

struct cluster *listener_cluster(const struct listener *listener)
{
    return listener->door->gate.cluster;
}
