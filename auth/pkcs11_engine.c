/* SPDX-License-Identifier: Apache-2.0 */
/* Engines are deprecated since OpenSSL 3.0; Debian 12 has no other way to a token. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "auth/pkcs11_way.h"

#include <openssl/crypto.h>
#include <openssl/opensslconf.h>
#include <stdio.h>

#ifndef OPENSSL_NO_ENGINE

#include <openssl/engine.h>
#include <openssl/err.h>

static ENGINE *engine; /* for the life of the process */

/* It would print on standard error, and ask on the terminal: neither is ours. */
static bool set_up(ENGINE *found, const struct pkcs11_ask *ask)
{
    return ENGINE_ctrl_cmd_string(found, "QUIET", NULL, 0) == 1 &&
           ENGINE_ctrl_cmd(found, "SET_USER_INTERFACE", 0, ask->ui, NULL, 0) == 1 &&
           ENGINE_ctrl_cmd_string(found, "MODULE_PATH", ask->module, 0) == 1 &&
           ENGINE_init(found) == 1;
}

bool pkcs11_engine_there(const struct pkcs11_ask *ask, char *why_r, size_t capacity)
{
    if (engine != NULL) {
        return true;
    }
    OPENSSL_init_crypto(OPENSSL_INIT_ENGINE_DYNAMIC, NULL);
    ENGINE *found = ENGINE_by_id("pkcs11");
    if (found == NULL) {
        snprintf(why_r, capacity, "no engine 'pkcs11' (package libengine-pkcs11-openssl)");
    } else if (!set_up(found, ask)) {
        snprintf(why_r, capacity, "the engine 'pkcs11' cannot be set up");
        ENGINE_free(found);
    } else {
        engine = found;
    }
    ERR_clear_error();
    return engine != NULL;
}

EVP_PKEY *pkcs11_engine_load(const struct pkcs11_ask *ask)
{
    return ENGINE_load_private_key(engine, ask->uri, ask->ui, ask->pin);
}

#else

bool pkcs11_engine_there(const struct pkcs11_ask *ask, char *why_r, size_t capacity)
{
    (void)ask;
    snprintf(why_r, capacity, "this OpenSSL has no engines");
    return false;
}

EVP_PKEY *pkcs11_engine_load(const struct pkcs11_ask *ask)
{
    (void)ask;
    return NULL;
}

#endif
