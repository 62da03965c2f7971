/* SPDX-License-Identifier: Apache-2.0 */
/*
 * denial: how a login is refused. Every refusal is the same bytes, and comes a delay after the request that it
 * answers, to the instant: what was done in between, and how long that took, shows in nothing that a client can
 * measure.
 *
 *   request ──▶ judged, recorded, mapped … ──▶ DENY ──▶ one refusal, the end
 *      └──────────────── the delay ────────────────┘
 *                       (OAUTHBEARER: ──▶ error object ──▶ LOGIN, one message of the client's ──▶ the refusal)
 *
 * Where judging took longer than the delay, the answer waits for the next multiple of it. A certificate is refused by
 * TLS itself, at once; there the end waits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct session;

/**
 * A login of this client's address has failed: how long its refusal waits, ms. `guessed`: the name for which it tried
 * a password, wherever from; NULL: none. The longer of the two delays.
 */
uint32_t denial_delay(struct session *s, const char *guessed);

/** `claimed` where the session's mechanism is one of passwords; else NULL. */
const char *denial_guessed(const struct session *s, const char *claimed);

/**
 * Refuses the login: the same text and code for every reason, after the penalty's delay. claimed may be NULL; reason
 * is a stable word for log and audit.
 */
void denial_begin(struct session *s, const char *claimed, const char *reason);

/**
 * SECURE: the TLS handshake has refused the client's certificate, or that it showed none, and its alert has told so.
 * The end comes after the penalty's delay, as that of other logins, but no later than for who does not log in at all,
 * and at once when the client hangs up: its answer it has, and the place that it takes may be another's.
 */
void denial_of_certificate(struct session *s);

/** As denial_begin with the answer that lies in the handshake's `denial`; the evidence is the caller's. */
void denial_wait(struct session *s, uint32_t delay_ms);

/** The client has answered the explanation of a refusal. False: there was none. */
bool denial_is_answered(struct session *s);

/** DENY: the session's timer has run out. */
void denial_on_timer(struct session *s);

/** DENY: the client leg's backlog is empty again. */
void denial_drained(struct session *s);
