/* SPDX-License-Identifier: Apache-2.0 */
/* relay_response: what becomes of each response on its way from the broker to the client. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "proxy/session/flow.h"

struct session;

extern const struct flow_direction relay_response_direction;

/**
 * Sends the answers of Setu's own that have become the oldest requests in flight. false: the session was closed.
 */
bool relay_send_answers(struct session *s) __attribute__((warn_unused_result));

/**
 * Answers a request in the broker's place: the frame, which is copied, leaves behind the responses to all requests
 * before. false: the session was closed.
 */
bool relay_answer(struct session *s, int16_t api_key, int16_t api_version, int32_t correlation_id,
                  struct view frame) __attribute__((warn_unused_result));
