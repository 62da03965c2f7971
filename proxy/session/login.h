/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login: the client leg until the client has proved who it is and a certificate speaks for it.
 *
 *   ApiVersions? ─▶ SaslHandshake ─▶ tokens … ─▶ principal ─▶ mapping ─▶ success sent ─▶ dial
 *                                       └──────────────┴─────────┴─▶ one refusal, late
 *
 * Three APIs, one frame at a time, frames of at most limits.login_frame_max_bytes, an absolute deadline. Bytes behind
 * the request that ends the login close the session: they were sent before the client could know who it is talking to.
 * But for raw GSSAPI (SaslHandshake v0), which Kafka ends without an answer: there they wait.
 */
#pragma once

#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/frame.h"

struct conf_listener;
struct exchange;
struct gate;
struct session;

/** The client leg is up. */
void login_start(struct session *s);

/** The client leg has something to read (LOGIN, or EXCHANGE: passthrough). */
void login_readable(struct session *s);

/* ---- what a renewal of the login needs too ---- */

/** The mechanism as the listener names it; NULL: it does not offer it. */
const char *login_offered(const struct conf_listener *conf, struct view mechanism);

/** The answer to a SaslHandshake: error_code, and what is offered. */
void login_write_handshake(const struct conf_listener *conf, struct writer *w,
                           const struct request_header *header, int16_t error_code);

/** A new exchange with a client, judged as those who come through this gate; NULL: none can be had. */
struct exchange *login_exchange(const struct gate *gate, const char *mechanism)
    __attribute__((warn_unused_result));
