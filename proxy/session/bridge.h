/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bridge: what is different where brokers come instead of clients (listeners with role: brokers). Setu stands before
 * the replication listener of one broker; the others log in as they do among themselves, and Setu logs in behind as
 * that broker wants it:
 *
 *   legacy broker ── SASL ─────────▶ ┌──────┐ ── certificate ─▶ Ajna broker
 *   Ajna broker ──── certificate ──▶ │ Setu │ ── SASL ────────▶ legacy broker
 *                                    └──────┘
 *
 * Only configured principals may come. Then everything passes as it is: no address is rewritten (brokers find each
 * other by what they advertise, which are the bridges), nothing is trimmed from ApiVersions, ReplicaId may be a
 * broker's, and what Setu has no table for is streamed. Kept are the order of responses and the look at checksums.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/handshake.h"
#include "proxy/session/session.h"

static inline bool bridge_is(const struct session *s)
{
    return s->gate->conf->role == CONF_ROLE_BROKERS;
}

/** May this principal come to the listener? True for role clients, where the mapping alone decides. */
bool bridge_admits(const struct session *s, const char *principal);

/**
 * What a peer is told before its login: what the broker behind says of itself, but for SASL and ApiVersions, which
 * Setu answers. False: the broker has never answered.
 */
bool bridge_versions(const struct session *s, struct api_versions *versions_r)
    __attribute__((warn_unused_result));

/** The peer has shown a certificate, which is its login; else it has to log in by SASL. */
bool bridge_is_certified(const struct session *s);

/**
 * What becomes of a request. FORWARD, unknown keys and versions too: brokers answer each request, so that the response
 * finds its place. WATCH: Produce, whose acks tell whether there is a response; a version of it that cannot be read is
 * refused (HIDE). ANSWER: SASL, which is over.
 */
enum api_action bridge_request_action(int16_t key, int16_t version);

/** WATCH for a Fetch response that can be read, else FORWARD. */
enum api_action bridge_response_action(int16_t key, int16_t version);
