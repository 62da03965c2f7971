/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: one client connection joined to one broker connection.
 *
 *   client ══ client leg ══ session ══ broker leg ══ broker          states: states.def; reasons: close_reason.def
 *                              │
 *            login ─▶ dial ─▶ relay                                  login and dial data live in struct handshake,
 *            login.c   dial.c   relay.c                              which is wiped and freed when relay begins
 *
 * A session belongs to one worker's loop. It is freed by itself, some loop turns after it was closed.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proxy/cluster/route.h"
#include "proxy/io/leg.h"
#include "proxy/session/close_reason.h"
#include "proxy/session/edition.h"
#include "proxy/session/relay.h"
#include "proxy/session/world.h"

enum session_state {
#define SESSION_STATE(id, name, next, meaning) SESSION_##id,
#include "proxy/session/states.def"
#undef SESSION_STATE
    SESSION_STATE_COUNT
};

struct certificate;
struct certificates;
struct handshake;
struct reauth;
struct served;

/* No larger than what comes: there are many sessions. */
union session_peer {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct session {
    uint32_t magic;
    enum session_state state;
    enum close_reason reason;       /* once CLOSED; before that, what DRAIN will end with */
    bool timer_open;                /* orthogonal to state: the timer's handle still lives */
    bool draining;                  /* orthogonal to state: it ends, for reason, at the next rest */
    bool passthrough;               /* the broker judged the client's own SASL exchange */
    uint64_t id;
    struct world *world;
    struct gate *gate;
    struct session *next, **link;   /* in world->sessions */
    struct leg client, broker;
    uv_timer_t timer;
    uint64_t accepted_ms;           /* loop time */
    uint64_t active_ms;             /* loop time of the last byte in relay */
    int32_t target;                 /* node id this port stands for; -1: any broker */
    struct route route;             /* valid from DIAL on */
    union session_peer peer;        /* of the client */
    char *principal;                /* owned; NULL until the client has proved it */
    /* owned; the first one seen, for the broker's own logs; may be NULL */
    char *client_id;
    /* static or of the configuration: "SCRAM-SHA-512", "SSL"; NULL unknown */
    const char *mechanism;
    const struct certificate *certificate; /* of shared, or of kept; NULL when none is shown */
    struct certificates *kept; /* its certificate is of this older set; a reference */
    uint64_t renew_ms; /* loop time at which it makes place for a new broker leg; 0: never */
    const char *mapped_for;         /* the generation it was decided for; NULL none in particular */
    uint8_t token_stamp[32];        /* by what its token was believed (auth/tokens); zero: none */
    struct handshake *handshake;    /* NULL from RELAY on */
    struct served *served;          /* what the broker takes, a reference; NULL: it was not asked */
    struct reauth *reauth;          /* owned; NULL: no login of it ends */
    struct relay relay;
};

/**
 * Begins a session on the accepted, non-blocking socket fd. node_id: the node its port stands for, or -1. Takes the
 * descriptor in any case. false: it could not begin; nothing is left.
 */
bool session_start(struct gate *gate, int fd, const struct sockaddr *peer, int32_t node_id);

/** Moves to a state; asserts that states.def allows it; arms the timer of that state. Only from inside session/. */
void session_enter(struct session *s, enum session_state state);

/** Ends both legs at once. The first reason counts; further calls do nothing. */
void session_close(struct session *s, enum close_reason reason);

/** One leg has ended: ends when the backlog of the other has been sent (bounded in time). */
void session_finish(struct session *s, struct leg *ended, enum close_reason reason);

/**
 * The session is to end at its next response boundary, now if it rests there, within
 * limits.drain_timeout_ms. The client is told the end, and has a second to end its side too. One
 * that has not come to relay ends at once, or, patient, is let through its login first.
 */
void session_drain(struct session *s, enum close_reason reason, bool patient);

/**
 * What its broker leg was made with is not what would be used now: it ends at the first response boundary from loop
 * time at_ms on. The earliest time counts.
 */
void session_renew_at(struct session *s, uint64_t at_ms);

/** One log line about this session, with its id, peer, principal and node. extra may be NULL. */
void session_log(const struct session *s, enum log_level level, const char *event,
                 const struct log_field *extra, size_t extra_count);

const char *session_state_name(enum session_state state);

/** The snapshot it began with and keeps to. */
static inline const struct shared *session_shared(const struct session *s)
{
    return s->gate->edition->shared;
}

/** Through which a client of its listener would come now: the snapshot by which a renewed login is judged. */
static inline const struct gate *session_newest_gate(const struct session *s)
{
    return s->gate->newest != NULL ? s->gate->newest(s->gate) : s->gate;
}

/** For states.def's generated picture: true when the table allows the move. */
bool session_may(enum session_state from, enum session_state to);
