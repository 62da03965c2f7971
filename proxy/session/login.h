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

struct session;

/** The client leg is up. */
void login_start(struct session *s);

/** The client leg has something to read (LOGIN, or EXCHANGE: passthrough). */
void login_readable(struct session *s);

/** The delay of a refusal is over. */
void login_deny_now(struct session *s);

/** DENY: the client leg's backlog is empty again. */
void login_drained(struct session *s);

/**
 * Refuses the login: the same text and code for every reason, after the penalty's delay. claimed may be NULL; reason
 * is a stable word for log and audit.
 */
void login_deny(struct session *s, const char *claimed, const char *reason);
