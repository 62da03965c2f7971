/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: frames pass between the two legs of a session. Per direction one flow; a frame gets one verdict at its head:
 *
 *   requests    FORWARD stream   WATCH stream, walk the record sets   HOLD whole, then look at it or answer it
 *   responses   FORWARD stream   WATCH stream, walk the record sets   HOLD whole, then rewrite its addresses
 *
 *   source leg ─ leg_read ─▶ scratch ─ flow: head? body? ─▶ run of bytes to send ─ leg_write ─▶ other leg
 *                                            └ HOLD: into flow->held, under a cap, growing with bytes received
 *
 * Nothing else is kept between two turns but the cut-off head of a frame (at most 11 bytes).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/session/flow.h"
#include "proxy/session/inflight.h"

struct relay_ledger;
struct session;

struct relay {
    struct inflight inflight;
    struct flow requests, responses;
    bool answered;           /* the broker has answered a request of the client's */
    bool acks_known;         /* the Produce request under way has told its acks */
    /* a batch of the frame under way failed its checksum, and that is to be enforced */
    bool crc_wrong;
    struct relay_ledger *ledger; /* owned; NULL until there is something for the ledger */
};

/** Both legs are up and logged in: starts to pass frames. */
void relay_start(struct session *s);

/** A leg has something to read. */
void relay_requests(struct session *s);
void relay_responses(struct session *s);

/** A leg's backlog is empty again: reading of the other goes on. */
void relay_client_drained(struct session *s);
void relay_broker_drained(struct session *s);

/** Nothing is in flight and no frame is cut: a good moment to end. */
bool relay_rests(const struct session *s);

/** Frees what relay owns. */
void relay_free(struct relay *relay);
