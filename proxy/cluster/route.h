/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route: where a broker leg has to go and how it has to log in. A plain value, copied to the
 * caller.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct conf_generation;

enum { ROUTE_HOST_MAX = 256 };

enum route_status {
    ROUTE_OK,
    ROUTE_PENDING,    /* known, but its address or generation is still being found: cluster_wait */
    ROUTE_UNKNOWN,    /* no broker ever named this node id */
    ROUTE_NO_ADDRESS, /* its host name does not resolve */
    ROUTE_NO_GENERATION, /* no generation matches it, and looking at it did not tell either */
    ROUTE_NONE_LIVE,     /* asked for any broker, and none answers */
};

struct route {
    int32_t node_id; /* the real id; -1 when a bootstrap broker did not tell its id yet */
    const struct conf_generation *generation; /* dies with the configuration */
    char host[ROUTE_HOST_MAX];                /* as the brokers name it: SNI and hostname check */
    uint16_t port;
    bool live;                       /* answered last time; false: try, but expect little */
    bool confirmed; /* it is known that node_id answers there; false: ask it (cluster_identify) */
    uint64_t flips; /* of its generation; what was kept from before another number is void */
    int16_t authenticate_version;    /* for broker_login_params; -1 unknown */
    struct sockaddr_storage address; /* resolved, with the port */
};

/** "ok", "pending", … for logs. */
const char *route_status_name(enum route_status status);
