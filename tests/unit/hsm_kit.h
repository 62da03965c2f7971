/* SPDX-License-Identifier: Apache-2.0 */
/* A PKCS#11 token for tests: SoftHSM in a directory of its own. After pki_open, before any key is loaded. */
#pragma once

#include <openssl/evp.h>

#define HSM_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define HSM_PIN "4711-pin"

/* Makes the token "setu" with the PIN above, and names it to the module by the environment. */
void hsm_open(void);
void hsm_close(void);

/* `id`: hexadecimal digits. */
void hsm_import(const char *label, const char *id, const EVP_PKEY *key);
