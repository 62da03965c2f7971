/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster_kit.h"

TestSuite(cluster_waits, .init = kit_setup, .fini = kit_teardown);

/* ---- waiting ---- */

static enum route_status route_to_9(void)
{
    struct route route;
    return cluster_route(kit.cluster, 9, &route);
}

static bool way_to_9(void)
{
    return route_to_9() == ROUTE_OK;
}

static bool no_way_to_9(void)
{
    return route_to_9() != ROUTE_OK;
}

Test(cluster_waits, a_name_keeps_its_addresses_while_it_is_looked_up_again)
{
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert(cluster_learn(kit.cluster, 9, view_from_string("localhost"), kit.servers[1].port,
                            view_of(NULL, 0)));
    cr_assert(kit_run_until(way_to_9, 20000));
    cr_assert_not(kit_run_until(no_way_to_9, 1000), "refresh_ms is 200");
}

Test(cluster_waits, waits_for_a_look)
{
    struct route route;
    kit_start(kit_by_look, "pencil", "");
    cr_assert(cluster_learn(kit.cluster, 2, view_from_string("127.0.0.1"), kit.servers[1].port,
                            view_of(NULL, 0)));
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_PENDING);
    struct cluster_waiter waiter = {.node_id = 2, .fn = kit_on_told};
    struct cluster_waiter cancelled = {.node_id = 2, .fn = kit_on_told};
    cluster_wait(kit.cluster, &waiter);
    cluster_wait(kit.cluster, &cancelled);
    cluster_wait_cancel(&cancelled);
    cluster_wait_cancel(&cancelled);
    cr_assert_eq(kit.told_count, 0);
    cr_assert(kit_run_until(kit_is_told, 20000));
    cr_assert_eq(kit.told, ROUTE_OK);
    cr_assert_eq(kit.told_count, 1);
}

Test(cluster_waits, waits_in_vain)
{
    kit.servers[0].silent = true;
    kit_start(kit_legacy_by_rule, "pencil", "");
    struct cluster_waiter waiter = {.node_id = -1, .fn = kit_on_told};
    cluster_wait(kit.cluster, &waiter);
    kit_run_until(kit_never, 100);
    cluster_close(&kit.cluster, kit_on_closed, NULL);
    cr_assert_eq(kit.told_count, 1, "told when the cluster goes");
    cr_assert_eq(kit.told, ROUTE_UNKNOWN);
}

/* ---- turns ---- */

static struct cluster_dial dials[6];
static int turns[6], turn_count;
static uint64_t turned_ms[6];

static void on_turn(struct cluster_dial *dial)
{
    cr_assert(dial->holds);
    turned_ms[turn_count] = uv_now(&kit.loop);
    turns[turn_count++] = (int)(dial - dials);
}

static bool had_turns(void)
{
    return turn_count >= 2;
}

Test(cluster_waits, two_at_a_time_and_the_others_in_turn)
{
    struct route route;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    for (int i = 0; i < 6; i++) {
        dials[i].fn = on_turn;
        cr_assert_eq(cluster_dial_enter(kit.cluster, &route, &dials[i]), i < 2);
    }
    cr_assert_eq(kit.stats.dials_delayed, 4);
    cr_assert_eq(kit.stats.dials_waiting, 4);
    cluster_dial_leave(&dials[3]); /* gave up */
    cluster_dial_leave(&dials[3]);
    cr_assert_eq(turn_count, 0);
    cluster_dial_leave(&dials[0]);
    cluster_dial_leave(&dials[1]);
    cr_assert_eq(turn_count, 0, "from the loop");
    cr_assert(kit_run_until(had_turns, 5000));
    cr_assert(turns[0] == 2 && turns[1] == 4);
    cr_assert_eq(kit.stats.dials_now, 2);
    struct cluster_dial late = {.fn = on_turn};
    cr_assert_not(cluster_dial_enter(kit.cluster, &route, &late), "behind the one that waits");
    cluster_dial_leave(&late);
    cluster_dial_leave(&dials[2]);
    cluster_dial_leave(&dials[4]);
    cluster_dial_leave(&dials[5]);
    cr_assert_eq(kit.stats.dials_now, 0);
    cr_assert_eq(kit.stats.dials_waiting, 0);
    cr_assert(cluster_dial_enter(kit.cluster, &route, &dials[0]));
    cluster_dial_leave(&dials[0]);
}

static bool had_a_turn(void)
{
    return turn_count > 0;
}

Test(cluster_waits, limits_of_a_reload_hold_at_once)
{
    struct route route;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    for (int i = 0; i < 4; i++) {
        dials[i].fn = on_turn;
        cr_assert_eq(cluster_dial_enter(kit.cluster, &route, &dials[i]), i < 2);
    }
    struct conf_limits limits = kit.config->limits;
    limits.dials_per_broker = 3;
    cluster_limit(kit.cluster, &limits);
    cr_assert(kit_run_until(had_a_turn, 5000));
    cr_assert_eq(turn_count, 1);
    cr_assert_eq(turns[0], 2);
    for (int i = 0; i < 4; i++) {
        cluster_dial_leave(&dials[i]);
    }
}

/* A node that is known, and nobody listens where it should be. */
static struct route nobody(void)
{
    struct route route;
    kit.nodes[3] = (struct fake_node){44, "127.0.0.1", 1, NULL};
    kit.node_count = 4;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 44, &route), ROUTE_OK);
    return route;
}

static bool had_three_turns(void)
{
    return turn_count >= 3;
}

Test(cluster_waits, where_nobody_is_one_tries_and_the_others_wait)
{
    struct route route = nobody();
    cluster_report(kit.cluster, &route, CLUSTER_CONNECT_FAILED);
    for (int i = 0; i < 3; i++) {
        dials[i].fn = on_turn;
        cr_assert_not(cluster_dial_enter(kit.cluster, &route, &dials[i]));
    }
    cr_assert(kit_run_until(had_turns, 5000));
    cr_assert_geq(turned_ms[1] - turned_ms[0], 40u, "although there is a place for another");
    cluster_report(kit.cluster, &route, CLUSTER_CONNECT_FAILED);
    cluster_dial_leave(&dials[0]);
    cluster_dial_reached(&dials[1]);
    cr_assert(kit_run_until(had_three_turns, 5000));
    cr_assert_eq(kit.stats.dials_now, 2);
    cr_assert(turns[0] == 0 && turns[1] == 1 && turns[2] == 2);
    cluster_dial_leave(&dials[1]);
    cluster_dial_leave(&dials[2]);
    cr_assert(cluster_dial_enter(kit.cluster, &route, &dials[0]), "somebody is there");
    cluster_dial_leave(&dials[0]);
}

static struct route nobody_there;
static int in_vain;

static void on_try(struct cluster_dial *dial)
{
    turn_count++;
    if (dial->in_vain) {
        in_vain++;
        cr_assert(!dial->holds && dial->broker == NULL);
        return;
    }
    cluster_dial_leave(dial);
    cluster_report(kit.cluster, &nobody_there, CLUSTER_CONNECT_FAILED);
}

static bool had_all_turns(void)
{
    return turn_count >= 6;
}

Test(cluster_waits, who_waits_in_vain_is_told)
{
    nobody_there = nobody();
    cluster_report(kit.cluster, &nobody_there, CLUSTER_CONNECT_FAILED);
    uint64_t began_ms = uv_now(&kit.loop);
    for (int i = 0; i < 6; i++) {
        dials[i].fn = on_try;
        cr_assert_not(cluster_dial_enter(kit.cluster, &nobody_there, &dials[i]));
    }
    cr_assert(kit_run_until(had_all_turns, 5000));
    cr_assert_geq(in_vain, 1, "of six in half a second");
    cr_assert_geq(uv_now(&kit.loop) - began_ms, 500u);
    cr_assert_eq(kit.stats.dials_waiting, 0);
    cr_assert_eq(kit.stats.dials_now, 0);
}

Test(cluster_waits, who_waits_when_the_cluster_goes_is_let_go)
{
    struct route route;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK);
    for (int i = 0; i < 3; i++) {
        dials[i].fn = on_turn;
        (void)!cluster_dial_enter(kit.cluster, &route, &dials[i]);
    }
    cluster_dial_leave(&dials[0]);
    cluster_dial_leave(&dials[1]);
    cluster_close(&kit.cluster, kit_on_closed, NULL);
    cr_assert_null(dials[2].broker);
    cluster_dial_leave(&dials[2]);
    cr_assert_eq(turn_count, 0);
}
