/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer: the far end of a leg, a client or a broker. It does nothing by itself: what it sends is in the socket when
 * peer_send returns, all of it, and what arrived stays there until peer_take.
 */
#pragma once

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
    int fd;
    SSL *ssl; /* NULL: plaintext; over memory, so that many records leave with one send */
    BIO *in, *out;
    size_t taken; /* bytes of plaintext that have arrived */
};

/* Makes the socket pair; returns the end that Setu gets, non-blocking. ssl may be NULL and is the
 * peer's from here, its state set. */
int peer_open(struct peer *peer, SSL *ssl);

/* Sends count frames, with TLS in records that do not span two of them. */
void peer_send(struct peer *peer, const uint8_t *frame, size_t length, size_t count);

/* Takes what has come, at most wire_bytes of it, throws it away, and answers what the TLS handshake
 * wants answered. */
void peer_take(struct peer *peer, size_t wire_bytes);
