/* SPDX-License-Identifier: Apache-2.0 */
/* audit_forward: one end of what audit_inlet is the other end of: records to the process that has the audit log. */
#pragma once

#include <stdbool.h>

#include "protocol/bytes.h"

/* Gives up after five seconds without progress. */
void audit_forward_prepare(int fd);

/* One batch, and its word that it has it. Blocking. */
bool audit_forward_send(int fd, struct view records) __attribute__((warn_unused_result));
