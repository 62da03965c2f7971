/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "auth/exchange.h"
#include "auth/mech.h"
#include "auth/reason.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "tests/broker/answers.h"
#include "tests/broker/broker.h"
#include "tests/broker/conn.h"
#include "tests/broker/hostile.h"

enum { LOGIN_REPLY_BYTES_MAX = 1024 * 1024, LOGIN_APART_MS = 1000 };

enum login_result { LOGIN_CONTINUE, LOGIN_DONE, LOGIN_DENIED };

static bool login_random(void *context, uint8_t *at, size_t length)
{
    (void)context;
    return RAND_bytes(at, (int)length) == 1;
}

/* ---- SaslHandshake ---- */

/* As KafkaChannel.maybeBeginServerReauthentication: where nothing ends nothing is renewed, and not twice a second. */
static bool login_may_renew(struct conn *conn)
{
    struct session *session = &conn->session;
    uint64_t now_ms = uv_now(&conn->broker->loop);
    bool soon = session->renewed_ms != 0 && now_ms - session->renewed_ms < LOGIN_APART_MS;
    if (session->expires_ms == 0 || soon) {
        return false;
    }
    session->renewed_ms = now_ms;
    session->renewing = true;
    return true;
}

static bool login_begin(struct conn *conn, struct view mechanism)
{
    struct session *session = &conn->session;
    exchange_free(&session->exchange);
    if (session->renewing && !view_is(mechanism, session->mechanism)) {
        return false;
    }
    if (mechanism.length >= sizeof session->mechanism) {
        return false;
    }
    memcpy(session->mechanism, mechanism.at, mechanism.length);
    session->mechanism[mechanism.length] = '\0';
    if (!mech_known(session->mechanism)) {
        return false;
    }
    session->exchange =
        exchange_server_new(session->mechanism, conn->broker->users, login_random, NULL);
    return session->exchange != NULL;
}

enum answer login_handshake(struct request *request, struct writer *out)
{
    struct conn *conn = request->conn;
    struct sasl_handshake_response response = {.error_code = HANDSHAKE_NONE};
    const char *const *names = mech_names(NULL);
    struct view mechanism;
    bool again = conn->session.state == SESSION_OPEN;
    if (!sasl_handshake_decode_request(reader_rest(&request->body), &mechanism)) {
        return ANSWER_CLOSE;
    }
    for (size_t i = 0; names[i] != NULL && i < SASL_MECHANISMS_MAX; i++) {
        response.mechanisms[response.count++] = view_from_string(names[i]);
    }
    if (again && !login_may_renew(conn)) {
        response.error_code =
            HANDSHAKE_ILLEGAL_SASL_STATE; /* as KafkaApis.handleSaslHandshakeRequest */
    } else if (login_begin(conn, mechanism)) {
        conn->session.state = SESSION_TOKENS;
        conn->session.raw_tokens = request->version == 0;
    } else {
        response.error_code = HANDSHAKE_UNSUPPORTED_SASL_MECHANISM;
        conn->after = CONN_END;
    }
    sasl_handshake_encode_response(out, request->version, request->correlation_id, &response);
    return ANSWER_SEND;
}

/* ---- tokens ---- */

/* Who the first token says it is from: PLAIN and SCRAM only. */
static void login_claim(struct session *session, struct view token)
{
    const uint8_t *end = token.at + token.length;
    const uint8_t *at = NULL, *stop = NULL;
    if (session->principal[0] != '\0' || token.length == 0) {
        return;
    }
    if (strcmp(session->mechanism, "PLAIN") == 0) {
        at = memchr(token.at, 0, token.length);
        at = at != NULL ? at + 1 : end;
        stop = memchr(at, 0, (size_t)(end - at));
    } else {
        at = memmem(token.at, token.length, "n=", 2);
        at = at != NULL ? at + 2 : end;
        stop = memchr(at, ',', (size_t)(end - at));
    }
    size_t length = stop != NULL ? (size_t)(stop - at) : 0;
    if (length < sizeof session->principal) {
        memcpy(session->principal, at, length);
        session->principal[length] = '\0';
    }
}

static enum login_result login_honest(struct conn *conn, struct view token, struct writer *reply)
{
    struct exchange *exchange = conn->session.exchange;
    enum exchange_status status = exchange_step(exchange, token, reply);
    if (status == EXCHANGE_PENDING) {
        exchange_work(exchange);
        status = exchange_resume(exchange, reply);
    }
    switch (status) {
    case EXCHANGE_CONTINUE:
        return LOGIN_CONTINUE;
    case EXCHANGE_DONE:
        if (conn->session.renewing &&
            strcmp(exchange_principal(exchange), conn->session.principal) != 0) {
            printf("denied principal=%s mechanism=%s node=%d reason=other_principal\n",
                   conn->session.principal, conn->session.mechanism,
                   conn->broker->options->node_id);
            return LOGIN_DENIED;
        }
        session_logged_in(conn, exchange_principal(exchange), conn->session.mechanism);
        return LOGIN_DONE;
    default:
        printf("denied principal=%s mechanism=%s node=%d reason=%s\n", conn->session.principal,
               conn->session.mechanism, conn->broker->options->node_id,
               auth_reason_name(exchange_reason(exchange)));
        return LOGIN_DENIED;
    }
}

static enum login_result login_hostile(struct conn *conn, struct view token, struct writer *reply)
{
    switch (hostile_step(conn->session.hostile, token, reply)) {
    case HOSTILE_CONTINUE:
        return LOGIN_CONTINUE;
    case HOSTILE_DONE:
        session_logged_in(conn, conn->session.principal, conn->session.mechanism);
        return LOGIN_DONE;
    default:
        return LOGIN_DENIED;
    }
}

static enum login_result login_step(struct conn *conn, struct view token, struct writer *reply)
{
    struct session *session = &conn->session;
    if (session->principal[0] == '\0') {
        login_claim(session, token);
        const struct fault *fault = faults_take(&conn->broker->options->faults,
                                                API_SASL_AUTHENTICATE, session->principal, true);
        if (fault != NULL) {
            printf("fault %s principal=%s\n", fault_action_name(fault->action), session->principal);
            session->hostile = hostile_new(fault, session->mechanism);
        }
    }
    return session->hostile != NULL ? login_hostile(conn, token, reply)
                                    : login_honest(conn, token, reply);
}

enum answer login_authenticate(struct request *request, struct writer *out)
{
    struct conn *conn = request->conn;
    struct view token;
    struct writer reply;
    if (conn->session.state != SESSION_TOKENS || conn->session.raw_tokens ||
        !sasl_authenticate_decode_request(request->version, reader_rest(&request->body), &token)) {
        return ANSWER_CLOSE;
    }
    writer_init_growing(&reply, LOGIN_REPLY_BYTES_MAX);
    struct sasl_authenticate_response response = {.error_message_null = true};
    enum login_result result = login_step(conn, token, &reply);
    uint64_t session_ms = conn->broker->options->session_ms;
    if (result == LOGIN_DONE && session_ms > 0) {
        conn->session.expires_ms = uv_now(&conn->broker->loop) + session_ms;
        response.session_lifetime_ms = (int64_t)session_ms;
    }
    if (result == LOGIN_DENIED) {
        response.error_code = HANDSHAKE_SASL_AUTHENTICATION_FAILED;
        if (conn->session.hostile == NULL) {
            response.error_message = view_from_string("Authentication failed");
            response.error_message_null = false;
        }
        conn->after = CONN_END;
    } else {
        response.auth_bytes = writer_view(&reply);
    }
    sasl_authenticate_encode_response(out, request->version, request->correlation_id, &response);
    writer_free(&reply);
    return ANSWER_SEND;
}

enum answer login_token(struct conn *conn, struct view token, struct writer *out)
{
    struct writer reply;
    writer_init_growing(&reply, LOGIN_REPLY_BYTES_MAX);
    enum login_result result = login_step(conn, token, &reply);
    if (result != LOGIN_DENIED) {
        frame_token(out, writer_view(&reply));
    }
    writer_free(&reply);
    return result == LOGIN_DENIED ? ANSWER_CLOSE : ANSWER_SEND;
}
