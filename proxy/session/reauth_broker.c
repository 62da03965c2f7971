/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/reauth_broker.h"

#include <assert.h>
#include <stdlib.h>

#include "auth/passwords.h"
#include "auth/scram.h"
#include "conf/config.h"
#include "protocol/frame.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/session/dial_credential.h"
#include "proxy/session/edition.h"
#include "proxy/session/errand.h"
#include "proxy/session/evidence.h"
#include "proxy/session/reauth.h"
#include "proxy/session/session_private.h"

enum {
    /* The eight that Kafka's own clients keep for renewals (SaslClientAuthenticator.MIN_RESERVED_CORRELATION_ID). */
    BROKER_ID_FIRST = INT32_MAX - 7,
    BROKER_OUT_MAX = 1024 * 1024,
    RENEW_FROM_PER_MILLE = 850, /* as Java: somewhere in 85 to 95 % */
    RENEW_SPAN_PER_MILLE = 100,
    HASTEN_AGAIN_MS = 100,
    RENEW_APART_MS = 1100 /* brokers refuse a second renewal within a second */
};

struct reauth_broker {
    struct broker_login *login;
    struct edition *edition;         /* a reference: whose credential is shown */
    const struct password *password; /* of it; NULL: the client's own key is */
    struct secret token;             /* read for this renewal, where that is what is shown */
    enum secret_file_status token_status;
    struct errand errand;
    struct writer out;
    uint64_t alarm_ms;
    bool waited; /* at the last alarm the broker owed us the next answer already */
};

static uint64_t now_ms(const struct session *s)
{
    return uv_now(s->world->io.loop);
}

/* ---- the end of a login ---- */

void reauth_broker_term(struct session *s, const struct broker_login *login, uint64_t from_ms)
{
    int64_t lifetime_ms = broker_login_lifetime_ms(login);
    uint32_t jitter = 0;
    if (lifetime_ms <= 0 && s->reauth == NULL) {
        return;
    }
    struct reauth *r = reauth_of(s);
    r->renew_ms = r->ends_ms = REAUTH_NEVER;
    if (lifetime_ms > 0) {
        uint64_t ms = (uint64_t)lifetime_ms < UINT32_MAX ? (uint64_t)lifetime_ms : UINT32_MAX;
        (void)world_random(NULL, (uint8_t *)&jitter, sizeof jitter);
        uint64_t after_ms = ms * (RENEW_FROM_PER_MILLE + jitter % RENEW_SPAN_PER_MILLE) / 1000;
        r->renew_ms = from_ms + (after_ms > RENEW_APART_MS ? after_ms : RENEW_APART_MS);
        r->ends_ms = from_ms + ms;
        r->authenticate_version = broker_login_authenticate_version(login);
    }
    reauth_set_due(r);
}

/* ---- how a renewal ends ---- */

static void broker_done(struct session *s)
{
    struct reauth *r = s->reauth;
    struct scram_keys keys;
    if (r->broker->password != NULL && broker_login_take_keys(r->broker->login, &keys)) {
        edition_keep_keys(r->broker->edition, r->broker->password, &keys);
        scram_keys_wipe(&keys);
    }
    reauth_broker_term(s, r->broker->login, now_ms(s));
    reauth_broker_free(&r->broker);
    r->holds = false;
    evidence_broker_renewed(s);
    session_alarm(s);
    leg_resume(&s->client);
}

/* Nothing is in flight by now: it is a good moment to end. */
static void broker_failed(struct session *s, const char *reason, const char *detail, bool trusted)
{
    evidence_broker_not_renewed(s, reason, detail, trusted);
    s->reauth->broker->alarm_ms = REAUTH_NEVER;
    session_drain(s, CLOSE_BROKER_REAUTH_FAILED, false);
}

/* ---- one request at a time ---- */

static bool broker_send(struct session *s)
{
    struct reauth_broker *broker = s->reauth->broker;
    struct view out = writer_view(&broker->out);
    struct frame_head head;
    if (out.length == 0) {
        return true;
    }
    if (!writer_ok(&broker->out) || frame_request_head(out, &head) != FRAME_OK) {
        session_close(s, CLOSE_INTERNAL);
        return false;
    }
    const struct inflight_entry entry = {.api_key = head.api_key,
                                         .api_version = head.api_version,
                                         .correlation_id = head.correlation_id,
                                         .own = true};
    bool sent = inflight_push(&s->relay.inflight, &entry) &&
                leg_write(&s->broker, out.at, out.length) && leg_flush(&s->broker);
    stats_add(&s->world->stats.broker_bytes_out, out.length);
    writer_reset(&broker->out);
    broker->waited = false;
    broker->alarm_ms = now_ms(s) + session_shared(s)->config->limits.connect_timeout_ms;
    session_alarm(s);
    if (!sent) {
        session_broker_failed(s);
    }
    return sent;
}

static void broker_work_done(struct session *s);

static void broker_step(struct session *s, enum broker_login_status status)
{
    struct reauth_broker *broker = s->reauth->broker;
    if (!broker_send(s)) {
        return;
    }
    switch (status) {
    case BROKER_LOGIN_MORE:
        break;
    case BROKER_LOGIN_PENDING:
        broker->alarm_ms = REAUTH_NEVER;
        errand_broker_login(&broker->errand, s, broker->login, broker_work_done);
        break;
    case BROKER_LOGIN_FAILED:
        broker_failed(s, broker_login_reason_name(broker_login_reason(broker->login)),
                      broker_login_text(broker->login),
                      broker_login_reason(broker->login) != BROKER_LOGIN_IMPOSTOR);
        break;
    case BROKER_LOGIN_OK:
        broker_done(s);
        break;
    }
}

static void broker_work_done(struct session *s)
{
    if (s->state == SESSION_RELAY) {
        struct reauth_broker *broker = s->reauth->broker;
        broker_step(s, broker_login_resume(broker->login, &broker->out));
        session_rest(s);
    }
}

bool reauth_broker_response(struct session *s, const struct flow *flow, const uint8_t *at)
{
    struct reauth_broker *broker = s->reauth->broker;
    size_t consumed = 0;
    broker_step(s, broker_login_feed(broker->login, view_of(at, flow->frame_bytes), &consumed,
                                     &broker->out));
    return s->state == SESSION_RELAY;
}

/* ---- the beginning ---- */

static struct reauth_broker *broker_new(struct session *s)
{
    struct edition *edition = session_newest_gate(s)->edition;
    struct broker_login_params params = {0};
    const struct password *password = dial_credential_again(s, edition, &params);
    if (password == NULL && s->reauth->keys == NULL) {
        return NULL;
    }
    struct reauth_broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL) {
        abort();
    }
    broker->edition = edition_ref(edition);
    broker->password = password;
    broker->alarm_ms = REAUTH_NEVER;
    writer_init_growing(&broker->out, BROKER_OUT_MAX);
    broker->out.wipe = true;
    return broker;
}

static void broker_begin(struct session *s)
{
    struct reauth_broker *broker = s->reauth->broker;
    struct broker_login_params params = {
        .authenticate_version = s->reauth->authenticate_version,
        .client_id = view_from_string(s->client_id),
        .correlation_id = BROKER_ID_FIRST,
    };
    broker->password = dial_credential_again(s, broker->edition, &params);
    if (broker->password == NULL) {
        dial_credential_relayed(s, s->reauth->keys, &params);
    } else if (broker->password->token_file != NULL) {
        params.password = &broker->token;
    }
    broker->login = broker_login_new(&params);
    secret_wipe(&broker->token);
    reauth_broker_forget(s->reauth);
    if (broker->login == NULL) {
        broker_failed(s, "internal", NULL, true);
        return;
    }
    broker_step(s, broker_login_start(broker->login, &broker->out));
}

static void broker_read_token(void *subject)
{
    struct reauth_broker *broker = subject;
    broker->token_status = passwords_read_token(broker->password, &broker->token);
}

static void broker_token_read(struct session *s)
{
    struct reauth_broker *broker = s->reauth->broker;
    if (s->state != SESSION_RELAY) {
        return; /* it ends, and only waits for a leg */
    }
    if (broker->token.length == 0) {
        broker_failed(s, "token_unreadable", secret_file_text(broker->token_status), true);
    } else {
        broker_begin(s);
    }
    session_rest(s);
}

/* Nothing is stored to renew it with: it ends when the broker says. */
static bool broker_ends(struct session *s)
{
    struct reauth *r = s->reauth;
    if (reauth_broker_relays(s) && r->expires_ms <= r->ends_ms) {
        /* It is the client's turn, and its own end lets nothing but that pass. */
        r->renew_ms = REAUTH_NEVER;
        reauth_set_due(r);
        return true;
    }
    if (now_ms(s) >= r->ends_ms) {
        evidence_broker_not_renewed(s, "no_stored_credential",
                                    "the broker's session lifetime is over", true);
        session_drain(s, CLOSE_BROKER_SESSION_EXPIRED, false);
        return false;
    }
    r->renew_ms = r->ends_ms;
    reauth_set_due(r);
    return true;
}

bool reauth_broker_start(struct session *s)
{
    struct reauth *r = s->reauth;
    assert(r->broker == NULL);
    r->broker = broker_new(s);
    if (r->broker == NULL) {
        return broker_ends(s);
    }
    r->holds = true;
    if (r->broker->password != NULL && r->broker->password->token_file != NULL) {
        errand_call(&r->broker->errand, s, broker_read_token, r->broker, broker_token_read);
    } else {
        broker_begin(s);
    }
    return false;
}

/* ---- by the client's own key ---- */

bool reauth_broker_relays(const struct session *s)
{
    return s->reauth != NULL && s->reauth->ends_ms != REAUTH_NEVER &&
           s->route.generation->login == CONF_LOGIN_SCRAM_RELAY;
}

void reauth_broker_offer(struct session *s, const struct scram_keys *keys)
{
    struct reauth *r = s->reauth;
    reauth_broker_forget(r);
    r->keys = malloc(sizeof *r->keys);
    if (r->keys == NULL) {
        abort();
    }
    *r->keys = *keys;
    r->renew_ms = r->hasten_ms = r->offered_ms = now_ms(s);
    reauth_set_due(r);
    session_alarm(s);
}

/* What the client sends next would begin it as well; but a key is not to wait for that. */
void reauth_broker_hasten(struct session *s)
{
    struct reauth *r = s->reauth;
    r->hasten_ms = now_ms(s) + HASTEN_AGAIN_MS;
    if (now_ms(s) - r->offered_ms >= session_shared(s)->config->limits.connect_timeout_ms) {
        /* There is no end to that frame: better no renewal than a key that lies about. */
        reauth_broker_forget(r);
    } else if (r->broker == NULL && !r->holds && flow_rests(&s->relay.requests) &&
               leg_backlog(&s->broker) == 0) {
        leg_pause(&s->client);
        (void)reauth_broker_start(s);
    }
    session_alarm(s);
}

void reauth_broker_forget(struct reauth *r)
{
    if (r->keys != NULL) {
        scram_keys_wipe(r->keys);
        free(r->keys);
        r->keys = NULL;
    }
}

/* ---- for reauth.c ---- */

uint64_t reauth_broker_alarm_ms(const struct reauth_broker *broker)
{
    return broker != NULL ? broker->alarm_ms : REAUTH_NEVER;
}

/* Requests before ours may take their time; once ours is the oldest, the broker owes us an answer. */
void reauth_broker_alarm(struct session *s)
{
    struct reauth_broker *broker = s->reauth->broker;
    const struct inflight_entry *oldest = inflight_front(&s->relay.inflight);
    bool owed = oldest != NULL && oldest->own;
    if (owed && broker->waited && !flow_rests(&s->relay.responses)) {
        /* Half of the answer is here, and the rest would still need its entry. */
        session_close(s, CLOSE_BROKER_REAUTH_FAILED);
        return;
    }
    if (owed && broker->waited) {
        inflight_pop(&s->relay.inflight); /* nobody waits for it any more */
        broker_failed(s, "timeout", NULL, true);
        return;
    }
    broker->waited = owed;
    broker->alarm_ms = now_ms(s) + session_shared(s)->config->limits.connect_timeout_ms;
    session_alarm(s);
}

void reauth_broker_cancel(struct reauth_broker *broker)
{
    if (broker != NULL) {
        errand_recall(&broker->errand);
    }
}

bool reauth_broker_is_working(const struct reauth_broker *broker)
{
    return broker != NULL && broker->errand.out;
}

void reauth_broker_free(struct reauth_broker **broker)
{
    struct reauth_broker *gone = *broker;
    *broker = NULL;
    if (gone != NULL) {
        assert(!gone->errand.out);
        broker_login_free(&gone->login);
        secret_wipe(&gone->token);
        writer_free(&gone->out);
        edition_unref(&gone->edition);
        free(gone);
    }
}
