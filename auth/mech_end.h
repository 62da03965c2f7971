/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For mechanisms and exchange.c only: what one mechanism provides, and what it sees of the exchange
 * it runs in.
 *
 *     exchange.c ──▶ struct mech { name, flags, server end, client end }
 *                                     ▲ filled in by mech_*.c
 *
 * An end is a state machine over a state of its own. The exchange owns the zeroed memory of that
 * state, keeps the order of calls, enforces the token cap, erases the reply of a denial, and wipes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/exchange.h"
#include "auth/principal.h"
#include "protocol/bytes.h"

struct mech_end {
    size_t state_bytes;
    size_t token_bytes_max; /* a longer token is denied unread */
    bool ends_silently;     /* server end: after DONE a raw framing carries no empty token */
    /* Server end: a token that the client is told before its refusal, and answers; NULL: none. */
    const char *refusal;
    bool waits;             /* its work may wait for another process (exchange_waits) */
    enum exchange_status (*step)(struct exchange *ex, void *state, struct view token,
                                 struct writer *reply);
    /* Runs off the loop: touches the state and what the exchange was given, nothing else. */
    void (*work)(struct exchange *ex, void *state);
    enum exchange_status (*resume)(struct exchange *ex, void *state, struct writer *reply);
    /* Frees what the state points to; NULL: nothing. The state itself is wiped by the exchange. */
    void (*release)(void *state);
    /* Client ends that can use keys of an earlier login, and ends with keys worth keeping; NULL: not. */
    void (*offer_keys)(void *state, const struct scram_keys *keys);
    bool (*take_keys)(const void *state, struct scram_keys *keys_r);
};

struct mech {
    const char *name;
    bool cleartext;     /* what crosses the wire is enough to log in with */
    bool without_users; /* the server end asks no users file */
    const struct mech_end *server;
    const struct mech_end *client;
};

extern const struct mech_end mech_scram_server;
extern const struct mech_end mech_scram_client;

extern const struct mech mech_gssapi;
extern const struct mech mech_oauthbearer;
extern const struct mech mech_plain;
extern const struct mech mech_scram_sha_256;
extern const struct mech mech_scram_sha_512;

/* NULL: not a mechanism of ours. */
const struct mech *mech_find(const char *name);

enum exchange_stage {
    EXCHANGE_STAGE_READY,   /* awaits a token */
    EXCHANGE_STAGE_WORKING, /* PENDING was returned */
    EXCHANGE_STAGE_DONE,
    EXCHANGE_STAGE_DENIED,
    EXCHANGE_STAGE_BROKEN
};

struct exchange {
    const struct mech *mech;
    const struct mech_end *end;
    enum exchange_stage stage;
    enum auth_reason reason;
    struct credentials *users;          /* server end; one reference */
    struct tokens *tokens;              /* server end, OAUTHBEARER; one reference */
    int64_t now_ms;                     /* wall clock, for tokens */
    int64_t expires_ms;                 /* of what the client showed; 0: never */
    uint8_t stamp[32];                  /* tokens.h; zero unless a token was believed */
    char *saslauthd;                    /* server end, PLAIN; owned, NULL: users judge */
    struct kerberos_acceptor *acceptor; /* server end; one reference, or NULL */
    struct kerberos_login *kerberos;    /* client end; one reference, or NULL */
    char *service, *host;               /* client end, with kerberos; owned */
    struct secret password;             /* client end */
    uint32_t iterations_min;            /* client end */
    bool keys_only;                     /* client end: there is no password */
    bool keeps_keys;                    /* take_keys may be called when it is done */
    exchange_random_fn random;
    void *random_context;
    char name[PRINCIPAL_SIZE];          /* claimed (server end) or given (client end) */
    char detail[EXCHANGE_DETAIL_BYTES]; /* for the log; "" = nothing to add */
    void *state;
};

/* Denies: sets the reason, which must not be NONE, and returns EXCHANGE_DENIED. */
enum exchange_status exchange_deny(struct exchange *ex, enum auth_reason reason);

/* The hash of the SCRAM mechanism that runs. */
enum scram_hash exchange_hash(const struct exchange *ex);

/* Fills, or denies as INTERNAL: false. */
bool exchange_random(struct exchange *ex, uint8_t *at, size_t length)
    __attribute__((warn_unused_result));
