/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passthrough: the client's own SASL exchange goes to the broker, and the broker decides; Setu stores nothing and only
 * listens for who it was and how it ended. SaslHandshake v1 and SaslAuthenticate frames pass unchanged, one at a time,
 * once the first token has shown a name that may come so. A refusal is ours in any case: same text, same delay, same
 * penalties as for a login that is judged here.
 *
 *   SaslHandshake ─▶ dial ─▶ to the broker ─▶ answer ─▶ SaslAuthenticate … ─▶ error 0 and the mechanism's end
 *     ─▶ Setu asks, as the client, what the broker takes and, if that is not certain, who it is ─▶ relay
 *
 * The client hears of its success only behind that: a connection that led to another node ends before anything but the
 * login was sent.
 */
#pragma once

#include "auth/principal.h"
#include "protocol/bytes.h"
#include "protocol/frame.h"

struct credentials;
struct session;

/**
 * The broker behind this port is of a generation with `login: passthrough`. s->route is set whenever a way to the
 * broker is known now, passthrough or not.
 */
bool passthrough_wanted(struct session *s);

/** The client's SaslHandshake has come (payload is the whole frame without its size): keeps it and dials. */
void passthrough_start(struct session *s, const struct request_header *header, struct view payload);

/** The broker leg is up: sends the kept frame. */
void passthrough_open(struct session *s);

/** The broker has been asked: tells the client of its success. False: the session was closed. */
bool passthrough_done(struct session *s) __attribute__((warn_unused_result));

/**
 * Why the client's first token may not go to a broker, a stable word; NULL: it may. It must show its name (PLAIN and
 * SCRAM do; parsed as strictly as for a login of our own), no other beside it (authzid). The name must be canonical,
 * and `users` (NULL: none) must not hold it to other mechanisms. claimed_r: the name, "" where it cannot be read.
 */
const char *passthrough_forbids(const struct credentials *users, const char *mechanism,
                                struct view token, char claimed_r[PRINCIPAL_SIZE]);

/** Without an error, this is the broker's last token of the exchange. */
bool passthrough_is_last(const struct session *s, struct view auth_bytes);

/** EXCHANGE: a frame from the client; bytes from the broker. */
void passthrough_client_frame(struct session *s, struct view payload);
void passthrough_broker_bytes(struct session *s, struct view in);
