/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closed list of reasons why a login was not accepted (reason.def). A reason is for log,
 * counters and audit; the peer is told one text whatever the reason (exchange_denial_text).
 */
#pragma once

enum auth_reason {
#define REASON(id, name, meaning) AUTH_REASON_##id,
#include "auth/reason.def"
#undef REASON
    AUTH_REASON_COUNT
};

/* The stable name, e.g. "unknown_user"; "unknown" for a value outside the enum. Static. */
const char *auth_reason_name(enum auth_reason reason);

/* One line of prose for the manual and for `setu doctor`. Static. */
const char *auth_reason_meaning(enum auth_reason reason);
