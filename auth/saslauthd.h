/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A password judged by saslauthd, whatever stands behind that (PAM, LDAP, Kerberos).
 *
 *   ▶ four strings: user, password, service, realm, each behind its length in 16 bits   ◀ one: "OK…" or "NO…"
 *
 * Spoken here and not by libsasl2's sasl_checkpass: that waits without end for an answer, loses its
 * descriptor when there is none, and leaves the password on its stack.
 */
#pragma once

#include "protocol/bytes.h"

enum saslauthd_verdict {
    SASLAUTHD_YES,
    SASLAUTHD_NO,
    SASLAUTHD_UNKNOWN /* not reached, silent, or no answer that is one: nobody is let in */
};

enum { SASLAUTHD_TIMEOUT_S = 10, SASLAUTHD_FIELD_BYTES_MAX = 256 };

/* Blocks, at most SASLAUTHD_TIMEOUT_S for each of the connection, the question and the answer. `path` is the socket. */
__attribute__((warn_unused_result)) enum saslauthd_verdict
saslauthd_ask(const char *path, struct view user, struct view password, const char *service);

/* The answer alone, from a connected socket that stays the caller's. No more of it is read than decides. */
__attribute__((warn_unused_result)) enum saslauthd_verdict saslauthd_answer(int file);
