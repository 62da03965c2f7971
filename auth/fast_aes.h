/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose AES-GCM protects TLS records: OpenSSL's own, or, where it is wanted, trusted and worth it,
 * that of libipsec-mb (fast_aes_provider.h).
 *
 *   off    OpenSSL
 *   on     libipsec-mb, when it is there and passes the self-tests
 *   auto   the same, when it is also measured to be FAST_AES_GAIN_PERCENT faster on this CPU
 *
 * Everything else is OpenSSL: a failure is told and never served with. Decided once, before the
 * first SSL_CTX is made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/aes_speed.h"
#include "conf/config.h"

enum { FAST_AES_GAIN_PERCENT = 10, FAST_AES_MEASURE_MS = 4 };

struct fast_aes_decision {
    bool active;
    bool failed;                /* a self-test gave a wrong answer: do not trust this machine */
    const char *implementation; /* "openssl" or "ipsec-mb" */
    char why[192];
};

/* Decides and, when active, makes fast_aes_properties() give the query. `clock` is asked for auto
 * only. May be called again; not thread-safe. */
void fast_aes_start(enum conf_fast_aes mode, aes_speed_clock_fn clock,
                    struct fast_aes_decision *decision_r);
void fast_aes_stop(void);

/* The property query for SSL_CTX_new_ex(); NULL: nothing special. */
const char *fast_aes_properties(void);

/* "openssl" or "ipsec-mb", as decided last. */
const char *fast_aes_implementation(void);

/*
 * The known answers of the GCM specification, both key sizes, then lengths around every block and
 * loop boundary against OpenSSL's own code, whole and in pieces, both directions, both TLS versions'
 * ways of calling, and a forged tag, AAD and ciphertext each. `properties` picks the code. false
 * with a line in why_r. Takes a few milliseconds.
 */
__attribute__((warn_unused_result)) bool fast_aes_self_test(const char *properties, char *why_r,
                                                            size_t capacity);
