/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/reauth_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/certificates.h"
#include "auth/mapping.h"
#include "auth/penalty.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/audit_log.h"
#include "proxy/session/reauth_client.h"
#include "tests/unit/pki_kit.h"

enum { HEARTBEAT = 12 };

struct reauth_kit kit;

static void on_gone(struct gate *of, const struct sockaddr *peer)
{
    (void)of;
    (void)peer;
    kit.gone++;
}

void kit_turns(int count)
{
    for (int i = 0; i < count; i++) {
        uv_run(&kit.loop, UV_RUN_NOWAIT);
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
        "limits: {login_failure_delay_ms: 10, login_timeout_ms: %d, connect_timeout_ms: %d,\n"
        "  drain_timeout_ms: 2000}\n"
        "certificates:\n  - {name: a, chain: %s, key: %s}\n"
        "mapping:\n  - {principal: alice, certificate: a}\n  - {principal: bob, certificate: a}\n"
        "clusters:\n  - name: main\n    bootstrap: [\"127.0.0.1:9092\"]\n    generations:\n"
        "      - {name: old, protocol: SASL_PLAINTEXT, %s%s%s}\n"
        "listeners:\n  - {name: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
        "     advertised_host: localhost, node_base_port: 19100, session_lifetime_ms: %d,\n"
        "     mechanisms: [SCRAM-SHA-512%s]}\n",
        path[0], kit.timeout_ms > 0 ? kit.timeout_ms : 300,
        kit.timeout_ms > 0 ? kit.timeout_ms : 300, path[1], path[2],
        kit.relays ? "login: scram-relay"
                   : "login: sasl, sasl: {mechanism: SCRAM-SHA-512, credentials_file: ",
        kit.relays ? "" : path[3], kit.relays ? "" : "}", LIFETIME_MS, kit.relays ? "" : ", PLAIN");
    pki_write_text("setu.yaml", 0600, text);
}

void kit_setup(void)
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
    kit.shared = shared_load(pki_path("setu.yaml"), &errors);
    cr_assert_not_null(kit.shared, "%s", errors.count > 0 ? errors.items[0].text : "");
    conf_errors_deinit(&errors);
    kit.shared->audit = audit_log_open(&no_audit, error, sizeof error);
    kit.shared->session_ids = &kit.ids;
    cr_assert_eq(uv_loop_init(&kit.loop), 0);
    io_init(&kit.world.io, &kit.loop);
    kit.world.penalty = penalty_new(&limits, key);
    kit.edition.shared = kit.shared;
    kit.gate = (struct gate){.world = &kit.world,
                         .edition = &kit.edition,
                         .conf = kit.shared->config->listeners,
                         .on_gone = on_gone};
    kit.broker_users = kit_users();
}

void kit_teardown(void)
{
    if (kit.world.sessions != NULL) {
        session_close(kit.world.sessions, CLOSE_STOPPED);
    }
    io_stop(&kit.world.io);
    uv_run(&kit.loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&kit.loop), 0);
    cr_assert_eq(kit.gone, 1);
    cr_assert_eq(kit.edition.references, 0u);
    cr_assert_eq(kit.world.io.spill_bytes, 0u);
    cr_assert_eq(kit.world.stats.client_active, 0u);
    io_free(&kit.world.io);
    penalty_free(&kit.world.penalty);
    audit_log_close(&kit.shared->audit);
    credentials_unref(&kit.broker_users);
    edition_free(&kit.edition);
    shared_unref(&kit.shared);
    close(kit.client.fd);
    close(kit.broker.fd);
    pki_close();
}

static int ours(struct kit_tap *theirs)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *theirs = (struct kit_tap){.fd = fds[0]};
    return fds[1];
}

/* alice's session, that relays. Both logins are skipped. */
struct session *kit_begin(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(4711)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uv_update_time(&kit.loop); /* the stage took its time */
    cr_assert(session_start(&kit.gate, ours(&kit.client), (const struct sockaddr *)&peer, 1));
    kit_turns(3);
    struct session *s = kit.world.sessions;
    s->passthrough = true; /* for the length of the dial: so it asks nothing */
    s->principal = strdup("alice");
    s->client_id = strdup("the-client");
    s->mechanism = kit.gate.conf->mechanisms[0];
    s->certificate = certificates_find(kit.shared->certificates, "a");
    s->route.generation = &kit.shared->config->clusters[0].generations[0];
    session_enter(s, SESSION_DIAL);
    cr_assert(leg_accept(&s->broker, ours(&kit.broker), NULL));
    kit_turns(3);
    session_enter(s, SESSION_RELAY);
    leg_resume(&s->client);
    s->passthrough = false;
    kit_turns(3);
    return s;
}

/* The same, and its login at Setu ends. */
struct session *kit_begin_ending(void)
{
    struct session *s = kit_begin();
    cr_assert_eq(reauth_client_term(s, kit.gate.conf, 0), LIFETIME_MS);
    return s;
}

/* The same, and Setu's at the broker ends, and is to be renewed now. */
struct session *kit_begin_due(void)
{
    struct session *s = kit_begin();
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&kit.loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    return s;
}

/* ---- bytes ---- */

void kit_put(struct kit_tap *tap, struct view bytes)
{
    cr_assert_eq(send(tap->fd, bytes.at, bytes.length, MSG_NOSIGNAL), (ssize_t)bytes.length);
    kit_turns(5);
}

void kit_put_writer(struct kit_tap *tap, struct writer *w)
{
    cr_assert(writer_ok(w));
    kit_put(tap, writer_view(w));
    writer_free(w);
}

void kit_look(struct kit_tap *tap)
{
    kit_turns(5);
    ssize_t n = recv(tap->fd, tap->in + tap->length, sizeof tap->in - tap->length, 0);
    tap->length += n > 0 ? (size_t)n : 0;
    tap->ended = n == 0 || (n < 0 && errno != EAGAIN);
}

/* The next whole frame, its size included; empty: none has come. */
struct view kit_take(struct kit_tap *tap)
{
    kit_look(tap);
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
struct view kit_await(struct kit_tap *tap)
{
    for (int i = 0; i < WAIT_TURNS; i++) {
        struct view frame = kit_take(tap);
        if (frame.length > 0) {
            return frame;
        }
        usleep(1000);
    }
    cr_assert_fail("nothing came");
    return view_of(NULL, 0);
}

void kit_await_end(struct kit_tap *tap)
{
    for (int i = 0; i < WAIT_TURNS && !tap->ended; i++) {
        kit_look(tap);
        usleep(1000);
    }
    cr_assert(tap->ended);
    cr_assert_eq(tap->length, 0u, "bytes nobody asked for");
    close(tap->fd);
    tap->fd = socket(AF_UNIX, SOCK_STREAM, 0); /* teardown closes it */
    kit_turns(20);
}

void kit_await_closed(enum close_reason reason)
{
    kit_await_end(&kit.client);
    for (int i = 0; i < WAIT_TURNS && kit.world.session_count > 0; i++) {
        kit_turns(5);
        usleep(1000);
    }
    cr_assert_eq(kit.world.session_count, 0u);
    cr_assert_eq(kit.world.stats.client_closed[reason], 1u);
}

void kit_ask(struct writer *w, int32_t id)
{
    size_t at = frame_request_begin(w, HEARTBEAT, 0, id, NULL);
    writer_put(w, view_from_string("some bytes of a body"));
    frame_end(w, at);
}

void kit_client_asks(int32_t id)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    kit_ask(&w, id);
    kit_put_writer(&kit.client, &w);
}

void kit_broker_answers(int32_t id)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    size_t at = frame_response_begin(&w, HEARTBEAT, 0, id);
    writer_i16(&w, 0);
    frame_end(&w, at);
    kit_put_writer(&kit.broker, &w);
}

int32_t kit_id_of_request(struct view frame)
{
    return (int32_t)bytes_load_u32(frame.at + 8);
}

int32_t kit_id_of_response(struct view frame)
{
    return (int32_t)bytes_load_u32(frame.at + 4);
}

/* ---- the client's renewal ---- */

void kit_client_shakes(int32_t id, int16_t version, const char *mechanism)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    sasl_handshake_encode_request(&w, version, id, NULL, view_from_string(mechanism));
    kit_put_writer(&kit.client, &w);
}

void kit_client_proves(int32_t id, struct view token)
{
    struct writer w;
    writer_init_growing(&w, PIECE);
    sasl_authenticate_encode_request(&w, 1, id, NULL, token);
    kit_put_writer(&kit.client, &w);
}

int16_t kit_shaken(struct view frame, int32_t id)
{
    struct sasl_handshake_response answer;
    cr_assert_eq(kit_id_of_response(frame), id);
    cr_assert(sasl_handshake_decode_response(view_from(frame, 8), &answer));
    return answer.error_code;
}

struct sasl_authenticate_response kit_proved(struct view frame, int32_t id)
{
    struct sasl_authenticate_response answer = {0};
    cr_assert_eq(kit_id_of_response(frame), id);
    cr_assert(sasl_authenticate_decode_response(1, view_from(frame, 8), &answer));
    return answer;
}

/* SCRAM from end to end; what the last answer was. */
struct sasl_authenticate_response kit_client_renews(const char *user, const char *password)
{
    struct kit_end end;
    kit_client_shakes(71, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 71), 0);
    kit_client(&end, "SCRAM-SHA-512", user, password);
    cr_assert_eq(kit_step(&end, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    kit_client_proves(72, kit_said(&end));
    struct sasl_authenticate_response answer = kit_proved(kit_await(&kit.client), 72);
    cr_assert_eq(answer.error_code, 0);
    cr_assert_eq(kit_step(&end, answer.auth_bytes), EXCHANGE_CONTINUE);
    kit_client_proves(73, kit_said(&end));
    answer = kit_proved(kit_await(&kit.client), 73);
    if (answer.error_code == 0) {
        cr_assert_eq(kit_step(&end, answer.auth_bytes), EXCHANGE_DONE);
    }
    kit_free(&end);
    return answer;
}

void kit_passes(int32_t id)
{
    kit_client_asks(id);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), id);
    kit_broker_answers(id);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), id);
}

/* ---- the broker's side ---- */

void kit_broker_shakes(int32_t id, int16_t error_code)
{
    struct writer w;
    struct sasl_handshake_response answer = {.error_code = error_code, .count = 1};
    answer.mechanisms[0] = view_from_string("SCRAM-SHA-512");
    writer_init_growing(&w, PIECE);
    sasl_handshake_encode_response(&w, 1, id, &answer);
    kit_put_writer(&kit.broker, &w);
}

void kit_broker_says(int32_t id, struct view token, int16_t error_code, int64_t lifetime_ms)
{
    struct writer w;
    const struct sasl_authenticate_response answer = {.error_code = error_code,
                                                      .error_message_null = true,
                                                      .auth_bytes = token,
                                                      .session_lifetime_ms = lifetime_ms};
    writer_init_growing(&w, PIECE);
    sasl_authenticate_encode_response(&w, 1, id, &answer);
    kit_put_writer(&kit.broker, &w);
}

int32_t kit_own_request(struct view frame, int16_t key, struct view *body_r)
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
void kit_broker_renews(struct view handshake, int64_t lifetime_ms)
{
    struct kit_end end;
    struct view body, token;
    int32_t id = kit_own_request(handshake, API_SASL_HANDSHAKE, &body);
    kit_server(&end, "SCRAM-SHA-512", kit.broker_users);
    kit_broker_shakes(id, 0);
    enum exchange_status status = EXCHANGE_CONTINUE;
    while (status == EXCHANGE_CONTINUE) {
        id = kit_own_request(kit_await(&kit.broker), API_SASL_AUTHENTICATE, &body);
        cr_assert(sasl_authenticate_decode_request(1, body, &token));
        status = kit_step(&end, token);
        kit_broker_says(id, kit_said(&end), 0, status == EXCHANGE_DONE ? lifetime_ms : 0);
    }
    cr_assert_eq(status, EXCHANGE_DONE);
    cr_assert_str_eq(exchange_principal(end.ex), "alice");
    kit_free(&end);
}

void kit_await_renewed(struct session *s)
{
    for (int i = 0; i < WAIT_TURNS && s->reauth->broker != NULL; i++) {
        kit_turns(5);
        usleep(1000);
    }
    cr_assert_null(s->reauth->broker);
}
