/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_filter.h"

#include <criterion/criterion.h>

#include "tests/unit/audit_kit.h"

static const int64_t second_ns = 1000000000;

Test(audit_filter, times)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {
        {"2027-01-15", 1799971200}, {"2027-01-15T08:00:00Z", 1800000000},
        {"90s", 1800000000 - 90},   {"15m", 1800000000 - 900},
        {"2h", 1800000000 - 7200},  {"7d", 1800000000 - 7 * 86400},
    };
    int64_t ns = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(audit_filter_time(good[i].text, 1800000000 * second_ns, &ns), "%s", good[i].text);
        cr_assert_eq(ns, good[i].seconds * second_ns, "%s", good[i].text);
    }
    cr_assert(audit_filter_time("2027-01-15T08:00:00.25Z", 0, &ns));
    cr_assert_eq(ns, 1800000000 * second_ns + 250000000);
    static const char *const bad[] = {"8699-01-31", "2200-01-01", "1969-12-31", "",
                                      "now",
                                      "2027",
                                      "2027-13-01",
                                      "2027-01-15T08:00:00",
                                      "2027-01-15T08:00:00+01:00",
                                      "2027-01-15T08:00:00.Z",
                                      "5",
                                      "5w",
                                      "-5m",
                                      "m",
                                      "99999999d",
                                      "999999d", /* more nanoseconds than there are */
                                      "2027-01-15x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(audit_filter_time(bad[i], 0, &ns), "%s", bad[i]);
    }
}

static struct audit_event event_of(void)
{
    struct audit_event event = audit_event_init(AUDIT_MAPPING_DECIDED);
    event.time_ns = 1000;
    event.session_id = 7;
    event.principal = "payments";
    event.certificate = "pay";
    event.certificate_subject = "CN=pay";
    event.certificate_fingerprint = "aabb";
    event.broker_node = 3;
    event.broker_address = "kafka-3:9093";
    event.outcome = AUDIT_ALLOWED;
    return event;
}

static bool takes(struct audit_filter filter)
{
    struct kit *kit = kit_new("h", 0);
    struct audit_reader reader;
    struct audit_record record;
    const struct audit_event event = event_of();
    kit_append(kit, &event);
    audit_reader_init(&reader, kit_part(kit, 0, 1));
    cr_assert_eq(audit_read(&reader, &record), AUDIT_OK);
    const bool taken = audit_filter_takes(&filter, &record);
    audit_reader_end(&reader);
    kit_free(kit);
    return taken;
}

Test(audit_filter, each_part)
{
    static const struct {
        size_t offset;
        const char *good[4], *bad[3];
    } texts[] = {
        {offsetof(struct audit_filter, principal),
         {"payments", "pay*", "*"},
         {"pay", "orders", ""}},
        {offsetof(struct audit_filter, code),
         {"SETU2100I", "SETU21*", "mapping_decided", "setu*i"},
         {"SETU2101W", "mapping", ""}},
        {offsetof(struct audit_filter, outcome), {"allowed", "a*"}, {"denied", "failed"}},
        {offsetof(struct audit_filter, certificate), {"pay", "CN=*", "aabb"}, {"cc", "CN"}},
        {offsetof(struct audit_filter, broker), {"3", "kafka-3:*"}, {"33", "kafka-4:*", ""}},
    };
    cr_assert(takes(audit_filter_all()));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct audit_filter filter = audit_filter_all();
        const char **field = (const char **)(void *)((char *)&filter + texts[i].offset);
        for (size_t k = 0; k < 4 && texts[i].good[k] != NULL; k++) {
            *field = texts[i].good[k];
            cr_assert(takes(filter), "%s", *field);
        }
        for (size_t k = 0; k < 3 && texts[i].bad[k] != NULL; k++) {
            *field = texts[i].bad[k];
            cr_assert_not(takes(filter), "%s", *field);
        }
    }
}

Test(audit_filter, session_and_time)
{
    struct audit_filter filter = audit_filter_all();
    filter.session = 7;
    cr_assert(takes(filter));
    filter.session = 8;
    cr_assert_not(takes(filter));
    filter = audit_filter_all();
    filter.since_ns = 1000;
    cr_assert(takes(filter));
    filter.since_ns = 1001;
    cr_assert_not(takes(filter));
    filter = audit_filter_all();
    filter.until_ns = 1001;
    cr_assert(takes(filter));
    filter.until_ns = 1000;
    cr_assert_not(takes(filter), "until is not included");
}
