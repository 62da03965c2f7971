/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial: the broker leg: find the way, connect, log in as the mapped identity, await the first answer.
 *
 *   route ─▶ its turn ─▶ connect ─▶ (TLS, with the principal's own certificate) ─▶ broker_login ─▶ answered ─▶ relay
 *
 * Dialled only when the client is authenticated and mapped; the exception is passthrough, where the broker is the one
 * who authenticates: there it is dialled when the client has named an offered mechanism, and hears SASL requests only.
 */
#pragma once

#include "proxy/session/close_reason.h"

struct session;

/** DIAL begins; s->route may be set already. */
void dial_start(struct session *s);

/** The broker leg is up. */
void dial_open(struct session *s);

/** The broker leg has something to read. */
void dial_readable(struct session *s);

/**
 * The broker leg failed or ended before the login was done. Where the node may have become one of another generation,
 * the session waits for the look that settles that, and dials once more; else it ends.
 */
void dial_failed(struct session *s);

/** The broker leg of a dial that failed is closed. */
void dial_leg_gone(struct session *s);

/** The broker ended a connection that relayed: whoever comes next looks closely. */
void dial_lost(struct session *s, enum close_reason reason);

/** s->route is known: the leg is dialled when it is its turn at that broker. */
void dial_enter(struct session *s);

/** DIAL or EXCHANGE took longer than limits.connect_timeout_ms. */
void dial_timed_out(struct session *s);

/** The client's own login has been accepted: the broker is asked what it takes, and who it is where that matters. */
void dial_ask(struct session *s);

/** The broker has accepted and answered: relay begins. */
void dial_done(struct session *s);
