/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "conf/config.h"
#include "proxy/accept.h"
#include "proxy/listener_private.h"
#include "proxy/ops/log.h"
#include "proxy/session/node_address.h"
#include "proxy/session/session.h"

enum {
    RETRY_MS = 1000,
    UNREADY_MS = 5000, /* so long who came early waits for the first look at brokers */
};

/* ---- ports ---- */

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

void listener_rotate(struct listener *listener, const struct shared *next)
{
    door_rotate(listener->door, next);
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
        accept_start(listener); /* from the sockets that were listening when they came */
    }
    if (listener->refused) {
        accept_later(listener, RETRY_MS);
    }
}

static bool is_listening(int fd)
{
    int yes = 0;
    socklen_t length = sizeof yes;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &length) == 0 && yes != 0;
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
        accept_start(listener);
    }
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
        uv_timer_start(&listener->unready, listener_on_unready, UNREADY_MS, 0);
    }
    if (!listening) {
        return true;
    }
    port->listening = true;
    port_log(listener_conf(listener), &address, node_id, LOG_LEVEL_INFO, "port_adopted", 0);
    return !listener->open || accept_poll(port);
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
        accept_stop(listener);
    }
}

void listener_resume(struct listener *listener)
{
    if (listener->suspended) {
        listener->suspended = false;
        accept_start(listener);
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
        port_close(port);
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
