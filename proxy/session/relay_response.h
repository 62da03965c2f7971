/* SPDX-License-Identifier: Apache-2.0 */
/* relay_response: what becomes of each response on its way from the broker to the client. */
#pragma once

#include <stdbool.h>

#include "proxy/session/flow.h"

struct session;

extern const struct flow_direction relay_response_direction;

/**
 * Sends the answers of Setu's own that have become the oldest requests in flight. false: the session was closed.
 */
bool relay_send_answers(struct session *s) __attribute__((warn_unused_result));
