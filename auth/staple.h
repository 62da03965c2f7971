/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCSP stapling on the broker leg (RFC 6066 §8, RFC 6960): the broker shows, with its certificate,
 * what the issuer said of it lately. Setu asks no responder itself. Of the chain only the broker's
 * own certificate is looked at: the issuers' revocation is a matter of `crl`.
 *
 *   off          nothing is asked for
 *   if_stapled   what is stapled has to be good; nothing stapled is accepted, but not for a certificate that says it
 *                always comes with a staple (RFC 7633)
 *   required     something good has to be stapled
 *
 * A resumed handshake shows no certificate and no staple: it rests on the whole one it descends from, an hour old at
 * most (tls_sessions.h), which was made under the same mode (tls_origin.h).
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/config.h"

enum staple_verdict {
#define STAPLE(id, name, text) STAPLE_##id,
#include "auth/staple.def"
#undef STAPLE
};

enum {
    STAPLE_ANSWERS_MAX = 16, /* in one response */
    STAPLE_EARLY_MAX_S = 300 /* a responder's clock may be so much ahead */
};

/*
 * Judges a response, DER, about `leaf`; pure but for OpenSSL's own look at the clock when it judges a responder's
 * certificate. Signed by `issuer`, or by whom it has issued a certificate for that (id-kp-OCSPSigning). Never anything
 * but GOOD and what begins with MALFORMED.
 */
enum staple_verdict staple_judge(const uint8_t *der, size_t length, X509 *leaf, X509 *issuer,
                                 int64_t now_s);

/* For a broker leg's ctx, once: its handshakes fail where the mode says so. */
void staple_ask(SSL_CTX *ctx, enum conf_ocsp mode);

/* What a handshake made of it; NOT_ASKED before, and with `off`. */
enum staple_verdict staple_verdict_of(const SSL *ssl);

/* Whether a verdict ends the handshake; MISSING and what is worse. */
static inline bool staple_refuses(enum staple_verdict verdict)
{
    return verdict >= STAPLE_MISSING;
}

const char *staple_name(enum staple_verdict verdict);
const char *staple_text(enum staple_verdict verdict);
