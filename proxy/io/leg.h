/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leg: one end of a connection: a socket, TLS if there is any, and the output that the socket did not take yet.
 * It knows nothing of Kafka. A leg lives inside its owner; the owner may free it after LEG_CLOSED.
 *
 *            leg_connect / leg_accept
 *                     │
 *   CONNECTING ──▶ SECURING (TLS only) ──▶ OPEN ──▶ CLOSING ──▶ CLOSED
 *   (leg_accept_either: SNIFFING until the first byte tells whether SECURING or OPEN is next)
 *
 * Events go to one function; it may call any leg function, leg_close included, on any leg.
 *   LEG_OPEN      connected, and TLS (if any) finished its handshake. With TLS 1.3 this does not mean that the peer has
 *                 accepted our certificate: only its first answer says so.
 *   LEG_READABLE  leg_read may give bytes (or the end). Comes only while reading is not paused.
 *   LEG_DRAINED   the backlog has become empty.
 *   LEG_FAILED    leg->error says why; nothing more comes but LEG_CLOSED after leg_close. Who does not close at once
 *                 pauses it; heeding, where the TLS handshake has failed: it comes once more when the peer is gone.
 *   LEG_CLOSED    the handles are gone; the memory may be reused.
 *
 * Output: leg_write takes all it is given. What the socket does not take is kept in one heap block (the spill), which
 * is given back when empty. The caller bounds it: while leg_backlog() > 0 it stops producing output for this leg.
 */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proxy/io/io.h"

enum leg_event { LEG_OPEN, LEG_READABLE, LEG_DRAINED, LEG_FAILED, LEG_CLOSED };

enum leg_state {
    LEG_IDLE,
    LEG_CONNECTING,
    LEG_SNIFFING,
    LEG_SECURING,
    LEG_UP,
    LEG_CLOSING,
    LEG_GONE,
};

enum leg_error {
    LEG_ERROR_NONE,
    LEG_ERROR_CONNECT,       /* refused, unreachable */
    /* no descriptor, local port or memory for a socket: not the peer's doing */
    LEG_ERROR_LOCAL,
    LEG_ERROR_RESET,         /* the socket failed after it was connected */
    LEG_ERROR_END,           /* the peer closed during connect or TLS handshake */
    LEG_ERROR_TLS,           /* the handshake or a record failed; error_text says what */
    /* the peer's certificate was not acceptable to us, or missing, or it did not prove its key */
    LEG_ERROR_TLS_VERIFY,
    /* the peer sent a certificate alert: it does not accept ours (may come late, TLS 1.3) */
    LEG_ERROR_TLS_REJECTED,
    /* the first bytes of a TLS peer are not TLS: a plaintext peer on a TLS port */
    LEG_ERROR_NOT_TLS,
};

enum leg_read_status { LEG_READ_SOME, LEG_READ_BLOCKED, LEG_READ_END, LEG_READ_FAILED };

struct leg;
typedef void (*leg_fn)(struct leg *leg, enum leg_event event);

struct leg {
    uv_poll_t poll;
    struct io *io;
    leg_fn on_event;
    void *owner;
    SSL *ssl;               /* owned; NULL for plaintext */
    uint8_t *spill;         /* owned; unsent wire bytes at spill + spill_at, spill_length of them */
    size_t spill_at, spill_length, spill_capacity;
    struct leg *again_next; /* in io's list while again is set */
    int fd;
    int events;             /* the poll mask in force */
    enum leg_state state;
    enum leg_error error;
    bool reading;           /* the owner wants LEG_READABLE */
    bool heeding;           /* it does not, but wants to hear of a reset, or of any end */
    bool again;             /* orthogonal to state: queued in io for another look */
    bool spill_secret;      /* the spill is wiped before it is given back */
    uint64_t bytes_in, bytes_out; /* wire bytes */
    /* TLS: wire bytes that the read under way may still take; 0 also: the socket is empty */
    size_t wire_left;
    bool staged;                  /* TLS: the read under way takes wire bytes through io's stage */
    /* TLS: unsent wire bytes that reading alone has made, alerts and answers to key updates */
    size_t provoked;
    char error_text[160];
};

/** Prepares leg in place; nothing is opened. owner is passed back by the caller's own use of leg->owner. */
void leg_init(struct leg *leg, struct io *io, leg_fn on_event, void *owner);

/**
 * Takes over the connected, non-blocking socket fd. ssl may be NULL; otherwise the leg owns it from here, also on
 * failure, and runs the server side of a handshake. LEG_OPEN comes later, never from inside this call.
 * Returns false when the loop refuses the descriptor; fd is then closed.
 */
bool leg_accept(struct leg *leg, int fd, SSL *ssl) __attribute__((warn_unused_result));

/**
 * As leg_accept for a peer that may or may not speak TLS; ssl is not NULL. Its first byte decides, and stays unread: 22
 * is a TLS handshake, and no Kafka frame, whose size would be 369 MB and more, begins so. After LEG_OPEN leg->ssl is
 * NULL if the peer speaks plaintext.
 */
bool leg_accept_either(struct leg *leg, int fd, SSL *ssl) __attribute__((warn_unused_result));

/**
 * Starts to connect to address; ssl as for leg_accept, client side (host name and verification are set by the
 * caller). false: error and error_text are set and no event comes.
 */
bool leg_connect(struct leg *leg, const struct sockaddr *address, SSL *ssl)
    __attribute__((warn_unused_result));

/**
 * Reads up to capacity bytes. LEG_READ_SOME sets *length > 0. LEG_READ_BLOCKED: an event will come.
 * LEG_READ_FAILED sets leg->error. When the buffer was filled there may be more: call leg_again instead of looping
 * for ever.
 */
enum leg_read_status leg_read(struct leg *leg, uint8_t *into, size_t capacity, size_t *length)
    __attribute__((warn_unused_result));

/**
 * Queues all of bytes for sending, in order; copies nothing that the socket takes at once. With TLS the wire bytes of
 * several calls gather until leg_flush. false: the leg failed (error is set); no event comes for it.
 */
bool leg_write(struct leg *leg, const uint8_t *bytes, size_t length)
    __attribute__((warn_unused_result));

/** As leg_write, for a password: what the socket does not take at once is wiped when it has been sent or lost. */
bool leg_write_secret(struct leg *leg, const uint8_t *bytes, size_t length)
    __attribute__((warn_unused_result));

/** Sends what leg_write has gathered. false as for leg_write. */
bool leg_flush(struct leg *leg) __attribute__((warn_unused_result));

/** Bytes accepted by leg_write that the socket has not taken. */
size_t leg_backlog(const struct leg *leg);

/** Reading on or off; on also looks at bytes the TLS library may already hold. */
void leg_pause(struct leg *leg);
void leg_resume(struct leg *leg);

/**
 * Reading off, but a reset is told at once (LEG_FAILED), and what came before it is lost. Without that a peer that went
 * while nothing is read keeps its place for as long. After a TLS handshake that failed the peer's end is told as well.
 */
void leg_pause_heeding(struct leg *leg);

/** LEG_READABLE comes once more in this loop turn's end although no poll event may come. */
void leg_again(struct leg *leg);

/**
 * Tells the peer that nothing more comes: with TLS by close_notify, then by the end of the stream. What the peer still
 * sends can be read. false as for leg_write.
 */
bool leg_finish(struct leg *leg) __attribute__((warn_unused_result));

/** Closes at once (what is in the backlog is lost); LEG_CLOSED follows from the loop. Idempotent. */
void leg_close(struct leg *leg);

/** True when nothing of the leg lives in the loop: never opened, or closed. */
bool leg_is_gone(const struct leg *leg);

/** "127.0.0.1:4711", "[::1]:4711"; an IPv4 or IPv6 address; text holds at least 64 bytes. */
void leg_address_text(const struct sockaddr *address, char *text, size_t size);

/** A stable short name of the error, for logs. */
const char *leg_error_name(enum leg_error error);
