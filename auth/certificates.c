/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/certificates.h"

#include "auth/dn.h"
#include "auth/key_pair.h"
#include "conf/config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct certificates {
    atomic_size_t references;
    struct config *config; /* holds names and paths */
    struct certificate *items;
    size_t count;
};

struct load {
    const struct config *config;
    const struct conf_certificate *conf;
    int64_t now_s;
    struct conf_errors *errors;
};

void certificates_fingerprint(const X509 *cert, char out[CERTIFICATES_FINGERPRINT_SIZE])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (X509_digest(cert, EVP_sha256(), hash, &length) != 1) {
        abort();
    }
    for (unsigned i = 0; i < length; i++) {
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    }
}

void certificates_spki_fingerprint(const X509 *cert, char out[CERTIFICATES_FINGERPRINT_SIZE])
{
    unsigned char *der = NULL, hash[EVP_MAX_MD_SIZE];
    unsigned hash_length = 0;
    const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (length <= 0 ||
        EVP_Digest(der, (size_t)length, hash, &hash_length, EVP_sha256(), NULL) != 1) {
        abort();
    }
    for (unsigned i = 0; i < hash_length; i++) {
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    }
    OPENSSL_free(der);
}

static char *name_text(const struct load *load, const X509_NAME *name, const char *which)
{
    char text[DN_BYTES_MAX];
    if (dn_print(name, text, sizeof(text), NULL) != DN_OK) {
        conf_errors_add(load->errors, config_place(load->config, &load->conf->chain),
                        "%s: the %s name is malformed or too long (issue the certificate again)",
                        load->conf->chain, which);
        text[0] = '\0';
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        abort();
    }
    return copy;
}

static void warn_of_expiry(const struct load *load, const struct certificate *cert)
{
    const int64_t days = (cert->not_after_s - load->now_s) / 86400;
    if (days < CERTIFICATES_WARN_DAYS) {
        conf_errors_warn(load->errors, config_place(load->config, &load->conf->chain),
                         "%s: expires in %lld days (renew it)", cert->path, (long long)days);
    }
}

static bool load_one(const struct load *load, struct certificate *cert)
{
    const struct conf_certificate *conf = load->conf;
    const struct key_pair_source source = {
        .chain = conf->chain,
        .key = conf->key,
        .pkcs11 = conf->pkcs11,
        .chain_place = config_place(load->config, &conf->chain),
        .key_place = config_place(load->config, &conf->key),
        .use = KEY_PAIR_CLIENT,
    };
    struct key_pair pair;
    if (!key_pair_load(&source, load->now_s, load->errors, &pair)) {
        return false;
    }
    const size_t before = load->errors->errors;
    *cert = (struct certificate){
        .name = conf->name,
        .path = conf->chain,
        .key_path = conf->key,
        .leaf = pair.leaf,
        .issuers = pair.issuers,
        .key = pair.key,
        .subject = name_text(load, X509_get_subject_name(pair.leaf), "subject's"),
        .issuer = name_text(load, X509_get_issuer_name(pair.leaf), "issuer's"),
        .line = conf->place.line,
        .column = conf->place.column,
    };
    certificates_fingerprint(cert->leaf, cert->fingerprint);
    certificates_spki_fingerprint(cert->leaf, cert->spki_fingerprint);
    if (!key_pair_time(X509_get0_notBefore(cert->leaf), &cert->not_before_s) ||
        !key_pair_time(X509_get0_notAfter(cert->leaf), &cert->not_after_s)) {
        abort(); /* key_pair_load has read both */
    }
    warn_of_expiry(load, cert);
    return load->errors->errors == before;
}

struct certificates *certificates_load(const struct config *config, int64_t now_s,
                                       struct conf_errors *errors)
{
    struct certificates *certs = calloc(1, sizeof(*certs));
    const size_t count = config->certificates_count;
    if (certs == NULL ||
        (certs->items = calloc(count == 0 ? 1 : count, sizeof(*certs->items))) == NULL) {
        abort();
    }
    atomic_init(&certs->references, 1);
    certs->config = config_ref(config);
    certs->count = count;
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        const struct load load = {
            .config = config, .conf = &config->certificates[i], .now_s = now_s, .errors = errors};
        good = load_one(&load, &certs->items[i]) && good;
    }
    if (!good) {
        certificates_unref(&certs);
    }
    return certs;
}

struct certificates *certificates_ref(struct certificates *certs)
{
    atomic_fetch_add_explicit(&certs->references, 1, memory_order_relaxed);
    return certs;
}

void certificates_unref(struct certificates **certs)
{
    struct certificates *gone = *certs;
    *certs = NULL;
    if (gone == NULL ||
        atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < gone->count; i++) {
        struct certificate *cert = &gone->items[i];
        struct key_pair pair = {.leaf = cert->leaf, .issuers = cert->issuers, .key = cert->key};
        key_pair_free(&pair);
        free((void *)(uintptr_t)cert->subject);
        free((void *)(uintptr_t)cert->issuer);
    }
    free(gone->items);
    config_unref(&gone->config);
    free(gone);
}

const struct certificate *certificates_find(const struct certificates *certs, const char *name)
{
    for (size_t i = 0; i < certs->count; i++) {
        if (strcmp(certs->items[i].name, name) == 0) {
            return &certs->items[i];
        }
    }
    return NULL;
}

size_t certificates_count(const struct certificates *certs)
{
    return certs->count;
}

const struct certificate *certificates_at(const struct certificates *certs, size_t index)
{
    return index < certs->count ? &certs->items[index] : NULL;
}

bool certificates_same(const struct certificate *a, const struct certificate *b)
{
    return key_pair_same_chain(a->leaf, a->issuers, b->leaf, b->issuers);
}

bool certificates_valid_at(const struct certificate *cert, int64_t now_s)
{
    return now_s >= cert->not_before_s && now_s <= cert->not_after_s;
}
