/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pkcs11_way.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <stdio.h>
#include <string.h>

static bool looked, there;

static bool knows_scheme(void)
{
    OSSL_STORE_LOADER *loader = OSSL_STORE_LOADER_fetch(NULL, "pkcs11", NULL);
    OSSL_STORE_LOADER_free(loader);
    ERR_clear_error();
    return loader != NULL;
}

/*
 * A provider is told of its module in OpenSSL's configuration and nowhere else: so it is given one
 * of a few lines. What it names by "default" is there already (fast_aes_load.c has the reason).
 */
static void activate(const char *module)
{
    static const char text[] = "setu = all\n[all]\nproviders = list\n[list]\npkcs11 = one\n[one]\n"
                               "pkcs11-module-path = %s\nactivate = 1\n";
    char whole[sizeof text + 4096];
    long line = 0;
    const int length = snprintf(whole, sizeof whole, text, module);
    /* A path with these bytes would be read as something else. */
    if (length < 0 || (size_t)length >= sizeof whole || strpbrk(module, "\n\\$#\"'`") != NULL) {
        return;
    }
    (void)OSSL_PROVIDER_available(NULL, "default");
    BIO *bio = BIO_new_mem_buf(whole, length);
    CONF *conf = NCONF_new(NULL);
    if (bio != NULL && conf != NULL && NCONF_load_bio(conf, bio, &line) > 0) {
        (void)CONF_modules_load(conf, "setu", CONF_MFLAGS_SILENT | CONF_MFLAGS_IGNORE_ERRORS);
    }
    NCONF_free(conf);
    BIO_free(bio);
    ERR_clear_error();
}

bool pkcs11_store_there(const struct pkcs11_ask *ask, char *why_r, size_t capacity)
{
    if (!looked) {
        looked = true;
        there = knows_scheme();
        if (!there) {
            activate(ask->module);
            there = knows_scheme();
        }
    }
    if (!there) {
        snprintf(why_r, capacity, "no provider 'pkcs11' (package pkcs11-provider)");
    }
    return there;
}

static EVP_PKEY *first_key(OSSL_STORE_CTX *store)
{
    EVP_PKEY *key = NULL;
    while (key == NULL && OSSL_STORE_eof(store) == 0 && OSSL_STORE_error(store) == 0) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
        OSSL_STORE_INFO_free(info);
    }
    return key;
}

EVP_PKEY *pkcs11_store_load(const struct pkcs11_ask *ask)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(ask->uri, ask->ui, ask->pin, NULL, NULL);
    EVP_PKEY *key = NULL;
    if (store != NULL && OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) == 1) {
        key = first_key(store);
    }
    if (store != NULL) {
        OSSL_STORE_close(store);
    }
    return key;
}
