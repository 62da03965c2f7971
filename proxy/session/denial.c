/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/denial.h"

#include <string.h>

#include "auth/exchange.h"
#include "auth/penalty.h"
#include "auth/tls_refusal.h"
#include "conf/config.h"
#include "protocol/handshake.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

enum { NS_PER_MS = 1000000, UNREAD_MS = 5000 /* a peer that does not read its refusal */ };

const char *denial_guessed(const struct session *s, const char *claimed)
{
    bool password = s->mechanism != NULL && (strcmp(s->mechanism, "PLAIN") == 0 ||
                                             strncmp(s->mechanism, "SCRAM-", 6) == 0);
    return password ? claimed : NULL;
}

uint32_t denial_delay(struct session *s, const char *guessed)
{
    struct world *world = s->world;
    uint32_t jitter = 0, delay_ms;
    struct penalty_address address = session_penalty_address(s);
    uint64_t now_ms = uv_now(world->io.loop);
    (void)world_random(NULL, (uint8_t *)&jitter, sizeof jitter);
    delay_ms = penalty_failed(world->penalty, &address, now_ms, jitter);
    if (guessed == NULL || world->guesses == NULL) {
        return delay_ms;
    }
    struct penalty_address name = penalty_name(world->guesses, guessed);
    uint32_t name_ms = penalty_failed(world->guesses, &name, now_ms, jitter);
    return name_ms > delay_ms ? name_ms : delay_ms;
}

/* ---- when ---- */

/* Counted from the request. Late already: the next multiple of the delay. */
static uint64_t due_ns(const struct handshake *hs, uint32_t delay_ms)
{
    uint64_t step_ns = (uint64_t)(delay_ms > 0 ? delay_ms : 1) * NS_PER_MS;
    uint64_t now_ns = uv_hrtime();
    uint64_t from_ns = hs->asked_ns != 0 ? hs->asked_ns : now_ns;
    uint64_t past_ns = now_ns - from_ns;
    return from_ns + (past_ns / step_ns + 1) * step_ns;
}

void denial_wait(struct session *s, uint32_t delay_ms)
{
    struct handshake *hs = s->handshake;
    hs->answer_ns = due_ns(hs, delay_ms);
    uint64_t ahead_ms = (hs->answer_ns - uv_hrtime() + NS_PER_MS - 1) / NS_PER_MS;
    uint64_t early_ms = tick_works(&s->world->io.tick) ? TICK_AHEAD_MS : 0;
    leg_pause(&s->client);
    session_enter(s, SESSION_DENY);
    session_delay(s, ahead_ms > early_ms ? ahead_ms - early_ms : 0);
}

/* ---- what ---- */

static void put_token(struct handshake *hs, struct view token)
{
    if (hs->raw_tokens) {
        frame_token(&hs->denial, token);
        return;
    }
    const struct sasl_authenticate_response response = {.error_message_null = true,
                                                        .auth_bytes = token};
    sasl_authenticate_encode_response(&hs->denial, hs->version, hs->correlation_id, &response);
}

/* A raw-token exchange (SaslHandshake v0) and a TLS login have no message for a refusal but the close. */
static void put_refusal(struct handshake *hs)
{
    if (hs->step != LOGIN_TOKENS || hs->raw_tokens) {
        return;
    }
    const struct sasl_authenticate_response response = {
        .error_code = HANDSHAKE_SASL_AUTHENTICATION_FAILED,
        .error_message = view_from_string(exchange_denial_text()),
    };
    sasl_authenticate_encode_response(&hs->denial, hs->version, hs->correlation_id, &response);
}

void denial_begin(struct session *s, const char *claimed, const char *reason)
{
    struct handshake *hs = s->handshake;
    const char *explanation = hs->step == LOGIN_TOKENS ? exchange_refusal(hs->exchange) : NULL;
    /* It stands, whether or not the client comes back for the end of it. */
    evidence_login_denied(s, claimed, reason);
    hs->denial_explains = explanation != NULL;
    if (hs->denial_explains) {
        put_token(hs, view_from_string(explanation));
    } else {
        put_refusal(hs);
    }
    denial_wait(s, denial_delay(s, denial_guessed(s, claimed)));
}

/* The client has its answer: it may be held no longer than one that does not log in at all. */
static uint64_t held_ms(const struct session *s, uint32_t delay_ms)
{
    uint64_t until_ms = s->accepted_ms + session_shared(s)->config->limits.login_timeout_ms;
    uint64_t now_ms = uv_now(s->world->io.loop);
    uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    return delay_ms < left_ms ? delay_ms : left_ms;
}

void denial_of_certificate(struct session *s)
{
    struct tls_refusal refusal;
    s->mechanism = "SSL";
    tls_refusal_of(s->client.ssl, &refusal);
    evidence_certificate_denied(s, &refusal);
    leg_pause_heeding(&s->client);
    session_enter(s, SESSION_DENY);
    session_delay(s, held_ms(s, denial_delay(s, NULL)));
}

bool denial_is_answered(struct session *s)
{
    struct handshake *hs = s->handshake;
    if (!hs->denial_explained) {
        return false;
    }
    put_refusal(hs); /* it has waited */
    denial_wait(s, 0);
    return true;
}

/* ---- out ---- */

/* The end is told first: how long it takes to write about it depends on who it was. */
static void end(struct session *s)
{
    bool told = leg_finish(&s->client);
    (void)told; /* if not, the client is gone */
    session_close(s, CLOSE_LOGIN_DENIED);
}

static void explain(struct session *s)
{
    struct handshake *hs = s->handshake;
    writer_reset(&hs->denial);
    hs->denial_explains = false;
    hs->denial_explained = true;
    session_enter(s, SESSION_LOGIN);
    leg_resume(&s->client);
}

static void answer(struct session *s)
{
    struct handshake *hs = s->handshake;
    struct view denial = writer_view(&hs->denial);
    if (denial.length == 0) {
        end(s);
        return;
    }
    if (!leg_write(&s->client, denial.at, denial.length) || !leg_flush(&s->client)) {
        session_close(s, CLOSE_LOGIN_DENIED);
        return;
    }
    if (hs->denial_explains) {
        explain(s);
        return;
    }
    hs->denial_sent = true;
    if (leg_backlog(&s->client) == 0) {
        end(s);
        return;
    }
    session_delay(s, UNREAD_MS);
}

static void on_tick(struct tick_wait *wait)
{
    answer(wait->owner);
}

void denial_on_timer(struct session *s)
{
    struct handshake *hs = s->handshake;
    if (hs == NULL) { /* the alert was the answer */
        session_close(s, CLOSE_CLIENT_CERTIFICATE_REFUSED);
        return;
    }
    if (hs->denial_sent) {
        session_close(s, CLOSE_LOGIN_DENIED);
        return;
    }
    hs->tick.owner = s;
    if (!tick_wait(&s->world->io.tick, &hs->tick, hs->answer_ns, on_tick)) {
        answer(s);
    }
}

void denial_drained(struct session *s)
{
    /* What was sent before the refusal may drain too; that does not shorten its delay. */
    if (s->handshake->denial_sent) {
        end(s);
    }
}
