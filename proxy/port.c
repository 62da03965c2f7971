/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/config.h"
#include "proxy/accept.h"
#include "proxy/listener_private.h"
#include "proxy/session/node_address.h"
#include "proxy/session/session.h"

enum { PORT_BACKLOG = 1024 };

void port_log(const struct conf_listener *conf, const struct sockaddr_storage *address,
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

/* Only several workers share a port: a second Setu on the same port has to be told, not let in. */
int port_socket(const struct sockaddr_storage *address, bool shared)
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

struct port *port_add(struct listener *listener, int32_t node_id,
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

struct port *port_new(struct listener *listener, int32_t node_id,
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

bool port_listen(struct port *port)
{
    const struct conf_listener *conf = listener_conf(port->listener);
    if (port->listening) {
        return true;
    }
    if (listen(port->fd, PORT_BACKLOG) != 0 || !accept_poll(port)) {
        port_log(conf, &port->address, port->node_id, LOG_LEVEL_ERROR, "port_not_opened", errno);
        return false;
    }
    port->listening = true;
    port_log(conf, &port->address, port->node_id, LOG_LEVEL_INFO, "port_opened", 0);
    return true;
}

struct port *port_find(const struct listener *listener, int32_t node_id)
{
    struct port *port = listener->ports;
    while (port != NULL && port->node_id != node_id) {
        port = port->next;
    }
    return port;
}

struct port *port_at(const struct listener *listener, const struct sockaddr_storage *address)
{
    struct port *port = listener->ports;
    while (port != NULL && !node_address_equal(&port->address, address)) {
        port = port->next;
    }
    return port;
}

static void port_on_closed(uv_handle_t *handle)
{
    struct port *port = handle->data;
    struct listener *listener = port->listener;
    close(port->fd);
    free(port);
    listener->open_handles--;
}

void port_close(struct port *port)
{
    uv_close((uv_handle_t *)&port->poll, port_on_closed);
}
