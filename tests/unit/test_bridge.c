/* SPDX-License-Identifier: Apache-2.0 */
/* What passes where brokers come, and what does not: a session that relays between two sockets of the test's own. */
#include "proxy/session/bridge.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/mapping.h"
#include "auth/penalty.h"
#include "conf/errors.h"
#include "protocol/bytes.h"
#include "proxy/ops/audit_log.h"

static const char yaml[] =
    "audit: {file: \"\"}\nusers: {file: /u.yaml}\n"
    "clusters:\n  - name: node-1\n    bootstrap: [\"127.0.0.1:9094\"]\n    follow: false\n"
    "    generations:\n      - {name: old, protocol: SASL_PLAINTEXT, login: sasl,\n"
    "         sasl: {mechanism: SCRAM-SHA-512, credentials_file: /c.yaml}}\n"
    "listeners:\n  - {name: bridge, role: brokers, cluster: node-1, bind: 127.0.0.1, port: 29094,\n"
    "     peers: [node2, replicator], mechanisms: [SCRAM-SHA-512]}\n";
static struct shared shared;
static struct world world;
static struct edition edition = {.shared = &shared};
static struct gate gate;
static atomic_uint_fast64_t ids;
static uv_loop_t loop;
static int peer, broker;

static void on_gone(struct gate *of, const struct sockaddr *from)
{
    (void)of;
    (void)from;
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
    io_free(&world.io);
    penalty_free(&world.penalty);
    mapping_unref(&shared.mapping);
    config_unref(&shared.config);
    audit_log_close(&shared.audit);
    close(peer);
    close(broker);
}

static int ours(int *theirs)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *theirs = fds[0];
    return fds[1];
}

/* A session that relays; the broker is spared any login. */
static struct session *begin_relay(void)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert(session_start(&gate, ours(&peer), (const struct sockaddr *)&from, -1));
    turns(3);
    struct session *s = world.sessions;
    s->passthrough = true;
    s->route.generation = &shared.config->clusters[0].generations[0];
    session_enter(s, SESSION_DIAL);
    cr_assert(leg_accept(&s->broker, ours(&broker), NULL));
    turns(3);
    session_enter(s, SESSION_RELAY);
    s->passthrough = false;
    return s;
}

TestSuite(bridge, .init = setup, .fini = teardown);

/* A request of any key, with a null client id and then body. */
static void request(struct writer *w, int16_t key, int16_t version, int32_t correlation_id,
                    const char *body, size_t length)
{
    writer_init_growing(w, 65536);
    writer_i32(w, (int32_t)(10 + length));
    writer_i16(w, key);
    writer_i16(w, version);
    writer_i32(w, correlation_id);
    writer_i16(w, -1);
    writer_put(w, view_of((const uint8_t *)body, length));
}

static void response(struct writer *w, int32_t correlation_id, const char *body, size_t length)
{
    writer_init_growing(w, 65536);
    writer_i32(w, (int32_t)(4 + length));
    writer_i32(w, correlation_id);
    writer_put(w, view_of((const uint8_t *)body, length));
}

/* Sends one byte at a time: nothing may depend on how it is cut. */
static void send_bytes(int fd, const struct writer *w)
{
    struct view bytes = writer_view(w);
    for (size_t i = 0; i < bytes.length; i++) {
        cr_assert_eq(send(fd, bytes.at + i, 1, MSG_NOSIGNAL), 1);
        turns(2);
    }
}

static void send_whole(int fd, const struct writer *w)
{
    struct view bytes = writer_view(w);
    cr_assert_eq(send(fd, bytes.at, bytes.length, MSG_NOSIGNAL), (ssize_t)bytes.length);
    turns(5);
}

static void expect_bytes(int fd, const struct writer *w)
{
    uint8_t got[4096];
    struct view wanted = writer_view(w);
    ssize_t n = recv(fd, got, sizeof got, 0);
    cr_assert_eq(n, (ssize_t)wanted.length);
    cr_assert_arr_eq(got, wanted.at, wanted.length);
}

static void passes(int16_t key, int16_t version, const char *asked, size_t asked_length,
                   const char *told, size_t told_length)
{
    struct writer there, back;
    begin_relay();
    request(&there, key, version, 77, asked, asked_length);
    response(&back, 77, told, told_length);
    send_bytes(peer, &there);
    expect_bytes(broker, &there);
    send_bytes(broker, &back);
    expect_bytes(peer, &back);
    cr_expect_eq(world.session_count, 1u);
    cr_expect_eq(world.stats.requests, 1u);
    cr_expect_eq(world.stats.responses, 1u);
    writer_free(&there);
    writer_free(&back);
}

#define TEXT(bytes) (bytes), sizeof(bytes) - 1

Test(bridge, what_setu_has_no_table_for_passes_both_ways)
{
    passes(999, 7, TEXT("anything"), TEXT("and its answer"));
}

Test(bridge, a_version_from_the_future_passes)
{
    passes(API_FETCH, 99, TEXT("a newer Fetch"), TEXT("a newer answer"));
}

Test(bridge, requests_between_brokers_pass)
{
    passes(4, 5, TEXT("LeaderAndIsr"), TEXT("\0\0\0\0\0\0"));
}

Test(bridge, a_follower_fetches)
{
    passes(API_FETCH, 5, TEXT("\0\0\0\2\0\0\1\364\0\0\0\1\0\240\0\0\0\0\0\0\0"),
           TEXT("\0\0\0\0\0\0\0\0"));
}

Test(bridge, api_versions_are_asked_of_the_broker)
{
    passes(API_API_VERSIONS, 0, TEXT(""), TEXT("\0\0\0\0\0\1\3\347\0\0\0\7"));
}

Test(bridge, addresses_stay_as_they_are)
{
    passes(API_METADATA, 1, TEXT("\0\0\0\0"),
           TEXT("\0\0\0\1\0\0\0\2\0\6bridge\0\0#\202\377\377\0\0\0\2\0\0\0\0"));
}

static void closes(int16_t key, int16_t version, enum close_reason reason)
{
    struct writer there;
    uint8_t got[16];
    begin_relay();
    request(&there, key, version, 78, TEXT("\0\0\0\0\0\0\0\0\0\0"));
    send_whole(peer, &there);
    cr_expect_eq(world.stats.client_closed[reason], 1u);
    cr_expect_leq(recv(broker, got, sizeof got, 0), 0, "nothing of it reaches the broker");
    writer_free(&there);
}

Test(bridge, the_login_is_over)
{
    closes(API_SASL_AUTHENTICATE, 0, CLOSE_LOGIN_ORDER);
}

Test(bridge, nobody_can_tell_whether_an_unknown_produce_is_answered)
{
    closes(API_PRODUCE, 99, CLOSE_API_NOT_ADMITTED);
}

/* T16 */
Test(bridge, an_answer_to_another_question_ends_it)
{
    struct writer there, back;
    begin_relay();
    request(&there, 999, 7, 79, TEXT("asked"));
    response(&back, 80, TEXT("told"));
    send_bytes(peer, &there);
    expect_bytes(broker, &there);
    send_whole(broker, &back);
    cr_expect_eq(world.stats.client_closed[CLOSE_RESPONSE_UNEXPECTED], 1u);
    writer_free(&there);
    writer_free(&back);
}

Test(bridge, only_listed_principals_may_come)
{
    const struct session *s = begin_relay();
    cr_expect(bridge_admits(s, "node2"));
    cr_expect(bridge_admits(s, "replicator"));
    cr_expect_not(bridge_admits(s, "node"));
    cr_expect_not(bridge_admits(s, "node22"));
    cr_expect_not(bridge_admits(s, "Node2"));
    cr_expect_not(bridge_admits(s, ""));
    cr_expect_not(bridge_is_certified(s));
}

Test(bridge, what_is_watched)
{
    cr_expect_eq(bridge_request_action(API_PRODUCE, 7), API_WATCH);
    cr_expect_eq(bridge_request_action(API_PRODUCE, 99), API_HIDE);
    cr_expect_eq(bridge_request_action(API_FETCH, 11), API_FORWARD);
    cr_expect_eq(bridge_request_action(API_SASL_HANDSHAKE, 1), API_ANSWER);
    cr_expect_eq(bridge_request_action(-1, 0), API_FORWARD);
    cr_expect_eq(bridge_response_action(API_FETCH, 11), API_WATCH);
    cr_expect_eq(bridge_response_action(API_FETCH, 99), API_FORWARD);
    cr_expect_eq(bridge_response_action(API_METADATA, 9), API_FORWARD);
}
