/* SPDX-License-Identifier: Apache-2.0 */
/* What is said on one connection: login, then requests by table, then the fault due, if any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct conn;
struct exchange;
struct hostile;
struct fault;

enum session_state { SESSION_START, SESSION_TOKENS, SESSION_OPEN };

struct session {
    enum session_state state;
    bool raw_tokens;           /* SaslHandshake v0 */
    bool renewing;             /* TOKENS once more (KIP-368) */
    uint64_t expires_ms;       /* loop time when the login ends; 0: never */
    uint64_t renewed_ms;       /* loop time when its last renewal began; 0: none has */
    struct exchange *exchange; /* owned */
    struct hostile *hostile;   /* owned */
    char mechanism[32];
    char principal[512]; /* before the login is done what is claimed; "" if nothing */
    uint8_t *swapped;    /* owned: an answer that goes out behind the next one */
    size_t swapped_length;
};

enum session_verdict {
    SESSION_NEXT, /* done with this frame; what there is to send is in conn->out */
    SESSION_WAIT, /* look at it again after wait_ms, or when woken */
    SESSION_CLOSE
};

/* What an answer function is given, and what it says beside its answer. */
struct request {
    struct conn *conn;
    int16_t key, version;
    int32_t correlation_id;
    bool flexible;
    bool last_chance; /* it has waited long enough */
    struct reader body;
    uint64_t wait_ms; /* set with ANSWER_WAIT */
};

enum answer { ANSWER_SEND, ANSWER_NOTHING, ANSWER_WAIT, ANSWER_CLOSE };

void session_init(struct session *session);
void session_free(struct session *session);

/* One frame without its size. */
enum session_verdict session_frame(struct conn *conn, struct view payload, uint64_t *wait_ms_r);

/* The peer is known; prints it. mechanism "SSL" or a SASL one. */
void session_logged_in(struct conn *conn, const char *principal, const char *mechanism);
