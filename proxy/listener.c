/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "auth/rules.h"
#include "auth/tls_context.h"
#include "auth/tls_material.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/log.h"
#include "proxy/session/edition.h"
#include "proxy/session/node_address.h"
#include "proxy/session/session.h"
#include "proxy/visitors.h"

enum {
    LISTENER_BACKLOG = 1024,
    LISTENER_TURN_MAX = 64, /* accepts in one turn: then the sessions get theirs */
    LISTENER_REST_MS = 100,
    LISTENER_RETRY_MS = 1000,
    LISTENER_UNREADY_MS = 5000, /* so long who came early waits for the first look at brokers */
};

/* One socket. */
struct port {
    uv_poll_t poll;
    struct listener *listener;
    struct port *next;
    int32_t node_id; /* -1: bootstrap */
    unsigned life;   /* of the listener, in which it was seen to be what its node needs */
    struct sockaddr_storage address;
    int fd;
    bool listening;
    bool came; /* it was listening before we had it */
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
    uv_timer_t unready; /* then who waits in sockets that came listening has waited enough */
    size_t open_handles;
    size_t sessions; /* of all its doors */
    int spare_fd;
    unsigned life; /* grows with each door: where nodes are may have changed */
    bool open;      /* its cluster can be served: until then nothing is accepted */
    bool turns_away; /* while it is not open: who connects all the same is let go at once */
    bool refused;   /* the bootstrap port was somebody else's when it was to be opened */
    bool held;      /* a predecessor still accepts */
    bool suspended; /* a successor accepts */
    bool stopped;
};

static void port_log(const struct conf_listener *conf, const struct sockaddr_storage *address,
                     int32_t node_id, enum log_level level, const char *event, int number)
{
    char ip[INET6_ADDRSTRLEN] = "";
    bool six = address->ss_family == AF_INET6;
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    inet_ntop(address->ss_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, ip,
              sizeof ip);
    struct log_field fields[] = {
        log_str("listener", conf->name),
        log_str("bind", ip),
        log_int("port", ntohs(six ? in6->sin6_port : in->sin_port)),
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

static const struct gate *gate_newest(const struct gate *gate)
{
    const struct door *door = (const struct door *)gate;
    return &door->listener->door->gate;
}

/* ---- accept ---- */

static void port_on_poll(uv_poll_t *poll, int status, int events);

static void listener_accept(struct listener *listener)
{
    for (struct port *port = listener->ports; port != NULL; port = port->next) {
        if (listener->open ? port->listening : port->came && listener->turns_away) {
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

/* Nobody can be served yet, and clients have other addresses to try. */
static void listener_on_unready(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    if (!listener->open && !listener->suspended) {
        const struct port *port = listener->ports;
        listener->turns_away = true;
        port_log(listener_conf(listener), &port->address, port->node_id, LOG_LEVEL_WARN,
                 "clients_turned_away", 0);
        listener_accept(listener);
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

/* Only several workers share a port: a second Setu on the same port has to be told, not let in. */
static int port_socket(const struct sockaddr_storage *address, bool shared)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    bool six = address->ss_family == AF_INET6;
    bool every = six && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
    socklen_t length = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int one = 1, only_six = every ? 0 : 1; /* "::" is IPv4 too, whatever net.ipv6.bindv6only says */
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_six, sizeof only_six) != 0) ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) ||
        bind(fd, (const struct sockaddr *)address, length) != 0) {
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
    return node_address_find(conf, address, node_id_r);
}

void listener_address(const struct conf_listener *conf, char *text, size_t size)
{
    struct sockaddr_storage at[NODE_ADDRESS_SOCKETS_MAX];
    text[0] = '\0';
    if (node_address_sockets(conf, NODE_ADDRESS_BOOTSTRAP, at) > 0) {
        leg_address_text((const struct sockaddr *)&at[0], text, size);
    }
}

/* Takes fd in any case. */
static struct port *port_add(struct listener *listener, int32_t node_id,
                             const struct sockaddr_storage *address, int fd)
{
    struct port *port = calloc(1, sizeof *port);
    if (port == NULL || uv_poll_init(listener->world->io.loop, &port->poll, fd) != 0) {
        free(port);
        close(fd);
        return NULL;
    }
    port->listener = listener;
    port->node_id = node_id;
    port->address = *address;
    port->fd = fd;
    port->poll.data = port;
    port->next = listener->ports;
    listener->ports = port;
    listener->open_handles++;
    return port;
}

static struct port *port_new(struct listener *listener, int32_t node_id,
                             const struct sockaddr_storage *address)
{
    int fd = port_socket(address, listener->world->ports_shared);
    struct port *port = fd >= 0 ? port_add(listener, node_id, address, fd) : NULL;
    if (port == NULL) {
        port_log(listener_conf(listener), address, node_id, LOG_LEVEL_ERROR, "port_not_opened",
                 errno);
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
        port_log(conf, &port->address, port->node_id, LOG_LEVEL_ERROR, "port_not_opened", errno);
        return false;
    }
    port->listening = true;
    port_log(conf, &port->address, port->node_id, LOG_LEVEL_INFO, "port_opened", 0);
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

static struct port *port_at(const struct listener *listener,
                            const struct sockaddr_storage *address)
{
    struct port *port = listener->ports;
    while (port != NULL && !node_address_equal(&port->address, address)) {
        port = port->next;
    }
    return port;
}

/* Binds what is missing of what node_id (or the bootstrap) needs. False: not all can be had. */
static bool ports_bind(struct listener *listener, int32_t node_id)
{
    struct sockaddr_storage at[NODE_ADDRESS_SOCKETS_MAX];
    size_t count = node_address_sockets(listener_conf(listener), node_id, at);
    bool all = count > 0;
    for (size_t i = 0; i < count; i++) {
        struct port *port = port_at(listener, &at[i]);
        port = port != NULL ? port : port_new(listener, node_id, &at[i]);
        if (port != NULL) {
            port->node_id = node_id; /* before a reload it may have been another's */
        }
        all = all && port != NULL;
    }
    for (size_t i = 0; all && i < count; i++) {
        port_at(listener, &at[i])->life = listener->life;
    }
    return all;
}

/* Before it is open its ports are kept, no more: who came would be told what only some brokers can. */
static bool ports_listen(struct listener *listener, int32_t node_id)
{
    bool all = true;
    for (struct port *port = listener->ports; port != NULL && listener->open; port = port->next) {
        if (port->node_id == node_id) {
            all = port_listen(port) && all;
        }
    }
    return all;
}

static bool node_refused(struct listener *listener, int32_t node_id)
{
    const struct conf_listener *conf = listener_conf(listener);
    struct log_field fields[] = {
        log_str("listener", conf->name),
        log_int("node_id", node_id),
        log_int("node_ids_below", node_address_limit(conf)),
    };
    stats_add(&listener->world->stats.node_ports_refused, 1);
    log_write(LOG_LEVEL_ERROR, "node_port_refused", fields, 3);
    return false;
}

/* All of its addresses or none: a client may be told one name for all. */
bool listener_open_node(struct listener *listener, int32_t node_id)
{
    const struct conf_listener *conf = listener_conf(listener);
    if (listener->held || listener->suspended) {
        return false; /* the ports are another process's */
    }
    if (node_id < 0 || node_id >= node_address_limit(conf) || listener->stopped) {
        return node_refused(listener, node_id);
    }
    const struct port *port = port_find(listener, node_id);
    if (port != NULL && port->listening && port->life == listener->life) {
        return true;
    }
    if (ports_bind(listener, node_id) && ports_listen(listener, node_id)) {
        return true;
    }
    stats_add(&listener->world->stats.node_ports_taken, 1);
    return false;
}

static uint16_t gate_node_port(struct gate *gate, int32_t node_id)
{
    struct listener *listener = ((struct door *)gate)->listener;
    char text[NODE_ADDRESS_TEXT_SIZE];
    struct view host;
    uint16_t port = 0;
    /* A draining listener still names the ports: the next connections are another process's. */
    bool open = listener->stopped || listener->suspended || listener_open_node(listener, node_id);
    return open && node_address_shown(gate->conf, node_id, text, &host, &port) ? port : 0;
}

/* ---- doors ---- */

static void log_all(const struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        log_text(LOG_LEVEL_ERROR, "listener_tls_failed", errors->items[i].text);
    }
}

/* NULL: logged. */
static SSL_CTX *door_context(const struct conf_listener *conf, const struct shared *shared)
{
    const struct tls_side *side = &shared->material->sides[conf - shared->config->listeners];
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx = tls_server_ctx_from(conf, &side->pair, side->clients, &errors);
    log_all(&errors);
    conf_errors_deinit(&errors);
    return ctx;
}

void listener_rotate(struct listener *listener, const struct shared *next)
{
    struct gate *gate = &listener->door->gate;
    SSL_CTX *ctx = gate->tls != NULL ? door_context(gate->conf, next) : NULL;
    if (ctx != NULL) {
        SSL_CTX_free(gate->tls);
        gate->tls = ctx;
    }
}

static bool door_secure(struct door *door)
{
    const struct conf_listener *conf = door->gate.conf;
    struct rule_fault rules_error;
    if (!conf->tls.present) {
        return true;
    }
    door->gate.tls = door_context(conf, door->gate.edition->shared);
    door->gate.rules =
        rules_parse(view_from_string(conf->tls.principal_mapping_rules), &rules_error);
    return door->gate.tls != NULL && door->gate.rules != NULL;
}

static const struct kerberos_acceptor *door_acceptor(const struct shared *shared,
                                                     const struct conf_listener *conf)
{
    return shared->acceptors != NULL ? shared->acceptors[conf - shared->config->listeners] : NULL;
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
                               .acceptor = door_acceptor(edition->shared, conf),
                               .node_port = gate_node_port,
                               .newest = gate_newest,
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
    if (!promised && !ports_bind(listener, NODE_ADDRESS_BOOTSTRAP)) {
        listener_free(&listener);
        return NULL;
    }
    (void)uv_timer_init(world->io.loop, &listener->rest); /* never fails */
    (void)uv_timer_init(world->io.loop, &listener->unready);
    listener->rest.data = listener->unready.data = listener;
    listener->open_handles += 2;
    return listener;
}

void listener_swap(struct listener *listener, struct door **door)
{
    struct door *before = listener->door;
    listener->door = *door;
    *door = NULL;
    listener->door->listener = listener;
    listener->life++;
    if (before->sessions == 0) {
        door_free(&before);
    }
}

bool listener_keeps(const struct listener *listener, const struct conf_listener *conf)
{
    return node_address_same_bootstrap(listener_conf(listener), conf);
}

bool listener_port_is_free(const struct conf_listener *conf)
{
    struct sockaddr_storage at[NODE_ADDRESS_SOCKETS_MAX];
    size_t count = node_address_sockets(conf, NODE_ADDRESS_BOOTSTRAP, at);
    bool free = true;
    for (size_t i = 0; i < count; i++) {
        int fd = port_socket(&at[i], false);
        if (fd < 0) {
            port_log(conf, &at[i], NODE_ADDRESS_BOOTSTRAP, LOG_LEVEL_ERROR, "port_not_opened",
                     errno);
            free = false;
        } else {
            close(fd);
        }
    }
    return free;
}

void listener_open(struct listener *listener)
{
    struct port *port = port_find(listener, -1);
    if (port == NULL || listener->stopped || listener->held || listener->suspended) {
        return;
    }
    bool first = !listener->open;
    listener->open = true;
    listener->refused = false;
    uv_timer_stop(&listener->unready);
    for (port = listener->ports; port != NULL; port = port->next) {
        bool wanted = port->node_id < 0 || port->life == listener->life;
        if (wanted && !port_listen(port)) {
            listener->refused = listener->refused || port->node_id < 0;
            stats_add(&listener->world->stats.node_ports_taken, port->node_id < 0 ? 0 : 1);
        }
    }
    if (first) {
        listener_accept(listener); /* from the sockets that were listening when they came */
    }
    if (listener->refused) {
        uv_timer_start(&listener->rest, listener_on_rested, LISTENER_RETRY_MS, 0);
    }
}

static bool is_listening(int fd)
{
    int yes = 0;
    socklen_t length = sizeof yes;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &length) == 0 && yes != 0;
}

bool listener_adopt(struct listener *listener, int32_t node_id, int fd, bool listening)
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    socklen_t length = sizeof address;
    (void)getsockname(fd, (struct sockaddr *)&address, &length);
    struct port *port = port_add(listener, node_id, &address, fd);
    if (port == NULL) {
        port_log(listener_conf(listener), &address, node_id, LOG_LEVEL_ERROR, "port_not_adopted",
                 errno);
        return false;
    }
    port->came = is_listening(fd);
    if (port->came && !listener->open && !uv_is_active((uv_handle_t *)&listener->unready)) {
        uv_timer_start(&listener->unready, listener_on_unready, LISTENER_UNREADY_MS, 0);
    }
    if (!listening) {
        return true;
    }
    port->listening = true;
    port_log(listener_conf(listener), &address, node_id, LOG_LEVEL_INFO, "port_adopted", 0);
    return !listener->open || uv_poll_start(&port->poll, UV_READABLE, port_on_poll) == 0;
}

bool listener_unhold(struct listener *listener)
{
    listener->held = false;
    return ports_bind(listener, NODE_ADDRESS_BOOTSTRAP);
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

static void listener_on_timer_closed(uv_handle_t *handle)
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
    uv_close((uv_handle_t *)&listener->rest, listener_on_timer_closed);
    uv_close((uv_handle_t *)&listener->unready, listener_on_timer_closed);
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
