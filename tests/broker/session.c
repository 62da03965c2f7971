/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/exchange.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "tests/broker/answers.h"
#include "tests/broker/broker.h"
#include "tests/broker/conn.h"
#include "tests/broker/hostile.h"
#include "tests/broker/profile.h"

enum { UNASKED_ID = 123456789, GARBAGE = 0xa5, WRONG_ID_BIT = 0x01000000 };

typedef enum answer (*answer_fn)(struct request *request, struct writer *out);

/* framed: session writes the response's header and size, the function only its body. */
static const struct {
    int16_t key;
    bool framed;
    answer_fn answer;
} table[] = {
    {API_PRODUCE, true, answer_produce},
    {API_FETCH, true, answer_fetch},
    {API_LIST_OFFSETS, true, answer_list_offsets},
    {API_METADATA, true, answer_metadata},
    {API_FIND_COORDINATOR, true, answer_find_coordinator},
    {API_INIT_PRODUCER_ID, true, answer_init_producer_id},
    {26 /* EndTxn */, true, answer_end_txn},
    {API_DESCRIBE_CLUSTER, true, answer_describe_cluster},
    {API_SASL_HANDSHAKE, false, login_handshake},
    {API_SASL_AUTHENTICATE, false, login_authenticate},
};

void session_init(struct session *session)
{
    *session = (struct session){.state = SESSION_START};
}

void session_free(struct session *session)
{
    exchange_free(&session->exchange);
    hostile_free(&session->hostile);
    free(session->swapped);
    session->swapped = NULL;
}

void session_logged_in(struct conn *conn, const char *principal, const char *mechanism)
{
    struct session *session = &conn->session;
    session->state = SESSION_OPEN;
    if (principal != session->principal) {
        snprintf(session->principal, sizeof session->principal, "%s", principal);
    }
    if (mechanism != session->mechanism) {
        snprintf(session->mechanism, sizeof session->mechanism, "%s", mechanism);
    }
    printf("%s principal=%s mechanism=%s node=%d peer=%s\n",
           session->renewing ? "renewed" : "login", session->principal, mechanism,
           conn->broker->options->node_id, conn->peer);
    session->renewing = false;
}

/* ---- faults ---- */

static void truncate_to(struct conn *conn, size_t start, int64_t bytes, enum conn_after after)
{
    size_t length = start + (size_t)(bytes > 0 ? bytes : 0);
    conn->out.length = length < conn->out.length ? length : conn->out.length;
    conn->after = after;
}

static void keep_for_later(struct conn *conn, size_t start)
{
    struct session *session = &conn->session;
    free(session->swapped);
    session->swapped_length = conn->out.length - start;
    session->swapped = malloc(session->swapped_length);
    if (session->swapped == NULL) {
        abort();
    }
    memcpy(session->swapped, conn->out.at + start, session->swapped_length);
    conn->out.length = start;
}

static void send_kept(struct conn *conn)
{
    struct session *session = &conn->session;
    if (session->swapped != NULL) {
        writer_put(&conn->out, view_of(session->swapped, session->swapped_length));
        free(session->swapped);
        session->swapped = NULL;
    }
}

static void repeat(struct writer *out, size_t start)
{
    size_t length = out->length - start;
    uint8_t *at = writer_reserve(out, length);
    if (at != NULL) {
        memcpy(at, out->at + start, length);
    }
}

/* Changes the answer that begins at start; a whole frame is there. */
static void commit(struct conn *conn, const struct fault *fault, size_t start)
{
    struct writer *out = &conn->out;
    switch (fault->action) {
    case FAULT_CLOSE:
        truncate_to(conn, start, 0, CONN_END);
        break;
    case FAULT_CUT:
        truncate_to(conn, start, fault->number, CONN_END);
        break;
    case FAULT_RST:
        truncate_to(conn, start, fault->number, CONN_RESET);
        break;
    case FAULT_STALL:
        truncate_to(conn, start, fault->number, CONN_STALL);
        break;
    case FAULT_DELAY:
        conn->delay_ms = (uint64_t)fault->number;
        break;
    case FAULT_WRONG_ID:
        out->at[start + 4] ^= WRONG_ID_BIT >> 24;
        break;
    case FAULT_TWICE:
        repeat(out, start);
        break;
    case FAULT_EXTRA:
        writer_i32(out, 4);
        writer_i32(out, UNASKED_ID);
        break;
    case FAULT_SWAP:
        keep_for_later(conn, start);
        return;
    case FAULT_SIZE:
        writer_patch_i32(out, start, (int32_t)fault->number);
        break;
    case FAULT_GARBAGE:
        memset(out->at + start + 8, GARBAGE, out->length - start - 8);
        break;
    case FAULT_CORRUPT:
        out->at[out->length - 1 - (size_t)fault->number] ^= 1;
        break;
    default:
        break;
    }
}

static void misbehave(struct conn *conn, int16_t key, size_t start)
{
    const struct fault *fault =
        faults_take(&conn->broker->options->faults, key, conn->session.principal, false);
    if (fault != NULL && conn->out.length > start) {
        printf("fault %s api=%s principal=%s node=%d\n", fault_action_name(fault->action),
               api_name(key), conn->session.principal, conn->broker->options->node_id);
        commit(conn, fault, start);
    }
    if (fault == NULL || fault->action != FAULT_SWAP) {
        send_kept(conn);
    }
}

/* ---- requests ---- */

static bool may_ask(const struct conn *conn, int16_t key)
{
    const struct session *session = &conn->session;
    if (key == API_SASL_HANDSHAKE) {
        return session->state != SESSION_TOKENS; /* once logged in it renews, or is told off */
    }
    if (key == API_SASL_AUTHENTICATE) {
        return session->state != SESSION_OPEN;
    }
    bool expired = session->expires_ms != 0 && uv_now(&conn->broker->loop) >= session->expires_ms;
    if (expired && session->state == SESSION_OPEN) {
        printf("expired node=%d principal=%s\n", conn->broker->options->node_id,
               session->principal);
    }
    return session->state == SESSION_OPEN && !expired;
}

/* A listener without SASL says so instead of closing (KafkaApis.handleSaslHandshakeRequest). */
static bool knows_no_sasl(const struct conn *conn, int16_t key)
{
    enum door_kind kind = conn->door->kind;
    return key == API_SASL_HANDSHAKE && (kind == DOOR_PLAIN || kind == DOOR_SSL);
}

static enum answer answer_no_sasl(const struct request *request, struct writer *out)
{
    const struct sasl_handshake_response response = {.error_code = HANDSHAKE_ILLEGAL_SASL_STATE};
    sasl_handshake_encode_response(out, request->version, request->correlation_id, &response);
    return ANSWER_SEND;
}

static void trace(const struct request *request, size_t bytes)
{
    const struct conn *conn = request->conn;
    if (conn->broker->options->trace && !conn->waiting) {
        printf("request node=%d principal=%s api=%s version=%d correlation=%d bytes=%zu\n",
               conn->broker->options->node_id, conn->session.principal, api_name(request->key),
               request->version, request->correlation_id, bytes);
    }
}

static enum answer answer_versions(const struct request *request, struct writer *out)
{
    struct api_versions versions;
    profile_versions(request->conn->broker->options->profile, &versions);
    const struct api_range *own = api_versions_find(&versions, API_API_VERSIONS);
    if (request->version > own->max) {
        api_versions_unsupported(out, request->correlation_id);
    } else {
        api_versions_encode_response(out, request->version, request->correlation_id, &versions);
    }
    return ANSWER_SEND;
}

static enum answer answer_by_table(struct request *request, struct writer *out)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].key != request->key) {
            continue;
        }
        if (!table[i].framed) {
            return table[i].answer(request, out);
        }
        size_t frame =
            frame_response_begin(out, request->key, request->version, request->correlation_id);
        enum answer answer = table[i].answer(request, out);
        if (answer == ANSWER_SEND) {
            frame_end(out, frame);
        }
        return answer;
    }
    return ANSWER_CLOSE;
}

static enum answer session_answer(struct request *request, struct writer *out)
{
    const char *profile = request->conn->broker->options->profile;
    if (request->key == API_API_VERSIONS) {
        return answer_versions(request, out);
    }
    if (knows_no_sasl(request->conn, request->key)) {
        return answer_no_sasl(request, out);
    }
    if (!may_ask(request->conn, request->key) ||
        !profile_serves(profile, request->key, request->version)) {
        printf("refused node=%d principal=%s api=%s version=%d\n",
               request->conn->broker->options->node_id, request->conn->session.principal,
               api_name(request->key), request->version);
        return ANSWER_CLOSE;
    }
    return answer_by_table(request, out);
}

static bool request_read(struct conn *conn, struct view payload, struct request *request)
{
    struct request_header header;
    if (request_header_decode(payload, &header) != FRAME_OK) {
        return false;
    }
    *request = (struct request){
        .conn = conn,
        .key = header.api_key,
        .version = header.api_version,
        .correlation_id = header.correlation_id,
        .flexible = api_is_flexible(header.api_key, header.api_version),
        .last_chance = conn->timed_out,
        .body = reader_init(view_from(payload, header.length)),
    };
    return true;
}

static enum session_verdict verdict_of(struct conn *conn, enum answer answer, int16_t key,
                                       size_t start)
{
    switch (answer) {
    case ANSWER_SEND:
        misbehave(conn, key, start);
        return writer_ok(&conn->out) ? SESSION_NEXT : SESSION_CLOSE;
    case ANSWER_NOTHING:
        conn->out.length = start;
        return SESSION_NEXT;
    case ANSWER_WAIT:
        conn->out.length = start;
        return SESSION_WAIT;
    case ANSWER_CLOSE:
        break;
    }
    conn->out.length = start;
    return SESSION_CLOSE;
}

enum session_verdict session_frame(struct conn *conn, struct view payload, uint64_t *wait_ms_r)
{
    struct request request;
    size_t start = conn->out.length;
    if (conn->session.state == SESSION_TOKENS && conn->session.raw_tokens) {
        return verdict_of(conn, login_token(conn, payload, &conn->out), API_SASL_AUTHENTICATE,
                          start);
    }
    if (!request_read(conn, payload, &request)) {
        return SESSION_CLOSE;
    }
    trace(&request, payload.length);
    if (conn->session.state == SESSION_OPEN) {
        conn_settled(conn);
    }
    enum answer answer = session_answer(&request, &conn->out);
    *wait_ms_r = request.wait_ms;
    return verdict_of(conn, answer, request.key, start);
}
