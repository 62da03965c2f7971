/* SPDX-License-Identifier: Apache-2.0 */
/* The server end of SCRAM as an attacker would write it. It knows no password. */
#pragma once

#include "protocol/bytes.h"
#include "tests/broker/fault.h"

struct hostile;

enum hostile_status { HOSTILE_CONTINUE, HOSTILE_DONE, HOSTILE_ERROR };

/* Commits this fault (one of FAULT_SASL_*). Aborts on lack of memory. */
struct hostile *hostile_new(const struct fault *fault, const char *mechanism);
enum hostile_status hostile_step(struct hostile *hostile, struct view token, struct writer *reply)
    __attribute__((warn_unused_result));
/* Nulls; accepts NULL. */
void hostile_free(struct hostile **hostile);
