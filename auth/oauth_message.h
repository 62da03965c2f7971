/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first message of an OAUTHBEARER client (RFC 7628 §3.1, KIP-255), ^A is the byte 1:
 *
 *     n,[a=authzid],^Aauth=Bearer <token>^A[name=value^A]*^A
 *
 * As Kafka reads it: names are letters; values are printable ASCII, tab, CR and LF; the scheme may
 * be written in any case. Stricter: `auth` stands there once, no name twice (readers could differ on
 * which counts), a token is of the characters of a JWS, and there are at most
 * OAUTH_EXTENSIONS_MAX names. All views point into the message.
 */
#pragma once

#include <stddef.h>

#include "auth/reason.h"
#include "protocol/bytes.h"

enum { OAUTH_EXTENSIONS_MAX = 32, OAUTH_SEPARATOR = 1 };

struct oauth_first {
    struct view authzid; /* as sent, escaped; empty when absent */
    struct view token;
    size_t extensions; /* names besides auth */
};

/* AUTH_REASON_NONE, or why the message is refused. */
enum auth_reason oauth_first_parse(struct view message, struct oauth_first *out)
    __attribute__((warn_unused_result));
