/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_refusal.h"

#include <openssl/x509_vfy.h>
#include <string.h>

#include "auth/dn.h"

static enum auth_reason reason_of(long verify)
{
    switch (verify) {
    case X509_V_ERR_CERT_REVOKED:
        return AUTH_REASON_CLIENT_CERTIFICATE_REVOKED;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return AUTH_REASON_CLIENT_CERTIFICATE_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return AUTH_REASON_CLIENT_CERTIFICATE_NOT_YET;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return AUTH_REASON_CLIENT_CERTIFICATE_AUTHORITY;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_CERT_REJECTED:
        return AUTH_REASON_CLIENT_CERTIFICATE_USAGE;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return AUTH_REASON_CLIENT_CERTIFICATE_UNCHECKED;
    default:
        return AUTH_REASON_CLIENT_CERTIFICATE_REFUSED;
    }
}

/* A server keeps the peer's certificate only once it is good; the chain that was tried begins with it. */
static X509 *leaf_of(const SSL *ssl)
{
    STACK_OF(X509) *tried = SSL_get0_verified_chain(ssl);
    return sk_X509_num(tried) > 0 ? sk_X509_value(tried, 0) : NULL;
}

static void put_subject(struct tls_refusal *refusal, const char *subject, size_t length)
{
    static const char rest[] = "...";
    if (length < sizeof refusal->subject) {
        memcpy(refusal->subject, subject, length + 1);
        return;
    }
    size_t kept = sizeof refusal->subject - sizeof rest;
    while (kept > 0 && ((unsigned char)subject[kept] & 0xc0) == 0x80) {
        kept--; /* within a character */
    }
    memcpy(refusal->subject, subject, kept);
    memcpy(refusal->subject + kept, rest, sizeof rest);
}

static void name(const X509 *leaf, struct tls_refusal *refusal)
{
    char subject[DN_BYTES_MAX];
    size_t length = 0;
    certificates_fingerprint(leaf, refusal->fingerprint);
    if (dn_print(X509_get_subject_name(leaf), subject, sizeof subject, &length) == DN_OK) {
        put_subject(refusal, subject, length);
    }
}

void tls_refusal_of(const SSL *ssl, struct tls_refusal *refusal_r)
{
    const long verify = SSL_get_verify_result(ssl);
    const X509 *leaf = leaf_of(ssl);
    *refusal_r = (struct tls_refusal){0};
    if (leaf != NULL) {
        name(leaf, refusal_r);
    }
    if (verify != X509_V_OK) {
        refusal_r->reason = reason_of(verify);
        refusal_r->detail = X509_verify_cert_error_string(verify);
    } else {
        refusal_r->reason = leaf != NULL ? AUTH_REASON_CLIENT_CERTIFICATE_KEY
                                         : AUTH_REASON_CLIENT_CERTIFICATE_MISSING;
    }
}
