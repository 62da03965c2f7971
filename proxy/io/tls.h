/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls: how a leg speaks TLS: an OpenSSL object over a BIO of ours that reads the socket and gathers ciphertext in the
 * worker's batch, so that all records of one read leave with one send. Only leg.c uses this.
 */
#pragma once

#include "proxy/io/leg.h"

enum tls_handshake_status { TLS_HANDSHAKE_DONE, TLS_HANDSHAKE_MORE, TLS_HANDSHAKE_FAILED };

/** Gives leg->ssl its BIO. Aborts on lack of memory. */
void tls_attach(struct leg *leg);

/** One step of the handshake, flushed. FAILED sets leg->error and error_text. */
enum tls_handshake_status tls_handshake(struct leg *leg);

/** leg_read for TLS: reads records until the buffer is full or the socket is empty. */
enum leg_read_status tls_read(struct leg *leg, uint8_t *into, size_t capacity, size_t *length);

/** A read would give bytes, the end or an error that no poll event need report any more. */
bool tls_has_news(const struct leg *leg);

/** leg_write for TLS, in records of at most IO_RECORD_BYTES. Wire bytes stay in the batch until leg_flush. */
bool tls_write(struct leg *leg, const uint8_t *bytes, size_t length);

/** Sends close_notify if it can be sent at once. */
void tls_shutdown(struct leg *leg);

/** For tls.c: queues wire bytes in the worker's batch. Defined in leg.c. */
bool leg_put_wire(struct leg *leg, const uint8_t *bytes, size_t length);
