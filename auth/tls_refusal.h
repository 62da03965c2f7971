/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_refusal: what a client showed, and why it was not taken, after a server's handshake that failed at the client's
 * certificate. What it says of the client is a claim: a certificate is public, and whether the client has the key is
 * asked only once the certificate is good.
 */
#pragma once

#include <openssl/ssl.h>

#include "auth/certificates.h"
#include "auth/reason.h"

enum { TLS_REFUSAL_SUBJECT_SIZE = 257 /* as long as a name can be: whoever comes chooses it */ };

struct tls_refusal {
    enum auth_reason reason; /* AUTH_REASON_CLIENT_CERTIFICATE_… */
    const char *detail;      /* OpenSSL's word for it, static; NULL: it has none */
    /* As Java prints it (dn.h); cut between characters, with "..." for the rest, where it is longer. "": none was
     * shown, or none that can be printed. */
    char subject[TLS_REFUSAL_SUBJECT_SIZE];
    char fingerprint[CERTIFICATES_FINGERPRINT_SIZE]; /* of the leaf; "": none was shown */
};

/** ssl: the handshake failed at the peer's certificate, its proof, or that there was none. */
void tls_refusal_of(const SSL *ssl, struct tls_refusal *refusal_r);
