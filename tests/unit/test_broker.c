/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker.h"

#include <criterion/criterion.h>
#include <string.h>

#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/bytes.h"

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

Test(broker, an_address_of_another_is_no_way_to_it)
{
    static const struct conf_generation generation;
    struct route route;
    cr_assert(saw("a", 9092, NULL, 1));
    broker.endpoints[0].resolved.count = 1;
    broker.generation = &generation;
    cr_assert_eq(broker_route(&broker, &route), ROUTE_OK);
    cr_assert_not(route.confirmed);
    broker.endpoints[0].strange = true;
    cr_assert_eq(broker_route(&broker, &route), ROUTE_NO_ADDRESS);
}

Test(broker, looks_for_waiting_sessions_come_at_once_but_not_too_often)
{
    cr_assert_eq(broker_at_once_ms(&broker, 5000), 5000, "never looked at");
    broker.last_look_ms = 5000;
    cr_assert_eq(broker_at_once_ms(&broker, 5001), 5250);
    cr_assert_eq(broker_at_once_ms(&broker, 9000), 9000);
    broker.vain = 2;
    cr_assert_eq(broker_at_once_ms(&broker, 5001), 6000);
    broker.vain = 1000;
    cr_assert_eq(broker_at_once_ms(&broker, 5001), 9000, "within the time sessions have");
}

/* ---- who answers ---- */

struct said {
    int32_t node_id;
    const char *host;
    int32_t port;
};

/* Metadata v1 as a broker would answer it. */
static struct view metadata_of(const struct said *said, size_t count)
{
    static uint8_t memory[4096];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    writer_i32(&w, 7); /* correlation id */
    writer_i32(&w, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        writer_i32(&w, said[i].node_id);
        writer_string(&w, false, view_from_string(said[i].host));
        writer_i32(&w, said[i].port);
        writer_null_string(&w, false);
    }
    writer_i32(&w, 1); /* controller */
    writer_i32(&w, 0); /* topics */
    cr_assert(writer_ok(&w));
    return writer_view(&w);
}

static enum broker_identity identify(const struct said *said, size_t count, int32_t *other_r)
{
    *other_r = -1;
    return broker_identify(1, "a", 9092, 1, metadata_of(said, count), other_r);
}

Test(broker, who_answers_names_itself_at_the_address_that_was_asked)
{
    int32_t other;
    static const struct said itself[] = {{2, "b", 9092}, {1, "a", 9092}, {3, "a", 9093}};
    static const struct said another[] = {{2, "a", 9092}, {1, "b", 9092}};
    static const struct said alone[] = {{2, "a", 9092}};
    static const struct said moved[] = {{1, "b", 9092}, {2, "c", 9092}};
    static const struct said shared[] = {{2, "a", 9092}, {1, "a", 9092}};
    static const struct said nonsense[] = {{-5, "a", 9092}};
    cr_assert_eq(identify(itself, 3, &other), BROKER_ITSELF);
    cr_assert_eq(identify(another, 2, &other), BROKER_ANOTHER);
    cr_assert_eq(other, 2);
    cr_assert_eq(identify(alone, 1, &other), BROKER_ANOTHER);
    cr_assert_eq(identify(moved, 2, &other), BROKER_UNTOLD, "it may have been told a new name");
    cr_assert_eq(identify(shared, 2, &other), BROKER_ITSELF, "two ids behind one address");
    cr_assert_eq(identify(nonsense, 1, &other), BROKER_UNTOLD);
    cr_assert_eq(identify(NULL, 0, &other), BROKER_UNTOLD, "just started");
}

Test(broker, an_answer_that_is_none_tells_nothing)
{
    int32_t other = -1;
    static const struct said another[] = {{2, "a", 9092}};
    struct view whole = metadata_of(another, 1);
    for (size_t length = 0; length < whole.length; length++) {
        cr_assert_eq(broker_identify(1, "a", 9092, 1, view_of(whole.at, length), &other),
                     BROKER_UNTOLD);
    }
    cr_assert_eq(broker_identify(1, "a", 9092, 1, view_of(NULL, 0), &other), BROKER_UNTOLD);
    cr_assert_eq(other, -1);
}
