/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys that stay on a PKCS#11 token: what is loaded is a handle, and each signature is made by the token's
 * module. Ways to it, in this order:
 *
 *   store    a provider that OpenSSL's configuration has activated, or that we activate, and that knows the scheme
 *            "pkcs11:" (pkcs11-provider); by OSSL_STORE
 *   engine   the engine "pkcs11" (libp11; Debian: libengine-pkcs11-openssl), where OpenSSL still has engines
 *
 * A process has one module: it cannot be unloaded while keys of it are in use.
 *
 * A PIN is read from its file by the rules for key files, is given when the token asks, and is in no text. A PIN that
 * a token has refused is not shown to it again by this process as long as URIs name the token in the same way
 * (pkcs11_refused.h): tokens lock after a few. Provider and engine keep a copy of the PIN in memory.
 */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>

#include "auth/pem.h"

struct conf_pkcs11;

/*
 * `uri` as conf's form_key takes it. NULL and *fault_r on any fault. Any thread; one at a time gets to the token. What
 * the module does is its own: one for a token in the network may wait for it.
 */
__attribute__((warn_unused_result)) EVP_PKEY *
pkcs11_key_load(const struct conf_pkcs11 *pkcs11, const char *uri, struct pem_fault *fault_r);

enum pkcs11_key_proof {
    PKCS11_KEY_PROVED,
    PKCS11_KEY_SILENT, /* it does not sign; the fault says why */
    PKCS11_KEY_OTHER   /* it signs, but not as `public` wants it */
};

/*
 * Has the key sign something as TLS would, and holds it against the certificate's key: what a token says of the public
 * half proves nothing.
 */
__attribute__((warn_unused_result)) enum pkcs11_key_proof
pkcs11_key_prove(EVP_PKEY *key, EVP_PKEY *public, const char *uri, struct pem_fault *fault_r);
