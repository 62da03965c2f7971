/* SPDX-License-Identifier: Apache-2.0 */
/* port: one socket of a listener, at one address, for the bootstrap or one node. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proxy/ops/log.h"

struct conf_listener;
struct listener;

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

/* Bound, not listening; `shared` by the workers of this process. -1: errno. */
int port_socket(const struct sockaddr_storage *address, bool shared);

/* A new port of the listener, bound to the address. NULL: logged. */
struct port *port_new(struct listener *listener, int32_t node_id,
                      const struct sockaddr_storage *address);

/* A port of the listener over a socket that is bound. Takes fd in any case. NULL: no room for it. */
struct port *port_add(struct listener *listener, int32_t node_id,
                      const struct sockaddr_storage *address, int fd);

/* Listens and accepts, if it did not before. False: logged. */
bool port_listen(struct port *port);

/* Asynchronous: the memory goes when the handle has. Not in the listener's list any more. */
void port_close(struct port *port);

/* The first one of a node (-1: bootstrap), or at an address; NULL: there is none. */
struct port *port_find(const struct listener *listener, int32_t node_id);
struct port *port_at(const struct listener *listener, const struct sockaddr_storage *address);

/* One line about a port; number: errno, or 0. */
void port_log(const struct conf_listener *conf, const struct sockaddr_storage *address,
              int32_t node_id, enum log_level level, const char *event, int number);
