/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker.h"

#include <criterion/criterion.h>
#include <string.h>

#include "conf/config.h"

static struct broker broker;

static void setup(void)
{
    memset(&broker, 0, sizeof broker);
    broker.node_id = 1;
}

TestSuite(broker, .init = setup);

static bool saw(const char *host, uint16_t port, const char *rack, uint64_t now_ms)
{
    struct view told = rack != NULL ? view_from_string(rack) : view_of(NULL, 0);
    return broker_saw(&broker, view_from_string(host), port, told, now_ms);
}

Test(broker, hosts)
{
    static const char *const good[] = {"a",           "broker-1.example.com", "10.0.0.1",
                                       "2001:db8::1", "fe80::1%eth0",         "under_score"};
    static const char *const bad[] = {"", "a b", "a\n", "a/b", "a@b", "\xc3\xbc", "a\"", "[::1]"};
    char longest[257];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(broker_host_valid(view_from_string(good[i])), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(broker_host_valid(view_from_string(bad[i])), "%s", bad[i]);
    }
    cr_assert_not(broker_host_valid(view_of("a\0b", 3)));
    memset(longest, 'a', sizeof longest);
    cr_assert(broker_host_valid(view_of(longest, 255)));
    cr_assert_not(broker_host_valid(view_of(longest, 256)));
}

Test(broker, addresses_are_remembered_once)
{
    cr_assert(saw("a", 1, NULL, 10));
    cr_assert_not(saw("a", 1, NULL, 11));
    cr_assert_eq(broker.endpoints[0].seen_ms, 11);
    cr_assert(saw("a", 2, NULL, 12));
    cr_assert(saw("b", 1, NULL, 13));
    cr_assert_eq(broker.endpoint_count, 3);
    cr_assert_str_eq(broker_endpoint(&broker)->host, "a");
}

Test(broker, the_oldest_unused_address_gives_way)
{
    for (uint16_t port = 1; port <= BROKER_ENDPOINTS_MAX; port++) {
        cr_assert(saw("a", port, NULL, port));
    }
    cr_assert(saw("new", 9, NULL, 100));
    cr_assert_eq(broker.endpoint_count, BROKER_ENDPOINTS_MAX);
    cr_assert_eq(broker_endpoint(&broker)->port, 1, "the one in use stays");
    cr_assert_str_eq(broker.endpoints[1].host, "new");
}

Test(broker, rack)
{
    cr_assert(saw("a", 1, NULL, 1));
    cr_assert_null(broker_subject(&broker).rack);
    cr_assert(saw("a", 1, "", 1));
    cr_assert_str_eq(broker_subject(&broker).rack, "");
    cr_assert(saw("a", 1, "r1", 1));
    cr_assert_not(saw("a", 1, "r1", 1));
    cr_assert_not(saw("a", 1, NULL, 1), "not told is not a change");
    cr_assert_str_eq(broker_subject(&broker).rack, "r1");
}

Test(broker, tries_every_address_of_every_endpoint)
{
    cr_assert(saw("a", 1, NULL, 1));
    broker.endpoints[0].resolved.count = 2;
    cr_assert(broker_try_other(&broker));
    cr_assert_eq(broker.endpoints[0].address, 1);
    cr_assert(broker_try_other(&broker));
    cr_assert_eq(broker.endpoints[0].address, 0, "from the start again");
    cr_assert(saw("b", 1, NULL, 1));
    cr_assert(broker_try_other(&broker));
    cr_assert(broker_try_other(&broker));
    cr_assert_eq(broker.endpoint, 1);
    cr_assert(broker_try_other(&broker));
    cr_assert_eq(broker.endpoint, 0);
}

Test(broker, a_single_address_has_no_other)
{
    cr_assert(saw("a", 1, NULL, 1));
    broker.endpoints[0].resolved.count = 1;
    cr_assert_not(broker_try_other(&broker));
}

Test(broker, route)
{
    static const struct conf_generation generation;
    struct route route;
    cr_assert(saw("a", 9092, NULL, 1));
    cr_assert_eq(broker_route(&broker, &route), ROUTE_PENDING, "not resolved yet");
    broker.endpoints[0].resolved_ms = 5;
    cr_assert_eq(broker_route(&broker, &route), ROUTE_NO_ADDRESS);
    broker.endpoints[0].resolved.count = 1;
    cr_assert_eq(broker_route(&broker, &route), ROUTE_PENDING, "not looked at yet");
    broker.looked = true;
    cr_assert_eq(broker_route(&broker, &route), ROUTE_NO_GENERATION);
    broker.generation = &generation;
    cr_assert_eq(broker_route(&broker, &route), ROUTE_OK);
    cr_assert_str_eq(route.host, "a");
    cr_assert_eq(route.port, 9092);
    cr_assert_eq(route.authenticate_version, -1);
    broker.versions_known = true;
    broker.versions.ranges[0] = (struct api_range){36, 0, 2};
    broker.versions.count = 1;
    cr_assert_eq(broker_route(&broker, &route), ROUTE_OK);
    cr_assert_eq(route.authenticate_version, 2);
}

Test(broker, delays_grow_and_are_bounded)
{
    for (uint32_t random = 0; random < 1000; random += 7) {
        uint64_t calm = broker_delay_ms(0, 30000, random);
        cr_assert(calm >= 24000 && calm <= 36000);
        cr_assert_leq(broker_delay_ms(1, 30000, random), 300);
        cr_assert_leq(broker_delay_ms(1000, 30000, random), 36000);
        cr_assert_leq(broker_delay_ms(50, 2000, random), 2400);
    }
    for (unsigned failures = 1; failures < 7; failures++) {
        cr_assert_lt(broker_delay_ms(failures, 30000, 3), broker_delay_ms(failures + 1, 30000, 3));
    }
    broker.last_look_ms = 1000000;
    for (broker.failures = 0; broker.failures < 200; broker.failures++) {
        uint64_t soon = broker_soon_ms(&broker, 1000001, 12345);
        cr_assert(soon >= 1000700 && soon <= 1018000, "%u: %llu", broker.failures,
                  (unsigned long long)soon);
        cr_assert_leq(broker_soon_ms(&broker, 2000000, 99), 2000120);
    }
}
