/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a client, for client.c (its life), client_talk.c (its trade) and misdeeds.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "tests/sim/queue.h"

enum { CLIENT_DEPTH_MAX = 12 };

enum client_state { CLIENT_IDLE, CLIENT_LOGIN, CLIENT_TALK, CLIENT_GONE };

enum client_trade { TRADE_PRODUCE, TRADE_IDEMPOTENT, TRADE_FETCH, TRADE_ASK, TRADE_COUNT };

enum misdeed {
    MISDEED_NONE,
    /* instead of a login */
    MISDEED_GARBAGE,
    MISDEED_HTTP,
    MISDEED_TLS,
    MISDEED_GSSAPI,
    MISDEED_LARGE_LOGIN,
    MISDEED_EARLY,
    MISDEED_SILENT,
    MISDEED_MECHANISM,
    MISDEED_HANDSHAKE_TWICE,
    MISDEED_VERSIONS_FOREVER,
    MISDEED_PIPELINE,
    MISDEED_RESET_LOGIN,
    MISDEED_RAW_TOKEN,
    /* while talking */
    MISDEED_FIRST_TALK,
    MISDEED_HIDDEN = MISDEED_FIRST_TALK,
    MISDEED_REPLICA,
    MISDEED_LARGE,
    MISDEED_MALFORMED,
    MISDEED_SASL_AGAIN,
    MISDEED_RENEW_AS_ANOTHER,
    MISDEED_BAD_CRC,
    MISDEED_RESET,
    MISDEED_HALF_CLOSE,
    MISDEED_CUT,
    MISDEED_STALL,
    MISDEED_BURST,
    MISDEED_VERSIONS_BURST,
    MISDEED_HOLE,
    MISDEED_COUNT
};

/* A request that waits for its answer. */
struct flight {
    int16_t key, version;
    int32_t id;
    uint64_t batch; /* of Produce; 0 none */
    uint64_t sent_ns;
    bool ours; /* the answer is Setu's own */
};

/* A batch of an idempotent producer, until it is acknowledged. */
struct unacknowledged {
    struct unacknowledged *next;
    uint64_t number;
    struct view bytes;
    bool sent; /* on the connection under way */
};

struct client {
    uint32_t index;
    enum client_state state;
    const struct user *user;
    const char *password, *mechanism;
    enum client_trade trade;
    enum misdeed misdeed;
    unsigned misdeed_after; /* requests */
    bool misdone;           /* it has been done: anything may follow but a wrong answer */
    bool renews_as_another; /* the renewal under way, or the last one */
    bool stalled;           /* reads no more, writes no more */
    bool mute;     /* writes no more: what it sent last is not to be followed by a request */
    bool thinking; /* a wake is under way */
    unsigned depth, connections, requests, dials;
    int32_t node; /* whose port it dials; -1: bootstrap */
    struct end *end;
    struct book *book;
    struct broker_login *login;
    struct broker_login *renewal; /* of the login, under way */
    uint64_t renew_ns;            /* when the next is due; UINT64_MAX: never */
    uint64_t ends_ns;             /* of the login */
    unsigned proofs;   /* SASL tokens sent */
    uint64_t since_ns; /* of the connection */
    struct queue in, out;
    struct flight *flights; /* those that wait: [flight_first … flight_first + flight_count) */
    size_t flight_first, flight_count, flight_capacity;
    int32_t next_id;
    int16_t acks;
    int32_t partition;
    int64_t producer_id, fetch_offset;
    int32_t sequence;
    struct unacknowledged *pending, *pending_last;
};

/* client.c */
void client_flush(struct client *client);
/* Ends the connection; it may dial again. */
void client_leave(struct client *client, bool reset);
void client_wake_after(struct client *client, uint64_t delay_ns);

/* client_renew.c */
/* The login has ended well; it tells how long it lasts. */
void client_term(struct client *client, const struct broker_login *login);
/* Begins a renewal if one is due: then nothing else is sent. */
void client_renew(struct client *client);
/* As somebody else. */
void client_renew_as(struct client *client, const struct user *user);
/* An answer to a renewal. */
void client_renewal_answer(struct client *client, struct view frame);

/* client_talk.c */
void client_talk(struct client *client);    /* sends what may be sent now */
void client_answers(struct client *client); /* takes what has arrived */
void client_send(struct client *client, struct view frame, const struct flight *flight);
/* All batches that were not acknowledged go again on the next connection. */
void client_forget_flights(struct client *client);

/* misdeeds.c */
enum misdeed misdeed_draw(void);
/* Instead of a login. */
void misdeed_at_login(struct client *client);
/* Before a request; true: no request follows. */
bool misdeed_while_talking(struct client *client);
