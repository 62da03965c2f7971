/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener: where clients come in. One listener of the configuration, in one worker:
 *
 *   bind : port                  bootstrap: any live broker
 *   bind : node_base_port + n    node n, opened when n becomes known and before any response names it; never closed
 *
 * Every worker opens its own sockets with SO_REUSEPORT and shares nothing with the others. A full descriptor table is
 * met with a spare descriptor, so that accept never spins (T09).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster;
struct conf_listener;
struct listener;
struct world;

/** Binds the bootstrap port, but does not listen yet. NULL: logged. world and cluster must outlive it. */
struct listener *listener_new(struct world *world, struct cluster *cluster,
                              const struct conf_listener *conf) __attribute__((warn_unused_result));

/**
 * Several workers share a port, and the kernel would let a second Setu share it too. Asked before
 * the first of them opens it. False: somebody listens there, or it cannot be had; logged.
 */
bool listener_port_is_free(const struct conf_listener *conf) __attribute__((warn_unused_result));

/**
 * Begins to accept on the bootstrap port: the cluster can be served now. Tries again every second
 * while somebody else listens there. Idempotent.
 */
void listener_open(struct listener *listener);

/** Opens the port of a node; true when it is open already. false: out of range or not to be had; logged. */
bool listener_open_node(struct listener *listener, int32_t node_id);

/** Stops to accept. Sessions go on. */
void listener_stop(struct listener *listener);

/** True when all handles are gone and no session refers to it: it may be freed. */
bool listener_is_idle(const struct listener *listener);

/** Nulls; NULL is fine. Must be idle. */
void listener_free(struct listener **listener);

struct cluster *listener_cluster(const struct listener *listener);
