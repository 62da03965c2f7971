/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster_kit.h"

#include <string.h>

TestSuite(cluster_moves, .init = kit_setup, .fini = kit_teardown);

/* ---- generations ---- */

static bool is_node_2_open(void)
{
    return strcmp(kit_node(2).generation, "open") == 0;
}

static bool is_node_2_legacy(void)
{
    return strcmp(kit_node(2).generation, "legacy") == 0;
}

Test(cluster_moves, a_broker_flips_and_flips_back)
{
    struct route route;
    const char *const *mechanisms = kit.servers[1].broker.mechanisms;
    kit_start(kit_by_look, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert(is_node_2_legacy());
    cr_assert_eq(kit.stats.generation_flips, 0);
    kit.servers[1].broker.mechanisms = NULL; /* re-imaged: no SASL any more */
    cr_assert(kit_run_until(is_node_2_open, 20000));
    cr_assert_eq(kit.stats.generation_flips, 1);
    cr_assert_eq(kit_node(2).flips, 1);
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    cr_assert_str_eq(route.generation->name, "open");
    kit.servers[1].broker.mechanisms = mechanisms;
    cr_assert(kit_run_until(is_node_2_legacy, 20000) || kit_node(2).live);
}

Test(cluster_moves, nothing_fits)
{
    struct route route;
    kit_start("      - {name: other, protocol: SASL_PLAINTEXT, login: sasl, match: {probe: true},\n"
          "         sasl: {mechanism: SCRAM-SHA-512, credentials_file: /x}}\n",
          NULL, "");
    static const char *const only_plain[] = {"PLAIN", NULL};
    for (int i = 0; i < SERVERS; i++) {
        kit.servers[i].broker.mechanisms = only_plain;
    }
    cr_assert_not(kit_run_until(kit_is_ready, 700));
    cr_assert_not_null(strstr(kit_node(-1).last_error, "no generation fits"));
    cr_assert_neq(cluster_route(kit.cluster, -1, &route), ROUTE_OK);
}

/* ---- looks that sessions wait for ---- */

enum { SESSIONS = 200 };

static struct cluster_waiter sessions[SESSIONS];

static bool are_all_told(void)
{
    return kit.told_count == SESSIONS;
}

Test(cluster_moves, two_hundred_failures_are_one_look_and_all_go_on)
{
    struct route route;
    kit_start(kit_by_look, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    cr_assert_str_eq(route.generation->name, "legacy");
    kit.servers[1].broker.mechanisms = NULL; /* re-imaged: no SASL any more */
    size_t before = kit.servers[1].accepted;
    uint64_t began_ms = uv_now(&kit.loop);
    for (int i = 0; i < SESSIONS; i++) {
        sessions[i] = (struct cluster_waiter){.node_id = 2, .fn = kit_on_told};
        cluster_report(kit.cluster, &route, CLUSTER_MISMATCH);
        cr_assert(cluster_wait_look(kit.cluster, &route, &sessions[i]));
    }
    cr_assert_eq(kit.told_count, 0);
    cr_assert(kit_run_until(are_all_told, 20000));
    cr_assert_eq(kit.told, ROUTE_OK);
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    cr_assert_str_eq(route.generation->name, "open");
    cr_assert_eq(route.flips, 1);
    /* One that finds out when all is known already waits for nothing. */
    struct route before_it = route;
    before_it.generation = &kit.config->clusters[0].generations[0];
    before_it.flips = 0;
    kit.told_count = SESSIONS - 1;
    cluster_report(kit.cluster, &before_it, CLUSTER_MISMATCH);
    cr_assert(cluster_wait_look(kit.cluster, &before_it, &sessions[0]));
    cr_assert(kit_run_until(are_all_told, 100));
    cr_assert_lt(uv_now(&kit.loop) - began_ms, 2000);
    cr_assert_leq(kit.servers[1].accepted - before, 4, "one look, not one for each: %zu",
                  kit.servers[1].accepted - before);
}

Test(cluster_moves, a_look_that_finds_nothing_new_comes_ever_later)
{
    struct route route;
    kit_start(kit_by_look, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    size_t before = kit.servers[1].accepted;
    for (int i = 0; i < 100; i++) {
        cluster_report(kit.cluster, &route, CLUSTER_MISMATCH);
        kit_run_until(kit_never, 20);
    }
    cr_assert_eq(kit_node(2).flips, 0);
    cr_assert_leq(kit.servers[1].accepted - before, 15, "%zu in 2 s, refresh_ms is 200",
                  kit.servers[1].accepted - before);
}

Test(cluster_moves, the_operators_word_needs_no_look)
{
    struct route route;
    struct cluster_waiter waiter = {.node_id = 2, .fn = kit_on_told};
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    cluster_report(kit.cluster, &route, CLUSTER_MISMATCH);
    cr_assert_not(cluster_wait_look(kit.cluster, &route, &waiter));
    cr_assert_null(waiter.link);
}

Test(cluster_moves, a_bootstrap_address_that_is_a_nodes_is_not_waited_for)
{
    struct route route;
    struct cluster_waiter waiter = {.node_id = -1, .fn = kit_on_told};
    kit_start(kit_by_look, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 1, &route), ROUTE_OK);
    route.node_id = -1; /* as it was when nobody had said who is there */
    cluster_report(kit.cluster, &route, CLUSTER_MISMATCH);
    cr_assert_not(cluster_wait_look(kit.cluster, &route, &waiter));
    cr_assert_null(waiter.link);
}

/* ---- who answers ---- */

static bool is_node_3_another(void)
{
    return kit.stats.nodes_mistaken > 0;
}

static bool way_to_3(void)
{
    struct route route;
    return cluster_route(kit.cluster, 3, &route) == ROUTE_OK;
}

Test(cluster_moves, an_address_that_another_node_has_now_is_no_way_any_more)
{
    struct route route;
    struct fake_node seven = {7, "127.0.0.1", 0, NULL};
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_OK);
    cr_assert(route.confirmed, "the look has asked it");
    cluster_report(kit.cluster, &route, CLUSTER_LOST);
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_OK);
    cr_assert_not(route.confirmed, "it may come back as another");
    seven.port = kit.servers[2].port;
    kit.servers[2].broker.nodes = &seven;
    kit.servers[2].broker.node_count = 1;
    cr_assert(kit_run_until(is_node_3_another, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_NO_ADDRESS);
    cr_assert_not(kit_node(3).live);
    cr_assert_eq(cluster_route(kit.cluster, 7, &route), ROUTE_OK, "other ports lead there");
    kit.servers[2].broker.nodes = kit.nodes;
    kit.servers[2].broker.node_count = kit.node_count;
    cr_assert(kit_run_until(way_to_3, 20000));
    cr_assert_leq(kit.stats.nodes_mistaken, 2, "7 has lost it again");
}
