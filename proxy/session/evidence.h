/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evidence: every security decision of a session as an audit record, a counter and a log line, in one place so that
 * none of the three is forgotten.
 */
#pragma once

#include <stdbool.h>

struct mapping_decision;
struct session;
struct tls_refusal;

/** May a login be accepted now? False when audit records are required and cannot be written. */
bool evidence_admits(const struct session *s);

/** The client has proved s->principal. */
void evidence_login_accepted(struct session *s);

/** claimed: the name it used, or NULL; reason: a stable word, never told to the client. */
void evidence_login_denied(struct session *s, const char *claimed, const char *reason);

/** The same by its certificate, in the TLS handshake. */
void evidence_certificate_denied(struct session *s, const struct tls_refusal *refusal);

/** What the mapping said about s->principal; s->certificate is set when it was mapped. */
void evidence_mapping(struct session *s, const struct mapping_decision *decision, bool allowed,
                      const char *reason);

/** The broker of s->route accepted what it was shown and answered. */
void evidence_broker_ok(struct session *s);

/** It did not; reason is a stable word, detail may be NULL. trusted: false when its own certificate was the fault. */
void evidence_broker_failed(struct session *s, const char *reason, const char *detail,
                            bool trusted);

/** The client has renewed its login as s->principal; detail may be NULL. */
void evidence_reauth_accepted(struct session *s, const char *detail);

/** It has not: claimed, the name it used, may be NULL; reason as for a login. */
void evidence_reauth_denied(struct session *s, const char *claimed, const char *reason);

/** Its login has ended, and it sends `api` instead of renewing it. */
void evidence_session_expired(struct session *s, const char *api);

/** Setu's login at the broker is renewed, or is not, as for the login. */
void evidence_broker_renewed(struct session *s);
void evidence_broker_not_renewed(struct session *s, const char *reason, const char *detail,
                                 bool trusted);

/** A logged-in client sent what it may not send. */
void evidence_request_refused(struct session *s, const char *reason, const char *api);

/** The session has ended; recorded only when somebody had logged in. */
void evidence_session_closed(struct session *s);
