/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener: where clients come in. One listener of the configuration, in one worker:
 *
 *   every bind : port                  bootstrap: any live broker
 *   every bind : node_base_port + n    node n, or with node_network its nth address : port; bound when n becomes known
 *                                      and before any response names it; never closed
 *
 * Nothing is accepted before listener_open, which is called when all brokers have been looked at: who comes earlier
 * could be promised more than some of them take. Sockets that are listening when they come (from a predecessor, from
 * systemd) go on listening; who has connected waits, for five seconds: then they are let go at once until it is open,
 * so that they try another address.
 *
 * Every worker opens its own sockets (port.h) with SO_REUSEPORT and shares nothing with the others. Who connects
 * (accept.h) comes in by the newest door (door.h): what one edition of the configuration says of the listener.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct cluster;
struct conf_listener;
struct door;
struct listener;
struct shared;
struct world;

/**
 * Takes the door in any case. Binds the bootstrap port, but does not listen yet; `promised`: not even that, for its
 * socket comes by listener_adopt. `held`: nothing is opened until listener_unhold. NULL: logged.
 */
struct listener *listener_new(struct world *world, struct door **door, bool held, bool promised)
    __attribute__((warn_unused_result));

/** Those who come from now on come in by this door; takes it. */
void listener_swap(struct listener *listener, struct door **door);

/** Certificate and authorities as read later for the same configuration: for those who come from now on. */
void listener_rotate(struct listener *listener, const struct shared *next);

/** The bootstrap port's address as text: "127.0.0.1:19092". */
void listener_address(const struct conf_listener *conf, char *text, size_t size);

/** Would a listener of this configuration have the same bootstrap port? */
bool listener_keeps(const struct listener *listener, const struct conf_listener *conf);

/** Is address one of those this listener has, and whose? *node_id_r: -1 for bootstrap. */
bool listener_place(const struct conf_listener *conf, const struct sockaddr *address,
                    int32_t *node_id_r);

/** Takes fd in any case: a socket bound to the address of node_id. listening: accepts from it when it is open. */
bool listener_adopt(struct listener *listener, int32_t node_id, int fd, bool listening)
    __attribute__((warn_unused_result));

/** All that was promised has come. False: there is no bootstrap port and none can be had; logged. */
bool listener_unhold(struct listener *listener);

/** Accepts nothing, and opens nothing, until resumed; what waits in the sockets goes on waiting. */
void listener_suspend(struct listener *listener);
void listener_resume(struct listener *listener);

struct listener_socket {
    int fd; /* the listener's */
    bool listening;
};

/** Its sockets, at most max. */
size_t listener_sockets(const struct listener *listener, struct listener_socket *sockets,
                        size_t max);

/**
 * Several workers share a port, and the kernel would let a second Setu share it too. Asked before
 * the first of them opens it. False: somebody listens there, or it cannot be had; logged.
 */
bool listener_port_is_free(const struct conf_listener *conf) __attribute__((warn_unused_result));

/**
 * Begins to accept, on all its ports: the cluster can be served now. Tries again every second while
 * somebody else listens on the bootstrap port. Idempotent.
 */
void listener_open(struct listener *listener);

/**
 * Opens the port of a node, or before listener_open keeps it; true when it is open already. false: out of range or not
 * to be had; logged.
 */
bool listener_open_node(struct listener *listener, int32_t node_id);

/** Stops to accept. Sessions go on. */
void listener_stop(struct listener *listener);

/** True when all handles are gone and no session refers to it: it may be freed. */
bool listener_is_idle(const struct listener *listener);

/** Nulls; NULL is fine. Must be idle. */
void listener_free(struct listener **listener);

struct cluster *listener_cluster(const struct listener *listener);
