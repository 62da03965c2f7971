/* SPDX-License-Identifier: Apache-2.0 */
/* One node: its listeners, its connections, what they share. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "tests/broker/options.h"
#include "tests/broker/store.h"

struct conn;
struct credentials;

/* One listening socket. */
struct door {
    struct broker *broker;
    enum door_kind kind;
    struct address address; /* with the port it got */
    uv_poll_t poll;
    int fd;
};

/* A node as Metadata shows it, own one included; sorted by id. */
struct node {
    int32_t id;
    struct address address;
};

struct broker {
    struct options *options;
    uv_loop_t loop;
    struct door doors[OPTIONS_DOORS_MAX];
    size_t door_count;
    struct node nodes[OPTIONS_NODES_MAX + 1];
    size_t node_count;
    struct store store;
    struct credentials *users;
    SSL_CTX *tls_plain, *tls_mutual; /* without and with client certificates */
    struct conn *conns;
    size_t settling, settling_peak; /* accepted, and nothing asked after a login yet */
    uv_signal_t signals[2];
    uv_poll_t control;
    char command[512]; /* the beginning of a line of control */
    size_t command_length;
    bool controlled;
    int64_t producer_ids;
};

/* Opens everything; false after a message on standard error. */
bool broker_start(struct broker *broker, struct options *options)
    __attribute__((warn_unused_result));
/* Until SIGTERM, SIGINT or "quit". */
void broker_run(struct broker *broker);
void broker_free(struct broker *broker);

/* Something was produced: Fetches that wait look again. */
void broker_wake(struct broker *broker);

/* Node that leads this partition. */
const struct node *broker_leader(const struct broker *broker, int32_t partition);
/* The address of a node for somebody who came in by this door: own node = the door. */
const struct address *broker_address(const struct door *door, const struct node *node);
