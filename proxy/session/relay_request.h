/* SPDX-License-Identifier: Apache-2.0 */
/* relay_request: what becomes of each request on its way from the client to the broker. */
#pragma once

#include "proxy/session/flow.h"

extern const struct flow_direction relay_request_direction;
