/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/login.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/exchange.h"
#include "auth/penalty.h"
#include "auth/principal.h"
#include "auth/tls_context.h"
#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/handshake.h"
#include "proxy/ops/log.h"
#include "proxy/session/bridge.h"
#include "proxy/session/denial.h"
#include "proxy/session/dial.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/mapped.h"
#include "proxy/session/passthrough.h"
#include "proxy/session/reauth_client.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

enum { LOGIN_REFUSALS_MAX = 4 };

/* ---- sending ---- */

/* Sends what hs->out holds and wipes it. */
static void login_send(struct session *s)
{
    struct handshake *hs = s->handshake;
    struct view out = writer_view(&hs->out);
    bool sent =
        writer_ok(&hs->out) && leg_write(&s->client, out.at, out.length) && leg_flush(&s->client);
    writer_reset(&hs->out);
    if (!sent) {
        session_client_failed(s);
    }
}

/* lifetime_ms: of the session, once the login has ended well; 0 none. */
static void login_write_token(struct handshake *hs, struct writer *w, struct view token,
                              int64_t lifetime_ms)
{
    if (hs->raw_tokens) {
        frame_token(w, token);
        return;
    }
    struct sasl_authenticate_response response = {
        .error_message_null = true, .auth_bytes = token, .session_lifetime_ms = lifetime_ms};
    sasl_authenticate_encode_response(w, hs->version, hs->correlation_id, &response);
}

/* ---- the principal is proved ---- */

static bool login_map(struct session *s)
{
    const char *reason = NULL;
    session_enter(s, SESSION_MAP);
    bool allowed = mapped_at_login(s, &reason);
    if (!allowed) {
        denial_begin(s, s->principal, reason);
    }
    return allowed;
}

/* The users file may hold a principal to some SASL mechanisms, also one that needs no record there. */
static bool login_permitted(const struct session *s, const char *principal)
{
    const struct credentials *users = session_shared(s)->users;
    return s->handshake->step != LOGIN_TOKENS || users == NULL ||
           credentials_permit(users, view_from_string(principal), s->mechanism);
}

/* Those who cannot be told of an end meet it all the same, as at a broker (KAFKA-9241). */
static int64_t login_lifetime_ms(struct session *s)
{
    const struct handshake *hs = s->handshake;
    int64_t lifetime_ms = reauth_client_term(s, s->gate->conf, exchange_expires_ms(hs->exchange));
    if (lifetime_ms > 0 && (hs->raw_tokens || hs->version == 0)) {
        stats_add(&s->world->stats.auth_no_reauth, 1);
    }
    return lifetime_ms;
}

/* The name has been proved; reply is the exchange's last token (SASL only). */
static void login_proved(struct session *s, const char *name, struct view reply)
{
    struct handshake *hs = s->handshake;
    char principal[PRINCIPAL_SIZE];
    if (!evidence_admits(s)) {
        session_close(s, CLOSE_AUDIT_UNAVAILABLE);
        return;
    }
    if (principal_canonical(view_from_string(name), principal) != PRINCIPAL_OK) {
        denial_begin(s, name, "principal_not_canonical");
        return;
    }
    if (!login_permitted(s, principal)) {
        denial_begin(s, principal, auth_reason_name(AUTH_REASON_MECHANISM_NOT_ALLOWED));
        return;
    }
    if (!bridge_admits(s, principal)) {
        denial_begin(s, principal, "not_a_peer");
        return;
    }
    s->principal = strdup(principal);
    if (s->principal == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return;
    }
    evidence_login_accepted(s);
    if (!login_map(s)) {
        return;
    }
    struct penalty_address address = session_penalty_address(s);
    penalty_succeeded(s->world->penalty, &address, uv_now(s->world->io.loop));
    leg_pause(&s->client);
    bool silent = hs->raw_tokens && exchange_ends_silently(hs->exchange) && reply.length == 0;
    int64_t lifetime_ms = hs->step == LOGIN_TOKENS ? login_lifetime_ms(s) : 0;
    if (hs->step == LOGIN_TOKENS && !silent) {
        login_write_token(hs, &hs->out, reply, lifetime_ms);
        login_send(s);
    }
    if (s->state != SESSION_CLOSED) {
        session_enter(s, SESSION_DIAL);
        dial_start(s);
    }
}

/* ---- SASL tokens ---- */

static void login_on_exchange(struct session *s, enum exchange_status status, struct view reply);

static void login_work_done(struct session *s)
{
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    assert(s->state == SESSION_VERIFY);
    writer_init_fixed(&reply, memory, sizeof memory);
    enum exchange_status result = exchange_resume(s->handshake->exchange, &reply);
    if (result == EXCHANGE_CONTINUE) {
        session_enter(s, SESSION_LOGIN);
        leg_resume(&s->client);
    }
    login_on_exchange(s, result, writer_view(&reply));
    secret_cleanse(memory, sizeof memory);
}

static void login_begin_work(struct session *s)
{
    leg_pause(&s->client);
    session_enter(s, SESSION_VERIFY);
    errand_exchange(&s->handshake->errand, s, s->handshake->exchange, login_work_done);
}

static void login_on_exchange(struct session *s, enum exchange_status status, struct view reply)
{
    struct handshake *hs = s->handshake;
    switch (status) {
    case EXCHANGE_CONTINUE:
        login_write_token(hs, &hs->out, reply, 0);
        login_send(s);
        break;
    case EXCHANGE_DONE:
        memcpy(s->token_stamp, exchange_token_stamp(hs->exchange), sizeof s->token_stamp);
        login_proved(s, exchange_principal(hs->exchange), reply);
        break;
    case EXCHANGE_DENIED:
        denial_begin(s, exchange_claimed(hs->exchange),
                     auth_reason_name(exchange_reason(hs->exchange)));
        break;
    case EXCHANGE_PENDING:
        login_begin_work(s);
        break;
    case EXCHANGE_ERROR:
        stats_add(&s->world->stats.auth_error, 1);
        session_close(s, CLOSE_INTERNAL);
        break;
    }
}

static void login_token(struct session *s, struct view token)
{
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    if (denial_is_answered(s)) {
        return;
    }
    writer_init_fixed(&reply, memory, sizeof memory);
    enum exchange_status status = exchange_step(s->handshake->exchange, token, &reply);
    login_on_exchange(s, status, writer_view(&reply));
    secret_cleanse(memory, sizeof memory);
}

/* ---- the three requests ---- */

/*
 * Clients ask a second time, with a version that the refusal names (KIP-511); who never stops is to
 * get no more.
 */
static bool login_may_ask_again(struct session *s)
{
    if (++s->handshake->refusals <= LOGIN_REFUSALS_MAX) {
        return true;
    }
    session_close(s, CLOSE_LOGIN_ORDER);
    return false;
}

static bool login_versions(const struct session *s, struct api_versions *versions_r)
{
    return bridge_is(s) ? bridge_versions(s, versions_r)
                        : cluster_api_versions(s->gate->cluster, s->target, versions_r);
}

static void login_api_versions(struct session *s, const struct request_header *header,
                               struct view body)
{
    struct handshake *hs = s->handshake;
    struct api_versions versions;
    struct api_versions_request request;
    if (hs->step != LOGIN_INITIAL) {
        session_close(s, CLOSE_LOGIN_ORDER);
        return;
    }
    if (!api_admits(API_API_VERSIONS, header->api_version)) {
        if (login_may_ask_again(s)) {
            api_versions_unsupported(&hs->out, header->correlation_id);
            login_send(s);
        }
        return;
    }
    if (!api_versions_decode_request(header->api_version, body, &request)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return;
    }
    if (!login_versions(s, &versions)) {
        session_close(s, CLOSE_NOT_READY);
        return;
    }
    if (header->api_version >= 3 && (!api_versions_software_valid(request.software_name) ||
                                     !api_versions_software_valid(request.software_version))) {
        versions = (struct api_versions){.error_code = HANDSHAKE_INVALID_REQUEST};
        if (!login_may_ask_again(s)) {
            return;
        }
    } else {
        hs->step = LOGIN_HANDSHAKE;
        hs->promised = versions;
        hs->promised_known = !bridge_is(s); /* a broker asks again behind its login, or never */
    }
    api_versions_encode_response(&hs->out, header->api_version, header->correlation_id, &versions);
    stats_add(&s->world->stats.answered, 1);
    login_send(s);
}

const char *login_offered(const struct conf_listener *conf, struct view mechanism)
{
    for (size_t i = 0; i < conf->mechanisms_count; i++) {
        if (view_is(mechanism, conf->mechanisms[i])) {
            return conf->mechanisms[i];
        }
    }
    return NULL;
}

void login_write_handshake(const struct conf_listener *conf, struct writer *w,
                           const struct request_header *header, int16_t error_code)
{
    struct sasl_handshake_response response = {.error_code = error_code};
    for (size_t i = 0; i < conf->mechanisms_count && i < SASL_MECHANISMS_MAX; i++) {
        response.mechanisms[response.count++] = view_from_string(conf->mechanisms[i]);
    }
    sasl_handshake_encode_response(w, header->api_version, header->correlation_id, &response);
}

struct exchange *login_exchange(const struct gate *gate, const char *mechanism)
{
    const struct shared *shared = gate->edition->shared;
    struct exchange *exchange = exchange_server_new(mechanism, shared->users, world_random, NULL);
    const char *saslauthd = shared->config->users.saslauthd;
    if (exchange == NULL) {
        return NULL;
    }
    if (saslauthd[0] != '\0' && strcmp(mechanism, "PLAIN") == 0) {
        exchange_ask_saslauthd(exchange, saslauthd);
    }
    if (gate->acceptor != NULL) {
        exchange_accept_tickets(exchange, gate->acceptor);
    }
    exchange_trust_tokens(exchange, shared->tokens, world_now_ns() / 1000000);
    return exchange;
}

/* False: the session is closed. */
static bool login_begin_tokens(struct session *s, bool raw)
{
    struct handshake *hs = s->handshake;
    hs->exchange = login_exchange(s->gate, s->mechanism);
    if (hs->exchange == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return false;
    }
    if (config_cluster_logs_in(config_cluster(session_shared(s)->config, s->gate->conf->cluster),
                               CONF_LOGIN_SCRAM_RELAY)) {
        exchange_keep_keys(hs->exchange);
    }
    hs->step = LOGIN_TOKENS;
    hs->raw_tokens = raw;
    return true;
}

static void login_handshake(struct session *s, const struct request_header *header,
                            struct view body, struct view payload)
{
    struct handshake *hs = s->handshake;
    struct view mechanism;
    if (hs->step == LOGIN_TOKENS || !api_admits(API_SASL_HANDSHAKE, header->api_version)) {
        session_close(s, CLOSE_LOGIN_ORDER);
        return;
    }
    if (!sasl_handshake_decode_request(body, &mechanism)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return;
    }
    hs->spoken = header->api_version == 0 ? "v0" : "v1";
    s->mechanism = login_offered(s->gate->conf, mechanism);
    if (s->mechanism == NULL) {
        evidence_login_denied(s, NULL, "mechanism_not_offered");
        login_write_handshake(s->gate->conf, &hs->denial, header,
                              HANDSHAKE_UNSUPPORTED_SASL_MECHANISM);
        denial_wait(s, denial_delay(s, NULL));
        return;
    }
    if (passthrough_wanted(s)) {
        passthrough_start(s, header, payload);
        return;
    }
    if (!login_begin_tokens(s, header->api_version == 0)) {
        return;
    }
    login_write_handshake(s->gate->conf, &hs->out, header, HANDSHAKE_NONE);
    login_send(s);
}

static void login_authenticate(struct session *s, const struct request_header *header,
                               struct view body)
{
    struct handshake *hs = s->handshake;
    struct view token;
    if (hs->step != LOGIN_TOKENS || hs->raw_tokens ||
        !api_admits(API_SASL_AUTHENTICATE, header->api_version)) {
        session_close(s, CLOSE_LOGIN_ORDER);
        return;
    }
    hs->version = header->api_version;
    hs->correlation_id = header->correlation_id;
    if (!sasl_authenticate_decode_request(header->api_version, body, &token)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return;
    }
    login_token(s, token);
}

/* ---- frames ---- */

static void login_keep_client_id(struct session *s, const struct request_header *header)
{
    if (s->client_id == NULL && !header->client_id_null && header->client_id.length <= 256) {
        s->client_id = strndup((const char *)header->client_id.at, header->client_id.length);
    }
}

/*
 * 0x60 opens a GSSAPI token and no request of Kafka's: a client of 0.9, which sends no SaslHandshake
 * (KIP-43). Closed (T37) unless the listener is told to take it, and its broker is not to judge.
 */
static void login_bare_token(struct session *s, struct view payload)
{
    if (s->gate->acceptor == NULL || !s->gate->conf->gssapi.bare_first_packet) {
        session_close(s, CLOSE_CLIENT_NOT_KAFKA);
        return;
    }
    s->mechanism = "GSSAPI";
    s->handshake->spoken = "none";
    if (passthrough_wanted(s)) {
        session_close(s, CLOSE_CLIENT_NOT_KAFKA);
    } else if (login_begin_tokens(s, true)) {
        login_token(s, payload);
    }
}

static void login_request(struct session *s, struct view payload)
{
    struct request_header header;
    if (s->handshake->step == LOGIN_INITIAL && payload.length > 0 && payload.at[0] == 0x60) {
        login_bare_token(s, payload);
        return;
    }
    if (request_header_decode(payload, &header) != FRAME_OK) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return;
    }
    struct view body = view_from(payload, header.length);
    stats_api(&s->world->stats, header.api_key);
    login_keep_client_id(s, &header);
    switch (header.api_key) {
    case API_API_VERSIONS:
        login_api_versions(s, &header, body);
        break;
    case API_SASL_HANDSHAKE:
        login_handshake(s, &header, body, payload);
        break;
    case API_SASL_AUTHENTICATE:
        login_authenticate(s, &header, body);
        break;
    default:
        session_close(s, CLOSE_REQUEST_BEFORE_LOGIN);
        break;
    }
}

static void login_frame(struct session *s, struct view payload)
{
    s->handshake->asked_ns = uv_hrtime();
    if (s->state == SESSION_EXCHANGE) {
        passthrough_client_frame(s, payload);
    } else if (s->handshake->step == LOGIN_TOKENS && s->handshake->raw_tokens) {
        login_token(s, payload);
    } else {
        login_request(s, payload);
    }
}

/* What speaks another protocol gets a name instead of a "frame too large". */
static bool login_is_foreign(struct session *s, struct view in)
{
    static const char *const verbs[] = {"GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN"};
    if (s->handshake->in.size_have > 0 || s->handshake->step != LOGIN_INITIAL || in.length < 4) {
        return false;
    }
    if (in.at[0] == 0x16 && in.at[1] == 0x03) {
        session_close(s, CLOSE_CLIENT_IS_TLS);
        return true;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (memcmp(in.at, verbs[i], 4) == 0) {
            session_close(s, CLOSE_CLIENT_NOT_KAFKA);
            return true;
        }
    }
    return false;
}

static bool login_takes_frames(const struct session *s)
{
    return s->state == SESSION_LOGIN ||
           (s->state == SESSION_EXCHANGE && !s->handshake->awaiting_broker);
}

static void login_bytes(struct session *s, struct view in)
{
    struct handshake *hs = s->handshake;
    if (login_is_foreign(s, in)) {
        return;
    }
    while (in.length > 0 && login_takes_frames(s)) {
        size_t used = 0;
        enum frame_status status = frame_collector_feed(&hs->in, in, &used);
        in = view_from(in, used);
        if (status == FRAME_BAD) {
            session_close(s, CLOSE_FRAME_TOO_LARGE);
            return;
        }
        if (status == FRAME_OK) {
            login_frame(s, frame_collector_payload(&hs->in));
            frame_collector_next(&hs->in);
        }
    }
    if (in.length > 0 && s->state != SESSION_CLOSED) {
        session_close(s, CLOSE_PIPELINED_BEFORE_LOGIN);
    }
}

/*
 * Raw GSSAPI ends with a token of the client's that nothing answers: its next request may be right behind. Only the
 * token is taken then; what follows stays in the socket until the token has been judged.
 */
static size_t login_room(const struct session *s)
{
    const struct handshake *hs = s->handshake;
    const struct frame_collector *in = &hs->in;
    if (hs->step != LOGIN_TOKENS || !hs->raw_tokens || !exchange_ends_silently(hs->exchange)) {
        return IO_SCRATCH_BYTES;
    }
    size_t room = in->size_have < sizeof in->size ? sizeof in->size - in->size_have
                                                  : in->expected - in->length;
    return room < IO_SCRATCH_BYTES ? room : IO_SCRATCH_BYTES;
}

void login_readable(struct session *s)
{
    uint8_t *scratch = s->world->io.scratch;
    size_t length = 0, room = login_room(s);
    switch (leg_read(&s->client, scratch, room, &length)) {
    case LEG_READ_SOME:
        if (length == room) {
            leg_again(&s->client); /* OpenSSL may hold the rest */
        }
        login_bytes(s, view_of(scratch, length));
        secret_cleanse(scratch, length); /* it may have been a password */
        break;
    case LEG_READ_BLOCKED:
        break;
    case LEG_READ_END:
        session_close(s, CLOSE_CLIENT_CLOSED);
        break;
    case LEG_READ_FAILED:
        session_client_failed(s);
        break;
    }
}

/* ---- the beginning ---- */

static void login_by_certificate(struct session *s)
{
    struct tls_peer peer;
    s->mechanism = "SSL";
    enum tls_peer_status status = tls_peer_principal(s->client.ssl, s->gate->rules, &peer);
    if (status == TLS_PEER_OK) {
        login_proved(s, peer.principal, view_of(NULL, 0));
        return;
    }
    session_enter(s, SESSION_MAP);
    denial_begin(s, peer.subject,
                 status == TLS_PEER_NO_RULE ? "no_principal_rule" : "certificate_name");
}

void login_start(struct session *s)
{
    const struct conf_listener *conf = s->gate->conf;
    s->handshake = handshake_new(s, session_shared(s)->config->limits.login_frame_max_bytes);
    s->handshake->asked_ns = uv_hrtime();
    if (s->client.ssl != NULL) {
        stats_add(&s->world->stats.tls_client_ok, 1);
    }
    if (conf->mechanisms_count == 0 || bridge_is_certified(s)) {
        login_by_certificate(s);
        return;
    }
    session_enter(s, SESSION_LOGIN);
}
