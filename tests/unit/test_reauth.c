/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relaying session between two sockets of the test's own, whose logins end. The test is the client and the broker.
 */
#include "proxy/session/reauth.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/audit.h"
#include "auth/certificates.h"
#include "auth/mapping.h"
#include "auth/penalty.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "proxy/ops/audit_log.h"
#include "proxy/session/reauth_broker.h"
#include "proxy/session/reauth_client.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"
#include "tests/unit/login_kit.h"
#include "tests/unit/pki_kit.h"

enum { HEARTBEAT = 12, LIFETIME_MS = 60000, PIECE = 65536, WAIT_TURNS = 3000 };

static struct shared *shared;
static struct world world;
static struct edition edition;
static struct gate gate;
static struct credentials *broker_users;
static atomic_uint_fast64_t ids;
static uv_loop_t loop;
static int gone;

/* One end of a socket, and what has come there. */
struct tap {
    int fd;
    uint8_t in[PIECE];
    size_t length;
    uint8_t frame[PIECE];
    bool ended;
};
static struct tap client, broker;

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

/* ---- the stage ---- */

static void write_user(char *text, size_t size, const char *name, const char *password)
{
    char record[2][512];
    kit_record(record[0], sizeof record[0], SCRAM_SHA_512, password, 4096,
               "ab0defghijklmnopqrstuvwxy");
    kit_record(record[1], sizeof record[1], SCRAM_SHA_256, password, 4096,
               "ab0defghijklmnopqrstuvwxy");
    size_t at = strlen(text);
    snprintf(text + at, size - at,
             "  - name: %s\n    scram-sha-512: \"%s\"\n    scram-sha-256: \"%s\"\n", name,
             record[0], record[1]);
}

static void write_files(void)
{
    static char text[8192];
    const struct pki_options options = {.common_name = "alice"};
    struct pki_cert pair = pki_make(&options, NULL);
    pki_write_cert("a.pem", pair.cert);
    pki_write_key("a.key", 0400, pair.key, NULL);
    pki_free(&pair);
    strcpy(text, "users:\n");
    write_user(text, sizeof text, "alice", "wonderland");
    write_user(text, sizeof text, "bob", "builder");
    write_user(text, sizeof text, "eve", "apple");
    pki_write_text("users.yaml", 0600, text);
    pki_write_text("alice.password", 0600, "wonderland");
    snprintf(text, sizeof text,
             "credentials:\n  - {principal: alice, username: alice, password_file: %s}\n",
             pki_path("alice.password"));
    pki_write_text("credentials.yaml", 0600, text);
}

static void write_configuration(void)
{
    static char text[8192];
    char path[4][256];
    const char *names[] = {"users.yaml", "a.pem", "a.key", "credentials.yaml"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path[i], sizeof path[i], "%s", pki_path(names[i]));
    }
    snprintf(
        text, sizeof text,
        "audit: {file: \"\"}\nusers: {file: %s}\n"
        "limits: {login_failure_delay_ms: 10, login_timeout_ms: 300, connect_timeout_ms: 300,\n"
        "  drain_timeout_ms: 2000}\n"
        "certificates:\n  - {name: a, chain: %s, key: %s}\n"
        "mapping:\n  - {principal: alice, certificate: a}\n  - {principal: bob, certificate: a}\n"
        "clusters:\n  - name: main\n    bootstrap: [\"127.0.0.1:9092\"]\n    generations:\n"
        "      - {name: old, protocol: SASL_PLAINTEXT, login: sasl,\n"
        "         sasl: {mechanism: SCRAM-SHA-512, credentials_file: %s}}\n"
        "listeners:\n  - {name: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
        "     advertised_host: localhost, node_base_port: 19100, session_lifetime_ms: %d,\n"
        "     mechanisms: [SCRAM-SHA-512, PLAIN]}\n",
        path[0], path[1], path[2], path[3], LIFETIME_MS);
    pki_write_text("setu.yaml", 0600, text);
}

static void setup(void)
{
    const struct penalty_limits limits = {.addresses_max = 64, .delay_base_ms = 10};
    const struct audit_log_params no_audit = {.file = ""};
    const uint8_t key[16] = {0};
    struct conf_errors errors;
    char error[200];
    pki_open();
    write_files();
    write_configuration();
    conf_errors_init(&errors);
    shared = shared_load(pki_path("setu.yaml"), &errors);
    cr_assert_not_null(shared, "%s", errors.count > 0 ? errors.items[0].text : "");
    conf_errors_deinit(&errors);
    shared->audit = audit_log_open(&no_audit, error, sizeof error);
    shared->session_ids = &ids;
    cr_assert_eq(uv_loop_init(&loop), 0);
    io_init(&world.io, &loop);
    world.penalty = penalty_new(&limits, key);
    edition.shared = shared;
    gate = (struct gate){.world = &world,
                         .edition = &edition,
                         .conf = shared->config->listeners,
                         .on_gone = on_gone};
    broker_users = kit_users();
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
    cr_assert_eq(edition.references, 0u);
    cr_assert_eq(world.io.spill_bytes, 0u);
    cr_assert_eq(world.stats.client_active, 0u);
    io_free(&world.io);
    penalty_free(&world.penalty);
    audit_log_close(&shared->audit);
    credentials_unref(&broker_users);
    edition_free(&edition);
    shared_unref(&shared);
    close(client.fd);
    close(broker.fd);
    pki_close();
}

static int ours(struct tap *theirs)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *theirs = (struct tap){.fd = fds[0]};
    return fds[1];
}

/* alice's session, that relays. Both logins are skipped. */
static struct session *begin(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(4711)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uv_update_time(&loop); /* the stage took its time */
    cr_assert(session_start(&gate, ours(&client), (const struct sockaddr *)&peer, 1));
    turns(3);
    struct session *s = world.sessions;
    s->passthrough = true; /* for the length of the dial: so it asks nothing */
    s->principal = strdup("alice");
    s->client_id = strdup("the-client");
    s->mechanism = gate.conf->mechanisms[0];
    s->certificate = certificates_find(shared->certificates, "a");
    s->route.generation = &shared->config->clusters[0].generations[0];
    session_enter(s, SESSION_DIAL);
    cr_assert(leg_accept(&s->broker, ours(&broker), NULL));
    turns(3);
    session_enter(s, SESSION_RELAY);
    leg_resume(&s->client);
    s->passthrough = false;
    turns(3);
    return s;
}

/* The same, and its login at Setu ends. */
static struct session *begin_ending(void)
{
    struct session *s = begin();
    cr_assert_eq(reauth_client_term(s, gate.conf, 0), LIFETIME_MS);
    return s;
}

/* The same, and Setu's at the broker ends, and is to be renewed now. */
static struct session *begin_due(void)
{
    struct session *s = begin();
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    return s;
}

/* ---- bytes ---- */

static void put(struct tap *tap, struct view bytes)
{
    cr_assert_eq(send(tap->fd, bytes.at, bytes.length, MSG_NOSIGNAL), (ssize_t)bytes.length);
    turns(5);
}

static void put_writer(struct tap *tap, struct writer *w)
{
    cr_assert(writer_ok(w));
    put(tap, writer_view(w));
    writer_free(w);
}

static void look(struct tap *tap)
{
    turns(5);
    ssize_t n = recv(tap->fd, tap->in + tap->length, sizeof tap->in - tap->length, 0);
    tap->length += n > 0 ? (size_t)n : 0;
    tap->ended = n == 0 || (n < 0 && errno != EAGAIN);
}

/* The next whole frame, its size included; empty: none has come. */
static struct view take(struct tap *tap)
{
    look(tap);
    if (tap->length < 8 || tap->length < bytes_load_u32(tap->in) + 4) {
        return view_of(NULL, 0);
    }
    size_t length = bytes_load_u32(tap->in) + 4;
    memcpy(tap->frame, tap->in, length);
    memmove(tap->in, tap->in + length, tap->length - length);
    tap->length -= length;
    return view_of(tap->frame, length);
}

/* The same, awaited. */
static struct view await(struct tap *tap)
{
    for (int i = 0; i < WAIT_TURNS; i++) {
        struct view frame = take(tap);
        if (frame.length > 0) {
            return frame;
        }
        usleep(1000);
    }
    cr_assert_fail("nothing came");
    return view_of(NULL, 0);
}

static void await_end(struct tap *tap)
{
    for (int i = 0; i < WAIT_TURNS && !tap->ended; i++) {
        look(tap);
        usleep(1000);
    }
    cr_assert(tap->ended);
    cr_assert_eq(tap->length, 0u, "bytes nobody asked for");
    close(tap->fd);
    tap->fd = socket(AF_UNIX, SOCK_STREAM, 0); /* teardown closes it */
    turns(20);
}

static void await_closed(enum close_reason reason)
{
    await_end(&client);
    for (int i = 0; i < WAIT_TURNS && world.session_count > 0; i++) {
        turns(5);
        usleep(1000);
    }
    cr_assert_eq(world.session_count, 0u);
    cr_assert_eq(world.stats.client_closed[reason], 1u);
}

static void ask(struct writer *w, int32_t id)
{
    size_t at = frame_request_begin(w, HEARTBEAT, 0, id, NULL);
    writer_put(w, view_from_string("some bytes of a body"));
    frame_end(w, at);
}

static void client_asks(int32_t id)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    ask(&w, id);
    put_writer(&client, &w);
}

static void broker_answers(int32_t id)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    size_t at = frame_response_begin(&w, HEARTBEAT, 0, id);
    writer_i16(&w, 0);
    frame_end(&w, at);
    put_writer(&broker, &w);
}

static int32_t id_of_request(struct view frame)
{
    return (int32_t)bytes_load_u32(frame.at + 8);
}

static int32_t id_of_response(struct view frame)
{
    return (int32_t)bytes_load_u32(frame.at + 4);
}

/* ---- the client's renewal ---- */

static void client_shakes(int32_t id, int16_t version, const char *mechanism)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    sasl_handshake_encode_request(&w, version, id, NULL, view_from_string(mechanism));
    put_writer(&client, &w);
}

static void client_proves(int32_t id, struct view token)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    sasl_authenticate_encode_request(&w, 1, id, NULL, token);
    put_writer(&client, &w);
}

static int16_t shaken(struct view frame, int32_t id)
{
    struct sasl_handshake_response answer;
    cr_assert_eq(id_of_response(frame), id);
    cr_assert(sasl_handshake_decode_response(view_from(frame, 8), &answer));
    return answer.error_code;
}

static struct sasl_authenticate_response proved(struct view frame, int32_t id)
{
    struct sasl_authenticate_response answer = {0};
    cr_assert_eq(id_of_response(frame), id);
    cr_assert(sasl_authenticate_decode_response(1, view_from(frame, 8), &answer));
    return answer;
}

/* SCRAM from end to end; what the last answer was. */
static struct sasl_authenticate_response client_renews(const char *user, const char *password)
{
    struct kit_end end;
    client_shakes(71, 1, "SCRAM-SHA-512");
    cr_assert_eq(shaken(await(&client), 71), 0);
    kit_client(&end, "SCRAM-SHA-512", user, password);
    cr_assert_eq(kit_step(&end, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    client_proves(72, kit_said(&end));
    struct sasl_authenticate_response answer = proved(await(&client), 72);
    cr_assert_eq(answer.error_code, 0);
    cr_assert_eq(kit_step(&end, answer.auth_bytes), EXCHANGE_CONTINUE);
    client_proves(73, kit_said(&end));
    answer = proved(await(&client), 73);
    if (answer.error_code == 0) {
        cr_assert_eq(kit_step(&end, answer.auth_bytes), EXCHANGE_DONE);
    }
    kit_free(&end);
    return answer;
}

static void passes(int32_t id)
{
    client_asks(id);
    cr_assert_eq(id_of_request(await(&broker)), id);
    broker_answers(id);
    cr_assert_eq(id_of_response(await(&client)), id);
}

TestSuite(reauth, .init = setup, .fini = teardown);

Test(reauth, a_client_renews_its_login_and_is_told_a_new_lifetime)
{
    struct session *s = begin_ending();
    passes(1);
    uint64_t before_ms = s->reauth->expires_ms;
    usleep(20000);
    struct sasl_authenticate_response answer = client_renews("alice", "wonderland");
    cr_assert_eq(answer.error_code, 0);
    cr_assert_eq(answer.session_lifetime_ms, LIFETIME_MS);
    cr_assert_gt(s->reauth->expires_ms, before_ms);
    cr_assert_null(s->reauth->client, "the exchange is gone");
    cr_assert_eq(world.stats.reauth_ok, 1u);
    passes(2);
    cr_assert_eq(world.stats.requests, 2u);
    cr_assert_eq(world.stats.responses, 2u);
}

Test(reauth, answers_to_earlier_requests_come_before_those_of_a_renewal)
{
    begin_ending();
    client_asks(1);
    client_asks(2);
    client_shakes(3, 1, "SCRAM-SHA-512");
    cr_assert_eq(id_of_request(await(&broker)), 1);
    cr_assert_eq(id_of_request(await(&broker)), 2);
    cr_assert_eq(take(&broker).length, 0u, "SASL stays here");
    cr_assert_eq(take(&client).length, 0u);
    broker_answers(1);
    cr_assert_eq(id_of_response(await(&client)), 1);
    cr_assert_eq(take(&client).length, 0u);
    broker_answers(2);
    cr_assert_eq(id_of_response(await(&client)), 2);
    cr_assert_eq(shaken(await(&client), 3), 0);
}

Test(reauth, t34_another_principal_is_refused_late_and_the_session_ends)
{
    begin_ending();
    struct sasl_authenticate_response answer = client_renews("bob", "builder");
    cr_assert_eq(answer.error_code, HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    cr_assert(view_is(answer.error_message, exchange_denial_text()));
    await_closed(CLOSE_REAUTH_DENIED);
    cr_assert_eq(world.stats.reauth_denied, 1u);
}

Test(reauth, a_wrong_password_is_refused_with_the_same_words)
{
    begin_ending();
    struct sasl_authenticate_response answer = client_renews("alice", "wrong");
    cr_assert_eq(answer.error_code, HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    cr_assert(view_is(answer.error_message, exchange_denial_text()));
    await_closed(CLOSE_REAUTH_DENIED);
}

Test(reauth, t34_another_mechanism_is_refused_and_requests_in_flight_end)
{
    begin_ending();
    client_asks(1);
    client_shakes(2, 1, "PLAIN");
    cr_assert_eq(id_of_request(await(&broker)), 1);
    cr_assert_eq(take(&client).length, 0u);
    broker_answers(1);
    cr_assert_eq(id_of_response(await(&client)), 1);
    cr_assert_eq(shaken(await(&client), 2), HANDSHAKE_UNSUPPORTED_SASL_MECHANISM);
    await_closed(CLOSE_REAUTH_DENIED);
}

Test(reauth, t35_an_expired_login_lets_requests_in_flight_end_and_no_other_in)
{
    struct session *s = begin_ending();
    client_asks(1);
    cr_assert_eq(id_of_request(await(&broker)), 1);
    s->reauth->expires_ms = uv_now(&loop);
    reauth_set_due(s->reauth);
    client_asks(2);
    cr_assert_eq(take(&broker).length, 0u, "behind the end nothing is sent on");
    cr_assert_eq(s->state, SESSION_RELAY);
    broker_answers(1);
    cr_assert_eq(id_of_response(await(&client)), 1);
    await_closed(CLOSE_SESSION_EXPIRED);
    cr_assert_eq(take(&broker).length, 0u);
}

Test(reauth, t35_what_an_expired_login_had_begun_to_send_is_sent)
{
    struct session *s = begin_ending();
    struct writer w;
    writer_init_growing(&w, PIECE);
    ask(&w, 1);
    ask(&w, 2);
    put(&client, view_of(w.at, 30));
    s->reauth->expires_ms = uv_now(&loop);
    reauth_set_due(s->reauth);
    put(&client, view_from(writer_view(&w), 30));
    writer_free(&w);
    cr_assert_eq(id_of_request(await(&broker)), 1);
    cr_assert_eq(take(&broker).length, 0u);
    broker_answers(1);
    cr_assert_eq(id_of_response(await(&client)), 1);
    await_closed(CLOSE_SESSION_EXPIRED);
}

Test(reauth, an_expired_login_can_still_be_renewed)
{
    struct session *s = begin_ending();
    s->reauth->expires_ms = uv_now(&loop);
    reauth_set_due(s->reauth);
    cr_assert_eq(client_renews("alice", "wonderland").error_code, 0);
    passes(1);
}

Test(reauth, twice_within_a_second_is_too_often)
{
    begin_ending();
    cr_assert_eq(client_renews("alice", "wonderland").error_code, 0);
    client_shakes(5, 1, "SCRAM-SHA-512");
    cr_assert_eq(shaken(await(&client), 5), HANDSHAKE_ILLEGAL_SASL_STATE);
    await_closed(CLOSE_REAUTH_DENIED);
}

Test(reauth, t36_a_client_that_renews_sends_nothing_else)
{
    begin_ending();
    client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(shaken(await(&client), 1), 0);
    client_asks(2);
    await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth, t36_a_handshake_in_the_middle_of_a_renewal_ends_it)
{
    begin_ending();
    client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(shaken(await(&client), 1), 0);
    client_shakes(2, 1, "SCRAM-SHA-512");
    await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth, t36_a_token_without_a_handshake_is_refused)
{
    begin_ending();
    client_proves(1, view_from_string("n,,n=alice,r=abc"));
    await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth, t36_raw_tokens_cannot_renew)
{
    begin_ending();
    client_shakes(1, 0, "SCRAM-SHA-512");
    await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth, a_login_without_an_end_cannot_be_renewed)
{
    struct session *s = begin();
    cr_assert_null(s->reauth);
    client_shakes(1, 1, "SCRAM-SHA-512");
    await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth, a_client_that_begins_and_does_not_go_on_is_let_go)
{
    begin_ending();
    client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(shaken(await(&client), 1), 0);
    await_closed(CLOSE_REAUTH_DENIED);
}

/* The slow step is off the loop; meanwhile answers pass, and nothing more is read. */
Test(reauth, plain_is_renewed_and_its_password_wiped)
{
    static const char secret[] = "\0alice\0wonderland";
    struct session *s = begin_ending();
    struct writer w;
    s->mechanism = "PLAIN";
    client_asks(1);
    cr_assert_eq(id_of_request(await(&broker)), 1);
    client_shakes(2, 1, "PLAIN");
    writer_init_growing(&w, PIECE);
    sasl_authenticate_encode_request(&w, 1, 3, NULL, view_of(secret, sizeof secret - 1));
    for (size_t i = 0; i < w.length; i++) { /* every byte a read of its own: it is held */
        put(&client, view_of(w.at + i, 1));
    }
    writer_free(&w);
    cr_assert(s->reauth->holds);
    broker_answers(1);
    cr_assert_eq(id_of_response(await(&client)), 1);
    cr_assert_eq(shaken(await(&client), 2), 0);
    cr_assert_eq(proved(await(&client), 3).session_lifetime_ms, LIFETIME_MS);
    cr_assert_null(memmem(world.io.scratch, IO_SCRATCH_BYTES, "wonderland", 10));
    cr_assert_null(s->relay.requests.held);
    passes(4);
}

Test(reauth, who_is_not_mapped_any_more_is_refused)
{
    struct session *s = begin_ending();
    free(s->principal);
    s->principal = strdup("eve");
    struct sasl_authenticate_response answer = client_renews("eve", "apple");
    cr_assert_eq(answer.error_code, HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    await_closed(CLOSE_REAUTH_DENIED);
}

/* T71 */
Test(reauth, a_lifetime_is_no_longer_than_what_was_shown)
{
    struct session *s = begin();
    int64_t soon_ms = world_now_ns() / 1000000 + 5000;
    int64_t lifetime_ms = reauth_client_term(s, gate.conf, soon_ms);
    cr_assert(lifetime_ms > 4000 && lifetime_ms <= 5000, "%lld", (long long)lifetime_ms);
    cr_assert_eq(reauth_client_term(s, gate.conf, 1), 1);
    struct conf_listener for_ever = *gate.conf;
    for_ever.session_lifetime_ms = 0;
    cr_assert_eq(reauth_client_term(s, &for_ever, 0), 0);
    cr_assert_eq(s->reauth->due_ms, REAUTH_NEVER);
}

/* ---- the broker's side ---- */

static void broker_shakes(int32_t id, int16_t error_code)
{
    struct writer w;
    struct sasl_handshake_response answer = {.error_code = error_code, .count = 1};
    answer.mechanisms[0] = view_from_string("SCRAM-SHA-512");
    writer_init_growing(&w, PIECE);
    sasl_handshake_encode_response(&w, 1, id, &answer);
    put_writer(&broker, &w);
}

static void broker_says(int32_t id, struct view token, int16_t error_code, int64_t lifetime_ms)
{
    struct writer w;
    const struct sasl_authenticate_response answer = {.error_code = error_code,
                                                      .error_message_null = true,
                                                      .auth_bytes = token,
                                                      .session_lifetime_ms = lifetime_ms};
    writer_init_growing(&w, PIECE);
    sasl_authenticate_encode_response(&w, 1, id, &answer);
    put_writer(&broker, &w);
}

static int32_t own_request(struct view frame, int16_t key, struct view *body_r)
{
    struct request_header header;
    cr_assert_eq(request_header_decode(view_from(frame, 4), &header), FRAME_OK);
    cr_assert_eq(header.api_key, key);
    cr_assert(view_is(header.client_id, "the-client"));
    cr_assert_geq(header.correlation_id, INT32_MAX - 7);
    *body_r = view_from(frame, 4 + header.length);
    return header.correlation_id;
}

/* From the handshake, which has been taken, to the end. */
static void broker_renews(struct view handshake, int64_t lifetime_ms)
{
    struct kit_end end;
    struct view body, token;
    int32_t id = own_request(handshake, API_SASL_HANDSHAKE, &body);
    kit_server(&end, "SCRAM-SHA-512", broker_users);
    broker_shakes(id, 0);
    enum exchange_status status = EXCHANGE_CONTINUE;
    while (status == EXCHANGE_CONTINUE) {
        id = own_request(await(&broker), API_SASL_AUTHENTICATE, &body);
        cr_assert(sasl_authenticate_decode_request(1, body, &token));
        status = kit_step(&end, token);
        broker_says(id, kit_said(&end), 0, status == EXCHANGE_DONE ? lifetime_ms : 0);
    }
    cr_assert_eq(status, EXCHANGE_DONE);
    cr_assert_str_eq(exchange_principal(end.ex), "alice");
    kit_free(&end);
}

static void await_renewed(struct session *s)
{
    for (int i = 0; i < WAIT_TURNS && s->reauth->broker != NULL; i++) {
        turns(5);
        usleep(1000);
    }
    cr_assert_null(s->reauth->broker);
}

Test(reauth, setu_renews_its_login_before_the_next_request)
{
    struct session *s = begin_due();
    client_asks(1);
    struct view handshake = await(&broker);
    cr_assert_eq(take(&broker).length, 0u, "the client's request waits");
    broker_renews(handshake, 100000);
    cr_assert_eq(id_of_request(await(&broker)), 1);
    broker_answers(1);
    cr_assert_eq(id_of_response(await(&client)), 1);
    cr_assert_eq(take(&client).length, 0u, "none of it is the client's");
    uint64_t in_ms = s->reauth->renew_ms - uv_now(&loop);
    cr_assert(in_ms > 80000 && in_ms <= 95000, "%llu", (unsigned long long)in_ms);
    cr_assert_eq(world.stats.broker_reauth_ok, 1u);
    cr_assert_eq(world.stats.requests, 1u);
    cr_assert_eq(world.stats.responses, 1u);
    passes(2);
}

Test(reauth, setu_renews_between_two_requests_and_never_within_one)
{
    struct session *s = begin();
    struct writer w;
    client_asks(1);
    cr_assert_eq(id_of_request(await(&broker)), 1);
    writer_init_growing(&w, PIECE);
    ask(&w, 2);
    ask(&w, 3);
    put(&client, view_of(w.at, 20));
    s->reauth = NULL;
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    for (size_t i = 20; i < w.length; i++) {
        put(&client, view_of(w.at + i, 1));
    }
    writer_free(&w);
    cr_assert_eq(id_of_request(await(&broker)), 2);
    struct view handshake = await(&broker);
    broker_answers(1);
    cr_assert_eq(id_of_response(await(&client)), 1);
    broker_answers(2);
    cr_assert_eq(id_of_response(await(&client)), 2);
    broker_renews(handshake, 0);
    cr_assert_eq(id_of_request(await(&broker)), 3);
    await_renewed(s);
    cr_assert_eq(s->reauth->due_ms, REAUTH_NEVER, "without a lifetime nothing is renewed");
}

/* A long poll before ours is no reason to end. */
Test(reauth, a_renewal_waits_for_what_was_asked_before_as_long_as_it_takes)
{
    struct session *s = begin();
    client_asks(1);
    cr_assert_eq(id_of_request(await(&broker)), 1);
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    client_asks(2);
    struct view handshake = await(&broker);
    for (int i = 0; i < 100; i++) {
        usleep(10000);
        turns(5);
    }
    cr_assert_eq(s->state, SESSION_RELAY);
    broker_answers(1);
    broker_renews(handshake, 100000);
    cr_assert_eq(id_of_request(await(&broker)), 2);
}

Test(reauth, a_broker_that_refuses_ends_the_session_with_all_answers_given)
{
    struct view body;
    struct session *s = begin();
    client_asks(1);
    cr_assert_eq(id_of_request(await(&broker)), 1);
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    client_asks(2);
    broker_answers(1);
    int32_t id = own_request(await(&broker), API_SASL_HANDSHAKE, &body);
    broker_shakes(id, HANDSHAKE_UNSUPPORTED_SASL_MECHANISM);
    cr_assert_eq(id_of_response(await(&client)), 1);
    await_closed(CLOSE_BROKER_REAUTH_FAILED);
    cr_assert_eq(world.stats.broker_reauth_failed, 1u);
    cr_assert_eq(take(&broker).length, 0u);
}

Test(reauth, a_broker_that_says_nothing_is_waited_for_a_while)
{
    begin_due();
    client_asks(1);
    struct view body;
    own_request(await(&broker), API_SASL_HANDSHAKE, &body);
    await_closed(CLOSE_BROKER_REAUTH_FAILED);
}

Test(reauth, a_broker_that_stops_in_the_middle_of_its_answer_is_not_waited_for)
{
    struct view body;
    struct writer w;
    struct sasl_handshake_response answer = {.count = 1};
    answer.mechanisms[0] = view_from_string("SCRAM-SHA-512");
    begin_due();
    client_asks(1);
    int32_t id = own_request(await(&broker), API_SASL_HANDSHAKE, &body);
    writer_init_growing(&w, PIECE);
    sasl_handshake_encode_response(&w, 1, id, &answer);
    put(&broker, view_of(writer_view(&w).at, 12));
    for (int i = 0; i < 100; i++) { /* more than twice connect_timeout_ms */
        usleep(10000);
        turns(2);
    }
    (void)send(broker.fd, writer_view(&w).at + 12, writer_view(&w).length - 12, MSG_NOSIGNAL);
    writer_free(&w);
    await_closed(CLOSE_BROKER_REAUTH_FAILED);
}

Test(reauth, without_a_stored_credential_the_session_ends_when_the_login_does)
{
    struct session *s = begin_due();
    free(s->principal);
    s->principal = strdup("bob");
    passes(1);
    cr_assert_eq(s->reauth->renew_ms, s->reauth->ends_ms);
    s->reauth->renew_ms = s->reauth->ends_ms = uv_now(&loop);
    reauth_set_due(s->reauth);
    client_asks(2);
    cr_assert_eq(take(&broker).length, 0u);
    await_closed(CLOSE_BROKER_SESSION_EXPIRED);
}

Test(reauth, both_logins_are_renewed_at_once)
{
    struct session *s = begin_ending();
    struct kit_end end;
    client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(shaken(await(&client), 1), 0);
    s->reauth->renew_ms = 0;
    s->reauth->authenticate_version = 2;
    reauth_set_due(s->reauth);
    kit_client(&end, "SCRAM-SHA-512", "alice", "wonderland");
    cr_assert_eq(kit_step(&end, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    s->reauth->authenticate_version = 1;
    client_proves(2, kit_said(&end));
    broker_renews(await(&broker), 100000);
    struct sasl_authenticate_response answer = proved(await(&client), 2);
    cr_assert_eq(kit_step(&end, answer.auth_bytes), EXCHANGE_CONTINUE);
    client_proves(3, kit_said(&end));
    cr_assert_eq(proved(await(&client), 3).session_lifetime_ms, LIFETIME_MS);
    kit_free(&end);
    passes(4);
}

Test(reauth, a_session_that_is_closed_while_work_is_out_is_freed_later)
{
    struct session *s = begin_ending();
    s->mechanism = "PLAIN";
    client_shakes(1, 1, "PLAIN");
    client_proves(2, view_of("\0alice\0wonderland", 17));
    session_close(s, CLOSE_STOPPED);
    for (int i = 0; i < WAIT_TURNS && world.session_count > 0; i++) {
        turns(1);
        usleep(1000);
    }
    cr_assert_eq(world.session_count, 0u);
}

/* ---- passthrough ---- */

Test(reauth, with_passthrough_the_broker_judges_the_renewal_in_its_place)
{
    struct session *s = begin();
    s->passthrough = true;
    client_asks(1);
    client_shakes(2, 1, "SCRAM-SHA-512");
    cr_assert_eq(id_of_request(await(&broker)), 1);
    cr_assert_eq(id_of_request(await(&broker)), 2);
    broker_answers(1);
    broker_shakes(2, 0);
    cr_assert_eq(id_of_response(await(&client)), 1);
    cr_assert_eq(shaken(await(&client), 2), 0);
    client_proves(3, view_from_string("n,,n=alice,r=abcdef"));
    cr_assert_eq(id_of_request(await(&broker)), 3);
    broker_says(3, view_from_string("r=abcdefg,s=AAAA,i=4096"), 0, 0);
    cr_assert_eq(proved(await(&client), 3).error_code, 0);
    client_proves(4, view_from_string("c=biws,r=abcdefg,p=AAAA"));
    cr_assert_eq(id_of_request(await(&broker)), 4);
    broker_says(4, view_from_string("v=AAAA"), 0, 7000);
    cr_assert_eq(proved(await(&client), 4).session_lifetime_ms, 7000);
    cr_assert_eq(world.stats.reauth_ok, 1u);
    passes(5);
}

Test(reauth, t34_with_passthrough_another_principal_never_reaches_the_broker)
{
    struct session *s = begin();
    s->passthrough = true;
    client_shakes(2, 1, "SCRAM-SHA-512");
    cr_assert_eq(id_of_request(await(&broker)), 2);
    broker_shakes(2, 0);
    cr_assert_eq(shaken(await(&client), 2), 0);
    client_proves(3, view_from_string("n,,n=bob,r=abcdef"));
    cr_assert_eq(proved(await(&client), 3).error_code, HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    await_closed(CLOSE_REAUTH_DENIED);
    cr_assert_eq(take(&broker).length, 0u);
    cr_assert_eq(world.stats.reauth_denied, 1u);
}
