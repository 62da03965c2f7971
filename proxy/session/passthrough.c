/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/passthrough.h"

#include <stdio.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/exchange.h"
#include "auth/penalty.h"
#include "auth/plain_message.h"
#include "auth/reason.h"
#include "auth/scram_message.h"
#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/handshake.h"
#include "proxy/cluster/cluster.h"
#include "proxy/session/denial.h"
#include "proxy/session/dial.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

bool passthrough_wanted(struct session *s)
{
    struct route route;
    if (cluster_route(s->gate->cluster, s->target, &route) != ROUTE_OK) {
        return false;
    }
    /* Who judges the login is decided by this broker, so it is this broker that is dialled: a port for any broker
     * could otherwise be given a passthrough one after the login has been judged here. */
    s->route = route;
    return route.generation->login == CONF_LOGIN_PASSTHROUGH;
}

static void put_frame(struct writer *w, struct view payload)
{
    writer_i32(w, (int32_t)payload.length);
    writer_put(w, payload);
}

void passthrough_start(struct session *s, const struct request_header *header, struct view payload)
{
    struct handshake *hs = s->handshake;
    if (header->api_version == 0) {
        /* Raw tokens have no end mark that every mechanism shares, so the end of the login could not be told. */
        session_close(s, CLOSE_LOGIN_ORDER);
        return;
    }
    put_frame(&hs->first, payload);
    hs->version = -1; /* the answer awaited is SaslHandshake's */
    hs->correlation_id = header->correlation_id;
    s->passthrough = true;
    leg_pause(&s->client);
    session_enter(s, SESSION_DIAL);
    dial_start(s);
}

static void to_broker(struct session *s, struct view bytes)
{
    s->handshake->awaiting_broker = true;
    if (!leg_write_secret(&s->broker, bytes.at, bytes.length) || !leg_flush(&s->broker)) {
        session_broker_failed(s);
    }
}

void passthrough_open(struct session *s)
{
    session_enter(s, SESSION_EXCHANGE);
    to_broker(s, writer_view(&s->handshake->first));
}

/* ---- who it is: the name is in the first token ---- */

/* Parsed as strictly as for a login of our own: a message that two readers could understand differently would put a
 * name into the audit log that is not the one the broker saw. */
static enum auth_reason plain_claimed(struct view token, struct view *user_r)
{
    struct plain_message message;
    if (!plain_message_parse(token, &message)) {
        return AUTH_REASON_MALFORMED;
    }
    *user_r = message.user;
    /* Brokers before 0.10.2.2 and 0.11.0.1 take the authorization id for who it is (CVE-2017-12610). */
    return message.authzid.length == 0 || view_equal(message.authzid, message.user)
               ? AUTH_REASON_NONE
               : AUTH_REASON_AUTHZID_MISMATCH;
}

/* A delegation token's user is no principal (KIP-48). */
static enum auth_reason scram_claimed(struct view token, char name_r[PRINCIPAL_SIZE],
                                      struct view *user_r)
{
    struct scram_client_first first;
    char authzid[PRINCIPAL_SIZE];
    size_t length = 0, authzid_length = 0;
    enum auth_reason reason = scram_client_first_parse(token, &first);
    if (reason != AUTH_REASON_NONE) {
        return reason;
    }
    if (!scram_name_read(first.user, name_r, PRINCIPAL_BYTES_MAX, &length)) {
        return AUTH_REASON_MALFORMED;
    }
    *user_r = view_of(name_r, length);
    if (first.tokenauth) {
        return AUTH_REASON_TOKENAUTH;
    }
    if (first.authzid.length == 0) {
        return AUTH_REASON_NONE;
    }
    return scram_name_read(first.authzid, authzid, sizeof authzid, &authzid_length) &&
                   view_equal(view_of(authzid, authzid_length), *user_r)
               ? AUTH_REASON_NONE
               : AUTH_REASON_AUTHZID_MISMATCH;
}

const char *passthrough_forbids(const struct credentials *users, const char *mechanism,
                                struct view token, char claimed_r[PRINCIPAL_SIZE])
{
    char name[PRINCIPAL_SIZE], principal[PRINCIPAL_SIZE];
    struct view user = view_from_string("");
    enum auth_reason reason = AUTH_REASON_PASSTHROUGH_NAME;
    if (strcmp(mechanism, "PLAIN") == 0) {
        reason = plain_claimed(token, &user);
    } else if (strncmp(mechanism, "SCRAM-", 6) == 0) {
        reason = scram_claimed(token, name, &user);
    }
    /* A name that is not canonical goes to the audit log as it is, as far as it has room. */
    snprintf(claimed_r, PRINCIPAL_SIZE, "%.*s", (int)user.length, (const char *)user.at);
    if (reason != AUTH_REASON_NONE) {
        return auth_reason_name(reason);
    }
    if (principal_canonical(user, principal) != PRINCIPAL_OK) {
        return "principal_not_canonical";
    }
    return users == NULL || credentials_permit(users, view_from_string(principal), mechanism)
               ? NULL
               : auth_reason_name(AUTH_REASON_MECHANISM_NOT_ALLOWED);
}

/* ---- refusals ---- */

/* The broker is well; the client is not. What it hears lies in the handshake's `denial`. */
static void refuse(struct session *s, const char *reason)
{
    const char *claimed = s->handshake->claimed[0] != '\0' ? s->handshake->claimed : NULL;
    evidence_login_denied(s, claimed, reason);
    cluster_report(s->gate->cluster, &s->route, CLUSTER_OK);
    leg_close(&s->broker);
    denial_wait(s, denial_delay(s, denial_guessed(s, claimed)));
}

/* In the words of every refusal, whoever has judged: a broker's own would tell which of the two it was. */
static void refuse_token(struct session *s, const char *reason)
{
    struct handshake *hs = s->handshake;
    const struct sasl_authenticate_response response = {
        .error_code = HANDSHAKE_SASL_AUTHENTICATION_FAILED,
        .error_message = view_from_string(exchange_denial_text()),
    };
    sasl_authenticate_encode_response(&hs->denial, hs->version, hs->correlation_id, &response);
    refuse(s, reason);
}

/* False: it has come to nothing. */
static bool first_token(struct session *s, struct view token)
{
    struct handshake *hs = s->handshake;
    if (!evidence_admits(s)) {
        session_close(s, CLOSE_AUDIT_UNAVAILABLE);
        return false;
    }
    const char *reason =
        passthrough_forbids(session_shared(s)->users, s->mechanism, token, hs->claimed);
    if (reason != NULL) {
        refuse_token(s, reason);
    }
    return reason == NULL;
}

void passthrough_client_frame(struct session *s, struct view payload)
{
    struct handshake *hs = s->handshake;
    struct request_header header;
    struct view token;
    if (request_header_decode(payload, &header) != FRAME_OK) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return;
    }
    stats_api(&s->world->stats, header.api_key);
    if (header.api_key != API_SASL_AUTHENTICATE ||
        !api_admits(header.api_key, header.api_version)) {
        session_close(s, CLOSE_LOGIN_ORDER);
        return;
    }
    if (!sasl_authenticate_decode_request(header.api_version, view_from(payload, header.length),
                                          &token)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return;
    }
    hs->version = header.api_version;
    hs->correlation_id = header.correlation_id;
    if (hs->claimed[0] == '\0' && !first_token(s, token)) {
        return;
    }
    leg_pause(&s->client);
    put_frame(&hs->out, payload);
    to_broker(s, writer_view(&hs->out));
    writer_reset(&hs->out);
}

/* ---- what the broker says ---- */

static bool to_client(struct session *s, struct view payload)
{
    struct handshake *hs = s->handshake;
    put_frame(&hs->out, payload);
    struct view bytes = writer_view(&hs->out);
    bool sent = leg_write(&s->client, bytes.at, bytes.length) && leg_flush(&s->client);
    writer_reset(&hs->out);
    if (!sent) {
        session_client_failed(s);
    }
    return sent;
}

static void refused(struct session *s, struct view payload, int16_t error_code)
{
    struct handshake *hs = s->handshake;
    if (hs->version >= 0 && error_code == HANDSHAKE_SASL_AUTHENTICATION_FAILED) {
        refuse_token(s, "denied_by_broker");
        return;
    }
    put_frame(&hs->denial, payload);
    refuse(s, hs->version < 0 ? "mechanism_refused_by_broker" : "denied_by_broker");
}

bool passthrough_is_last(const struct session *s, struct view auth_bytes)
{
    if (strncmp(s->mechanism, "SCRAM-", 6) == 0) {
        return auth_bytes.length >= 2 && memcmp(auth_bytes.at, "v=", 2) == 0;
    }
    return auth_bytes.length == 0;
}

static void accepted(struct session *s, struct view payload)
{
    char principal[PRINCIPAL_SIZE];
    if (!evidence_admits(s)) {
        session_close(s, CLOSE_AUDIT_UNAVAILABLE);
        return;
    }
    if (principal_canonical(view_from_string(s->handshake->claimed), principal) != PRINCIPAL_OK) {
        refuse_token(s, "principal_not_canonical");
        return;
    }
    s->principal = strdup(principal);
    if (s->principal == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return;
    }
    evidence_login_accepted(s);
    struct penalty_address address = session_penalty_address(s);
    penalty_succeeded(s->world->penalty, &address, uv_now(s->world->io.loop));
    writer_reset(&s->handshake->first);
    put_frame(&s->handshake->first, payload);
    s->handshake->awaiting_broker = true;
    dial_ask(s);
}

bool passthrough_done(struct session *s)
{
    struct view bytes = writer_view(&s->handshake->first);
    if (leg_write(&s->client, bytes.at, bytes.length) && leg_flush(&s->client)) {
        return true;
    }
    session_client_failed(s);
    return false;
}

static void on_answer(struct session *s, struct view payload)
{
    struct handshake *hs = s->handshake;
    int16_t key = hs->version < 0 ? API_SASL_HANDSHAKE : API_SASL_AUTHENTICATE;
    int16_t version = hs->version < 0 ? 1 : hs->version;
    int32_t correlation_id;
    size_t header;
    struct sasl_handshake_response shake;
    struct sasl_authenticate_response answer = {0};
    hs->awaiting_broker = false;
    bool decoded =
        response_header_decode(payload, key, version, &correlation_id, &header) == FRAME_OK &&
        correlation_id == hs->correlation_id;
    decoded = decoded &&
              (hs->version < 0 ? sasl_handshake_decode_response(view_from(payload, header), &shake)
                               : sasl_authenticate_decode_response(
                                     version, view_from(payload, header), &answer));
    if (!decoded) {
        session_close(s, CLOSE_RESPONSE_MALFORMED);
        return;
    }
    int16_t error_code = hs->version < 0 ? shake.error_code : answer.error_code;
    if (error_code != HANDSHAKE_NONE) {
        refused(s, payload, error_code);
        return;
    }
    if (key == API_SASL_AUTHENTICATE && passthrough_is_last(s, answer.auth_bytes)) {
        accepted(s, payload);
        return;
    }
    if (to_client(s, payload)) {
        leg_resume(&s->client);
    }
}

void passthrough_broker_bytes(struct session *s, struct view in)
{
    struct handshake *hs = s->handshake;
    size_t used = 0;
    enum frame_status status = frame_collector_feed(&hs->broker_in, in, &used);
    if (status == FRAME_BAD || used < in.length || !hs->awaiting_broker) {
        session_close(s, CLOSE_RESPONSE_UNEXPECTED);
        return;
    }
    if (status == FRAME_OK) {
        struct view payload = frame_collector_payload(&hs->broker_in);
        on_answer(s, payload);
        if (s->handshake != NULL) {
            frame_collector_next(&hs->broker_in);
        }
    }
}
