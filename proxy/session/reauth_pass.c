/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/reauth_pass.h"

#include <string.h>

#include "auth/principal.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "proxy/session/denial.h"
#include "proxy/session/evidence.h"
#include "proxy/session/passthrough.h"
#include "proxy/session/reauth.h"
#include "proxy/session/reauth_client.h"
#include "proxy/session/session_private.h"

/* Why this first token goes no further; NULL: it may, by the newest configuration. */
static const char *forbidden(const struct session *s, struct view token,
                             char claimed_r[PRINCIPAL_SIZE])
{
    const struct credentials *users = session_newest_gate(s)->edition->shared->users;
    const char *reason = passthrough_forbids(users, s->mechanism, token, claimed_r);
    return reason == NULL && strcmp(claimed_r, s->principal) != 0 ? "other_principal" : reason;
}

static bool first_token(struct session *s, const struct request_header *header, struct view token)
{
    char claimed[PRINCIPAL_SIZE];
    if (!evidence_admits(s)) {
        session_close(s, CLOSE_AUDIT_UNAVAILABLE);
        return false;
    }
    const char *reason = forbidden(s, token, claimed);
    if (reason == NULL) {
        s->reauth->named = true;
        return true;
    }
    (void)denial_delay(s, denial_guessed(s, claimed)); /* remembered; the end is its delay */
    (void)reauth_client_refuse(s, header, claimed, reason);
    return false;
}

static bool pass_on(struct session *s, const struct request_header *header, struct view payload)
{
    const struct inflight_entry entry = {.api_key = header->api_key,
                                         .api_version = header->api_version,
                                         .correlation_id = header->correlation_id};
    if (!inflight_push(&s->relay.inflight, &entry)) {
        session_close(s, CLOSE_INTERNAL);
        return false;
    }
    if (!leg_write_secret(&s->broker, payload.at - FRAME_SIZE_BYTES,
                          payload.length + FRAME_SIZE_BYTES)) {
        session_broker_failed(s);
        return false;
    }
    s->relay.requests.sent_bytes += payload.length + FRAME_SIZE_BYTES;
    return true;
}

bool reauth_pass_request(struct session *s, const struct request_header *header, struct view body,
                         struct view payload)
{
    struct reauth *r = reauth_of(s);
    struct view token;
    if (header->api_key == API_SASL_HANDSHAKE) {
        r->passing = true;
        r->named = false;
        return pass_on(s, header, payload);
    }
    if (!sasl_authenticate_decode_request(header->api_version, body, &token)) {
        session_close(s, CLOSE_FRAME_MALFORMED);
        return false;
    }
    if (!r->named && !first_token(s, header, token)) {
        return s->state == SESSION_RELAY;
    }
    return pass_on(s, header, payload);
}

/* ---- what the broker says ---- */

static bool handshake_said(struct session *s, struct view body)
{
    struct sasl_handshake_response answer;
    if (!sasl_handshake_decode_response(body, &answer)) {
        return false;
    }
    if (answer.error_code != HANDSHAKE_NONE) {
        s->reauth->passing = false;
        evidence_reauth_denied(s, NULL, "refused_by_broker");
    }
    return true;
}

static bool token_said(struct session *s, int16_t version, struct view body)
{
    struct sasl_authenticate_response answer;
    if (!sasl_authenticate_decode_response(version, body, &answer)) {
        return false;
    }
    if (answer.error_code != HANDSHAKE_NONE) {
        s->reauth->passing = false;
        evidence_reauth_denied(s, s->principal, "denied_by_broker");
        (void)denial_delay(s, denial_guessed(s, s->principal)); /* the broker has delayed it */
    } else if (passthrough_is_last(s, answer.auth_bytes)) {
        s->reauth->passing = false;
        evidence_reauth_accepted(s, "judged by the broker");
    }
    return true;
}

bool reauth_pass_response(struct session *s, struct flow *flow, const uint8_t *at)
{
    struct view payload = view_of(at + FRAME_SIZE_BYTES, flow->frame_bytes - FRAME_SIZE_BYTES);
    int32_t correlation_id;
    size_t header;
    bool said = response_header_decode(payload, flow->api_key, flow->api_version, &correlation_id,
                                       &header) == FRAME_OK;
    said = said && (flow->api_key == API_SASL_HANDSHAKE
                        ? handshake_said(s, view_from(payload, header))
                        : token_said(s, flow->api_version, view_from(payload, header)));
    if (!said) {
        session_close(s, CLOSE_RESPONSE_MALFORMED);
        return false;
    }
    flow->sent_bytes += flow->frame_bytes;
    if (!leg_write(&s->client, at, flow->frame_bytes)) {
        session_client_failed(s);
        return false;
    }
    return true;
}
