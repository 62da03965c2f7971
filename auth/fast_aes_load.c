/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/fast_aes_provider.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <string.h>

#include "auth/fast_aes_code.h"

static OSSL_PROVIDER *loaded;
static char detail[64];

/* Does a fetch with these properties give our algorithm? */
static bool fetch_is_ours(const char *name, const char *properties)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, properties);
    const OSSL_PROVIDER *provider = cipher == NULL ? NULL : EVP_CIPHER_get0_provider(cipher);
    const bool ours =
        provider != NULL && strcmp(OSSL_PROVIDER_get0_name(provider), FAST_AES_PROVIDER) == 0;
    EVP_CIPHER_free(cipher);
    return ours;
}

/* Got by whoever asks for it, and by nobody else. */
static bool is_in_its_place(void)
{
    static const char *const names[] = {"AES-128-GCM", "AES-256-GCM"};
    bool good = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        good = good && fetch_is_ours(names[i], "?provider=" FAST_AES_PROVIDER) &&
               !fetch_is_ours(names[i], NULL);
    }
    return good;
}

static bool add_and_load(void)
{
    static bool added;
    added =
        added || OSSL_PROVIDER_add_builtin(NULL, FAST_AES_PROVIDER, fast_aes_provider_init) == 1;
    /* Retain the fall-backs: loading one provider by name must not keep the default one away. */
    loaded = added ? OSSL_PROVIDER_try_load(NULL, FAST_AES_PROVIDER, 1) : NULL;
    return loaded != NULL;
}

bool fast_aes_provider_load(char *why_r, size_t capacity)
{
    if (loaded != NULL) {
        return true;
    }
    const struct fast_aes_code *code = fast_aes_code(why_r, capacity);
    if (code == NULL) {
        return false;
    }
    /* Asking wakes the default provider up, so that its algorithms are known before ours. */
    if (OSSL_PROVIDER_available(NULL, "default") != 1) {
        snprintf(why_r, capacity, "OpenSSL is configured without its default provider");
        return false;
    }
    const bool good = add_and_load() && is_in_its_place();
    ERR_clear_error();
    if (!good) {
        fast_aes_provider_unload();
        snprintf(why_r, capacity, "OpenSSL's configuration leaves no room for another provider");
        return false;
    }
    snprintf(detail, sizeof detail, "libipsec-mb %.16s, %.16s", code->version, code->path);
    return true;
}

void fast_aes_provider_unload(void)
{
    if (loaded != NULL) {
        OSSL_PROVIDER_unload(loaded);
        loaded = NULL;
    }
}

const char *fast_aes_provider_detail(void)
{
    return detail;
}
