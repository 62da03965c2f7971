/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSL_CTXs for both legs, and the questions asked of a handshake.
 *
 *   broker leg   one ctx per (worker, identity or none, tls block): the peer is always verified
 *   client leg   one ctx per (worker, listener): client_auth none or required; "requested" only
 *                where brokers come (role: brokers), some of which log in by SASL instead
 *
 * Common: TLS 1.2 or later (min_version), AEAD suites only in 1.2, no renegotiation, no
 * compression, no session cache and no tickets on either side (tls_sessions_enable lifts that for a
 * broker leg), partial writes, moving write buffer, released buffers. A ctx is used by one worker
 * only. Nothing here does socket I/O.
 */
#pragma once

#include "auth/principal.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct certificates;
struct conf_errors;
struct conf_listener;
struct conf_listener_tls;
struct conf_tls;
struct key_pair;
struct rules;
struct trust;

enum {
    TLS_VERIFY_DEPTH_MAX = 6,    /* intermediates accepted from a peer */
    TLS_PEER_CHAIN_BYTES = 65536 /* certificate bytes accepted from a peer in one handshake */
};

/*
 * Broker leg. `identity` names the certificate shown, NULL for none. `tls` gives ca, crl,
 * ocsp and min_version. An empty ca is refused: there is no "trust everything" and no system store.
 * With `ocsp` what the broker staples counts too (staple.h).
 * With a crl every certificate of the peer's chain is checked, an expired or missing CRL refuses.
 * NULL with entries in `errors`. The caller owns the ctx (SSL_CTX_free) and may free `certs` and
 * `tls` before it.
 */
__attribute__((warn_unused_result)) SSL_CTX *tls_client_ctx_new(const struct certificates *certs,
                                                                const char *identity,
                                                                const struct conf_tls *tls,
                                                                struct conf_errors *errors);

/* The same from what was read before: no file is touched. trust: of the same ca and crl. */
__attribute__((warn_unused_result)) SSL_CTX *
tls_client_ctx_from(const struct certificates *certs, const struct trust *trust,
                    const char *identity, const struct conf_tls *tls, struct conf_errors *errors);
__attribute__((warn_unused_result)) struct trust *
tls_client_trust_load(const struct conf_tls *tls, struct conf_errors *errors);

/*
 * Prepare one broker connection, each of them: SNI (names only) and the SAN the peer must show: an
 * IP address is matched against IP SANs, a name against DNS SANs (CN only counts when there is no
 * DNS SAN, no partial wildcards). Nothing in a configuration leaves this out. false: `host` is
 * neither, or OpenSSL refused it; do not dial.
 */
__attribute__((warn_unused_result)) bool tls_expect_host(SSL *ssl, const char *host);

/*
 * Client leg. Uses listener->tls (chain, key, client_ca, client_crl, client_auth, min_version); the session id
 * context is derived from listener->name. Key and chain are checked as in certificates.h, with
 * serverAuth instead of clientAuth. `now_s`: seconds since 1970 UTC.
 */
__attribute__((warn_unused_result)) SSL_CTX *
tls_server_ctx_new(const struct conf_listener *listener, int64_t now_s, struct conf_errors *errors);

/* The same from what was read before. clients: NULL exactly when client_auth is none. */
__attribute__((warn_unused_result)) SSL_CTX *
tls_server_ctx_from(const struct conf_listener *listener, const struct key_pair *pair,
                    const struct trust *clients, struct conf_errors *errors);
__attribute__((warn_unused_result)) bool tls_server_pair_load(const struct conf_listener_tls *tls,
                                                              int64_t now_s,
                                                              struct conf_errors *errors,
                                                              struct key_pair *pair_r);
__attribute__((warn_unused_result)) bool tls_server_trust_load(const struct conf_listener_tls *tls,
                                                               struct conf_errors *errors,
                                                               struct trust **trust_r);

enum tls_peer_status {
    TLS_PEER_OK,
    TLS_PEER_NONE,     /* no certificate was shown, or it was not verified */
    TLS_PEER_BAD_NAME, /* the subject cannot be printed, or the principal is not canonical */
    TLS_PEER_NO_RULE,  /* no principal mapping rule applies */
    TLS_PEER_LIMIT     /* a rule ran into its limits */
};

/* What was seen of a verified peer; filled as far as it was reached. */
struct tls_peer {
    char subject[1024];   /* as Java prints it; "" when longer or absent */
    char fingerprint[65]; /* SHA-256 of the leaf, hex */
    char principal[PRINCIPAL_SIZE];
    size_t rule; /* index of the mapping rule */
};

/*
 * The principal of the peer's LEAF after a completed handshake in which it had to, or did, show a
 * certificate: subject → rules → canonical. Only a chain that OpenSSL verified counts; extra
 * certificates sent along never name anybody. `rules` NULL means DEFAULT.
 */
__attribute__((warn_unused_result)) enum tls_peer_status
tls_peer_principal(const SSL *ssl, const struct rules *rules, struct tls_peer *peer_r);

/*
 * An error of OpenSSL's as text for logs; NUL-terminated, may be cut. In FIPS mode the refusal of TLS 1.2 without
 * extended master secret is said to be that: RHEL calls it "unsupported", OpenSSL's own fips provider (3.1 and later)
 * "ems not enabled", and a provider that is newer than libcrypto gives a number that has no text there.
 */
void tls_error_text(unsigned long error, char *out, size_t capacity);

/*
 * What was wrong with the certificate of the peer of a handshake that failed: the OCSP response beside it, its
 * verification, or, when these are in order, what `error` of OpenSSL's says. Static, never NULL; `ssl` is not NULL
 * either, and the thread's error queue is left alone.
 */
const char *tls_certificate_text(const SSL *ssl, unsigned long error);
