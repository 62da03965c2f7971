/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/evidence.h"

#include <stdio.h>

#include "auth/audit.h"
#include "auth/certificates.h"
#include "auth/exchange.h"
#include "auth/mapping.h"
#include "auth/tls_refusal.h"
#include "conf/config.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/session.h"

/* Texts that an event borrows while it is queued. */
struct evidence {
    struct audit_event event;
    char client[80];
    char broker[ROUTE_HOST_MAX + 8];
    char rule[512];
};

static void evidence_begin(struct evidence *ev, const struct session *s, enum audit_code code)
{
    ev->event = audit_event_init(code);
    struct audit_event *event = &ev->event;
    /* As it was at the accept: a socket that was reset has no peer any more. */
    leg_address_text(&s->peer.any, ev->client, sizeof ev->client);
    event->time_ns = world_now_ns();
    event->session_id = s->id;
    event->listener = s->gate->conf->name;
    event->cluster = s->gate->conf->cluster;
    event->client_address = ev->client;
    event->mechanism = s->mechanism;
    event->principal = s->principal;
    event->mapping_hash = mapping_hash(session_shared(s)->mapping);
    event->config_hash = session_shared(s)->config_hash;
    if (s->certificate != NULL) {
        event->certificate = s->certificate->name;
        event->certificate_subject = s->certificate->subject;
        event->certificate_fingerprint = s->certificate->fingerprint;
    }
    if (s->route.generation != NULL) {
        snprintf(ev->broker, sizeof ev->broker, "%s:%d", s->route.host, s->route.port);
        event->broker_node = s->route.node_id;
        event->broker_address = ev->broker;
        event->generation = s->route.generation->name;
    }
}

static void evidence_send(struct evidence *ev, const struct session *s)
{
    /* A lost event is counted by the log itself and makes it unhealthy; admission is decided there. */
    (void)audit_log_append(session_shared(s)->audit, &ev->event);
}

bool evidence_admits(const struct session *s)
{
    return audit_log_admits(session_shared(s)->audit);
}

/* What the mechanism has to add: the Kerberos principal behind the name, or what a ticket lacked. */
static const char *evidence_detail(const struct session *s)
{
    const struct exchange *exchange = s->handshake != NULL ? s->handshake->exchange : NULL;
    const char *detail = exchange != NULL ? exchange_detail(exchange) : "";
    return detail[0] != '\0' ? detail : NULL;
}

void evidence_login_accepted(struct session *s)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_LOGIN_ACCEPTED);
    ev.event.outcome = AUDIT_ALLOWED;
    ev.event.detail = s->passthrough ? "judged by the broker" : evidence_detail(s);
    evidence_send(&ev, s);
    stats_add(&s->world->stats.auth_ok, 1);
    struct log_field extra[] = {
        log_str("detail", ev.event.detail),
        log_str("handshake", s->handshake != NULL ? s->handshake->spoken : NULL),
        log_str("client_id", s->client_id),
    };
    session_log(s, LOG_LEVEL_INFO, "login_accepted", extra, sizeof extra / sizeof extra[0]);
}

static void login_denied(struct session *s, struct evidence *ev)
{
    ev->event.outcome = AUDIT_DENIED;
    evidence_send(ev, s);
    stats_add(&s->world->stats.auth_denied, 1);
    struct log_field extra[] = {log_str("claimed", ev->event.principal),
                                log_str("reason", ev->event.reason),
                                log_str("detail", ev->event.detail),
                                log_str("fingerprint", ev->event.certificate_fingerprint)};
    session_log(s, LOG_LEVEL_WARN, "login_denied", extra, sizeof extra / sizeof extra[0]);
}

void evidence_login_denied(struct session *s, const char *claimed, const char *reason)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_LOGIN_DENIED);
    ev.event.principal = claimed;
    ev.event.reason = reason;
    ev.event.detail = evidence_detail(s);
    login_denied(s, &ev);
}

static const char *unless_empty(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

void evidence_certificate_denied(struct session *s, const struct tls_refusal *refusal)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_LOGIN_DENIED);
    ev.event.principal = unless_empty(refusal->subject);
    ev.event.certificate_subject = ev.event.principal;
    ev.event.certificate_fingerprint = unless_empty(refusal->fingerprint);
    ev.event.reason = auth_reason_name(refusal->reason);
    ev.event.detail = refusal->detail;
    login_denied(s, &ev);
}

static void mapping_count_outcome(struct stats *stats, const struct mapping_decision *decision,
                                  bool allowed)
{
    switch (decision->outcome) {
    case MAPPING_MAPPED:
        stats_add(allowed ? &stats->mapping_mapped : &stats->mapping_error, 1);
        break;
    case MAPPING_UNMAPPED:
        stats_add(&stats->mapping_unmapped, 1);
        break;
    case MAPPING_AMBIGUOUS:
        stats_add(&stats->mapping_ambiguous, 1);
        break;
    case MAPPING_ERROR:
        stats_add(&stats->mapping_error, 1);
        break;
    }
}

static enum audit_code mapping_code(const struct mapping_decision *decision, bool allowed)
{
    return allowed                               ? AUDIT_MAPPING_DECIDED
           : decision->outcome == MAPPING_MAPPED ? AUDIT_CERTIFICATE_EXPIRED
                                                 : AUDIT_MAPPING_DENIED;
}

void evidence_mapping(struct session *s, const struct mapping_decision *decision, bool allowed,
                      const char *reason)
{
    struct evidence ev;
    evidence_begin(&ev, s, mapping_code(decision, allowed));
    ev.event.outcome = allowed ? AUDIT_ALLOWED : AUDIT_DENIED;
    ev.event.reason = reason;
    if (!allowed && decision->outcome == MAPPING_MAPPED) {
        ev.event.certificate = decision->certificate; /* the one that would have been shown */
    }
    bool break_glass = false;
    if (decision->rule != MAPPING_NO_RULE) {
        const struct conf_mapping *rule =
            mapping_rule(session_shared(s)->mapping, (size_t)decision->rule);
        snprintf(ev.rule, sizeof ev.rule, "%s:%d%s%s", decision->file, decision->line,
                 rule->name[0] != '\0' ? " " : "", rule->name);
        ev.event.rule = ev.rule;
        break_glass = allowed && rule->break_glass;
    }
    ev.event.detail = break_glass ? "break glass" : NULL;
    evidence_send(&ev, s);
    mapping_count_outcome(&s->world->stats, decision, allowed);
    struct log_field extra[] = {
        log_str("rule", ev.event.rule),
        log_str("certificate", allowed ? decision->certificate : NULL),
        log_str("reason", reason),
        log_str("detail", ev.event.detail),
    };
    session_log(s, allowed && !break_glass ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
                allowed ? "mapping_decided" : "mapping_denied", extra, 4);
}

void evidence_broker_ok(struct session *s)
{
    struct evidence ev;
    bool resumed = s->broker.ssl != NULL && SSL_session_reused(s->broker.ssl) == 1;
    evidence_begin(&ev, s, AUDIT_BROKER_LOGIN_OK);
    ev.event.outcome = AUDIT_ALLOWED;
    ev.event.detail = resumed ? "TLS session resumed" : NULL;
    evidence_send(&ev, s);
    struct log_field extra[] = {
        log_str("login", config_login_name(s->route.generation->login)),
        log_str("certificate_subject", ev.event.certificate_subject),
        log_str("broker", ev.broker),
        log_bool("resumed", resumed),
    };
    session_log(s, LOG_LEVEL_INFO, "broker_login_ok", extra, 4);
}

void evidence_broker_failed(struct session *s, const char *reason, const char *detail, bool trusted)
{
    struct evidence ev;
    evidence_begin(&ev, s, trusted ? AUDIT_BROKER_LOGIN_FAILED : AUDIT_BROKER_UNTRUSTED);
    ev.event.outcome = AUDIT_FAILED;
    ev.event.reason = reason;
    ev.event.detail = detail;
    evidence_send(&ev, s);
    struct log_field extra[] = {
        log_str("login", config_login_name(s->route.generation->login)),
        log_str("certificate_subject", ev.event.certificate_subject),
        log_str("broker", ev.broker),
        log_str("reason", reason),
        log_str("detail", detail),
    };
    session_log(s, LOG_LEVEL_ERROR, "broker_login_failed", extra, 5);
}

void evidence_reauth_accepted(struct session *s, const char *detail)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_REAUTH_ACCEPTED);
    ev.event.outcome = AUDIT_ALLOWED;
    ev.event.detail = detail;
    evidence_send(&ev, s);
    stats_add(&s->world->stats.reauth_ok, 1);
    session_log(s, LOG_LEVEL_INFO, "reauth_accepted", NULL, 0);
}

void evidence_reauth_denied(struct session *s, const char *claimed, const char *reason)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_REAUTH_DENIED);
    ev.event.outcome = AUDIT_DENIED;
    ev.event.reason = reason;
    ev.event.detail = claimed; /* the principal is the session's */
    evidence_send(&ev, s);
    stats_add(&s->world->stats.reauth_denied, 1);
    struct log_field extra[] = {log_str("claimed", claimed), log_str("reason", reason)};
    session_log(s, LOG_LEVEL_WARN, "reauth_denied", extra, 2);
}

void evidence_session_expired(struct session *s, const char *api)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_SESSION_EXPIRED);
    ev.event.outcome = AUDIT_DENIED;
    ev.event.detail = api;
    evidence_send(&ev, s);
    struct log_field extra[] = {log_str("api", api)};
    session_log(s, LOG_LEVEL_INFO, "session_expired", extra, 1);
}

void evidence_broker_renewed(struct session *s)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_BROKER_REAUTH_OK);
    ev.event.outcome = AUDIT_ALLOWED;
    evidence_send(&ev, s);
    stats_add(&s->world->stats.broker_reauth_ok, 1);
    struct log_field extra[] = {log_str("broker", ev.broker)};
    session_log(s, LOG_LEVEL_INFO, "broker_reauth_ok", extra, 1);
}

void evidence_broker_not_renewed(struct session *s, const char *reason, const char *detail,
                                 bool trusted)
{
    struct evidence ev;
    evidence_begin(&ev, s, trusted ? AUDIT_BROKER_REAUTH_FAILED : AUDIT_BROKER_UNTRUSTED);
    ev.event.outcome = AUDIT_FAILED;
    ev.event.reason = reason;
    ev.event.detail = detail;
    evidence_send(&ev, s);
    stats_add(&s->world->stats.broker_reauth_failed, 1);
    struct log_field extra[] = {log_str("broker", ev.broker), log_str("reason", reason),
                                log_str("detail", detail)};
    session_log(s, LOG_LEVEL_ERROR, "broker_reauth_failed", extra, 3);
}

void evidence_request_refused(struct session *s, const char *reason, const char *api)
{
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_REQUEST_REFUSED);
    ev.event.outcome = AUDIT_DENIED;
    ev.event.reason = reason;
    ev.event.detail = api;
    evidence_send(&ev, s);
    struct log_field extra[] = {log_str("reason", reason), log_str("api", api)};
    session_log(s, LOG_LEVEL_WARN, "request_refused", extra, 2);
}

void evidence_session_closed(struct session *s)
{
    if (s->principal == NULL) {
        return;
    }
    struct evidence ev;
    evidence_begin(&ev, s, AUDIT_SESSION_CLOSED);
    ev.event.reason = close_reason_name(s->reason);
    evidence_send(&ev, s);
}
