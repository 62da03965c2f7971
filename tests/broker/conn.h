/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: bytes in, whole frames to session, bytes out, one request at a time as a real
 * broker does it: the next frame is looked at when the answer to the last one has left.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "protocol/bytes.h"
#include "tests/broker/session.h"

struct door;
struct broker;

enum { CONN_FRAME_BYTES_MAX = 128 * 1024 * 1024, CONN_OUT_BYTES_MAX = 512 * 1024 * 1024 };

enum conn_state { CONN_SECURING, CONN_UP, CONN_LINGERING, CONN_CLOSED };

/* What happens when all output has left. */
enum conn_after { CONN_GO_ON, CONN_END, CONN_RESET, CONN_STALL };

struct conn {
    struct conn *next, **link;
    struct broker *broker;
    struct door *door;
    uv_poll_t poll;
    uv_timer_t timer;
    int open_handles;
    int fd;
    SSL *ssl; /* NULL: plaintext */
    enum conn_state state;
    enum conn_after after;
    uint8_t *in; /* received and not consumed: in[in_at … in_length) */
    size_t in_at, in_length, in_capacity;
    struct writer out; /* to be sent: out[out_at …) */
    size_t out_at;
    uint64_t delay_ms; /* > 0: out waits so long */
    bool delayed;      /* …and the timer runs */
    bool waiting;      /* the request at in_at waits for data or the timer */
    bool timed_out;    /* …which has fired */
    bool settling;     /* counted in broker->settling */
    char peer[64];
    struct session session;
};

/* Takes over fd and ssl. */
void conn_start(struct door *door, int fd, SSL *ssl);
/* Goes on after something that a waiting request may wait for. */
void conn_wake(struct conn *conn);
/* It has logged in and asks: its login is over. */
void conn_settled(struct conn *conn);
/* At once, without a word; the memory goes in a later turn. */
void conn_close(struct conn *conn);
void conn_reset(struct conn *conn);
