/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM of Intel's Multi-Buffer Crypto library (libipsec-mb), found at run time.
 *
 * The library is never linked: it is opened when it is asked for, and only the release (1.3.x) it was
 * built against is taken, since the layout of its manager may change with any other. Of the manager
 * only function pointers are kept; the functions work on the caller's memory, so any number of
 * threads may use them at once, each with keys and messages of its own. All they share is the
 * library's error number, which 1.3 sets to 0 on every call: several workers write one cache line.
 */
#pragma once

#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stddef.h>

/* One key size. A message is begin, any number of pieces, end; the IV has 12 bytes, the tag 16. */
struct fast_aes_cipher {
    size_t key_bytes; /* 16 or 32 */
    aes_gcm_pre_t expand;
    aes_gcm_init_t begin;
    aes_gcm_enc_dec_update_t encrypt, decrypt; /* in place or apart, any alignment */
    aes_gcm_enc_dec_finalize_t encrypt_end, decrypt_end;
};

struct fast_aes_code {
    struct fast_aes_cipher aes128, aes256;
    const char *version; /* of the library; lives as long as the process */
    const char *path;    /* "avx512-vaes", "avx512", "avx2": which of its codes this CPU gets */
};

/*
 * Open the library once and keep it until the process ends. NULL when it is not there, is another
 * version, was built without wiping its traces, or the CPU or the system lacks what it needs; then
 * why_r says so in one line. Not thread-safe: start-up only.
 */
__attribute__((warn_unused_result)) const struct fast_aes_code *fast_aes_code(char *why_r,
                                                                              size_t capacity);
