/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session between two sockets of the test's own, with the least of a world around it. What it
 * relays is not looked at here: how it ends is.
 */
#include "proxy/session/session.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/audit.h"
#include "auth/mapping.h"
#include "auth/penalty.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/cluster/leaders.h"
#include "proxy/ops/audit_log.h"
#include "proxy/session/denial.h"
#include "proxy/session/dial.h"
#include "proxy/session/login.h"

enum { BIG = 4 * 1000 * 1000 };

static const char yaml[] =
    "audit: {file: \"\"}\nusers: {file: /u.yaml}\nlimits: {login_failure_delay_ms: 300}\n"
    "clusters:\n  - name: main\n    bootstrap: [\"127.0.0.1:9092\"]\n    generations:\n"
    "      - {name: old, protocol: SASL_PLAINTEXT, login: passthrough}\n"
    "listeners:\n  - {name: clients, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
    "     advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512]}\n";
static struct shared shared;
static struct world world;
static struct edition edition = {.shared = &shared};
static struct gate gate;
static atomic_uint_fast64_t ids;
static uv_loop_t loop;
static int client, broker, gone;

static void on_gone(struct gate *of, const struct sockaddr *peer)
{
    (void)of;
    (void)peer;
    gone++;
}

static void turns(int count)
{
    for (int i = 0; i < count; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

static void setup(void)
{
    const struct penalty_limits limits = {.addresses_max = 64, .delay_base_ms = 300};
    const struct audit_log_params no_audit = {.file = ""};
    const uint8_t key[16] = {0};
    struct conf_errors errors;
    char error[200];
    conf_errors_init(&errors);
    shared.config = config_parse(yaml, strlen(yaml), "setu.yaml", &errors);
    cr_assert_not_null(shared.config, "%s", errors.count > 0 ? errors.items[0].text : "");
    shared.mapping = mapping_build(shared.config, &errors);
    shared.audit = audit_log_open(&no_audit, error, sizeof error);
    conf_errors_deinit(&errors);
    cr_assert_eq(uv_loop_init(&loop), 0);
    io_init(&world.io, &loop);
    shared.session_ids = &ids;
    world.penalty = penalty_new(&limits, key);
    gate = (struct gate){.world = &world,
                         .edition = &edition,
                         .conf = shared.config->listeners,
                         .on_gone = on_gone};
}

static void teardown(void)
{
    if (world.sessions != NULL) {
        session_close(world.sessions, CLOSE_STOPPED);
    }
    io_stop(&world.io);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
    cr_assert_eq(gone, 1);
    cr_assert_eq(world.io.spill_bytes, 0u);
    cr_assert_eq(world.stats.client_active, 0u);
    cr_assert_eq(world.stats.client_login, 0u);
    cr_assert_eq(world.stats.broker_active, 0u);
    io_free(&world.io);
    penalty_free(&world.penalty);
    mapping_unref(&shared.mapping);
    config_unref(&shared.config);
    audit_log_close(&shared.audit);
    close(client);
    close(broker);
}

static int ours(int *theirs)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *theirs = fds[0];
    return fds[1];
}

/* A session that waits for the client's first request. */
static struct session *begin(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(4711)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert(session_start(&gate, ours(&client), (const struct sockaddr *)&peer, 1));
    turns(3);
    cr_assert_eq(world.sessions->state, SESSION_LOGIN);
    return world.sessions;
}

/* A session that relays. The broker is spared any login: the client's would have been its own. */
static struct session *begin_relay(void)
{
    struct session *s = begin();
    s->passthrough = true;
    s->route.generation = &shared.config->clusters[0].generations[0];
    session_enter(s, SESSION_DIAL);
    cr_assert(leg_accept(&s->broker, ours(&broker), NULL));
    turns(3);
    cr_assert_eq(s->state, SESSION_EXCHANGE);
    session_enter(s, SESSION_RELAY);
    return s;
}

/* Puts more into the leg than its socket takes. */
static void fill(struct leg *leg)
{
    uint8_t *bytes = calloc(1, BIG);
    cr_assert(leg_write(leg, bytes, BIG));
    cr_assert_gt(leg_backlog(leg), 0u);
    free(bytes);
}

static size_t take_all(int fd)
{
    static char block[65536];
    size_t total = 0;
    for (int idle = 0; idle < 100; idle++) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        total += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle;
        turns(1);
    }
    return total;
}

TestSuite(session, .init = setup, .fini = teardown);

/* A guess at orders' password, from an address of its own each time. */
static uint32_t guess(struct session *s, const char *mechanism, const char *name)
{
    static uint8_t from;
    struct sockaddr_in peer = {.sin_family = AF_INET};
    peer.sin_addr.s_addr = htonl(0x0a000000u + ++from);
    memcpy(&s->peer, &peer, sizeof peer);
    s->mechanism = mechanism;
    return denial_delay(s, denial_guessed(s, name));
}

Test(session, t32_guesses_at_one_name_from_many_addresses_wait_ever_longer)
{
    const struct penalty_limits limits = {
        .addresses_max = 64, .delay_base_ms = 100, .delay_max_ms = 1600, .failures_free = 4};
    const uint8_t key[16] = {7};
    world.guesses = penalty_new(&limits, key);
    struct session *s = begin();
    for (int i = 0; i < 4; i++) {
        cr_assert_lt(guess(s, i % 2 == 0 ? "PLAIN" : "SCRAM-SHA-512", "orders"), 400u);
    }
    uint32_t last_ms = 0;
    for (int i = 0; i < 6; i++) {
        last_ms = guess(s, "SCRAM-SHA-256", "orders");
    }
    cr_assert_geq(last_ms, 1600u, "%u", last_ms);
    cr_assert_lt(guess(s, "PLAIN", "payments"), 400u, "nobody guessed at this one");
    cr_assert_lt(guess(s, "GSSAPI", "orders"), 400u, "no password is guessed there");
    cr_assert_lt(guess(s, "PLAIN", NULL), 400u);
    penalty_free(&world.guesses);
}

Test(session, a_client_gets_all_it_is_owed_when_the_broker_breaks_with_requests_unsent)
{
    struct session *s = begin_relay();
    fill(&s->client);
    fill(&s->broker);
    close(broker);
    turns(20);
    cr_assert_eq(take_all(client), (size_t)BIG);
    cr_assert_eq(world.stats.client_closed[CLOSE_BROKER_RESET], 1u);
}

Test(session, a_broken_leg_breaks_the_other_at_once_when_nothing_is_owed)
{
    begin_relay();
    close(broker);
    turns(5);
    cr_assert_eq(world.session_count, 0u);
    cr_assert_eq(world.stats.client_closed[CLOSE_BROKER_CLOSED], 1u);
}

Test(session, a_login_judged_here_never_meets_a_broker_that_judges_itself)
{
    struct session *s = begin();
    s->route.generation = &shared.config->clusters[0].generations[0];
    session_enter(s, SESSION_DIAL);
    dial_start(s);
    cr_assert_eq(world.stats.client_closed[CLOSE_ROUTE_UNKNOWN], 1u);
    cr_assert_eq(world.stats.broker_dials, 0u);
}

Test(session, a_refusal_keeps_its_delay_though_an_earlier_answer_drains)
{
    struct session *s = begin();
    fill(&s->client);
    denial_begin(s, "who", "for_the_test");
    cr_assert_eq(take_all(client), (size_t)BIG);
    cr_assert_eq(s->state, SESSION_DENY);
    cr_assert_eq(world.session_count, 1u);
}

/* It might show a broker's own address, in a form that nobody can rewrite. That the key may be a question in a merged
 * cluster makes no difference. */
static void ask_for_a_coordinator_in(int16_t version)
{
    static struct cluster merged;
    struct writer w;
    uint8_t memory[128];
    merged.leaders = leaders_new();
    cr_assert(cluster_merges(&merged));
    begin_relay();
    gate.cluster = &merged;
    writer_init_fixed(&w, memory, sizeof memory);
    size_t at = frame_request_begin(&w, API_FIND_COORDINATOR, 0, 1, NULL);
    writer_string(&w, false, view_from_string("group"));
    frame_end(&w, at);
    memory[6] = (uint8_t)((uint16_t)version >> 8);
    memory[7] = (uint8_t)version;
    cr_assert_eq(send(client, memory, w.length, MSG_NOSIGNAL), (ssize_t)w.length);
    turns(5);
    cr_assert_eq(world.session_count, 0u);
    cr_assert_eq(world.stats.client_closed[CLOSE_API_NOT_ADMITTED], 1u);
    cr_assert_eq(recv(broker, memory, sizeof memory, 0), 0, "nothing of it has left");
    gate.cluster = NULL;
    leaders_free(&merged.leaders);
}

Test(session, no_coordinator_is_asked_for_in_a_version_to_come)
{
    int16_t next = 0;
    while (api_admits(API_FIND_COORDINATOR, next)) {
        next++;
    }
    ask_for_a_coordinator_in(next);
}

Test(session, no_coordinator_is_asked_for_in_version_99)
{
    ask_for_a_coordinator_in(99);
}
