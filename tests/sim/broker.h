/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker: the Kafka brokers of a run. A node listens at an address of its own, wants SASL or does not, answers one
 * request of a connection at a time as a real one does, and goes wrong now and then: down, silent, reset, cut, other
 * ids.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/net.h"

struct book;
struct credentials;

/** How many nodes, ids 1 … count; the first `sasl` of them want SASL. */
void broker_begin(int32_t count, int32_t sasl, const struct credentials *users);
/** Frees what is not the run's memory. */
void broker_end(void);

/** net_on_connect and net_on_resolve. */
enum net_answer broker_accept(struct end *end, const struct sockaddr *address);
bool broker_resolve(const char *host, uint32_t *address_r);

/** Something happens to a node: it goes down, comes up, falls silent, or (`flips`) wants SASL or no longer. */
void broker_event(bool flips);
/** All nodes are up and well from now on. */
void broker_heal(void);

/** The connection carries requests of a client. For planted faults. */
bool broker_relays(const struct end *end);
/** A connection that carries requests of another client; NULL: none. */
struct end *broker_other(const struct end *end);
/** Sends a request of this client's from nowhere. */
void broker_invent(struct book *book);
