/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "auth/staple.h"
#include "auth/tls_sessions.h"
#include "conf/config.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/cluster/cluster.h"
#include "proxy/ops/log.h"
#include "proxy/session/dial.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

enum { REDIALS_MAX = 3 };

/* ---- what it was ---- */

/* As the probe judges it: what a broker of another generation would do, and one of this would not. */
static bool login_mismatches(const struct session *s, enum broker_login_reason reason)
{
    switch (reason) {
    case BROKER_LOGIN_REJECTED:
        /* Over TLS it is what a broker does that does not want our certificate. */
        return s->broker.ssl == NULL || config_protocol_has_sasl(s->route.generation->protocol);
    case BROKER_LOGIN_NO_REASON:
    case BROKER_LOGIN_NOT_SASL:
    case BROKER_LOGIN_NO_MECHANISM:
    case BROKER_LOGIN_MALFORMED:
    case BROKER_LOGIN_TOO_LARGE:
    case BROKER_LOGIN_CLOSED:
        return true;
    case BROKER_LOGIN_DENIED:
    case BROKER_LOGIN_IMPOSTOR:
    case BROKER_LOGIN_ERROR_CODE:
    case BROKER_LOGIN_UNSUPPORTED:
    case BROKER_LOGIN_INTERNAL:
    case BROKER_LOGIN_KEYS_DIFFER:
    case BROKER_LOGIN_NO_TICKET:
        break;
    }
    return false;
}

/* Nothing was shown to it that it could have refused: without a certificate, and before any token, that is so. */
static bool was_shown_nothing(const struct session *s, enum broker_login_reason reason)
{
    bool without_certificate =
        s->broker.ssl == NULL || config_protocol_has_sasl(s->route.generation->protocol);
    return reason == BROKER_LOGIN_REJECTED
               ? without_certificate
               : reason == BROKER_LOGIN_NO_REASON && s->passthrough && s->handshake->version < 0;
}

static enum close_reason login_close(const struct session *s, enum broker_login_reason reason)
{
    if (reason == BROKER_LOGIN_CLOSED) {
        return CLOSE_BROKER_CLOSED;
    }
    if (reason == BROKER_LOGIN_KEYS_DIFFER) {
        return CLOSE_RELAY_KEY_DIFFERS;
    }
    if (was_shown_nothing(s, reason)) {
        return CLOSE_BROKER_RESET;
    }
    return s->route.generation->login == CONF_LOGIN_MAPPED_CERTIFICATE
               ? CLOSE_BROKER_REJECTED_CERTIFICATE
               : CLOSE_BROKER_LOGIN_FAILED;
}

static void classify_login(const struct session *s, struct dial_failure *f)
{
    const struct broker_login *login = s->handshake->broker_login;
    enum broker_login_reason reason =
        login != NULL ? broker_login_reason(login) : BROKER_LOGIN_NO_REASON;
    f->outcome = login_mismatches(s, reason) ? CLUSTER_MISMATCH : CLUSTER_LOGIN_FAILED;
    f->close = login_close(s, reason);
    if (was_shown_nothing(s, reason)) {
        bool reset = s->broker.error == LEG_ERROR_RESET;
        f->reason = leg_error_name(reset ? LEG_ERROR_RESET : LEG_ERROR_END);
        snprintf(f->detail, sizeof f->detail, "before its first answer");
    } else if (reason != BROKER_LOGIN_NO_REASON) {
        f->reason = broker_login_reason_name(reason);
        snprintf(f->detail, sizeof f->detail, "%s", broker_login_text(login));
    }
}

/* With TLS 1.2 it judges our certificate before it ends the handshake. */
static bool may_have_judged(const struct session *s)
{
    OSSL_HANDSHAKE_STATE state = SSL_get_state(s->broker.ssl);
    return s->route.generation->login == CONF_LOGIN_MAPPED_CERTIFICATE &&
           (state == TLS_ST_CW_FINISHED || state == TLS_ST_CR_SESSION_TICKET ||
            state == TLS_ST_CR_CHANGE);
}

/* A broker that is killed, as a rule: one that does not want our certificate says so by an alert. */
static bool died_securing(const struct session *s)
{
    return s->broker.state == LEG_SECURING && !may_have_judged(s);
}

static void classify(const struct session *s, struct dial_failure *f)
{
    const struct leg *leg = &s->broker;
    *f = (struct dial_failure){.close = CLOSE_BROKER_TLS_FAILED,
                               .outcome = CLUSTER_MISMATCH,
                               .reason = leg_error_name(leg->error),
                               .trusted = true};
    snprintf(f->detail, sizeof f->detail, "%s", leg->error_text);
    switch (leg->error) {
    case LEG_ERROR_LOCAL:
        f->close = CLOSE_NO_SOCKET;
        f->local = true;
        break;
    case LEG_ERROR_CONNECT:
        f->close = CLOSE_BROKER_UNREACHABLE;
        f->outcome = CLUSTER_CONNECT_FAILED;
        break;
    case LEG_ERROR_TLS_VERIFY:
        f->close = CLOSE_BROKER_NOT_TRUSTED;
        f->trusted = false;
        if (staple_refuses(staple_verdict_of(leg->ssl))) {
            f->reason = staple_name(staple_verdict_of(leg->ssl));
        }
        break;
    case LEG_ERROR_TLS_REJECTED:
        /* A SASL listener wants no certificate: it is another one by now. */
        f->close = CLOSE_BROKER_REJECTED_CERTIFICATE;
        f->outcome = config_protocol_has_sasl(s->route.generation->protocol) ? CLUSTER_MISMATCH
                                                                            : CLUSTER_LOGIN_FAILED;
        break;
    case LEG_ERROR_TLS:
    case LEG_ERROR_NOT_TLS:
        break;
    case LEG_ERROR_NONE:
    case LEG_ERROR_RESET:
    case LEG_ERROR_END:
        if (!died_securing(s)) {
            classify_login(s, f);
        }
        break;
    }
}

static void count_failure(struct session *s, const struct dial_failure *f)
{
    struct stats *stats = &s->world->stats;
    stats_add(f->local                                  ? &stats->broker_no_socket
              : f->outcome == CLUSTER_CONNECT_FAILED ? &stats->broker_connect_failed
                                                     : &stats->broker_login_failed,
              1);
    if (f->close == CLOSE_BROKER_NOT_TRUSTED || f->close == CLOSE_BROKER_TLS_FAILED) {
        stats_add(&stats->tls_broker_failed, 1);
    }
    if (s->broker.ssl != NULL && staple_refuses(staple_verdict_of(s->broker.ssl))) {
        stats_add(&stats->ocsp_refused, 1);
    }
}

/*
 * Nearly whatever the cause: the next connection of this identity to this broker shakes hands in whole. But where a
 * password was wrong, TLS had done its part, and others share its sessions.
 */
static void forget_tls(const struct session *s)
{
    const struct broker_login *login = s->handshake->broker_login;
    bool denied = login != NULL && broker_login_reason(login) == BROKER_LOGIN_DENIED;
    if (s->broker.ssl != NULL && !denied) {
        tls_sessions_forget(s->broker.ssl);
    }
}

static void give_up(struct session *s, const struct dial_failure *f)
{
    evidence_broker_failed(s, f->reason, f->detail, f->trusted);
    session_close(s, f->close);
}

/* ---- is it another by now? ---- */

static bool is_same_way(const struct route *a, const struct route *b)
{
    return a->generation == b->generation && a->node_id == b->node_id && a->port == b->port &&
           a->authenticate_version == b->authenticate_version &&
           strcmp(a->host, b->host) == 0 &&
           memcmp(&a->address, &b->address, sizeof a->address) == 0;
}

/* The look has ended, and the failed connection is gone. */
static void dial_again(struct session *s)
{
    struct handshake *hs = s->handshake;
    struct route route;
    enum route_status status = cluster_route(s->gate->cluster, s->target, &route);
    if (status != ROUTE_OK || is_same_way(&route, &s->route) ||
        route.generation->login == CONF_LOGIN_PASSTHROUGH) {
        give_up(s, &hs->failure);
        return;
    }
    struct log_field extra[] = {log_str("generation_before", s->route.generation->name),
                                log_str("reason", hs->failure.reason)};
    s->route = route;
    session_log(s, LOG_LEVEL_INFO, "dial_repeated", extra, 2);
    stats_add(&s->world->stats.dials_repeated, 1);
    hs->redials++;
    broker_login_free(&hs->broker_login);
    writer_reset(&hs->out);
    leg_init(&s->broker, &s->world->io, s->broker.on_event, s);
    dial_enter(s);
}

static void on_looked(struct cluster_waiter *waiter, enum route_status status)
{
    struct handshake *hs = waiter->owner;
    (void)status;
    hs->awaiting_look = false;
    if (leg_is_gone(&hs->session->broker)) {
        dial_again(hs->session);
    }
}

void dial_leg_gone(struct session *s)
{
    struct handshake *hs = s->handshake;
    if (s->state == SESSION_DIAL && hs->failure.reason != NULL && !hs->awaiting_look) {
        dial_again(s);
    }
}

/*
 * Nothing of the client's has been sent to anybody: the node may have become another while nobody
 * looked, and then this client need not hear of it.
 */
static bool awaits_look(struct session *s, const struct dial_failure *f)
{
    struct handshake *hs = s->handshake;
    if (s->passthrough || f->local || f->outcome != CLUSTER_MISMATCH ||
        hs->redials >= REDIALS_MAX) {
        return false;
    }
    hs->waiter =
        (struct cluster_waiter){.node_id = s->target, .fn = on_looked, .owner = s->handshake};
    if (!cluster_wait_look(s->gate->cluster, &s->route, &hs->waiter)) {
        return false;
    }
    hs->failure = *f;
    hs->awaiting_look = true;
    leg_close(&s->broker);
    return true;
}

void dial_failed(struct session *s)
{
    struct handshake *hs = s->handshake;
    struct broker_login *login = hs->broker_login;
    struct dial_failure f;
    if (login != NULL && broker_login_reason(login) == BROKER_LOGIN_NO_REASON &&
        broker_login_closed(login) == BROKER_LOGIN_PENDING) {
        return; /* resume reports it when the work is done */
    }
    classify(s, &f);
    forget_tls(s);
    count_failure(s, &f);
    cluster_dial_leave(&hs->dial);
    if (!f.local) {
        cluster_report(s->gate->cluster, &s->route, f.outcome);
    }
    if (!awaits_look(s, &f)) {
        give_up(s, &f);
    }
}

void dial_timed_out(struct session *s)
{
    struct handshake *hs = s->handshake;
    bool clients_turn = s->state == SESSION_EXCHANGE && !hs->awaiting_broker;
    if (hs->failure.reason != NULL && leg_is_gone(&s->broker)) {
        give_up(s, &hs->failure);
        return;
    }
    if (!clients_turn && !leg_is_gone(&s->broker)) {
        bool connecting = s->broker.state == LEG_CONNECTING;
        forget_tls(s);
        stats_add(&s->world->stats.broker_timeout, 1);
        evidence_broker_failed(s, "timeout", connecting ? "no connection" : "no answer", true);
        cluster_report(s->gate->cluster, &s->route,
                       connecting ? CLUSTER_CONNECT_FAILED : CLUSTER_MISMATCH);
    }
    session_close(s, clients_turn ? CLOSE_LOGIN_TIMEOUT : CLOSE_BROKER_TIMEOUT);
}

void dial_lost(struct session *s, enum close_reason reason)
{
    bool owed = s->relay.inflight.count > 0 || reason == CLOSE_BROKER_RESET;
    /* ApiVersions is answered before any login, and one that wants SASL now ends whatever comes next. */
    bool refused = owed && !s->relay.answered &&
                   !config_protocol_has_sasl(s->route.generation->protocol);
    enum cluster_outcome outcome = refused ? CLUSTER_MISMATCH : owed ? CLUSTER_LOST : CLUSTER_ENDED;
    if (s->gate->cluster != NULL) {
        cluster_report(s->gate->cluster, &s->route, outcome);
    }
}
