/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reauth_client: the client's login has an end, and the client renews it in the relaying session.
 *
 *   SaslHandshake ─▶ SaslAuthenticate … ─▶ done ─▶ same principal, still mapped the same ─▶ success, with a lifetime
 *        │                    │                          └─▶ one refusal, late; requests in flight end; the end
 *        └ other mechanism, or less than a second after the last time: refused, the end
 *
 * Judged by the newest configuration: users, mechanisms and lifetime are those of the clients that come now.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct conf_listener;
struct reauth_client;
struct request_header;
struct session;

/**
 * A login of the client's has ended well, judged by `conf`: gives it an end. ends_ms: the wall clock, ms since 1970,
 * when what was shown is worth nothing any more; 0: never. The lifetime to tell the client in ms; 0: none.
 */
int64_t reauth_client_term(struct session *s, const struct conf_listener *conf, int64_t ends_ms);

/** May this SASL request come in the relaying session? */
bool reauth_client_takes(const struct session *s, int16_t api_key, int16_t api_version);

/** It has come, whole, without its size. false: the session was closed. The caller wipes the bytes. */
bool reauth_client_request(struct session *s, struct view payload);

/** The client may not renew its login so: it is told at once, and the session ends. claimed may be NULL. false: it was
 * closed. */
bool reauth_client_refuse(struct session *s, const struct request_header *header,
                          const char *claimed, const char *reason);

/* For reauth.c; NULL is fine in all. */
uint64_t reauth_client_alarm_ms(const struct reauth_client *client);
void reauth_client_alarm(struct session *s);
void reauth_client_cancel(struct reauth_client *client);
bool reauth_client_is_working(const struct reauth_client *client);
void reauth_client_free(struct reauth_client **client);
