/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/reauth_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/certificates.h"
#include "auth/credentials.h"
#include "auth/exchange.h"
#include "auth/principal.h"
#include "auth/scram.h"
#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "proxy/cluster/cluster.h"
#include "proxy/session/denial.h"
#include "proxy/session/errand.h"
#include "proxy/session/evidence.h"
#include "proxy/session/login.h"
#include "proxy/session/mapped.h"
#include "proxy/session/reauth.h"
#include "proxy/session/reauth_broker.h"
#include "proxy/session/reauth_pass.h"
#include "proxy/session/relay_response.h"
#include "proxy/session/session_private.h"

enum { REAUTH_APART_MS = 1000 /* KafkaChannel.MIN_REAUTH_INTERVAL_ONE_SECOND_NANOS */ };

struct reauth_client {
    struct edition *edition;          /* a reference: what the client is judged by */
    const struct conf_listener *conf; /* of it */
    struct exchange *exchange;        /* NULL once refused */
    struct errand errand;
    uint64_t alarm_ms;
    uint32_t delay_ms;       /* of the refusal, once it is certain */
    const char *explanation; /* refused: what the client is told first; NULL nothing */
    bool explained;          /* …and it has been */
    bool denied;             /* …and recorded */
    int16_t version;         /* of the SaslAuthenticate under way */
    int32_t correlation_id;
};

/* ---- the end of a login ---- */

static uint64_t now_ms(const struct session *s)
{
    return uv_now(s->world->io.loop);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Where the client's own key is what Setu logs in by, the broker's lifetime is the client's: it renews both. */
static int64_t relayed_lifetime_ms(const struct session *s)
{
    bool relays = s->state == SESSION_RELAY
                      ? s->route.generation->login == CONF_LOGIN_SCRAM_RELAY
                      : s->gate->cluster != NULL;
    enum scram_hash hash;
    int64_t lifetime_ms = relays && s->mechanism != NULL && scram_hash_of(s->mechanism, &hash)
                              ? cluster_relay_lifetime_ms(s->gate->cluster)
                              : 0;
    return lifetime_ms > 0 ? lifetime_ms : INT64_MAX;
}

int64_t reauth_client_term(struct session *s, const struct conf_listener *conf, int64_t ends_ms)
{
    uint64_t configured_ms = conf->session_lifetime_ms;
    int64_t lifetime_ms = configured_ms > 0 ? (int64_t)configured_ms : INT64_MAX;
    int64_t wall_ms = world_now_ns() / 1000000;
    if (ends_ms != 0) {
        lifetime_ms = earlier(lifetime_ms, ends_ms - wall_ms);
    }
    lifetime_ms = earlier(lifetime_ms, relayed_lifetime_ms(s));
    if (lifetime_ms == INT64_MAX) {
        if (s->reauth != NULL) {
            s->reauth->expires_ms = REAUTH_NEVER;
            reauth_set_due(s->reauth);
        }
        return 0;
    }
    if (s->certificate != NULL) {
        /* Then nothing speaks for it any more: the renewal finds that out, or a new one in its place. */
        lifetime_ms = earlier(lifetime_ms, s->certificate->not_after_s * 1000 - wall_ms);
    }
    lifetime_ms = lifetime_ms > 0 ? lifetime_ms : 1;
    reauth_of(s)->expires_ms = now_ms(s) + (uint64_t)lifetime_ms;
    reauth_set_due(s->reauth);
    return lifetime_ms;
}

/* ---- how a renewal ends ---- */

static void client_done(struct session *s)
{
    if (s->client.ssl != NULL) {
        SSL_clear_options(s->client.ssl, SSL_OP_CLEANSE_PLAINTEXT);
    }
    reauth_client_free(&s->reauth->client);
    s->reauth->holds = false;
}

static bool client_send(struct session *s, int16_t api_key, int16_t version, int32_t correlation_id,
                        const struct writer *frame)
{
    if (!writer_ok(frame)) {
        session_close(s, CLOSE_INTERNAL);
        return false;
    }
    return relay_answer(s, api_key, version, correlation_id, writer_view(frame));
}

static bool client_send_token(struct session *s, int16_t version, int32_t correlation_id,
                              const struct sasl_authenticate_response *response)
{
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX + 64];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    sasl_authenticate_encode_response(&w, version, correlation_id, response);
    return client_send(s, API_SASL_AUTHENTICATE, version, correlation_id, &w);
}

static void client_await(struct session *s)
{
    s->reauth->client->alarm_ms = now_ms(s) + session_shared(s)->config->limits.login_timeout_ms;
    session_alarm(s);
}

/* It stands, whether or not the client comes back for the end of it. */
static void client_record_denial(struct session *s, const char *claimed, const char *reason)
{
    struct reauth_client *client = s->reauth->client;
    if (!client->denied) {
        evidence_reauth_denied(s, claimed, reason);
        client->delay_ms = denial_delay(s, denial_guessed(s, claimed));
        client->denied = true;
    }
}

/* The refusal itself comes late: reauth_client_alarm. Requests in flight are answered meanwhile. */
static void client_deny(struct session *s, const char *claimed, const char *reason)
{
    struct reauth_client *client = s->reauth->client;
    client_record_denial(s, claimed, reason);
    client->explanation = exchange_refusal(client->exchange);
    exchange_free(&client->exchange);
    s->reauth->holds = true;
    leg_pause(&s->client);
    client->alarm_ms = now_ms(s) + client->delay_ms;
    session_alarm(s);
}

/* The client has a message to say to it, and the refusal follows. */
static void client_explain(struct session *s)
{
    struct reauth_client *client = s->reauth->client;
    const struct sasl_authenticate_response response = {
        .error_message_null = true, .auth_bytes = view_from_string(client->explanation)};
    client->explained = true;
    s->reauth->holds = false;
    client_await(s);
    if (client_send_token(s, client->version, client->correlation_id, &response)) {
        leg_resume(&s->client);
    }
}

static bool client_refuse(struct session *s, int16_t version, int32_t correlation_id)
{
    const struct sasl_authenticate_response response = {
        .error_code = HANDSHAKE_SASL_AUTHENTICATION_FAILED,
        .error_message = view_from_string(exchange_denial_text()),
    };
    s->reauth->refused = true;
    if (client_send_token(s, version, correlation_id, &response)) {
        session_drain(s, CLOSE_REAUTH_DENIED, false);
    }
    return s->state == SESSION_RELAY;
}

bool reauth_client_refuse(struct session *s, const struct request_header *header,
                          const char *claimed, const char *reason)
{
    evidence_reauth_denied(s, claimed, reason);
    return client_refuse(s, header->api_version, header->correlation_id);
}

/* Is the principal, judged now, still shown by the certificate that the broker knows? NULL: it is; else why not. */
static const char *not_mapped_for(const struct session *s)
{
    const struct reauth_client *client = s->reauth->client;
    if (mapped_now(s, client->edition->shared, client->conf) == MAPPED_OTHER) {
        return "mapping_changed";
    }
    bool valid = certificates_valid_at(s->certificate, world_now_ns() / 1000000000);
    return valid ? NULL : "certificate_expired";
}

/* What renews the broker leg's login, where nothing is stored for that. */
static void client_relay_key(struct session *s)
{
    struct scram_keys keys;
    if (exchange_take_keys(s->reauth->client->exchange, &keys)) {
        reauth_broker_offer(s, &keys);
        scram_keys_wipe(&keys);
    }
}

static void client_proved(struct session *s, const char *name, struct view reply)
{
    const struct reauth_client *client = s->reauth->client;
    char principal[PRINCIPAL_SIZE];
    if (!evidence_admits(s)) {
        session_close(s, CLOSE_AUDIT_UNAVAILABLE);
        return;
    }
    if (principal_canonical(view_from_string(name), principal) != PRINCIPAL_OK ||
        strcmp(principal, s->principal) != 0) {
        client_deny(s, name, "other_principal");
        return;
    }
    const struct credentials *users = client->edition->shared->users;
    if (users != NULL && !credentials_permit(users, view_from_string(principal), s->mechanism)) {
        client_deny(s, name, auth_reason_name(AUTH_REASON_MECHANISM_NOT_ALLOWED));
        return;
    }
    const char *reason = not_mapped_for(s);
    if (reason != NULL) {
        client_deny(s, name, reason);
        return;
    }
    struct sasl_authenticate_response response = {.error_message_null = true, .auth_bytes = reply};
    response.session_lifetime_ms =
        reauth_client_term(s, client->conf, exchange_expires_ms(client->exchange));
    memcpy(s->token_stamp, exchange_token_stamp(client->exchange), sizeof s->token_stamp);
    s->reauth->expired = false;
    evidence_reauth_accepted(s, NULL);
    client_relay_key(s);
    if (client_send_token(s, client->version, client->correlation_id, &response)) {
        client_done(s);
        session_alarm(s);
    }
}

/* ---- tokens ---- */

static void client_work_done(struct session *s);

static void client_on_exchange(struct session *s, enum exchange_status status, struct view reply)
{
    struct reauth_client *client = s->reauth->client;
    switch (status) {
    case EXCHANGE_CONTINUE: {
        const struct sasl_authenticate_response response = {.error_message_null = true,
                                                            .auth_bytes = reply};
        client_await(s);
        (void)client_send_token(s, client->version, client->correlation_id, &response);
        break;
    }
    case EXCHANGE_DONE:
        client_proved(s, exchange_principal(client->exchange), reply);
        break;
    case EXCHANGE_DENIED:
        client_deny(s, exchange_claimed(client->exchange),
                    auth_reason_name(exchange_reason(client->exchange)));
        break;
    case EXCHANGE_PENDING:
        s->reauth->holds = true;
        leg_pause(&s->client);
        client->alarm_ms = REAUTH_NEVER;
        errand_exchange(&client->errand, s, client->exchange, client_work_done);
        break;
    case EXCHANGE_ERROR:
        stats_add(&s->world->stats.auth_error, 1);
        session_close(s, CLOSE_INTERNAL);
        break;
    }
}

static void client_work_done(struct session *s)
{
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    if (s->state != SESSION_RELAY) {
        return; /* it ends, and only waits for a leg */
    }
    writer_init_fixed(&reply, memory, sizeof memory);
    enum exchange_status status = exchange_resume(s->reauth->client->exchange, &reply);
    s->reauth->holds = false;
    client_on_exchange(s, status, writer_view(&reply));
    secret_cleanse(memory, sizeof memory);
    if (s->state == SESSION_RELAY && !s->reauth->holds) {
        leg_resume(&s->client);
    }
    session_rest(s);
}

static bool client_token(struct session *s, const struct request_header *header, struct view body)
{
    struct reauth_client *client = s->reauth->client;
    struct view token;
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    if (!sasl_authenticate_decode_request(header->api_version, body, &token)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return false;
    }
    client->version = header->api_version;
    client->correlation_id = header->correlation_id;
    if (client->exchange == NULL) {
        return client_refuse(s, client->version, client->correlation_id);
    }
    writer_init_fixed(&reply, memory, sizeof memory);
    enum exchange_status status = exchange_step(client->exchange, token, &reply);
    client_on_exchange(s, status, writer_view(&reply));
    secret_cleanse(memory, sizeof memory);
    return s->state == SESSION_RELAY;
}

/* ---- SaslHandshake ---- */

static bool client_answer_handshake(struct session *s, const struct conf_listener *conf,
                                    const struct request_header *header, int16_t error_code)
{
    uint8_t memory[2048];
    struct writer w;
    writer_init_fixed(&w, memory, sizeof memory);
    login_write_handshake(conf, &w, header, error_code);
    return client_send(s, API_SASL_HANDSHAKE, header->api_version, header->correlation_id, &w);
}

static void client_refuse_handshake(struct session *s, const struct request_header *header,
                                    int16_t error_code, const char *reason)
{
    evidence_reauth_denied(s, NULL, reason);
    reauth_of(s)->refused = true;
    if (client_answer_handshake(s, session_newest_gate(s)->conf, header, error_code)) {
        session_drain(s, CLOSE_REAUTH_DENIED, false);
    }
}

/* false: refused, or closed. */
static bool client_keeps_mechanism(struct session *s, const struct request_header *header,
                                   struct view body)
{
    struct view mechanism;
    if (!sasl_handshake_decode_request(body, &mechanism)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return false;
    }
    bool same = view_is(mechanism, s->mechanism);
    if (!same || login_offered(session_newest_gate(s)->conf, mechanism) == NULL) {
        client_refuse_handshake(s, header, HANDSHAKE_UNSUPPORTED_SASL_MECHANISM,
                                same ? "mechanism_not_offered" : "other_mechanism");
        return false;
    }
    return true;
}

static struct reauth_client *client_new(const struct gate *gate, const char *mechanism)
{
    struct reauth_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        abort();
    }
    client->edition = edition_ref(gate->edition);
    client->conf = gate->conf;
    client->alarm_ms = REAUTH_NEVER;
    client->exchange = login_exchange(gate, mechanism);
    if (client->exchange == NULL) {
        reauth_client_free(&client);
    }
    return client;
}

static bool client_handshake(struct session *s, const struct request_header *header)
{
    struct reauth *r = s->reauth;
    if (r->began_ms != 0 && now_ms(s) - r->began_ms < REAUTH_APART_MS) {
        client_refuse_handshake(s, header, HANDSHAKE_ILLEGAL_SASL_STATE, "too_soon");
        return s->state == SESSION_RELAY;
    }
    r->began_ms = now_ms(s);
    r->client = client_new(session_newest_gate(s), s->mechanism);
    if (r->client == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return false;
    }
    if (reauth_broker_relays(s)) {
        exchange_keep_keys(r->client->exchange);
    }
    if (s->client.ssl != NULL) {
        SSL_set_options(s->client.ssl, SSL_OP_CLEANSE_PLAINTEXT); /* passwords come now */
    }
    client_await(s);
    return client_answer_handshake(s, r->client->conf, header, HANDSHAKE_NONE);
}

/* ---- requests ---- */

bool reauth_client_takes(const struct session *s, int16_t api_key, int16_t api_version)
{
    if (!api_admits(api_key, api_version)) {
        return false;
    }
    /* Raw tokens could not be told from the requests around them; nobody's client renews so. */
    if (api_key == API_SASL_HANDSHAKE && api_version == 0) {
        return false;
    }
    const struct reauth *r = s->reauth;
    bool begins = api_key == API_SASL_HANDSHAKE;
    if (s->passthrough) {
        return begins || (r != NULL && r->passing);
    }
    return r != NULL && r->expires_ms != REAUTH_NEVER && (r->client == NULL) == begins;
}

bool reauth_client_request(struct session *s, struct view payload)
{
    struct request_header header;
    if (request_header_decode(payload, &header) != FRAME_OK) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return false;
    }
    struct view body = view_from(payload, header.length);
    if (header.api_key == API_SASL_HANDSHAKE && !client_keeps_mechanism(s, &header, body)) {
        return s->state == SESSION_RELAY;
    }
    if (s->passthrough) {
        return reauth_pass_request(s, &header, body, payload);
    }
    return header.api_key == API_SASL_HANDSHAKE ? client_handshake(s, &header)
                                                : client_token(s, &header, body);
}

/* ---- for reauth.c ---- */

uint64_t reauth_client_alarm_ms(const struct reauth_client *client)
{
    return client != NULL ? client->alarm_ms : REAUTH_NEVER;
}

void reauth_client_alarm(struct session *s)
{
    struct reauth_client *client = s->reauth->client;
    if (client->exchange == NULL && !client->explained) {
        client->alarm_ms = REAUTH_NEVER;
        if (client->explanation != NULL) {
            client_explain(s);
        } else {
            (void)client_refuse(s, client->version, client->correlation_id);
        }
        return;
    }
    if (s->relay.inflight.count > 0) {
        client_await(
            s); /* the answer it waits for has not left: what was asked before takes its time */
        return;
    }
    if (client->exchange != NULL) {
        client_record_denial(s, exchange_claimed(client->exchange), "timeout");
    }
    session_drain(s, CLOSE_REAUTH_DENIED, false);
}

void reauth_client_cancel(struct reauth_client *client)
{
    if (client != NULL) {
        errand_recall(&client->errand);
    }
}

bool reauth_client_is_working(const struct reauth_client *client)
{
    return client != NULL && client->errand.out;
}

void reauth_client_free(struct reauth_client **client)
{
    struct reauth_client *gone = *client;
    *client = NULL;
    if (gone != NULL) {
        assert(!gone->errand.out);
        exchange_free(&gone->exchange);
        edition_unref(&gone->edition);
        free(gone);
    }
}
