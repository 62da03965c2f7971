/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenSSL 3 provider with two algorithms, AES-128-GCM and AES-256-GCM, over fast_aes_code.
 *
 * Made for the record protection of TLS 1.2 and 1.3 and correct for any EVP user within these
 * limits; what lies outside is refused with an error, never done differently:
 *   IV 12 bytes, always given (no random one); tag 16 bytes, never shortened; AAD at most 256 bytes;
 *   one message per IV: after the end another IV must be set.
 * As with every EVP cipher, decrypted bytes count only after EVP_DecryptFinal_ex() succeeded. The
 * TLS 1.2 form checks the tag in one go and wipes the output when it is wrong.
 */
#pragma once

#include <openssl/core.h>
#include <stdbool.h>
#include <stddef.h>

enum { FAST_AES_AAD_MAX = 256 };

#define FAST_AES_PROVIDER "setu-fast-aes"

/*
 * Load it into the process's library context, beside OpenSSL's own providers: who asks for
 * AES-128-GCM or AES-256-GCM without naming it gets what he got before. false with a line in why_r;
 * nothing has changed then. Start-up only: not thread-safe.
 */
__attribute__((warn_unused_result)) bool fast_aes_provider_load(char *why_r, size_t capacity);

/* No new context gets it; those that have it keep it. Harmless when it is not loaded. */
void fast_aes_provider_unload(void);

/* "libipsec-mb 1.3.0, avx512-vaes" once it was loaded, else "". Lives as long as the process. */
const char *fast_aes_provider_detail(void);

/* What OSSL_PROVIDER_add_builtin() takes; only fast_aes_load.c needs it. */
int fast_aes_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
                           const OSSL_DISPATCH **functions_r, void **context_r);
