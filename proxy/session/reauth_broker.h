/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reauth_broker: a broker gave Setu's login an end, and Setu renews it before that with the credential it has stored.
 *
 *   the client sends when 85 to 95 % of the lifetime have passed, at a frame boundary
 *     ▶ the client leg is not read
 *     ▶ SaslHandshake, SaslAuthenticate … to the broker, one at a time, each in the inflight queue: responses to
 *       earlier requests come first
 *     ▶ success: the client leg is read on; anything else: the session ends at rest
 *
 * An idle connection is renewed when it is next used: brokers let a login that has ended be renewed (KIP-368). Where
 * nothing is stored the session ends when the login does; but with login: scram-relay the client is told an end that
 * is not later, and what it proves itself by in time renews both.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proxy/session/flow.h"

struct broker_login;
struct reauth;
struct reauth_broker;
struct scram_keys;
struct session;

/** Setu's login at the broker has ended well, at from_ms of the loop; what the broker said of its end is in it. */
void reauth_broker_term(struct session *s, const struct broker_login *login, uint64_t from_ms);

/**
 * renew_ms has come, and the client leg is at a frame boundary. false: the client leg must not be read, since a renewal
 * has begun or the session ends.
 */
bool reauth_broker_start(struct session *s);

/** The response to a request of Setu's own is whole: frame_bytes at `at`. false: the session was closed. */
bool reauth_broker_response(struct session *s, const struct flow *flow, const uint8_t *at);

/**
 * login: scram-relay has nothing stored, and renews by the client's own key, when the client has just renewed its
 * login. Is that so here, and did the broker give the login an end?
 */
bool reauth_broker_relays(const struct session *s);

/** The client's key, copied: it is wiped when the renewal has begun with it, which is at once, at a frame boundary. */
void reauth_broker_offer(struct session *s, const struct scram_keys *keys);

/* For reauth.c; NULL is fine in all with a broker. */
void reauth_broker_hasten(struct session *s);
void reauth_broker_forget(struct reauth *r);
uint64_t reauth_broker_alarm_ms(const struct reauth_broker *broker);
void reauth_broker_alarm(struct session *s);
void reauth_broker_cancel(struct reauth_broker *broker);
bool reauth_broker_is_working(const struct reauth_broker *broker);
void reauth_broker_free(struct reauth_broker **broker);
