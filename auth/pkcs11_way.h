/* SPDX-License-Identifier: Apache-2.0 */
/* The two ways to a token, for pkcs11_key.c alone, which lets in one thread at a time. */
#pragma once

#include <openssl/evp.h>
#include <openssl/ui.h>
#include <stdbool.h>
#include <stddef.h>

struct pkcs11_ask {
    const char *module, *uri;
    UI_METHOD *ui; /* answers with the PIN, or not at all */
    void *pin;     /* of ui: its user data */
};

/* Whether there is such a way here; looked for once. `why_r` says what is missing. */
bool pkcs11_store_there(const struct pkcs11_ask *ask, char *why_r, size_t capacity);
bool pkcs11_engine_there(const struct pkcs11_ask *ask, char *why_r, size_t capacity);

/* The key; NULL with what OpenSSL says about it in this thread's queue. Only after `_there`. */
EVP_PKEY *pkcs11_store_load(const struct pkcs11_ask *ask);
EVP_PKEY *pkcs11_engine_load(const struct pkcs11_ask *ask);
