/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_origin.h"

#include "auth/key_pair.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* A hash of parts, each with its length in front, so that no two lists of parts give the same bytes. */
struct parts {
    EVP_MD_CTX *hash;
};

static void parts_add(struct parts *parts, const void *at, size_t length)
{
    const uint64_t size = length;
    if (EVP_DigestUpdate(parts->hash, &size, sizeof(size)) != 1 ||
        EVP_DigestUpdate(parts->hash, at, length) != 1) {
        abort();
    }
}

static void parts_number(struct parts *parts, uint64_t number)
{
    parts_add(parts, &number, sizeof(number));
}

static void parts_text(struct parts *parts, const char *text)
{
    parts_number(parts, text != NULL);
    parts_add(parts, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

static struct parts parts_begin(void)
{
    struct parts parts = {EVP_MD_CTX_new()};
    if (parts.hash == NULL || EVP_DigestInit_ex(parts.hash, EVP_sha256(), NULL) != 1) {
        abort();
    }
    return parts;
}

static void parts_end(struct parts *parts, uint8_t out[TLS_ORIGIN_KEY_BYTES])
{
    if (EVP_DigestFinal_ex(parts->hash, out, NULL) != 1) {
        abort();
    }
    EVP_MD_CTX_free(parts->hash);
}

/* Certificates and lists -------------------------------------------------------------------- */

static bool earlier(const ASN1_TIME *time, int64_t *until_s)
{
    int64_t end_s = 0;
    if (time == NULL || !key_pair_time(time, &end_s)) {
        return false;
    }
    *until_s = end_s < *until_s ? end_s : *until_s;
    return true;
}

static bool add_certificate(struct parts *parts, const X509 *cert)
{
    uint8_t print[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const bool good = X509_digest(cert, EVP_sha256(), print, &length) == 1;
    parts_add(parts, print, length);
    return good;
}

static bool add_list(struct parts *parts, const X509_CRL *list, int64_t *until_s)
{
    uint8_t print[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const bool good = X509_CRL_digest(list, EVP_sha256(), print, &length) == 1;
    parts_add(parts, print, length);
    return good && earlier(X509_CRL_get0_nextUpdate(list), until_s);
}

bool tls_origin_until(const STACK_OF(X509) * chain, int64_t *until_s)
{
    bool good = true;
    for (int i = 0; i < sk_X509_num(chain) && good; i++) {
        good = earlier(X509_get0_notAfter(sk_X509_value(chain, i)), until_s);
    }
    return good;
}

static bool take_shown(SSL_CTX *ctx, struct tls_facts *facts)
{
    struct parts parts = parts_begin();
    const X509 *leaf = SSL_CTX_get0_certificate(ctx);
    STACK_OF(X509) *chain = NULL;
    bool good = true;
    if (leaf != NULL) {
        good = SSL_CTX_get0_chain_certs(ctx, &chain) == 1 && add_certificate(&parts, leaf) &&
               earlier(X509_get0_notAfter(leaf), &facts->until_s) &&
               tls_origin_until(chain, &facts->until_s);
        for (int i = 0; i < sk_X509_num(chain) && good; i++) {
            good = add_certificate(&parts, sk_X509_value(chain, i));
        }
    }
    parts_end(&parts, facts->shown);
    return good;
}

/* What was asked of a staple (staple.h): 0 is nothing. */
static uint64_t asked_status(SSL_CTX *ctx)
{
    void *mode = NULL;
    (void)SSL_CTX_get_tlsext_status_arg(ctx, &mode);
    return (uint64_t)(uintptr_t)mode;
}

static bool take_trusted(SSL_CTX *ctx, struct tls_facts *facts)
{
    struct parts parts = parts_begin();
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    bool good = true;
    parts_number(&parts, X509_VERIFY_PARAM_get_flags(X509_STORE_get0_param(store)));
    parts_number(&parts, (uint64_t)SSL_CTX_get_min_proto_version(ctx));
    parts_number(&parts, asked_status(ctx));
    for (int i = 0; i < sk_X509_OBJECT_num(objects) && good; i++) {
        const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
        const X509 *cert = X509_OBJECT_get0_X509(object);
        const X509_CRL *list = X509_OBJECT_get0_X509_CRL((X509_OBJECT *)object);
        parts_number(&parts, cert != NULL);
        /* Of an anchor that has ended nothing is known here: only the chain that was verified counts. */
        good = (cert == NULL || add_certificate(&parts, cert)) &&
               (list == NULL || add_list(&parts, list, &facts->until_s));
    }
    parts_end(&parts, facts->trusted);
    return good;
}

bool tls_facts_of(SSL_CTX *ctx, struct tls_facts *facts_r)
{
    *facts_r = (struct tls_facts){.until_s = INT64_MAX};
    const bool shown = take_shown(ctx, facts_r);
    return take_trusted(ctx, facts_r) && shown;
}

/* Origins ----------------------------------------------------------------------------------- */

void tls_origin_key(const struct tls_origin *origin, uint8_t key_r[TLS_ORIGIN_KEY_BYTES])
{
    struct parts parts = parts_begin();
    parts_text(&parts, origin->cluster);
    parts_text(&parts, origin->generation);
    parts_text(&parts, origin->host);
    parts_number(&parts, (uint64_t)(int64_t)origin->node_id);
    parts_number(&parts, origin->flips);
    parts_number(&parts, origin->port);
    parts_text(&parts, origin->identity);
    parts_add(&parts, origin->facts->shown, TLS_ORIGIN_KEY_BYTES);
    parts_add(&parts, origin->facts->trusted, TLS_ORIGIN_KEY_BYTES);
    parts_end(&parts, key_r);
}
