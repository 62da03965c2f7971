/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_filter.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/glob.h"

static const int64_t second_ns = 1000000000;

struct audit_filter audit_filter_all(void)
{
    return (struct audit_filter){.session = -1, .since_ns = INT64_MIN, .until_ns = INT64_MAX};
}

static bool fits(const char *pattern, const char *text)
{
    return pattern == NULL || glob_matches(pattern, text);
}

static bool fits_broker(const char *broker, const struct audit_event *event)
{
    char *end = NULL;
    if (broker == NULL) {
        return true;
    }
    long node = strtol(broker, &end, 10);
    if (*broker != '\0' && *end == '\0') {
        return event->broker_node >= 0 && event->broker_node == node;
    }
    return event->broker_address[0] != '\0' && glob_matches(broker, event->broker_address);
}

bool audit_filter_takes(const struct audit_filter *filter, const struct audit_record *record)
{
    const struct audit_event *event = &record->event;
    const bool code =
        filter->code == NULL || glob_matches_fold(filter->code, record->code) ||
        (event->code != 0 && glob_matches_fold(filter->code, audit_code_name(event->code)));
    const bool certificate = fits(filter->certificate, event->certificate) ||
                             fits(filter->certificate, event->certificate_subject) ||
                             fits(filter->certificate, event->certificate_fingerprint);
    const bool session = filter->session < 0 || event->session_id == (uint64_t)filter->session;
    return code && certificate && session && fits(filter->principal, event->principal) &&
           fits(filter->outcome, audit_outcome_name(event->outcome)) &&
           fits_broker(filter->broker, event) && event->time_ns >= filter->since_ns &&
           event->time_ns < filter->until_ns;
}

/* "15m" and the like. */
static bool ago(const char *text, int64_t now_ns, int64_t *time_ns_r)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end = NULL;
    if (!isdigit((unsigned char)text[0]) || strlen(text) > 7) {
        return false;
    }
    const long count = strtol(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t span_ns;
        if (end[0] == units[i].unit && end[1] == '\0') {
            return !__builtin_mul_overflow(count, units[i].seconds * second_ns, &span_ns) &&
                   !__builtin_sub_overflow(now_ns, span_ns, time_ns_r);
        }
    }
    return false;
}

static bool fraction(const char **at, int64_t *ns_r)
{
    *ns_r = 0;
    if (**at != '.') {
        return true;
    }
    int64_t unit = second_ns / 10;
    for (++*at; isdigit((unsigned char)**at) && unit > 0; ++*at, unit /= 10) {
        *ns_r += (**at - '0') * unit;
    }
    return unit < second_ns / 10;
}

bool audit_filter_time(const char *text, int64_t now_ns, int64_t *time_ns_r)
{
    struct tm tm = {0};
    int64_t part_ns = 0;
    if (ago(text, now_ns, time_ns_r)) {
        return true;
    }
    const char *at = strptime(text, "%Y-%m-%d", &tm);
    if (at == NULL) {
        return false;
    }
    if (*at != '\0') {
        at = strptime(at, "T%H:%M:%S", &tm);
        if (at == NULL || !fraction(&at, &part_ns) || strcmp(at, "Z") != 0) {
            return false;
        }
    }
    if (tm.tm_year < 70 || tm.tm_year >= 300) { /* nanoseconds since 1970 end in 2262 */
        return false;
    }
    *time_ns_r = (int64_t)timegm(&tm) * second_ns + part_ns;
    return true;
}
