/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/cluster_kit.h"

#include "conf/config.h"
#include "proxy/cluster/reach.h"

static struct resolve_result found(const char *const *addresses)
{
    struct resolve_result all = {.error = ""}, one;
    for (size_t i = 0; addresses[i] != NULL; i++) {
        cr_assert(resolve_literal(addresses[i], 9092, &one), "%s", addresses[i]);
        all.addresses[all.count++] = one.addresses[0];
    }
    return all;
}

static size_t left(const struct conf_cluster *conf, bool ours, const char *const *addresses)
{
    struct resolve_result result = found(addresses);
    size_t before = result.count;
    size_t taken = reach_limit(conf, ours, &result);
    cr_assert_eq(taken + result.count, before);
    cr_assert_eq(result.error[0] != '\0', result.count == 0 && before > 0);
    return result.count;
}

static const char *const metadata[] = {"169.254.169.254", "fd00:ec2::254", NULL};
static const char *const mixed[] = {"169.254.169.254", "10.0.0.1", "127.0.0.1", NULL};
static const char *const here[] = {"127.0.0.1", "::1", NULL};
static const char *const there[] = {"10.0.0.1", "2001:db8::1", NULL};
static const char *const nothing[] = {NULL};

/* T69: */
Test(reach, t69_by_default_brokers_cannot_send_us_to_what_is_none)
{
    const struct conf_cluster conf = {.name = "main"};
    cr_expect_eq(left(&conf, true, metadata), 0);
    cr_expect_eq(left(&conf, false, metadata), 0);
    cr_expect_eq(left(&conf, false, mixed), 1);
    cr_expect_eq(left(&conf, true, mixed), 2);
    cr_expect_eq(left(&conf, false, here), 0);
    cr_expect_eq(left(&conf, true, here), 2);
    cr_expect_eq(left(&conf, false, there), 2);
    cr_expect_eq(left(&conf, false, nothing), 0);
}

/* T69: */
Test(reach, t69_what_is_here_is_said_by_the_configuration_not_by_a_name_server)
{
    cr_expect(reach_is_here("localhost"));
    cr_expect(reach_is_here("LocalHost"));
    cr_expect(reach_is_here("127.0.0.1"));
    cr_expect(reach_is_here("127.1.2.3"));
    cr_expect(reach_is_here("::1"));
    cr_expect_not(reach_is_here("10.0.0.1"));
    cr_expect_not(reach_is_here("kafka-1.example"));
    cr_expect_not(reach_is_here("localhost.example"));
}

/* T69: */
Test(reach, t69_a_list_is_the_whole_truth)
{
    static const char *const list[] = {"10.0.0.0/8", "169.254.169.254"};
    const struct conf_cluster conf = {
        .name = "main", .allowed_addresses = list, .allowed_addresses_count = 2};
    cr_expect_eq(left(&conf, true, here), 0, "loopback is not listed");
    cr_expect_eq(left(&conf, true, there), 1);
    cr_expect_eq(left(&conf, true, metadata), 1, "who lists it wants it");
    cr_expect_eq(left(&conf, false, mixed), 2);
}

/* ---- in a cluster ---- */

TestSuite(reach_cluster, .init = kit_setup, .fini = kit_teardown);

static bool is_refused(int32_t node_id)
{
    return strstr(kit_node(node_id).last_error, "allowed_addresses") != NULL;
}

static bool are_refused(void)
{
    return kit_is_ready() && kit.opened_count == 4 && is_refused(3) && is_refused(44);
}

/* T69: a broker names the address of a metadata service as a node's: nobody is sent there. */
Test(reach_cluster, t69_a_node_at_a_metadata_address_is_not_dialled)
{
    struct route route;
    kit.nodes[3] = (struct fake_node){44, "169.254.169.254", 80, NULL};
    kit.nodes[2].host = "fd00:ec2::254";
    kit.node_count = 4;
    kit_start(kit_legacy_by_rule, "pencil", "");
    cr_assert(kit_run_until(are_refused, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 44, &route), ROUTE_NO_ADDRESS);
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_NO_ADDRESS);
    cr_assert_not(kit_node(44).live);
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_OK, "a bootstrap broker is here");
}

static bool second_is_refused(void)
{
    return kit_is_ready() && kit.opened_count == 3 && is_refused(2) && kit_node(3).live;
}

/* T69: an internal host that is not listed. */
Test(reach_cluster, t69_only_what_is_listed_is_dialled)
{
    struct route route;
    kit.nodes[1].host = "127.0.0.2";
    kit_start(kit_legacy_by_rule, "pencil", "    allowed_addresses: [127.0.0.1]\n");
    cr_assert(kit_run_until(second_is_refused, 20000));
    cr_assert_eq(cluster_route(kit.cluster, 1, &route), ROUTE_OK);
    cr_assert_eq(cluster_route(kit.cluster, 2, &route), ROUTE_NO_ADDRESS);
    cr_assert_eq(kit.servers[1].accepted, 0u);
    cr_assert_eq(cluster_route(kit.cluster, 3, &route), ROUTE_OK);
}
