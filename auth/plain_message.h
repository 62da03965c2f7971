/* SPDX-License-Identifier: Apache-2.0 */
/* plain_message: the one message of PLAIN (RFC 4616),  [authzid] NUL user NUL password. */
#pragma once

#include <stdbool.h>

#include "protocol/bytes.h"

/* Parts of the token; authzid is empty where there is none. What is a name is principal.h's part. */
struct plain_message {
    struct view authzid, user, password;
};

/** false: not exactly three parts, or no password. */
bool plain_message_parse(struct view token, struct plain_message *out)
    __attribute__((warn_unused_result));
