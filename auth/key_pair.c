/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/key_pair.h"

#include "auth/pem.h"
#include "auth/pkcs11_key.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <time.h>

struct load {
    const struct key_pair_source *source;
    struct key_pair *pair;
    int64_t now_s;
    struct conf_errors *errors;
};

static void chain_fault(const struct load *load, const char *what)
{
    conf_errors_add(load->errors, load->source->chain_place, "%s: %s", load->source->chain, what);
}

bool key_pair_time(const ASN1_TIME *time, int64_t *seconds_r)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1) {
        return false;
    }
    *seconds_r = (int64_t)timegm(&tm);
    return true;
}

static void format_day(int64_t seconds, char out[32])
{
    const time_t when = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        out[0] = '\0';
    }
}

static void check_validity(const struct load *load, const X509 *cert, int position)
{
    int64_t from = 0, to = 0;
    char day[32];
    if (!key_pair_time(X509_get0_notBefore(cert), &from) ||
        !key_pair_time(X509_get0_notAfter(cert), &to)) {
        conf_errors_add(load->errors, load->source->chain_place,
                        "%s: certificate %d has a malformed validity", load->source->chain,
                        position);
    } else if (load->now_s < from) {
        format_day(from, day);
        conf_errors_add(load->errors, load->source->chain_place,
                        "%s: certificate %d is not valid before %s (check the clock)",
                        load->source->chain, position, day);
    } else if (load->now_s > to) {
        format_day(to, day);
        conf_errors_add(load->errors, load->source->chain_place,
                        "%s: certificate %d expired at %s (renew it)", load->source->chain,
                        position, day);
    }
}

/* An absent extension allows every use; so does Java's trust manager on the broker. */
static void check_usage(const struct load *load, X509 *leaf)
{
    const bool client = load->source->use == KEY_PAIR_CLIENT;
    if ((X509_get_extension_flags(leaf) & EXFLAG_INVALID) != 0) {
        chain_fault(load, "the certificate has malformed extensions");
        return;
    }
    const uint32_t wanted = (client ? XKU_SSL_CLIENT : XKU_SSL_SERVER) | XKU_ANYEKU;
    if ((X509_get_extended_key_usage(leaf) & wanted) == 0) {
        chain_fault(load, client ? "the extended key usage lacks clientAuth (a broker would refuse "
                                   "it; issue it again)"
                                 : "the extended key usage lacks serverAuth (clients would refuse "
                                   "it; issue it again)");
    }
    if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) {
        chain_fault(load, "the key usage lacks digitalSignature (issue it again)");
    }
}

static void check_strength(const struct load *load, X509 *leaf)
{
    const int key_bits = EVP_PKEY_get_security_bits(X509_get0_pubkey(leaf));
    if (key_bits < KEY_PAIR_BITS_MIN) {
        chain_fault(load, "the key is too weak (RSA needs 2048 bits, curves 224)");
    }
    int signature_bits = 0;
    const bool self_signed = (X509_get_extension_flags(leaf) & EXFLAG_SS) != 0;
    if (!self_signed && X509_get_signature_info(leaf, NULL, NULL, &signature_bits, NULL) == 1 &&
        signature_bits < KEY_PAIR_BITS_MIN) {
        chain_fault(load, "the certificate is signed with a weak digest (SHA-256 or better)");
    }
}

static void check_order(const struct load *load)
{
    X509 *before = load->pair->leaf;
    for (int i = 0; i < sk_X509_num(load->pair->issuers); i++) {
        X509 *issuer = sk_X509_value(load->pair->issuers, i);
        if (X509_check_issued(issuer, before) != X509_V_OK) {
            conf_errors_add(load->errors, load->source->chain_place,
                            "%s: certificate %d did not issue certificate %d (leaf first, then "
                            "its issuers)",
                            load->source->chain, i + 2, i + 1);
            return;
        }
        check_validity(load, issuer, i + 2);
        before = issuer;
    }
}

static void load_chain(const struct load *load)
{
    struct pem_fault fault;
    STACK_OF(X509) *certs = pem_read_certificates(load->source->chain, false, &fault);
    if (certs == NULL) {
        conf_errors_add(load->errors, load->source->chain_place, "%s", fault.text);
        return;
    }
    if (sk_X509_num(certs) > KEY_PAIR_CHAIN_MAX) {
        chain_fault(load, "more than 16 certificates");
    }
    load->pair->leaf = sk_X509_shift(certs);
    load->pair->issuers = certs;
}

static void load_key(const struct load *load)
{
    struct pem_fault fault;
    const struct key_pair_source *source = load->source;
    load->pair->key = source->pkcs11 != NULL ? pkcs11_key_load(source->pkcs11, source->key, &fault)
                                             : pem_read_key(source->key, &fault);
    if (load->pair->key == NULL) {
        conf_errors_add(load->errors, load->source->key_place, "%s", fault.text);
    }
}

static void check_token(const struct load *load)
{
    struct pem_fault fault;
    const struct key_pair_source *source = load->source;
    switch (pkcs11_key_prove(load->pair->key, X509_get0_pubkey(load->pair->leaf), source->key,
                            &fault)) {
    case PKCS11_KEY_PROVED:
        break;
    case PKCS11_KEY_SILENT:
        conf_errors_add(load->errors, source->key_place, "%s", fault.text);
        break;
    case PKCS11_KEY_OTHER:
        conf_errors_add(load->errors, source->key_place,
                        "%s: the key does not belong to the first certificate of %s, though the "
                        "token says so (import it again)",
                        source->key, source->chain);
        break;
    }
}

static void check_pair(const struct load *load)
{
    X509 *leaf = load->pair->leaf;
    if (leaf == NULL) {
        return;
    }
    if (X509_get0_pubkey(leaf) == NULL) {
        chain_fault(load, "the certificate holds no key that is understood");
        return;
    }
    check_validity(load, leaf, 1);
    check_usage(load, leaf);
    check_strength(load, leaf);
    check_order(load);
    if (load->pair->key == NULL) {
        return;
    }
    if (X509_check_private_key(leaf, load->pair->key) != 1) {
        conf_errors_add(load->errors, load->source->key_place,
                        "%s: the key does not belong to the first certificate of %s",
                        load->source->key, load->source->chain);
    } else if (load->source->pkcs11 != NULL) {
        check_token(load);
    }
}

bool key_pair_load(const struct key_pair_source *source, int64_t now_s, struct conf_errors *errors,
                   struct key_pair *pair_r)
{
    *pair_r = (struct key_pair){0};
    const struct load load = {.source = source, .pair = pair_r, .now_s = now_s, .errors = errors};
    const size_t before = errors->errors;
    load_chain(&load);
    load_key(&load);
    check_pair(&load);
    ERR_clear_error();
    if (errors->errors != before) {
        key_pair_free(pair_r);
        return false;
    }
    return true;
}

void key_pair_free(struct key_pair *pair)
{
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->issuers, X509_free);
    EVP_PKEY_free(pair->key);
    *pair = (struct key_pair){0};
}

bool key_pair_same_chain(const X509 *a, const STACK_OF(X509) * behind_a, const X509 *b,
                         const STACK_OF(X509) * behind_b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool same = X509_cmp(a, b) == 0 && sk_X509_num(behind_a) == sk_X509_num(behind_b);
    for (int i = 0; same && i < sk_X509_num(behind_a); i++) {
        same = X509_cmp(sk_X509_value(behind_a, i), sk_X509_value(behind_b, i)) == 0;
    }
    return same;
}
