/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS sessions with brokers, kept so that the next connection resumes one instead of shaking hands
 * in whole.
 *
 *   tls_sessions_enable   once for a broker leg's ctx
 *   tls_sessions_offer    before a handshake: what fits is offered, what the broker gives is kept
 *   tls_sessions_settle   after it: was it resumed?
 *   tls_sessions_forget   instead of settle, or later: the connection failed
 *
 * In a resumed handshake no certificate is shown and none is verified, on either side: the broker
 * takes us for whom it took us when the session was made. So a session is found again only under a
 * key that covers everything a whole handshake would have decided (struct tls_origin), and never
 * after the moment at which one of the certificates or revocation lists behind it ends, nor an hour
 * after the whole handshake it descends from, however often it was renewed.
 *
 * TLS 1.3: a session is resumed once at most (RFC 8446 C.4), and a broker gives a new one on each
 * connection. TLS 1.2: the newest is kept and offered again. Sessions are held encoded, counted in
 * bytes and wiped: a broker that gives many or large ones crowds out its own and then the oldest of
 * all.
 *
 * Apache Kafka has an SSLContext, and so its own keys for tickets, in each network thread of a
 * listener, and deals connections out to them in turn: of n threads one knows the ticket. So it is
 * chance that picks one of the few newest, and one that was refused is offered again, up to four
 * times in all. About one of num.network.threads connections is resumed.
 *
 * A resumed connection has no peer certificate to look at: it is not kept with the session.
 *
 * One cache for each worker; used by its thread only, and outlives every SSL it was offered to.
 */
#pragma once

#include "auth/tls_origin.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_sessions;

enum {
    TLS_SESSIONS_AGE_MAX_S = 3600,       /* from the whole handshake */
    TLS_SESSIONS_PER_CONNECTION_MAX = 8, /* looked at; a broker that gives more is not heard */
};

struct tls_sessions_limits {
    size_t bytes_max;         /* of all */
    size_t key_bytes_max;     /* of one key */
    size_t key_count_max;     /* of one key */
    size_t session_bytes_max; /* a larger one is not kept */
};

/* What production uses: a thousand sessions of one key, and 16 MiB of all. */
extern const struct tls_sessions_limits tls_sessions_limits_default;

/* Aborts on lack of memory. */
struct tls_sessions *tls_sessions_new(const struct tls_sessions_limits *limits);

/* Wipes and frees; nulls. NULL is fine. */
void tls_sessions_free(struct tls_sessions **cache);

/* Lets connections of a broker leg's ctx be given sessions. Without it nothing is ever kept. */
void tls_sessions_enable(SSL_CTX *ctx);

/*
 * Prepares a connection whose ctx is enabled, once, before its handshake; now_s: wall clock,
 * seconds since 1970. A NULL cache does nothing. True when a session was found and will be offered.
 */
bool tls_sessions_offer(struct tls_sessions *cache, SSL *ssl, const struct tls_origin *origin,
                        int64_t now_s);

/*
 * The handshake is done: true when it was resumed. A broker that did not take what was offered has
 * shaken hands in whole.
 */
bool tls_sessions_settle(SSL *ssl);

/* The connection failed before the broker answered: when a session was offered, all of its key are dropped. */
void tls_sessions_forget(SSL *ssl);

/* Sessions kept now, and what they take. */
size_t tls_sessions_count(const struct tls_sessions *cache);
size_t tls_sessions_bytes(const struct tls_sessions *cache);
