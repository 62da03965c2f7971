/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/trust.h"

#include "auth/key_pair.h"
#include "auth/pem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct counted {
    struct trust trust; /* first */
    atomic_size_t references;
};

static char *copy_text(const char *text)
{
    char *copy = strdup(text != NULL ? text : "");
    if (copy == NULL) {
        abort();
    }
    return copy;
}

static void refused(const char *path, struct conf_place place, struct conf_errors *errors)
{
    char reason[160] = "no reason given";
    const unsigned long error = ERR_peek_last_error();
    if (error != 0) {
        ERR_error_string_n(error, reason, sizeof(reason));
    }
    ERR_clear_error();
    conf_errors_add(errors, place, "%s: %s", path, reason);
}

static void earlier(const ASN1_TIME *time, int64_t *end_s)
{
    int64_t seconds = 0;
    if (time != NULL && key_pair_time(time, &seconds) && seconds < *end_s) {
        *end_s = seconds;
    }
}

static void hash_part(EVP_MD_CTX *md, const uint8_t *print, unsigned length, uint8_t kind)
{
    if (EVP_DigestUpdate(md, &kind, 1) != 1 || EVP_DigestUpdate(md, print, length) != 1) {
        abort();
    }
}

static void hash_so_far(const EVP_MD_CTX *md, uint8_t hash_r[32])
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (copy == NULL || EVP_MD_CTX_copy_ex(copy, md) != 1 ||
        EVP_DigestFinal_ex(copy, hash_r, NULL) != 1) {
        abort();
    }
    EVP_MD_CTX_free(copy);
}

static bool take_authorities(struct trust *trust, EVP_MD_CTX *md, struct conf_place place,
                             struct conf_errors *errors)
{
    struct pem_fault fault;
    STACK_OF(X509) *certs = pem_read_certificates(trust->ca, true, &fault);
    if (certs == NULL) {
        conf_errors_add(errors, place, "%s", fault.text);
        return false;
    }
    bool good = true;
    for (int i = 0; i < sk_X509_num(certs) && good; i++) {
        X509 *cert = sk_X509_value(certs, i);
        uint8_t print[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        /* OpenSSL reads extensions when they are asked for first; by then many threads ask. */
        (void)X509_check_purpose(cert, -1, 0);
        good = X509_STORE_add_cert(trust->store, cert) == 1 &&
               X509_digest(cert, EVP_sha256(), print, &length) == 1;
        hash_part(md, print, length, 1);
        earlier(X509_get0_notAfter(cert), &trust->ends_s);
    }
    if (!good) {
        refused(trust->ca, place, errors);
    }
    sk_X509_pop_free(certs, X509_free);
    X509_STORE_set_flags(trust->store, X509_V_FLAG_PARTIAL_CHAIN);
    return good;
}

/* What cannot be read was never in force, as it is for OpenSSL. */
static void later(const ASN1_TIME *time, int64_t *begin_s)
{
    int64_t seconds = 0;
    if (!key_pair_time(time, &seconds)) {
        seconds = INT64_MAX;
    }
    *begin_s = seconds > *begin_s ? seconds : *begin_s;
}

/* OpenSSL leaves them aside without X509_V_FLAG_USE_DELTAS: who is on one of them alone would be let in. */
static bool is_delta(const X509_CRL *list)
{
    return X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0;
}

static bool take_lists(struct trust *trust, EVP_MD_CTX *md, struct conf_place place,
                       struct conf_errors *errors)
{
    struct pem_fault fault;
    if (trust->crl[0] == '\0') {
        return true;
    }
    trust->lists = pem_read_crls(trust->crl, &fault);
    if (trust->lists == NULL) {
        conf_errors_add(errors, place, "%s", fault.text);
        return false;
    }
    bool good = true;
    for (int i = 0; i < sk_X509_CRL_num(trust->lists) && good; i++) {
        X509_CRL *list = sk_X509_CRL_value(trust->lists, i);
        uint8_t print[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        if (is_delta(list)) {
            conf_errors_add(
                errors, place,
                "%s: list %d in it is a delta, by which nobody is refused (keep full lists "
                "there, and no others)",
                trust->crl, i + 1);
            return false;
        }
        good = X509_STORE_add_crl(trust->store, list) == 1 &&
               X509_CRL_digest(list, EVP_sha256(), print, &length) == 1;
        hash_part(md, print, length, 2);
        later(X509_CRL_get0_lastUpdate(list), &trust->lists_begin_s);
        earlier(X509_CRL_get0_nextUpdate(list), &trust->lists_end_s);
    }
    if (!good) {
        refused(trust->crl, place, errors);
    }
    X509_STORE_set_flags(trust->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return good;
}

struct trust *trust_load(const char *ca, const char *crl, struct conf_place place,
                         struct conf_errors *errors)
{
    struct counted *made = calloc(1, sizeof(*made));
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (made == NULL || md == NULL || (made->trust.store = X509_STORE_new()) == NULL ||
        EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        abort();
    }
    struct trust *trust = &made->trust;
    atomic_init(&made->references, 1);
    trust->ca = copy_text(ca);
    trust->crl = copy_text(crl);
    trust->lists_begin_s = INT64_MIN;
    trust->lists_end_s = trust->ends_s = INT64_MAX;
    ERR_clear_error();
    /* Not && : every fault is to be told. */
    const bool believes = take_authorities(trust, md, place, errors);
    hash_so_far(md, trust->authorities_hash);
    const bool knows = take_lists(trust, md, place, errors);
    hash_so_far(md, trust->hash);
    EVP_MD_CTX_free(md);
    if (!believes || !knows) {
        trust_unref(&trust);
    }
    return trust;
}

struct trust *trust_ref(const struct trust *trust)
{
    struct counted *of = (struct counted *)(uintptr_t)trust;
    atomic_fetch_add_explicit(&of->references, 1, memory_order_relaxed);
    return &of->trust;
}

void trust_unref(struct trust **trust)
{
    struct counted *gone = (struct counted *)*trust;
    *trust = NULL;
    if (gone == NULL ||
        atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    X509_STORE_free(gone->trust.store);
    sk_X509_CRL_pop_free(gone->trust.lists, X509_CRL_free);
    free((void *)(uintptr_t)gone->trust.ca);
    free((void *)(uintptr_t)gone->trust.crl);
    free(gone);
}

bool trust_revokes(const struct trust *trust, X509 *cert)
{
    for (int i = 0; i < sk_X509_CRL_num(trust->lists); i++) {
        X509_CRL *list = sk_X509_CRL_value(trust->lists, i);
        X509_REVOKED *entry = NULL;
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_issuer_name(cert)) == 0 &&
            X509_CRL_get0_by_cert(list, &entry, cert) == 1) {
            return true;
        }
    }
    return false;
}

bool trust_holds(const struct trust *trust, X509 *leaf, STACK_OF(X509) * chain, bool server)
{
    X509_STORE_CTX *judge = X509_STORE_CTX_new();
    if (judge == NULL || X509_STORE_CTX_init(judge, trust->store, leaf, chain) != 1) {
        abort();
    }
    X509_STORE_CTX_set_flags(judge, X509_V_FLAG_NO_CHECK_TIME);
    /* Without time the newest list is gone by, though it may not be in force yet: so the others are asked, too. */
    const bool holds =
        !trust_revokes(trust, leaf) &&
        X509_STORE_CTX_set_default(judge, server ? "ssl_server" : "ssl_client") == 1 &&
        X509_verify_cert(judge) == 1;
    X509_STORE_CTX_free(judge);
    ERR_clear_error();
    return holds;
}

bool trust_is_stale(const struct trust *trust, int64_t now_s)
{
    return trust->lists_end_s < now_s;
}

bool trust_is_early(const struct trust *trust, int64_t now_s)
{
    return trust->lists_begin_s > now_s;
}

enum signer { SIGNER_UNKNOWN, SIGNER_RIGHT, SIGNER_WRONG };

static enum signer list_signer(STACK_OF(X509) * authorities, X509_CRL *list)
{
    enum signer found = SIGNER_UNKNOWN;
    for (int i = 0; i < sk_X509_num(authorities) && found != SIGNER_RIGHT; i++) {
        const X509 *authority = sk_X509_value(authorities, i);
        if (X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(list)) == 0) {
            found = X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1 ? SIGNER_RIGHT
                                                                            : SIGNER_WRONG;
        }
    }
    ERR_clear_error();
    return found;
}

bool trust_is_forged(const struct trust *trust)
{
    STACK_OF(X509) *authorities = X509_STORE_get1_all_certs(trust->store);
    bool forged = authorities == NULL;
    for (int i = 0; i < sk_X509_CRL_num(trust->lists) && !forged; i++) {
        forged = list_signer(authorities, sk_X509_CRL_value(trust->lists, i)) == SIGNER_WRONG;
    }
    sk_X509_pop_free(authorities, X509_free);
    return forged;
}

struct ages {
    int64_t oldest_s, newest_s;
};

static struct ages ages_of(const struct trust *trust, const X509_NAME *issuer)
{
    struct ages found = {INT64_MAX, INT64_MIN};
    int64_t at_s = 0;
    for (int i = 0; i < sk_X509_CRL_num(trust->lists); i++) {
        const X509_CRL *list = sk_X509_CRL_value(trust->lists, i);
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), issuer) == 0 &&
            key_pair_time(X509_CRL_get0_lastUpdate(list), &at_s)) {
            found.oldest_s = at_s < found.oldest_s ? at_s : found.oldest_s;
            found.newest_s = at_s > found.newest_s ? at_s : found.newest_s;
        }
    }
    return found;
}

static bool same_extension(const X509_CRL *a, const X509_CRL *b, int nid)
{
    const int at_a = X509_CRL_get_ext_by_NID(a, nid, -1);
    const int at_b = X509_CRL_get_ext_by_NID(b, nid, -1);
    if (at_a < 0 || at_b < 0) {
        return at_a == at_b;
    }
    return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_CRL_get_ext(a, at_a)),
                                 X509_EXTENSION_get_data(X509_CRL_get_ext(b, at_b))) == 0;
}

/* A list of the same issuer, by the same key of his, of the same certificates (RFC 5280, 5.2.1 and 5.2.5). */
static bool has_scope(const struct trust *trust, const X509_CRL *wanted)
{
    for (int i = 0; i < sk_X509_CRL_num(trust->lists); i++) {
        const X509_CRL *list = sk_X509_CRL_value(trust->lists, i);
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_CRL_get_issuer(wanted)) == 0 &&
            same_extension(list, wanted, NID_authority_key_identifier) &&
            same_extension(list, wanted, NID_issuing_distribution_point)) {
            return true;
        }
    }
    return false;
}

static bool has_list(const struct trust *trust, const X509_CRL *wanted)
{
    for (int i = 0; i < sk_X509_CRL_num(trust->lists); i++) {
        if (X509_CRL_match(sk_X509_CRL_value(trust->lists, i), wanted) == 0) {
            return true;
        }
    }
    return false;
}

static bool keeps_lists(const struct trust *before, const struct trust *now,
                        const X509_NAME *issuer)
{
    for (int i = 0; i < sk_X509_CRL_num(before->lists); i++) {
        const X509_CRL *list = sk_X509_CRL_value(before->lists, i);
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), issuer) == 0 && !has_list(now, list)) {
            return false;
        }
    }
    return true;
}

static bool adds_older(const struct trust *before, const struct trust *now, const X509_NAME *issuer,
                       int64_t than_s)
{
    int64_t at_s = 0;
    for (int i = 0; i < sk_X509_CRL_num(now->lists); i++) {
        const X509_CRL *list = sk_X509_CRL_value(now->lists, i);
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), issuer) == 0 &&
            key_pair_time(X509_CRL_get0_lastUpdate(list), &at_s) && at_s < than_s &&
            !has_list(before, list)) {
            return true;
        }
    }
    return false;
}

/* A newer list is no proof that an older one beside it is left aside: it may be of a part, or of another key. */
bool trust_goes_back(const struct trust *before, const struct trust *now)
{
    bool back = false;
    for (int i = 0; i < sk_X509_CRL_num(before->lists) && !back; i++) {
        const X509_NAME *issuer = X509_CRL_get_issuer(sk_X509_CRL_value(before->lists, i));
        const struct ages was = ages_of(before, issuer), is = ages_of(now, issuer);
        const bool older = is.newest_s < was.newest_s || is.oldest_s < was.newest_s;
        back = !has_scope(now, sk_X509_CRL_value(before->lists, i)) ||
               (older && !keeps_lists(before, now, issuer)) ||
               adds_older(before, now, issuer, was.newest_s);
    }
    return back;
}

static bool has_authority(STACK_OF(X509) * all, const X509 *wanted)
{
    for (int i = 0; i < sk_X509_num(all); i++) {
        if (X509_cmp(sk_X509_value(all, i), wanted) == 0) {
            return true;
        }
    }
    return false;
}

bool trust_widens(const struct trust *before, const struct trust *now)
{
    /* With references of their own, under the store's lock: workers look things up, and sort. */
    STACK_OF(X509) *old = X509_STORE_get1_all_certs(before->store);
    STACK_OF(X509) *new = X509_STORE_get1_all_certs(now->store);
    bool widens = old == NULL || new == NULL;
    for (int i = 0; i < sk_X509_num(new) && !widens; i++) {
        widens = !has_authority(old, sk_X509_value(new, i));
    }
    sk_X509_pop_free(old, X509_free);
    sk_X509_pop_free(new, X509_free);
    return widens;
}
