/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reauth: logins that end (KIP-368), and how they are renewed while the session relays. Both legs know it, each on its
 * own: Setu gives the client's login an end (reauth_client), a broker gives Setu's (reauth_broker). With passthrough
 * there is one login, the client's with the broker, and Setu watches (reauth_pass).
 *
 *                  lifetime over ─▶ requests in flight end, the next one but SaslHandshake ends the session
 *   client leg  ───┤
 *                  SaslHandshake ─▶ SaslAuthenticate … ─▶ the same principal? ─▶ a new lifetime
 *
 *                  85 to 95 % of the lifetime, at the next request: the client leg is not read,
 *   broker leg  ───┤
 *                  SaslHandshake ─▶ SaslAuthenticate … between two frames ─▶ a new lifetime, reading goes on
 *
 * With login: scram-relay nothing is stored to renew the broker leg's login by. So the client's ends with the broker's,
 * and when the client has renewed it, its key renews the broker leg's at once.
 *
 * Answers to the client and requests to the broker take their places in the inflight queue, so that whatever was asked
 * before is answered before. Nothing of this exists for a session none of whose logins ends; what an exchange needs
 * exists while it runs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/session/session.h"

#define REAUTH_NEVER UINT64_MAX

struct reauth_broker;
struct reauth_client;
struct scram_keys;

/* Times are the loop's, in ms; REAUTH_NEVER: not at all. */
struct reauth {
    uint64_t
        due_ms; /* the earlier of the next two: then reading the client leg asks reauth_wanted */
    uint64_t expires_ms;          /* client leg: the login's end */
    uint64_t renew_ms;            /* broker leg: the next request waits for a renewal */
    uint64_t ends_ms;             /* broker leg: the login's end */
    uint64_t hasten_ms;           /* with keys: the renewal is begun without a request */
    uint64_t offered_ms;          /* the keys, at */
    uint64_t began_ms;            /* client leg: the last renewal began; 0 none has */
    int16_t authenticate_version; /* of SaslAuthenticate, that the broker takes */
    bool expired;                 /* what is read from the client now came behind the end */
    bool holds;                   /* the client leg is not to be read */
    bool refused; /* the client's renewal; it is told, and nothing more is taken from it */
    bool passing; /* passthrough: the client renews its login at the broker */
    bool named;   /* …and has said who it is */
    struct reauth_client *client; /* owned; while the client renews */
    struct reauth_broker *broker; /* owned; while Setu renews */
    struct scram_keys *keys; /* owned, wiped: the client has just proved it, Setu renews by it */
};

/** Of the session, made at first use. */
struct reauth *reauth_of(struct session *s);

/** expires_ms or renew_ms has changed. */
void reauth_set_due(struct reauth *r);

static inline bool reauth_holds(const struct session *s)
{
    return s->reauth != NULL && s->reauth->holds;
}

static inline bool reauth_is_due(const struct session *s)
{
    return s->reauth != NULL && uv_now(s->world->io.loop) >= s->reauth->due_ms;
}

/**
 * Something is due, and the client leg is about to be read: how many bytes may be, `missing` of them for the frame
 * under way. 0: none now; a renewal has begun, or the session ends.
 */
size_t reauth_wanted(struct session *s, size_t missing);

/**
 * A request begins in a session with a reauth: may it come now? false: the session was closed, or ends for the
 * request's sake, which goes nowhere.
 */
bool reauth_admits(struct session *s, int16_t api_key);

/** When reauth_alarm is to be called; REAUTH_NEVER. */
uint64_t reauth_alarm_ms(const struct session *s);
void reauth_alarm(struct session *s);

/** The session closes: errands are recalled. NULL is fine in all three. */
void reauth_cancel(struct reauth *r);
/** An errand is out: it must not be freed. */
bool reauth_is_working(const struct reauth *r);
void reauth_free(struct reauth **r);
