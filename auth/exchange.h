/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of one SASL mechanism, as a step function. No socket, no clock; randomness is a callback.
 *
 *              ┌────────── EXCHANGE_CONTINUE ◀───────────┐
 *     new ──▶ step ──▶ EXCHANGE_PENDING ──▶ work ──▶ resume ──▶ EXCHANGE_DONE | EXCHANGE_DENIED
 *              └───────────────────────────────────────────────▶ EXCHANGE_DONE | EXCHANGE_DENIED
 *
 * Server end (client leg): step with each token of the client, without its SaslAuthenticate or raw
 * framing; send the reply after CONTINUE and after DONE (there it may be empty, and must still be
 * sent as an empty token). Client end (broker leg): the first step takes an empty token and writes
 * the first message; CONTINUE: send the reply, await the broker's token; DONE: nothing more to send
 * (PLAIN ends when the broker's token, which is ignored, has arrived).
 *
 * Threads: an exchange belongs to one loop. After PENDING the loop hands it to one other thread,
 * which calls exchange_work and nothing else; until that has returned the loop may not call
 * exchange_resume or exchange_free, and exchange_step gives EXCHANGE_ERROR and touches nothing. A
 * caller that wants the exchange gone first waits for the work to return.
 *
 * After DENIED the peer is told exchange_refusal(), if there is one, and exchange_denial_text(), and
 * nothing else, and late (penalty.h); reply is empty. The reason is for log and audit. After DONE or
 * DENIED every further step is EXCHANGE_ERROR and changes nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/reason.h"
#include "auth/scram.h"
#include "auth/secret.h"
#include "protocol/bytes.h"

struct credentials;
struct exchange;
struct kerberos_acceptor;
struct kerberos_login;
struct tokens;

enum {
    EXCHANGE_NAME_BYTES_MAX = 255,     /* user and authorization id */
    EXCHANGE_PASSWORD_BYTES_MAX = 255, /* PLAIN, RFC 4616 */
    EXCHANGE_PLAIN_TOKEN_BYTES_MAX = 65536,
    EXCHANGE_GSSAPI_TOKEN_BYTES_MAX = 65536, /* either way: a ticket may carry group lists */
    EXCHANGE_DETAIL_BYTES = 256,
    EXCHANGE_SCRAM_TOKEN_BYTES_MAX = 4096,        /* what a client may send */
    EXCHANGE_SCRAM_BROKER_TOKEN_BYTES_MAX = 8192, /* what a broker may send */
    EXCHANGE_SCRAM_NONCE_BYTES_MAX = 4096,        /* …and as r= in it */
    EXCHANGE_REPLY_BYTES_MAX = 16384, /* no server's reply is longer: room in its writer */
    EXCHANGE_CLIENT_REPLY_BYTES_MAX = EXCHANGE_GSSAPI_TOKEN_BYTES_MAX /* and no client's */
};

enum exchange_status {
    EXCHANGE_CONTINUE, /* send the reply, step again with the next token */
    EXCHANGE_DONE,     /* accepted; exchange_principal is set */
    EXCHANGE_DENIED,   /* refused; exchange_reason says why */
    EXCHANGE_PENDING,  /* run exchange_work off the loop, then exchange_resume; reply is empty */
    EXCHANGE_ERROR     /* calls out of order, or no room for the reply: close; nobody is in */
};

/* Fills `length` bytes with cryptographic randomness; false if it cannot. Called on the loop thread
 * only. */
typedef bool (*exchange_random_fn)(void *context, uint8_t *at, size_t length);

/* The server end. mechanism must be mech_known (mech.h). Takes its own reference on users, so that
 * a reload cannot pull them away; they may be NULL where mech_needs_users says no. random_context
 * must outlive the exchange. NULL: unknown mechanism, no users, or no memory. Unknown users meet a
 * challenge that cannot be told from a real one (credentials.h). */
struct exchange *exchange_server_new(const char *mechanism, const struct credentials *users,
                                     exchange_random_fn random, void *random_context)
    __attribute__((warn_unused_result));

/* Server end, OAUTHBEARER: what tokens are believed, and the wall clock. Before the first step;
 * takes its own reference. Without it such a login is denied. */
void exchange_trust_tokens(struct exchange *ex, const struct tokens *tokens, int64_t now_ms);
/* Server end of PLAIN, before the first step: passwords are judged by the saslauthd at this socket and
 * not by users. The path is copied. */
void exchange_ask_saslauthd(struct exchange *ex, const char *path);

/* Server end of GSSAPI, before the first step: the listener's keys and rules. Takes a reference. */
void exchange_accept_tickets(struct exchange *ex, const struct kerberos_acceptor *acceptor);

/* What a client end needs; everything is copied. */
struct exchange_client {
    struct view username;
    struct view password;
    /* GSSAPI, instead of a password: its own reference is taken. */
    const struct kerberos_login *kerberos;
    const char *service, *host; /* whose ticket is shown */
    uint32_t iterations_min;    /* 0 = SCRAM_ITERATIONS_MIN; lower only if an operator says so */
    /* SCRAM only: there is no password (empty), only the keys that are offered. A broker with
     * another salt or other iterations is DENIED: KEYS_SALT, KEYS_ITERATIONS. */
    bool keys_only;
    exchange_random_fn random;
    void *random_context; /* must outlive the exchange */
};

/* The client end. NULL: unknown mechanism, empty or too long name or password, a NUL in either,
 * GSSAPI without kerberos, service and host, or no memory. */
struct exchange *exchange_client_new(const char *mechanism, const struct exchange_client *client)
    __attribute__((warn_unused_result));

/* One token in, at most one reply out. reply is a writer of any kind with at least
 * EXCHANGE_REPLY_BYTES_MAX of room; the reply is appended. The token is not kept. */
enum exchange_status exchange_step(struct exchange *ex, struct view token, struct writer *reply)
    __attribute__((warn_unused_result));

/* True: its work may take as long as another process takes (a KDC), not just milliseconds of its
 * own. Give it a thread that others do not need. Never changes. */
bool exchange_waits(const struct exchange *ex);

/* True: where tokens travel raw (SaslHandshake v0), an empty reply after DONE is not sent: Kafka's
 * GSSAPI ends with the client's token. */
bool exchange_ends_silently(const struct exchange *ex);

/* The slow part (PBKDF2, milliseconds). Once after each EXCHANGE_PENDING, on any one thread. */
void exchange_work(struct exchange *ex);

/* Back on the loop after exchange_work has returned: the status and reply the step would have had.
 * Never PENDING. */
enum exchange_status exchange_resume(struct exchange *ex, struct writer *reply)
    __attribute__((warn_unused_result));

/* The authenticated user, NUL-terminated, 1..255 bytes of valid UTF-8 without control characters;
 * on the client end the username given. NULL unless DONE. Lives as long as the exchange. */
const char *exchange_principal(const struct exchange *ex);

/* The name the peer claimed, known from the first token on, for log and audit of a denial; NULL if
 * it never got that far. Same form as exchange_principal, and no less hostile: escape it. */
const char *exchange_claimed(const struct exchange *ex);

/* Why it was denied; AUTH_REASON_NONE after DONE, and before an end. */
enum auth_reason exchange_reason(const struct exchange *ex);

/* Server end: a token that a client of this mechanism is told when it is refused, whoever refuses it
 * and why, before the refusal itself; it has one more message to say to that, which means nothing
 * (OAUTHBEARER's error object, RFC 7628 §3.2.3). NULL: none. Static. */
const char *exchange_refusal(const struct exchange *ex);

/* Server end, after DONE: the wall clock, ms since 1970, from when on what the client showed is worth
 * nothing (the end of its token); 0: it does not end. For KIP-368. */
int64_t exchange_expires_ms(const struct exchange *ex);
/* More about a denial, or after DONE the Kerberos principal behind the name; "" = nothing. For the
 * log only; escape it. */
const char *exchange_detail(const struct exchange *ex);

/* Server end, OAUTHBEARER, after DONE: the stamp for tokens_stand (32 bytes); zero for other
 * mechanisms. Lives as long as the exchange. */
const uint8_t *exchange_token_stamp(const struct exchange *ex);

/* The mechanism's name. Static. */
const char *exchange_mechanism(const struct exchange *ex);

/* Client end, SCRAM, optional: offer keys kept from an earlier login of the same user and password.
 * If the broker names the same salt and iterations, PBKDF2 is skipped: no PENDING. Copied. Before
 * the first step. */
void exchange_offer_keys(struct exchange *ex, const struct scram_keys *keys);

/* Server end, SCRAM, before the first step: when the login is DONE, recover the client's own key from
 * its proof, for exchange_take_keys; it is held until exchange_free. No effect on other mechanisms. */
void exchange_keep_keys(struct exchange *ex);

/* SCRAM: copies out the keys of a login that is DONE: at the client end always, at the server end
 * after exchange_keep_keys. False: no such thing. The caller wipes them. */
bool exchange_take_keys(const struct exchange *ex, struct scram_keys *keys_r)
    __attribute__((warn_unused_result));

/* Wipes and frees; nulls *ex; accepts NULL. */
void exchange_free(struct exchange **ex);

/* The one text every refused client is given, whatever the reason: unknown user, bad password,
 * unmapped principal. */
const char *exchange_denial_text(void);
