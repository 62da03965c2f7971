/* SPDX-License-Identifier: Apache-2.0 */
/* close_reason: why a session ended; one list, close_reason.def. */
#pragma once

#include <stddef.h>

#include "proxy/ops/log_line.h"

enum close_reason {
#define CLOSE_REASON(id, name, level, meaning) CLOSE_##id,
#include "proxy/session/close_reason.def"
#undef CLOSE_REASON
    CLOSE_REASON_COUNT
};

/** The stable name; static. NULL for a value outside the list (stats_name_fn). */
const char *close_reason_name(size_t reason);

/** One line for people; static. */
const char *close_reason_meaning(enum close_reason reason);

/** The level a session's last line is logged at. */
enum log_level close_reason_level(enum close_reason reason);
