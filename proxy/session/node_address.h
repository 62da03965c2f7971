/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_address: where clients reach the brokers through one listener. Pure; nothing is remembered: the same
 * configuration gives the same addresses, in every process and for ever.
 *
 *   node_base_port: 19100          node n at every address of `bind`, port 19100 + n
 *   node_network: 127.80.0.0/16    node n at the nth address of that network, port `port`
 *
 * The bootstrap (BOOTSTRAP instead of a node id) is at every address of `bind`, port `port`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "protocol/bytes.h"

struct conf_listener;

enum { NODE_ADDRESS_BOOTSTRAP = -1, NODE_ADDRESS_SOCKETS_MAX = 8, NODE_ADDRESS_TEXT_SIZE = 16 };

/** How many sockets it takes, one for each address; 0: the id lies outside of what the listener has for nodes. */
size_t node_address_sockets(const struct conf_listener *conf, int32_t node_id,
                            struct sockaddr_storage sockets_r[NODE_ADDRESS_SOCKETS_MAX]);

/** What a client is told. *host_r lies in conf or in text. False: as above. */
bool node_address_shown(const struct conf_listener *conf, int32_t node_id,
                        char text[NODE_ADDRESS_TEXT_SIZE], struct view *host_r, uint16_t *port_r)
    __attribute__((warn_unused_result));

/** Whose socket is bound there: the inverse of node_address_sockets. False: nobody's of this listener. */
bool node_address_find(const struct conf_listener *conf, const struct sockaddr *address,
                       int32_t *node_id_r) __attribute__((warn_unused_result));

/** How many ids there are: 0 up to this one. */
int32_t node_address_limit(const struct conf_listener *conf);

/** The same sockets for the bootstrap; and for every node. */
bool node_address_same_bootstrap(const struct conf_listener *a, const struct conf_listener *b);
bool node_address_same_nodes(const struct conf_listener *a, const struct conf_listener *b);

/** Family, IP address and port; both IPv4 or IPv6. */
bool node_address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
