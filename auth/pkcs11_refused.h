/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PINs that tokens have not taken, so that no token is shown the same one again and locks itself.
 *
 *   token ──▶ its last PKCS11_REFUSED_PINS refused PINs, none of them by anything a dictionary finds:
 *             HMAC-SHA256 with a key that this process drew, wiped with all of this when it exits
 *
 * Kept per token, so that one that refuses leaves the others alone, for as long as the process lives: that a key could
 * be loaded does not say that its token was shown the PIN. One thread at a time.
 *
 * Which token a URI means goes by its token and serial as they are meant, in any order and however they are escaped,
 * not by which key of it, nor by manufacturer and model: two that differ in nothing else are taken for one, and what
 * one has refused the other is not shown. Nobody can tell here that "token=hsm", "serial=42" and both together are the
 * same one: named in several of these ways it is shown a PIN once for each, so three times at most.
 */
#pragma once

#include <stdbool.h>

#include "protocol/bytes.h"

enum {
    PKCS11_REFUSED_PINS = 4, /* of one token; the oldest gives way */
    PKCS11_REFUSED_TOKENS = 32
};

enum pkcs11_refused {
    PKCS11_REFUSED_NEVER,
    PKCS11_REFUSED_BEFORE,
    /* too many other tokens have refused theirs: what this one does could not be kept */
    PKCS11_REFUSED_ROOM
};

enum pkcs11_refused pkcs11_refused_before(const char *uri, struct view pin)
    __attribute__((warn_unused_result));

/* Nothing to be done where there is no room. */
void pkcs11_refused_add(const char *uri, struct view pin);

/* Forgets all, and the key. */
void pkcs11_refused_wipe(void);
