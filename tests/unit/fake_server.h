/* SPDX-License-Identifier: Apache-2.0 */
/* fake_server: fake brokers behind a plain listening socket, on the test's own loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "tests/unit/fake_broker.h"

struct fake_server {
    uv_tcp_t listener;
    struct fake_broker broker; /* how every connection behaves; its users are shared */
    uint16_t port;
    bool silent; /* accepts, reads, never answers */
    bool slams;  /* accepts and closes */
    size_t accepted;
    bool open;
};

/* Listens on 127.0.0.1; port 0: a free one, told in server->port. */
void fake_server_start(struct fake_server *server, uv_loop_t *loop, uint16_t port);
void fake_server_stop(struct fake_server *server); /* the listener; connections go on */
