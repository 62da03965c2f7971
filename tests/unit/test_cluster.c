/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/cluster.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "conf/config.h"
#include "tests/unit/fake_server.h"
#include "protocol/api.h"
#include "proxy/io/io.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats.h"

enum { SERVERS = 3 };

/* One test: a loop, up to three brokers, one cluster. */
static struct {
    uv_loop_t loop;
    struct io io;
    struct stats stats;
    struct fake_server servers[SERVERS];
    struct fake_node nodes[SERVERS + 1];
    size_t node_count;
    struct config *config;
    struct cluster *cluster;
    bool ready, closed, expired;
    int32_t opened[16];
    size_t opened_count;
    char folder[32], password_file[64];
} t;

static const char legacy_by_rule[] =
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough}\n";
static const char by_look[] =
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough, match: {probe: true}}\n"
    "      - {name: open, protocol: PLAINTEXT, login: none, match: {probe: true}}\n";

static void setup(void)
{
    memset(&t, 0, sizeof t);
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    cr_assert_eq(uv_loop_init(&t.loop), 0);
    io_init(&t.io, &t.loop);
    strcpy(t.folder, "/tmp/setu-cluster-XXXXXX");
    cr_assert_not_null(mkdtemp(t.folder));
    snprintf(t.password_file, sizeof t.password_file, "%s/password", t.folder);
    for (int i = 0; i < SERVERS; i++) {
        fake_broker_init(&t.servers[i].broker);
        t.servers[i].broker.metadata_max = 5;
        t.servers[i].broker.nodes = t.nodes;
        fake_server_start(&t.servers[i], &t.loop, 0);
        t.nodes[i] = (struct fake_node){i + 1, "127.0.0.1", t.servers[i].port, "r1"};
    }
    t.node_count = SERVERS;
}

static void on_closed(void *context)
{
    (void)context;
    t.closed = true;
}

static void stop_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    cr_assert(uv_is_closing(handle), "a handle of type %s was left behind",
              uv_handle_type_name(handle->type));
}

static void teardown(void)
{
    cluster_close(&t.cluster, on_closed, NULL);
    for (int i = 0; i < SERVERS; i++) {
        fake_server_stop(&t.servers[i]);
        fake_broker_free(&t.servers[i].broker);
    }
    for (int i = 0; i < 1000 && !t.closed; i++) {
        uv_run(&t.loop, UV_RUN_ONCE);
    }
    cr_assert(t.closed);
    io_stop(&t.io);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    uv_walk(&t.loop, stop_handle, NULL);
    cr_assert_eq(uv_loop_close(&t.loop), 0);
    io_free(&t.io);
    config_unref(&t.config);
    unlink(t.password_file);
    rmdir(t.folder);
}

TestSuite(cluster, .init = setup, .fini = teardown);

static void write_password(const char *password)
{
    FILE *file = fopen(t.password_file, "w");
    cr_assert_not_null(file);
    fputs(password, file);
    fclose(file);
    chmod(t.password_file, 0600);
}

static void load(const char *generations, const char *password, const char *more)
{
    static const char clients[] = "advertised_host: localhost,\n     node_base_port: 2000, ";
    static const char brokers[] = "role: brokers,\n     peers: [node2], ";
    char text[8192], identity[512] = "";
    bool one = strstr(more, "follow: false") != NULL;
    struct conf_errors errors;
    if (password != NULL) {
        write_password(password);
        snprintf(identity, sizeof identity,
                 "    identity: {sasl: {mechanism: SCRAM-SHA-256, username: setu, password_file: "
                 "%s}}\n",
                 t.password_file);
    }
    snprintf(text, sizeof text,
             "audit: {file: \"\"}\nusers: {file: /u.yaml}\nlimits: {connect_timeout_ms: 2000, "
             "dials_per_broker: 2}\n"
             "listeners:\n"
             "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1000, %smechanisms: "
             "[SCRAM-SHA-512]}\n"
             "clusters:\n  - name: main\n    bootstrap: [\"127.0.0.1:%u\"]\n    refresh_ms: 200\n"
             "%s%s    generations:\n%s",
             one ? brokers : clients, t.servers[0].port, identity, more, generations);
    conf_errors_init(&errors);
    t.config = config_parse(text, strlen(text), "setu.yaml", &errors);
    if (t.config == NULL) {
        conf_errors_print(&errors, stderr);
    }
    cr_assert_not_null(t.config);
    conf_errors_deinit(&errors);
}

static void on_node(void *context, int32_t node_id)
{
    (void)context;
    cr_assert_lt(t.opened_count, 16);
    t.opened[t.opened_count++] = node_id;
}

static void on_ready(void *context)
{
    (void)context;
    t.ready = true;
}

static void start(const char *generations, const char *password, const char *more)
{
    for (int i = 0; i < SERVERS; i++) {
        t.servers[i].broker.node_count = t.node_count;
    }
    load(generations, password, more);
    struct cluster_params params = {.io = &t.io,
                                    .config = t.config,
                                    .conf = &t.config->clusters[0],
                                    .stats = &t.stats,
                                    .on_node = on_node,
                                    .on_ready = on_ready};
    t.cluster = cluster_new(&params);
    cr_assert_not_null(t.cluster);
    cr_assert_eq(t.opened_count, 0);
}

static void on_expired(uv_timer_t *timer)
{
    (void)timer;
    t.expired = true;
}

/* Runs the loop until it holds, at most so long. */
static bool run_until(bool (*holds)(void), uint64_t timeout_ms)
{
    uv_timer_t timer;
    t.expired = false;
    uv_timer_init(&t.loop, &timer);
    uv_timer_start(&timer, on_expired, timeout_ms, 0);
    while (!holds() && !t.expired) {
        uv_run(&t.loop, UV_RUN_ONCE);
    }
    bool held = holds();
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&t.loop, UV_RUN_NOWAIT);
    return held;
}

static bool never(void)
{
    return false;
}

static bool is_ready(void)
{
    return t.ready;
}

static struct cluster_node_info node(int32_t node_id)
{
    struct cluster_node_info info = {.node_id = -2};
    for (size_t i = 0; cluster_node_at(t.cluster, i, &info) && info.node_id != node_id; i++) {
    }
    cr_assert_eq(info.node_id, node_id);
    return info;
}

static bool is_everybody_live(void)
{
    for (int i = 0; i < SERVERS; i++) {
        if (t.opened_count < SERVERS || !node(i + 1).live) {
            return false;
        }
    }
    return true;
}

static int16_t produce_max(int32_t node_id)
{
    struct api_versions versions;
    cr_assert(cluster_api_versions(t.cluster, node_id, &versions));
    const struct api_range *range = api_versions_find(&versions, API_PRODUCE);
    cr_assert_not_null(range);
    return range->max;
}

/* ---- learning ---- */

Test(cluster, learns_every_broker_from_one)
{
    struct route route;
    t.servers[1].broker.produce_max = 7;
    t.nodes[3] = (struct fake_node){44, "127.0.0.1", 1, NULL}; /* nobody listens there */
    t.node_count = 4;
    start(legacy_by_rule, "pencil", "");
    cr_assert_eq(cluster_route(t.cluster, -1, &route), ROUTE_PENDING);
    cr_assert_eq(cluster_route(t.cluster, 1, &route), ROUTE_UNKNOWN);
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(t.opened_count, 4);
    cr_assert(is_everybody_live());
    cr_assert_not(node(44).live);
    cr_assert_eq(produce_max(-1), 7);
    cr_assert_eq(produce_max(1), 7, "the same for everybody");
    cr_assert_eq(t.stats.nodes_known, 4);
    cr_assert_eq(t.stats.nodes_live, 3);
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    cr_assert_eq(route.port, t.servers[1].port);
    cr_assert_str_eq(route.generation->name, "legacy");
    cr_assert_eq(route.authenticate_version, 2);
    cr_assert(route.live);
    cr_assert_eq(cluster_route(t.cluster, 44, &route), ROUTE_OK);
    cr_assert_not(route.live, "a client may try; it is likely down");
    cr_assert_eq(cluster_route(t.cluster, 45, &route), ROUTE_UNKNOWN);
}

Test(cluster, any_goes_round)
{
    int seen[SERVERS + 1] = {0};
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    for (int i = 0; i < 30; i++) {
        struct route route;
        cr_assert_eq(cluster_route(t.cluster, -1, &route), ROUTE_OK);
        cr_assert(route.node_id >= 1 && route.node_id <= SERVERS);
        seen[route.node_id]++;
    }
    cr_assert(seen[1] == 10 && seen[2] == 10 && seen[3] == 10);
}

Test(cluster, each_broker_its_own_versions)
{
    t.servers[1].broker.produce_max = 7;
    start(legacy_by_rule, "pencil", "    api_versions: broker\n");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(produce_max(1), 9);
    cr_assert_eq(produce_max(2), 7);
    cr_assert_eq(produce_max(-1), 7);
    cr_assert_eq(produce_max(99), 7);
}

/* ---- one broker alone ---- */

static const char legacy_stored[] =
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: sasl, match: {probe: true},\n"
    "         sasl: {mechanism: SCRAM-SHA-256, credentials_file: /c.yaml}}\n"
    "      - {name: open, protocol: PLAINTEXT, login: none, match: {probe: true}}\n";

static bool is_flipped(void)
{
    return t.stats.generation_flips > 0;
}

static bool is_down(void)
{
    return !node(-1).live;
}

Test(cluster, a_broker_that_is_not_followed_names_nobody)
{
    struct api_versions versions;
    struct route route;
    start(legacy_stored, "pencil", "    follow: false\n");
    cr_assert_not(cluster_told_versions(t.cluster, &versions));
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(t.opened_count, 0);
    cr_assert_eq(cluster_node_count(t.cluster), 1u);
    cr_assert_eq(cluster_route(t.cluster, -1, &route), ROUTE_OK);
    cr_assert_eq(route.port, t.servers[0].port);
    cr_assert_eq(route.node_id, -1);
    cr_assert_str_eq(route.generation->name, "legacy");
    cr_assert(cluster_told_versions(t.cluster, &versions));
    cr_assert_not_null(api_versions_find(&versions, API_PRODUCE));
    cr_assert_eq(t.servers[1].accepted + t.servers[2].accepted, 0u);
}

Test(cluster, a_broker_that_is_not_followed_is_dialled_though_it_is_down)
{
    struct route route;
    start(legacy_stored, "pencil", "    follow: false\n");
    cr_assert(run_until(is_ready, 20000));
    fake_server_stop(&t.servers[0]);
    cr_assert(run_until(is_down, 20000));
    cr_assert_eq(cluster_route(t.cluster, -1, &route), ROUTE_OK);
    cr_assert_not(route.live);
}

Test(cluster, a_broker_that_is_not_followed_flips_and_is_counted)
{
    start(legacy_stored, "pencil", "    follow: false\n");
    cr_assert(run_until(is_ready, 20000));
    t.servers[0].broker.mechanisms = NULL;
    cr_assert(run_until(is_flipped, 20000));
    cr_assert_str_eq(node(-1).generation, "open");
}

/* ---- identities that do not help ---- */

Test(cluster, without_identity_versions_and_what_clients_teach)
{
    struct route route;
    start(legacy_by_rule, NULL, "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(t.opened_count, 0, "no Metadata without a login");
    cr_assert_eq(produce_max(-1), 9);
    cr_assert_eq(cluster_route(t.cluster, -1, &route), ROUTE_OK);
    cr_assert_eq(route.node_id, -1);
    cr_assert(cluster_learn(t.cluster, 2, view_from_string("127.0.0.1"), t.servers[1].port,
                            view_of(NULL, 0)));
    cr_assert_eq(t.opened_count, 1);
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK, "at once: by rule, in digits");
}

static bool is_refused(void)
{
    return t.stats.probes_login_failed > 0;
}

Test(cluster, refused_identity_still_sees_versions)
{
    struct route route;
    start(legacy_by_rule, "pen", "");
    cr_assert(run_until(is_refused, 20000));
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(produce_max(-1), 9);
    cr_assert_eq(cluster_route(t.cluster, -1, &route), ROUTE_OK);
    cr_assert_neq(node(-1).last_error[0], '\0');
}

/* ---- generations ---- */

static bool is_node_2_open(void)
{
    return strcmp(node(2).generation, "open") == 0;
}

static bool is_node_2_legacy(void)
{
    return strcmp(node(2).generation, "legacy") == 0;
}

Test(cluster, a_broker_flips_and_flips_back)
{
    struct route route;
    const char *const *mechanisms = t.servers[1].broker.mechanisms;
    start(by_look, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert(is_node_2_legacy());
    cr_assert_eq(t.stats.generation_flips, 0);
    t.servers[1].broker.mechanisms = NULL; /* re-imaged: no SASL any more */
    cr_assert(run_until(is_node_2_open, 20000));
    cr_assert_eq(t.stats.generation_flips, 1);
    cr_assert_eq(node(2).flips, 1);
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    cr_assert_str_eq(route.generation->name, "open");
    t.servers[1].broker.mechanisms = mechanisms;
    cr_assert(run_until(is_node_2_legacy, 20000) || node(2).live);
}

Test(cluster, nothing_fits)
{
    struct route route;
    start("      - {name: other, protocol: SASL_PLAINTEXT, login: sasl, match: {probe: true},\n"
          "         sasl: {mechanism: SCRAM-SHA-512, credentials_file: /x}}\n",
          NULL, "");
    static const char *const only_plain[] = {"PLAIN", NULL};
    for (int i = 0; i < SERVERS; i++) {
        t.servers[i].broker.mechanisms = only_plain;
    }
    cr_assert_not(run_until(is_ready, 700));
    cr_assert_not_null(strstr(node(-1).last_error, "no generation fits"));
    cr_assert_neq(cluster_route(t.cluster, -1, &route), ROUTE_OK);
}

/* ---- failures ---- */

static bool is_node_3_down(void)
{
    return !node(3).live;
}

static bool is_node_3_live(void)
{
    return node(3).live;
}

Test(cluster, a_broker_dies_and_returns)
{
    struct route route;
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    fake_server_stop(&t.servers[2]);
    cr_assert(run_until(is_node_3_down, 20000));
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(cluster_route(t.cluster, -1, &route), ROUTE_OK);
        cr_assert_neq(route.node_id, 3);
    }
    fake_server_start(&t.servers[2], &t.loop, t.servers[2].port);
    cr_assert(run_until(is_node_3_live, 20000));
}

Test(cluster, a_report_leads_to_a_look)
{
    struct route route;
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(cluster_route(t.cluster, 3, &route), ROUTE_OK);
    cluster_report(t.cluster, &route, CLUSTER_CONNECT_FAILED);
    cr_assert(is_node_3_down());
    cr_assert(run_until(is_node_3_live, 20000));
    size_t before = t.servers[2].accepted;
    for (int i = 0; i < 1000; i++) {
        cluster_report(t.cluster, &route, CLUSTER_LOGIN_FAILED);
    }
    run_until(never, 500);
    cr_assert_leq(t.servers[2].accepted - before, 6, "looks are bounded: %zu",
                  t.servers[2].accepted - before);
}

Test(cluster, silent_and_slamming_brokers)
{
    t.servers[1].silent = true;
    t.servers[2].slams = true;
    start(by_look, "pencil", "");
    cr_assert(run_until(is_ready, 20000), "two bad brokers do not keep the third from serving");
    cr_assert(node(1).live);
    cr_assert_not(node(2).live);
    cr_assert_not(node(3).live);
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
    start(legacy_by_rule, NULL, "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(cluster_learn(t.cluster, bad[i].node_id, view_from_string(bad[i].host),
                                    bad[i].port, view_of(NULL, 0)));
    }
    cr_assert_eq(t.opened_count, 0);
}

Test(cluster, follows_a_node_to_its_new_address)
{
    struct route route;
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    uint16_t old = t.servers[2].port;
    fake_server_stop(&t.servers[2]);
    run_until(never, 1);
    fake_server_start(&t.servers[2], &t.loop, 0);
    cr_assert_neq(t.servers[2].port, old);
    t.nodes[2].port = t.servers[2].port;
    cr_assert(run_until(is_node_3_down, 20000));
    cr_assert(run_until(is_node_3_live, 20000));
    cr_assert_eq(cluster_route(t.cluster, 3, &route), ROUTE_OK);
    cr_assert_eq(route.port, t.servers[2].port);
    cr_assert_eq(t.opened_count, SERVERS, "the same node");
}

/* ---- waiting ---- */

static enum route_status told;
static int told_count;

static void on_told(struct cluster_waiter *waiter, enum route_status status)
{
    cr_assert_null(waiter->link);
    told = status;
    told_count++;
}

static bool is_told(void)
{
    return told_count > 0;
}

static enum route_status route_to_9(void)
{
    struct route route;
    return cluster_route(t.cluster, 9, &route);
}

static bool way_to_9(void)
{
    return route_to_9() == ROUTE_OK;
}

static bool no_way_to_9(void)
{
    return route_to_9() != ROUTE_OK;
}

Test(cluster, a_name_keeps_its_addresses_while_it_is_looked_up_again)
{
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert(cluster_learn(t.cluster, 9, view_from_string("localhost"), t.servers[1].port,
                            view_of(NULL, 0)));
    cr_assert(run_until(way_to_9, 20000));
    cr_assert_not(run_until(no_way_to_9, 1000), "refresh_ms is 200");
}

Test(cluster, waits_for_a_look)
{
    struct route route;
    start(by_look, "pencil", "");
    cr_assert(cluster_learn(t.cluster, 2, view_from_string("127.0.0.1"), t.servers[1].port,
                            view_of(NULL, 0)));
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_PENDING);
    struct cluster_waiter waiter = {.node_id = 2, .fn = on_told};
    struct cluster_waiter cancelled = {.node_id = 2, .fn = on_told};
    cluster_wait(t.cluster, &waiter);
    cluster_wait(t.cluster, &cancelled);
    cluster_wait_cancel(&cancelled);
    cluster_wait_cancel(&cancelled);
    cr_assert_eq(told_count, 0);
    cr_assert(run_until(is_told, 20000));
    cr_assert_eq(told, ROUTE_OK);
    cr_assert_eq(told_count, 1);
}

Test(cluster, waits_in_vain)
{
    t.servers[0].silent = true;
    start(legacy_by_rule, "pencil", "");
    struct cluster_waiter waiter = {.node_id = -1, .fn = on_told};
    cluster_wait(t.cluster, &waiter);
    run_until(never, 100);
    cluster_close(&t.cluster, on_closed, NULL);
    cr_assert_eq(told_count, 1, "told when the cluster goes");
    cr_assert_eq(told, ROUTE_UNKNOWN);
}

/* ---- looks that sessions wait for ---- */

enum { SESSIONS = 200 };

static struct cluster_waiter sessions[SESSIONS];

static bool are_all_told(void)
{
    return told_count == SESSIONS;
}

Test(cluster, two_hundred_failures_are_one_look_and_all_go_on)
{
    struct route route;
    start(by_look, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    cr_assert_str_eq(route.generation->name, "legacy");
    t.servers[1].broker.mechanisms = NULL; /* re-imaged: no SASL any more */
    size_t before = t.servers[1].accepted;
    uint64_t began_ms = uv_now(&t.loop);
    for (int i = 0; i < SESSIONS; i++) {
        sessions[i] = (struct cluster_waiter){.node_id = 2, .fn = on_told};
        cluster_report(t.cluster, &route, CLUSTER_MISMATCH);
        cr_assert(cluster_wait_look(t.cluster, &route, &sessions[i]));
    }
    cr_assert_eq(told_count, 0);
    cr_assert(run_until(are_all_told, 20000));
    cr_assert_eq(told, ROUTE_OK);
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    cr_assert_str_eq(route.generation->name, "open");
    cr_assert_eq(route.flips, 1);
    /* One that finds out when all is known already waits for nothing. */
    struct route before_it = route;
    before_it.generation = &t.config->clusters[0].generations[0];
    before_it.flips = 0;
    told_count = SESSIONS - 1;
    cluster_report(t.cluster, &before_it, CLUSTER_MISMATCH);
    cr_assert(cluster_wait_look(t.cluster, &before_it, &sessions[0]));
    cr_assert(run_until(are_all_told, 100));
    cr_assert_lt(uv_now(&t.loop) - began_ms, 2000);
    cr_assert_leq(t.servers[1].accepted - before, 4, "one look, not one for each: %zu connections",
                  t.servers[1].accepted - before);
}

Test(cluster, a_look_that_finds_nothing_new_comes_ever_later)
{
    struct route route;
    start(by_look, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    size_t before = t.servers[1].accepted;
    for (int i = 0; i < 100; i++) {
        cluster_report(t.cluster, &route, CLUSTER_MISMATCH);
        run_until(never, 20);
    }
    cr_assert_eq(node(2).flips, 0);
    cr_assert_leq(t.servers[1].accepted - before, 15, "%zu in 2 s, refresh_ms is 200",
                  t.servers[1].accepted - before);
}

Test(cluster, the_operators_word_needs_no_look)
{
    struct route route;
    struct cluster_waiter waiter = {.node_id = 2, .fn = on_told};
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    cluster_report(t.cluster, &route, CLUSTER_MISMATCH);
    cr_assert_not(cluster_wait_look(t.cluster, &route, &waiter));
    cr_assert_null(waiter.link);
}

/* ---- who answers ---- */

static bool is_node_3_another(void)
{
    return t.stats.nodes_mistaken > 0;
}

static bool way_to_3(void)
{
    struct route route;
    return cluster_route(t.cluster, 3, &route) == ROUTE_OK;
}

Test(cluster, an_address_that_another_node_has_now_is_no_way_any_more)
{
    struct route route;
    struct fake_node seven = {7, "127.0.0.1", 0, NULL};
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(cluster_route(t.cluster, 3, &route), ROUTE_OK);
    cr_assert(route.confirmed, "the look has asked it");
    cluster_report(t.cluster, &route, CLUSTER_LOST);
    cr_assert_eq(cluster_route(t.cluster, 3, &route), ROUTE_OK);
    cr_assert_not(route.confirmed, "it may come back as another");
    seven.port = t.servers[2].port;
    t.servers[2].broker.nodes = &seven;
    t.servers[2].broker.node_count = 1;
    cr_assert(run_until(is_node_3_another, 20000));
    cr_assert_eq(cluster_route(t.cluster, 3, &route), ROUTE_NO_ADDRESS);
    cr_assert_not(node(3).live);
    cr_assert_eq(cluster_route(t.cluster, 7, &route), ROUTE_OK, "its ports are another listener's");
    t.servers[2].broker.nodes = t.nodes;
    t.servers[2].broker.node_count = t.node_count;
    cr_assert(run_until(way_to_3, 20000));
    cr_assert_leq(t.stats.nodes_mistaken, 2, "7 has lost it again");
}

/* ---- turns ---- */

static struct cluster_dial dials[6];
static int turns[6], turn_count;

static void on_turn(struct cluster_dial *dial)
{
    cr_assert(dial->holds);
    turns[turn_count++] = (int)(dial - dials);
}

static bool had_turns(void)
{
    return turn_count >= 2;
}

Test(cluster, two_at_a_time_and_the_others_in_turn)
{
    struct route route;
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    for (int i = 0; i < 6; i++) {
        dials[i].fn = on_turn;
        cr_assert_eq(cluster_dial_enter(t.cluster, &route, &dials[i]), i < 2);
    }
    cr_assert_eq(t.stats.dials_delayed, 4);
    cr_assert_eq(t.stats.dials_waiting, 4);
    cluster_dial_leave(&dials[3]); /* gave up */
    cluster_dial_leave(&dials[3]);
    cr_assert_eq(turn_count, 0);
    cluster_dial_leave(&dials[0]);
    cluster_dial_leave(&dials[1]);
    cr_assert_eq(turn_count, 0, "from the loop");
    cr_assert(run_until(had_turns, 5000));
    cr_assert(turns[0] == 2 && turns[1] == 4);
    cr_assert_eq(t.stats.dials_now, 2);
    struct cluster_dial late = {.fn = on_turn};
    cr_assert_not(cluster_dial_enter(t.cluster, &route, &late), "behind the one that waits");
    cluster_dial_leave(&late);
    cluster_dial_leave(&dials[2]);
    cluster_dial_leave(&dials[4]);
    cluster_dial_leave(&dials[5]);
    cr_assert_eq(t.stats.dials_now, 0);
    cr_assert_eq(t.stats.dials_waiting, 0);
    cr_assert(cluster_dial_enter(t.cluster, &route, &dials[0]));
    cluster_dial_leave(&dials[0]);
}

Test(cluster, who_waits_when_the_cluster_goes_is_let_go)
{
    struct route route;
    start(legacy_by_rule, "pencil", "");
    cr_assert(run_until(is_ready, 20000));
    cr_assert_eq(cluster_route(t.cluster, 2, &route), ROUTE_OK);
    for (int i = 0; i < 3; i++) {
        dials[i].fn = on_turn;
        (void)!cluster_dial_enter(t.cluster, &route, &dials[i]);
    }
    cluster_dial_leave(&dials[0]);
    cluster_dial_leave(&dials[1]);
    cluster_close(&t.cluster, on_closed, NULL);
    cr_assert_null(dials[2].broker);
    cluster_dial_leave(&dials[2]);
    cr_assert_eq(turn_count, 0);
}

/* Closing at any moment leaves nothing behind (teardown and the sanitizer check). */
static uint64_t close_after_ms;

static void close_early(uint64_t after_ms)
{
    close_after_ms = after_ms;
    start(by_look, "pencil", "");
    run_until(never, close_after_ms);
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
