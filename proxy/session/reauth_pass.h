/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reauth_pass: with passthrough the client renews its login at the broker, which decides. The requests pass in their
 * order like any others; Setu holds each for a moment, sees to it that it is still the same client, and notes how it
 * ended.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct flow;
struct request_header;
struct session;

/** A SASL request of the client's, whole; payload is the frame without its size. false: the session was closed. */
bool reauth_pass_request(struct session *s, const struct request_header *header, struct view body,
                         struct view payload);

/** The broker's response to it, whole: frame_bytes at `at`. false: the session was closed. */
bool reauth_pass_response(struct session *s, struct flow *flow, const uint8_t *at);
