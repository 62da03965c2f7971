/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/passthrough.h"

#include <string.h>

#include "auth/mech.h"
#include "auth/principal.h"
#include "auth/scram_message.h"
#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/handshake.h"
#include "proxy/cluster/cluster.h"
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
    if (!leg_write(&s->broker, bytes.at, bytes.length) || !leg_flush(&s->broker)) {
        session_broker_failed(s);
    }
}

void passthrough_open(struct session *s)
{
    session_enter(s, SESSION_EXCHANGE);
    to_broker(s, writer_view(&s->handshake->first));
}

/* ---- who it is: the name is in the first token ---- */

static struct view plain_user(struct view token)
{
    const uint8_t *first = memchr(token.at, 0, token.length);
    if (first == NULL) {
        return view_of(NULL, 0);
    }
    struct view rest = view_from(token, (size_t)(first - token.at) + 1);
    const uint8_t *second = memchr(rest.at, 0, rest.length);
    return second == NULL ? view_of(NULL, 0) : view_of(rest.at, (size_t)(second - rest.at));
}

/* Parsed as strictly as for a login of our own: a message that two readers could understand differently would put a
 * name into the audit log that is not the one the broker saw. A delegation token's user is no principal (KIP-48). */
static bool scram_claimed(struct view token, char *claimed, size_t capacity)
{
    struct scram_client_first first;
    size_t length = 0;
    if (scram_client_first_parse(token, &first) != AUTH_REASON_NONE || first.tokenauth ||
        !scram_name_read(first.user, claimed, capacity - 1, &length)) {
        return false;
    }
    claimed[length] = '\0';
    return true;
}

static bool plain_claimed(struct view token, char *claimed, size_t capacity)
{
    struct view user = plain_user(token);
    if (user.length == 0 || user.length >= capacity) {
        return false;
    }
    memcpy(claimed, user.at, user.length);
    claimed[user.length] = '\0';
    return true;
}

bool passthrough_claimed(const char *mechanism, struct view token, char *claimed, size_t capacity)
{
    return mech_cleartext(mechanism) ? plain_claimed(token, claimed, capacity)
                                     : scram_claimed(token, claimed, capacity);
}

static bool keep_claimed(struct session *s, struct view token)
{
    struct handshake *hs = s->handshake;
    return hs->claimed[0] != '\0' ||
           passthrough_claimed(s->mechanism, token, hs->claimed, sizeof hs->claimed);
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
    if (!keep_claimed(s, token)) {
        evidence_login_denied(s, NULL, "malformed");
        session_close(s, CLOSE_LOGIN_DENIED);
        return;
    }
    hs->version = header.api_version;
    hs->correlation_id = header.correlation_id;
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

static void refused(struct session *s, struct view payload, const char *reason)
{
    evidence_login_denied(s, s->handshake->claimed, reason);
    cluster_report(s->gate->cluster, &s->route,
                   CLUSTER_OK); /* the broker is well; the client is not */
    put_frame(&s->handshake->denial, payload);
    leg_close(&s->broker);
    session_enter(s, SESSION_DENY);
    session_delay(s, 1); /* the broker has delayed it already */
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
        session_close(s, CLOSE_LOGIN_DENIED);
        return;
    }
    s->principal = strdup(principal);
    if (s->principal == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return;
    }
    evidence_login_accepted(s);
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
        refused(s, payload,
                key == API_SASL_HANDSHAKE ? "mechanism_refused_by_broker" : "denied_by_broker");
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
