/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a broker, for broker.c (nodes and connections) and broker_serve.c (what it answers). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/net.h"
#include "tests/sim/queue.h"
#include "tests/sim/wire.h"

enum { BROKER_NODES_MAX = 8 };

/* A place with an address, and who lives there now. */
struct node {
    int32_t id;
    char host[32];
    bool sasl;
    enum net_answer answer; /* to a connect */
    int16_t versions_max;   /* of ApiVersions */
    bool older;             /* Produce and Fetch end at earlier versions */
    int64_t session_ms;     /* how long a login lasts; 0: for ever */
};

struct conn {
    struct node *node;
    struct end *end;
    struct book *book; /* whose client this serves; NULL: Setu itself, or nobody yet */
    struct exchange *exchange;
    struct queue in, out;
    struct queue answer;   /* what is sent when the request has been thought about */
    struct queue expected; /* …and how the client has to see it; empty: as it is */
    uint64_t ends_ns;      /* of the login; 0: never */
    uint64_t renewed_ns;   /* its last renewal began; 0: none has */
    char who[32];          /* logged in */
    bool renewing;
    bool own_answer;       /* the answer is to Setu, and to no client */
    bool sasl;             /* as the node wanted it when this came */
    bool open;             /* logged in, or none is wanted */
    bool relaying;         /* a request of the client behind the login has come */
    bool busy;             /* a request is thought about */
    bool answered_whole;   /* the answer will be what the client has to see */
    bool stalled, gone;
    bool leaves; /* when all has been sent */
};

/* broker.c */
void broker_leave(struct conn *conn, bool reset);
void broker_flush(struct conn *conn);
struct wire_nodes broker_nodes(const struct conn *conn, bool real);
const struct credentials *broker_users(void);
struct wire_address broker_real_address(void *context, int32_t node_id);

/* broker_serve.c */
void broker_forget_producers(void);
void broker_serve(struct conn *conn);
