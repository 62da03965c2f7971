/* SPDX-License-Identifier: Apache-2.0 */
/* audit_filter: which records of an audit log are wanted, as options of a command line. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "auth/audit.h"

/* NULL, -1 and INT64_MIN/MAX: all. Texts are the caller's. */
struct audit_filter {
    const char *principal; /* glob */
    const char *code;      /* glob over SETU####X and over the event's name */
    const char *outcome;
    const char *certificate; /* glob over its name, its subject and its fingerprint */
    const char *broker;      /* node id, or glob over its address */
    int64_t session;
    int64_t since_ns, until_ns; /* [since, until) */
};

struct audit_filter audit_filter_all(void);

bool audit_filter_takes(const struct audit_filter *filter, const struct audit_record *record);

/* "2027-01-31", "2027-01-31T12:00:00Z", "…T12:00:00.123Z" (UTC), or "90s", "15m", "2h", "7d" before
 * now_ns. False: none of these. */
bool audit_filter_time(const char *text, int64_t now_ns, int64_t *time_ns_r)
    __attribute__((warn_unused_result));
