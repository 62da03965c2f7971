/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/close_reason.h"

#include <assert.h>

#include "proxy/ops/stats.h"

static_assert(CLOSE_REASON_COUNT <= (int)STATS_CLOSE_REASONS, "stats.h counts too few reasons");

static const struct {
    const char *name;
    const char *meaning;
    enum log_level level;
} reasons[] = {
#define CLOSE_REASON(id, name, level, meaning) [CLOSE_##id] = {name, meaning, LOG_LEVEL_##level},
#include "proxy/session/close_reason.def"
#undef CLOSE_REASON
};

const char *close_reason_name(size_t reason)
{
    return reason < CLOSE_REASON_COUNT ? reasons[reason].name : NULL;
}

const char *close_reason_meaning(enum close_reason reason)
{
    assert(reason < CLOSE_REASON_COUNT);
    return reasons[reason].meaning;
}

enum log_level close_reason_level(enum close_reason reason)
{
    assert(reason < CLOSE_REASON_COUNT);
    return reasons[reason].level;
}
