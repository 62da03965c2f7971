/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/reauth.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "proxy/session/evidence.h"
#include "proxy/session/reauth_broker.h"
#include "proxy/session/reauth_client.h"

struct reauth *reauth_of(struct session *s)
{
    if (s->reauth == NULL) {
        s->reauth = calloc(1, sizeof *s->reauth);
        if (s->reauth == NULL) {
            abort();
        }
        s->reauth->due_ms = s->reauth->expires_ms = REAUTH_NEVER;
        s->reauth->renew_ms = s->reauth->ends_ms = REAUTH_NEVER;
    }
    return s->reauth;
}

void reauth_set_due(struct reauth *r)
{
    r->due_ms = r->expires_ms < r->renew_ms ? r->expires_ms : r->renew_ms;
}

size_t reauth_wanted(struct session *s, size_t missing)
{
    struct reauth *r = s->reauth;
    uint64_t now_ms = uv_now(s->world->io.loop);
    if (missing > 0) {
        return missing; /* nothing goes between the pieces of a frame */
    }
    if (now_ms >= r->renew_ms && !reauth_broker_start(s)) {
        return 0;
    }
    /* Behind the end of the login a head is read at a time: what it begins is known before anything else is taken. */
    r->expired = now_ms >= r->expires_ms;
    return r->expired ? FRAME_HEAD_BYTES : IO_SCRATCH_BYTES;
}

bool reauth_admits(struct session *s, int16_t api_key)
{
    const struct reauth *r = s->reauth;
    if (r->refused) {
        session_close(s, CLOSE_REAUTH_DENIED);
        return false;
    }
    if (r->client != NULL) {
        /* A client that renews its login sends nothing else, and one request at a time. */
        if (api_key == API_SASL_AUTHENTICATE && !r->holds) {
            return true;
        }
        evidence_request_refused(s, close_reason_name(CLOSE_LOGIN_ORDER), api_name(api_key));
        session_close(s, CLOSE_LOGIN_ORDER);
        return false;
    }
    if (r->expired && api_key != API_SASL_HANDSHAKE) {
        evidence_session_expired(s, api_name(api_key));
        session_drain(s, CLOSE_SESSION_EXPIRED, false);
        return false;
    }
    return true;
}

uint64_t reauth_alarm_ms(const struct session *s)
{
    const struct reauth *r = s->reauth;
    uint64_t client_ms = r != NULL ? reauth_client_alarm_ms(r->client) : REAUTH_NEVER;
    uint64_t broker_ms = r != NULL ? reauth_broker_alarm_ms(r->broker) : REAUTH_NEVER;
    uint64_t first_ms = client_ms < broker_ms ? client_ms : broker_ms;
    return r != NULL && r->keys != NULL && r->hasten_ms < first_ms ? r->hasten_ms : first_ms;
}

void reauth_alarm(struct session *s)
{
    uint64_t now_ms = uv_now(s->world->io.loop);
    if (now_ms >= reauth_broker_alarm_ms(s->reauth->broker)) {
        reauth_broker_alarm(s);
    } else if (now_ms >= reauth_client_alarm_ms(s->reauth->client)) {
        reauth_client_alarm(s);
    } else if (s->reauth->keys != NULL) {
        reauth_broker_hasten(s);
    }
}

void reauth_cancel(struct reauth *r)
{
    if (r != NULL) {
        reauth_client_cancel(r->client);
        reauth_broker_cancel(r->broker);
    }
}

bool reauth_is_working(const struct reauth *r)
{
    return r != NULL &&
           (reauth_client_is_working(r->client) || reauth_broker_is_working(r->broker));
}

void reauth_free(struct reauth **r)
{
    struct reauth *gone = *r;
    *r = NULL;
    if (gone != NULL) {
        reauth_client_free(&gone->client);
        reauth_broker_free(&gone->broker);
        reauth_broker_forget(gone);
        free(gone);
    }
}
