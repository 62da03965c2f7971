/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "auth/key_pair.h"

enum { STATUS_REQUEST = 5, DIGEST_BYTES_MIN = 28, SECURITY_LEVEL = 2 };

static const char *const names[] = {
#define STAPLE(id, name, text) name,
#include "auth/staple.def"
#undef STAPLE
};

static const char *const texts[] = {
#define STAPLE(id, name, text) text,
#include "auth/staple.def"
#undef STAPLE
};

const char *staple_name(enum staple_verdict verdict)
{
    return names[verdict];
}

const char *staple_text(enum staple_verdict verdict)
{
    return texts[verdict];
}

/* Signature --------------------------------------------------------------------------------- */

/* RSA-PSS names its digest in parameters; none there is SHA-1. */
static int pss_digest(const X509_ALGOR *algorithm)
{
    if (algorithm->parameter == NULL || algorithm->parameter->type != V_ASN1_SEQUENCE) {
        return NID_sha1;
    }
    RSA_PSS_PARAMS *pss = ASN1_item_unpack(algorithm->parameter->value.sequence,
                                           ASN1_ITEM_rptr(RSA_PSS_PARAMS));
    const int nid = pss == NULL || pss->hashAlgorithm == NULL
                        ? NID_sha1
                        : OBJ_obj2nid(pss->hashAlgorithm->algorithm);
    RSA_PSS_PARAMS_free(pss);
    return nid;
}

static bool is_weak(const OCSP_BASICRESP *basic)
{
    const X509_ALGOR *algorithm = OCSP_resp_get0_tbs_sigalg(basic);
    const int signature = OBJ_obj2nid(algorithm->algorithm);
    int digest = NID_undef, key = NID_undef;
    if (signature == NID_rsassaPss) {
        digest = pss_digest(algorithm);
    } else if (OBJ_find_sigid_algs(signature, &digest, &key) != 1) {
        return true;
    }
    const EVP_MD *md = EVP_get_digestbynid(digest);
    /* Ed25519 and Ed448 name none. */
    return digest != NID_undef && (md == NULL || EVP_MD_get_size(md) < DIGEST_BYTES_MIN);
}

/*
 * Only the issuer is trusted, whatever else the file of authorities holds: neither another authority's word nor a
 * stranger's certificate may clear this one.
 */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *known = sk_X509_new_null();
    if (store == NULL || known == NULL || sk_X509_push(known, issuer) == 0) {
        abort();
    }
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_get0_param(store), SECURITY_LEVEL);
    const bool good = X509_STORE_add_cert(store, issuer) == 1 &&
                      X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
                      OCSP_basic_verify(basic, known, store, OCSP_NOEXPLICIT) > 0;
    sk_X509_free(known);
    X509_STORE_free(store);
    return good;
}

/* Answers ----------------------------------------------------------------------------------- */

/* Whoever wrote the answer chose the digest that names the issuer in it. */
static bool is_about(OCSP_SINGLERESP *answer, X509 *leaf, X509 *issuer)
{
    ASN1_OBJECT *digest = NULL;
    OCSP_CERTID *theirs = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(answer);
    if (OCSP_id_get0_info(NULL, &digest, NULL, NULL, theirs) != 1) {
        return false;
    }
    const EVP_MD *md = EVP_get_digestbyobj(digest);
    OCSP_CERTID *ours = md != NULL ? OCSP_cert_to_id(md, leaf, issuer) : NULL;
    const bool same = ours != NULL && OCSP_id_cmp(ours, theirs) == 0;
    OCSP_CERTID_free(ours);
    return same;
}

static enum staple_verdict judge_time(const ASN1_GENERALIZEDTIME *from,
                                      const ASN1_GENERALIZEDTIME *to, int64_t now_s)
{
    int64_t from_s = 0, to_s = 0;
    if (to == NULL) {
        return STAPLE_NO_END;
    }
    if (from == NULL || !key_pair_time(from, &from_s) || !key_pair_time(to, &to_s)) {
        return STAPLE_MALFORMED;
    }
    return from_s > now_s + STAPLE_EARLY_MAX_S  ? STAPLE_EARLY
           : to_s < now_s || to_s < from_s ? STAPLE_EXPIRED
                                                : STAPLE_GOOD;
}

static enum staple_verdict judge_answer(OCSP_SINGLERESP *answer, int64_t now_s)
{
    ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
    switch (OCSP_single_get0_status(answer, NULL, NULL, &from, &to)) {
    case V_OCSP_CERTSTATUS_GOOD:
        return judge_time(from, to, now_s);
    case V_OCSP_CERTSTATUS_REVOKED:
        return STAPLE_REVOKED;
    default:
        return STAPLE_UNKNOWN;
    }
}

/* Of several answers about the same certificate the first that is not good counts. */
static enum staple_verdict judge_answers(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer,
                                         int64_t now_s)
{
    enum staple_verdict verdict = STAPLE_OTHER;
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *answer = OCSP_resp_get0(basic, i);
        if (is_about(answer, leaf, issuer)) {
            verdict = judge_answer(answer, now_s);
            if (verdict != STAPLE_GOOD) {
                break;
            }
        }
    }
    return verdict;
}

static enum staple_verdict judge_basic(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer,
                                       int64_t now_s)
{
    if (OCSP_resp_count(basic) > STAPLE_ANSWERS_MAX) {
        return STAPLE_MALFORMED;
    }
    if (is_weak(basic)) {
        return STAPLE_WEAK;
    }
    return is_signed(basic, issuer) ? judge_answers(basic, leaf, issuer, now_s) : STAPLE_UNTRUSTED;
}

enum staple_verdict staple_judge(const uint8_t *der, size_t length, X509 *leaf, X509 *issuer,
                                 int64_t now_s)
{
    enum staple_verdict verdict = STAPLE_MALFORMED;
    const unsigned char *at = der;
    ERR_set_mark();
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)length);
    if (response != NULL && at == der + length) {
        OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
        if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
            verdict = STAPLE_UNSUCCESSFUL;
        } else if (basic != NULL) {
            verdict = judge_basic(basic, leaf, issuer, now_s);
        }
        OCSP_BASICRESP_free(basic);
    }
    OCSP_RESPONSE_free(response);
    ERR_pop_to_mark();
    return verdict;
}

/* Handshakes -------------------------------------------------------------------------------- */

static int verdict_index = -1;
static pthread_once_t verdict_once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
    verdict_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (verdict_index < 0) {
        abort();
    }
}

/* RFC 7633: "this certificate comes with a staple". */
static bool promises_staple(const X509 *leaf)
{
    bool promised = false;
    TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
        const ASN1_INTEGER *feature = sk_ASN1_INTEGER_value(features, i);
        promised = promised || ASN1_INTEGER_get(feature) == STATUS_REQUEST;
    }
    TLS_FEATURE_free(features);
    return promised;
}

static enum staple_verdict look(SSL *ssl, enum conf_ocsp mode)
{
    const unsigned char *der = NULL;
    const long length = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    if (SSL_session_reused(ssl) == 1) {
        return STAPLE_RESUMED;
    }
    if (der == NULL || length <= 0 || leaf == NULL) {
        const bool must = mode == CONF_OCSP_REQUIRED || leaf == NULL || promises_staple(leaf);
        return must ? STAPLE_MISSING : STAPLE_ABSENT;
    }
    if (sk_X509_num(chain) < 2) {
        return STAPLE_NO_ISSUER;
    }
    return staple_judge(der, (size_t)length, leaf, sk_X509_value(chain, 1), (int64_t)time(NULL));
}

/* For OpenSSL, after the chain was verified: 0 refuses, with the alert bad_certificate_status_response. */
static int on_status(SSL *ssl, void *mode)
{
    const enum staple_verdict verdict = look(ssl, (enum conf_ocsp)(uintptr_t)mode);
    pthread_once(&verdict_once, make_index);
    if (SSL_set_ex_data(ssl, verdict_index, (void *)(uintptr_t)verdict) != 1) {
        return 0;
    }
    return staple_refuses(verdict) ? 0 : 1;
}

void staple_ask(SSL_CTX *ctx, enum conf_ocsp mode)
{
    if (mode == CONF_OCSP_OFF) {
        return;
    }
    if (SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp) != 1 ||
        SSL_CTX_set_tlsext_status_cb(ctx, on_status) != 1 ||
        SSL_CTX_set_tlsext_status_arg(ctx, (void *)(uintptr_t)mode) != 1) {
        abort();
    }
}

enum staple_verdict staple_verdict_of(const SSL *ssl)
{
    pthread_once(&verdict_once, make_index);
    return (enum staple_verdict)(uintptr_t)SSL_get_ex_data(ssl, verdict_index);
}
