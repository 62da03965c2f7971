/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/reason.h"

#include <stddef.h>

static const struct {
    const char *name;
    const char *meaning;
} reasons[AUTH_REASON_COUNT] = {
#define REASON(id, reason_name, reason_meaning)                                                    \
    [AUTH_REASON_##id] = {.name = (reason_name), .meaning = (reason_meaning)},
#include "auth/reason.def"
#undef REASON
};

const char *auth_reason_name(enum auth_reason reason)
{
    return (size_t)reason < AUTH_REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *auth_reason_meaning(enum auth_reason reason)
{
    return (size_t)reason < AUTH_REASON_COUNT ? reasons[reason].meaning : "not a reason";
}
