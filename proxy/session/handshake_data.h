/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake_data: what a session needs only until it relays: half-read frames, the SASL exchange, the broker login.
 * Everything in it may hold a credential; handshake_free wipes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "auth/secret.h"
#include "protocol/bytes.h"
#include "protocol/frame.h"
#include "proxy/cluster/cluster.h"
#include "proxy/io/tick.h"
#include "proxy/session/close_reason.h"
#include "proxy/session/errand.h"

struct broker_login;
struct exchange;
struct password;
struct session;

enum login_step {
    LOGIN_INITIAL,   /* ApiVersions or SaslHandshake may come */
    /* ApiVersions was answered: only SaslHandshake (KafkaChannel's HANDSHAKE_REQUEST) */
    LOGIN_HANDSHAKE,
    LOGIN_TOKENS,    /* SaslAuthenticate, or raw tokens after SaslHandshake v0 */
};

/* Why a dial failed, kept while a look tells whether another one makes sense. */
struct dial_failure {
    enum close_reason close;
    enum cluster_outcome outcome;
    const char *reason; /* static */
    char detail[256];   /* of the broker or the socket, untrusted */
    bool trusted;       /* false: the broker could not prove who it is */
    bool local;         /* not the broker's doing */
};

/* On the heap of its own: the thread pool may still hold it when the session is told to close. */
struct handshake {
    struct session *session;
    struct frame_collector in;      /* of the client leg */
    struct frame_collector broker_in; /* of the broker leg, passthrough only */
    struct exchange *exchange;
    struct broker_login *broker_login;
    /* loop time when the broker gave its login an end; 0 it did not */
    uint64_t broker_term_ms;
    struct cluster_waiter waiter;
    bool promised_known;
    struct api_versions promised;   /* what the client was told that may be asked for */
    struct cluster_dial dial;       /* its turn at the broker */
    struct dial_failure failure;    /* of the dial before the look that is awaited */
    bool awaiting_look;             /* …and it has not ended */
    const struct password *stored;  /* whose token is being read */
    struct secret token;            /* for the broker, read for this dial */
    enum secret_file_status token_status;
    uint8_t redials;
    struct errand errand;           /* the slow step under way, of either leg */
    enum login_step step;
    bool raw_tokens;                /* SaslHandshake v0, or none */
    const char *spoken;             /* SaslHandshake's version; NULL before it */
    /* of ApiVersions requests, after which the client may ask again */
    uint8_t refusals;
    uint64_t asked_ns;              /* uv_hrtime when the last request was there; 0 none was */
    uint64_t answer_ns;             /* DENY: when the answer leaves */
    struct tick_wait tick;          /* DENY: its last milliseconds */
    bool denial_explains;           /* the answer is not the refusal yet */
    bool denial_explained;          /* …and the client has had it */
    bool denial_sent;
    /* passthrough: a token is at the broker, its answer has not come */
    bool awaiting_broker;
    int16_t version;                /* of the SaslAuthenticate under way */
    int32_t correlation_id;         /* of it */
    char mechanism[32];             /* passthrough: as the client named it */
    /* passthrough: the user the client's first token names; "" unknown */
    char claimed[256];
    struct writer denial;           /* DENY: the frame that will be sent, or empty */
    /* passthrough: the client's SaslHandshake frame, for the broker; then the broker's last word, for the client */
    struct writer first;
    struct writer out;              /* for frames to be sent; reset after each use */
};

/** Aborts on lack of memory: small and of fixed size. */
struct handshake *handshake_new(struct session *s, size_t frame_max);

/** Stops waiters; recalls the errand. NULL is fine. */
void handshake_cancel(struct handshake *hs);

/** True while its errand is out: it must not be freed. NULL is fine. */
bool handshake_is_working(const struct handshake *hs);

/** Wipes and frees; nulls. NULL is fine. */
void handshake_free(struct handshake **hs);
