/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster_kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "conf/errors.h"
#include "proxy/ops/log.h"

struct cluster_kit kit;

const char kit_legacy_by_rule[] =
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough}\n";
const char kit_by_look[] =
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough, match: {probe: true}}\n"
    "      - {name: open, protocol: PLAINTEXT, login: none, match: {probe: true}}\n";

const char kit_legacy_stored[] =
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: sasl, match: {probe: true},\n"
    "         sasl: {mechanism: SCRAM-SHA-256, credentials_file: /c.yaml}}\n"
    "      - {name: open, protocol: PLAINTEXT, login: none, match: {probe: true}}\n";

void kit_setup(void)
{
    memset(&kit, 0, sizeof kit);
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    cr_assert_eq(uv_loop_init(&kit.loop), 0);
    io_init(&kit.io, &kit.loop);
    strcpy(kit.folder, "/tmp/setu-cluster-XXXXXX");
    cr_assert_not_null(mkdtemp(kit.folder));
    snprintf(kit.password_file, sizeof kit.password_file, "%s/password", kit.folder);
    for (int i = 0; i < SERVERS; i++) {
        fake_broker_init(&kit.servers[i].broker);
        kit.servers[i].broker.metadata_max = 5;
        kit.servers[i].broker.nodes = kit.nodes;
        fake_server_start(&kit.servers[i], &kit.loop, 0);
        kit.nodes[i] = (struct fake_node){i + 1, "127.0.0.1", kit.servers[i].port, "r1"};
    }
    kit.node_count = SERVERS;
    kit.connect_timeout_ms = 2000;
}

void kit_on_closed(void *context)
{
    (void)context;
    kit.closed = true;
}

static void stop_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    cr_assert(uv_is_closing(handle), "a handle of type %s was left behind",
              uv_handle_type_name(handle->type));
}

void kit_teardown(void)
{
    cluster_close(&kit.cluster, kit_on_closed, NULL);
    for (int i = 0; i < SERVERS; i++) {
        fake_server_stop(&kit.servers[i]);
        fake_broker_free(&kit.servers[i].broker);
    }
    for (int i = 0; i < 1000 && !kit.closed; i++) {
        uv_run(&kit.loop, UV_RUN_ONCE);
    }
    cr_assert(kit.closed);
    io_stop(&kit.io);
    uv_run(&kit.loop, UV_RUN_DEFAULT);
    uv_walk(&kit.loop, stop_handle, NULL);
    cr_assert_eq(uv_loop_close(&kit.loop), 0);
    io_free(&kit.io);
    config_unref(&kit.config);
    unlink(kit.password_file);
    rmdir(kit.folder);
}

void kit_write_password(const char *password)
{
    FILE *file = fopen(kit.password_file, "w");
    cr_assert_not_null(file);
    fputs(password, file);
    fclose(file);
    chmod(kit.password_file, 0600);
}

static void load(const char *generations, const char *password, const char *more)
{
    static const char clients[] = "advertised_host: localhost,\n     node_base_port: 2000, ";
    static const char brokers[] = "role: brokers,\n     peers: [node2], ";
    char text[8192], identity[512] = "", bootstrap[128];
    bool one = strstr(more, "follow: false") != NULL;
    snprintf(bootstrap, sizeof bootstrap, "\"127.0.0.1:%u\"", kit.servers[0].port);
    for (int i = 1; kit.bootstrap_all && i < SERVERS; i++) {
        size_t length = strlen(bootstrap);
        snprintf(bootstrap + length, sizeof bootstrap - length, ", \"127.0.0.1:%u\"",
                 kit.servers[i].port);
    }
    struct conf_errors errors;
    if (password != NULL) {
        kit_write_password(password);
        snprintf(identity, sizeof identity,
                 "    identity: {sasl: {mechanism: %s, username: setu, password_file: %s}}\n",
                 kit.bearer.token != NULL ? "OAUTHBEARER" : "SCRAM-SHA-256", kit.password_file);
    }
    snprintf(text, sizeof text,
             "audit: {file: \"\"}\nusers: {file: /u.yaml}\nlimits: {connect_timeout_ms: "
             "%d, dials_per_broker: 2}\n"
             "listeners:\n"
             "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1000, %smechanisms: "
             "[SCRAM-SHA-512]}\n"
             "clusters:\n  - name: main\n    bootstrap: [%s]\n    refresh_ms: 200\n"
             "%s%s    generations:\n%s",
             kit.connect_timeout_ms, one ? brokers : clients, bootstrap, identity, more,
             generations);
    conf_errors_init(&errors);
    kit.config = config_parse(text, strlen(text), "setu.yaml", &errors);
    if (kit.config == NULL) {
        conf_errors_print(&errors, stderr);
    }
    cr_assert_not_null(kit.config);
    conf_errors_deinit(&errors);
}

static void on_node(void *context, int32_t node_id)
{
    (void)context;
    cr_assert_lt(kit.opened_count, 16);
    kit.opened[kit.opened_count++] = node_id;
}

static void on_ready(void *context)
{
    (void)context;
    kit.ready = true;
}

void kit_start(const char *generations, const char *password, const char *more)
{
    static const char *const bearer[] = {"OAUTHBEARER", NULL};
    for (int i = 0; i < SERVERS; i++) {
        kit.servers[i].broker.node_count = kit.node_count;
        if (kit.bearer.token != NULL) {
            kit.servers[i].broker.mechanisms = bearer;
            kit.servers[i].broker.bearer = &kit.bearer;
        }
    }
    load(generations, password, more);
    struct cluster_params params = {.io = &kit.io,
                                    .config = kit.config,
                                    .conf = &kit.config->clusters[0],
                                    .stats = &kit.stats,
                                    .on_node = on_node,
                                    .on_ready = on_ready};
    kit.cluster = cluster_new(&params);
    cr_assert_not_null(kit.cluster);
    cr_assert_eq(kit.opened_count, 0);
}

static void on_expired(uv_timer_t *timer)
{
    (void)timer;
    kit.expired = true;
}

bool kit_run_until(bool (*holds)(void), uint64_t timeout_ms)
{
    uv_timer_t timer;
    kit.expired = false;
    uv_timer_init(&kit.loop, &timer);
    /* Again and again: where it expires before a turn waits, that turn waits for the next timer. */
    uv_timer_start(&timer, on_expired, timeout_ms, 10);
    while (!holds() && !kit.expired) {
        uv_run(&kit.loop, UV_RUN_ONCE);
    }
    bool held = holds();
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&kit.loop, UV_RUN_NOWAIT);
    return held;
}

bool kit_never(void)
{
    return false;
}

bool kit_is_ready(void)
{
    return kit.ready;
}

struct cluster_node_info kit_node(int32_t node_id)
{
    struct cluster_node_info info = {.node_id = -2};
    for (size_t i = 0; cluster_node_at(kit.cluster, i, &info) && info.node_id != node_id; i++) {
    }
    cr_assert_eq(info.node_id, node_id);
    return info;
}

bool kit_is_flipped(void)
{
    return kit.stats.generation_flips > 0;
}

void kit_on_told(struct cluster_waiter *waiter, enum route_status status)
{
    cr_assert_null(waiter->link);
    kit.told = status;
    kit.told_count++;
}

bool kit_is_told(void)
{
    return kit.told_count > 0;
}
