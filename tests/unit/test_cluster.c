/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster_kit.h"

#include <stdio.h>
#include <string.h>

TestSuite(cluster, .init = kit_setup, .fini = kit_teardown);

static bool is_everybody_live(void)
{
    for (int i = 0; i < SERVERS; i++) {
        if (kit.opened_count < SERVERS || !kit_node(i + 1).live) {
            return false;
        }
    }
    return true;
}

static int16_t produce_max(int32_t node_id)
{
    struct api_versions versions;
    cr_assert(cluster_api_versions(kit.cluster, node_id, &versions));
    const struct api_range *range = api_versions_find(&versions, API_PRODUCE);
    cr_assert_not_null(range);
    return range->max;
}

/* ---- learning ---- */

Test(cluster, learns_every_broker_from_one)
{
    struct route route;
    kit.servers[1].broker.produce_max = 7;
    kit.nodes[3] = (struct fake_node){44, "127.0.0.1", 1, NULL}; /* nobody listens there */
    kit.node_count = 4;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert_eq(cluster_route(kit.cluster, -1, &route), ROUTE_PENDING);
    cr_assert_eq(cluster_route(kit.cluster, 1, &route), ROUTE_UNKNOWN);
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(kit.opened_count, 4);
    cr_assert(is_everybody_live());
    cr_assert_not(kit_node(44).live);
    cr_assert_eq(produce_max(-1), 7);
    cr_assert_eq(produce_max(1), 7, "the same for everybody");
    cr_assert_eq(kit.stats.nodes_known, 4);
    cr_assert_eq(kit.stats.nodes_live, 3);
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    cr_assert_eq(route.port, kit.servers[1].port);
    cr_assert_str_eq(route.generation->name, "legacy");
    cr_assert_eq(route.authenticate_version, 2);
    cr_assert(route.live);
    cr_assert_eq(cluster_route(kit.cluster, 44, &route), ROUTE_OK);
    cr_assert_not(route.live, "a client may try; it is likely down");
    cr_assert_eq(cluster_route(kit.cluster, 45, &route), ROUTE_UNKNOWN);
}

static int64_t wanted_ms;

static bool is_lifetime_known(void)
{
    return cluster_relay_lifetime_ms(kit.cluster) == wanted_ms;
}

Test(cluster, the_shortest_lifetime_of_logins_is_known_where_keys_are_relayed)
{
    struct route route;
    kit.servers[0].broker.lifetime_ms = 7000;
    kit.servers[1].broker.lifetime_ms = 5000;
    kit_start("      - {name: legacy, protocol: SASL_PLAINTEXT, login: scram-relay}\n", "pencil",
              "");
    cr_assert_eq(cluster_relay_lifetime_ms(kit.cluster), 0);
    wanted_ms = 5000;
    cr_assert(kit_run_until(is_lifetime_known, 20000), "by looks");
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_OK);
    cluster_saw_lifetime(kit.cluster, &route, 3000);
    cr_assert_eq(cluster_relay_lifetime_ms(kit.cluster), 3000, "by a session");
    cluster_saw_lifetime(kit.cluster, &route, 0);
    cr_assert_eq(cluster_relay_lifetime_ms(kit.cluster), 5000);
    fake_server_stop(&kit.servers[1]);
    wanted_ms = 7000;
    cr_assert(kit_run_until(is_lifetime_known, 20000), "who is down counts no more");
    cr_assert_eq(cluster_relay_lifetime_ms(NULL), 0);
}

Test(cluster, lifetimes_of_other_logins_are_not_the_clients)
{
    kit.servers[0].broker.lifetime_ms = 7000;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_relay_lifetime_ms(kit.cluster), 0);
}

Test(cluster, any_goes_round)
{
    int seen[SERVERS + 1] = {0};
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    for (int i = 0; i < 30; i++) {
        struct route route;
        cr_assert_eq(cluster_route(kit.cluster, -1, &route), ROUTE_OK);
        cr_assert(route.node_id >= 1 && route.node_id <= SERVERS);
        seen[route.node_id]++;
    }
    cr_assert(seen[1] == 10 && seen[2] == 10 && seen[3] == 10);
}

Test(cluster, each_broker_its_own_versions)
{
    kit.servers[1].broker.produce_max = 7;
    kit_start(kit_legacy_by_rule, "pencil", "    api_versions: broker\n");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(produce_max(1), 9);
    cr_assert_eq(produce_max(2), 7);
    cr_assert_eq(produce_max(-1), 7);
    cr_assert_eq(produce_max(99), 7);
}

/* ---- one broker alone ---- */

static bool is_down(void)
{
    return !kit_node(-1).live;
}

Test(cluster, a_broker_that_is_not_followed_names_nobody)
{
    struct api_versions versions;
    struct route route;
    kit_start(kit_legacy_stored, "pencil", "    follow: false\n");
    cr_assert_not(cluster_told_versions(kit.cluster, &versions));
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(kit.opened_count, 0);
    cr_assert_eq(cluster_node_count(kit.cluster), 1u);
    cr_assert_eq(cluster_route(kit.cluster, -1, &route), ROUTE_OK);
    cr_assert_eq(route.port, kit.servers[0].port);
    cr_assert_eq(route.node_id, -1);
    cr_assert_str_eq(route.generation->name, "legacy");
    cr_assert(cluster_told_versions(kit.cluster, &versions));
    cr_assert_not_null(api_versions_find(&versions, API_PRODUCE));
    cr_assert_eq(kit.servers[1].accepted + kit.servers[2].accepted, 0u);
}

Test(cluster, a_broker_that_is_not_followed_is_dialled_though_it_is_down)
{
    struct route route;
    kit_start(kit_legacy_stored, "pencil", "    follow: false\n");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    fake_server_stop(&kit.servers[0]);
    cr_assert(kit_run_until(is_down, 20000));
    cr_assert_eq(cluster_route(kit.cluster, -1, &route), ROUTE_OK);
    cr_assert_not(route.live);
}

Test(cluster, a_broker_that_is_not_followed_flips_and_is_counted)
{
    kit_start(kit_legacy_stored, "pencil", "    follow: false\n");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    kit.servers[0].broker.mechanisms = NULL;
    cr_assert(kit_run_until(kit_is_flipped, 20000));
    cr_assert_str_eq(kit_node(-1).generation, "open");
}

/* ---- identities that do not help ---- */

Test(cluster, without_identity_versions_and_what_clients_teach)
{
    struct route route;
    kit_start(kit_legacy_by_rule, NULL, "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(kit.opened_count, 0, "no Metadata without a login");
    cr_assert_eq(produce_max(-1), 9);
    cr_assert_eq(cluster_route(kit.cluster, -1, &route), ROUTE_OK);
    cr_assert_eq(route.node_id, -1);
    cr_assert(cluster_learn(kit.cluster, 2, view_from_string("127.0.0.1"), kit.servers[1].port,
                            view_of(NULL, 0)));
    cr_assert_eq(kit.opened_count, 1);
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK, "at once: by rule, in digits");
}

static bool is_refused(void)
{
    return kit.stats.probes_login_failed > 0;
}

Test(cluster, refused_identity_still_sees_versions)
{
    struct route route;
    kit_start(kit_legacy_by_rule, "pen", "");
    cr_assert(kit_run_until(is_refused, 20000));
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(produce_max(-1), 9);
    cr_assert_eq(cluster_route(kit.cluster, -1, &route), ROUTE_OK);
    cr_assert_neq(kit_node(-1).last_error[0], '\0');
}

/* ---- failures ---- */

static bool is_node_3_down(void)
{
    return !kit_node(3).live;
}

static bool is_node_3_live(void)
{
    return kit_node(3).live;
}

Test(cluster, a_broker_dies_and_returns)
{
    struct route route;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    fake_server_stop(&kit.servers[2]);
    cr_assert(kit_run_until(is_node_3_down, 20000));
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(cluster_route(kit.cluster, -1, &route), ROUTE_OK);
        cr_assert_neq(route.node_id, 3);
    }
    fake_server_start(&kit.servers[2], &kit.loop, kit.servers[2].port);
    cr_assert(kit_run_until(is_node_3_live, 20000));
}

Test(cluster, a_report_leads_to_a_look)
{
    struct route route;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_OK);
    cluster_report(kit.cluster, &route, CLUSTER_CONNECT_FAILED);
    cr_assert(is_node_3_down());
    cr_assert(kit_run_until(is_node_3_live, 20000));
    size_t before = kit.servers[2].accepted;
    for (int i = 0; i < 1000; i++) {
        cluster_report(kit.cluster, &route, CLUSTER_LOGIN_FAILED);
    }
    kit_run_until(kit_never, 500);
    cr_assert_leq(kit.servers[2].accepted - before, 6, "looks are bounded: %zu",
                  kit.servers[2].accepted - before);
}

Test(cluster, silent_and_slamming_brokers)
{
    kit.servers[1].silent = true;
    kit.servers[2].slams = true;
    kit_start(kit_by_look, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000), "two bad ones do not keep it from serving");
    cr_assert(kit_node(1).live);
    cr_assert_not(kit_node(2).live);
    cr_assert_not(kit_node(3).live);
}

/* ---- addresses ---- */

Test(cluster, refuses_addresses_that_are_none)
{
    static const struct {
        int32_t node_id;
        const char *host;
        int32_t port;
    } bad[] = {{-1, "h", 1},  {1, "", 1},    {1, "h", 0},         {1, "h", 65536},   {1, "h", -1},
               {1, "h h", 1}, {1, "h\n", 1}, {INT32_MIN, "h", 1}, {1, "\xff\xfe", 1}};
    kit_start(kit_legacy_by_rule, NULL, "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(cluster_learn(kit.cluster, bad[i].node_id, view_from_string(bad[i].host),
                                    bad[i].port, view_of(NULL, 0)));
    }
    cr_assert_eq(kit.opened_count, 0);
}

Test(cluster, follows_a_node_to_its_new_address)
{
    struct route route;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    uint16_t old = kit.servers[2].port;
    fake_server_stop(&kit.servers[2]);
    kit_run_until(kit_never, 1);
    fake_server_start(&kit.servers[2], &kit.loop, 0);
    cr_assert_neq(kit.servers[2].port, old);
    kit.nodes[2].port = kit.servers[2].port;
    cr_assert(kit_run_until(is_node_3_down, 20000));
    cr_assert(kit_run_until(is_node_3_live, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_OK);
    cr_assert_eq(route.port, kit.servers[2].port);
    cr_assert_eq(kit.opened_count, SERVERS, "the same node");
}

/* Closing at any moment leaves nothing behind (teardown and the sanitizer check). */
static uint64_t close_after_ms;

static void close_early(uint64_t after_ms)
{
    close_after_ms = after_ms;
    kit_start(kit_by_look, "pencil", "");
    kit_run_until(kit_never, close_after_ms);
}

Test(cluster, closes_at_0)
{
    close_early(0);
}

Test(cluster, closes_at_2)
{
    close_early(2);
}

Test(cluster, closes_at_5)
{
    close_early(5);
}

Test(cluster, closes_at_10)
{
    close_early(10);
}

Test(cluster, closes_at_20)
{
    close_early(20);
}

Test(cluster, closes_at_40)
{
    close_early(40);
}
