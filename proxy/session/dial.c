/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/dial.h"

#include <assert.h>

#include "auth/certificates.h"
#include "auth/passwords.h"
#include "auth/tls_context.h"
#include "auth/tls_sessions.h"
#include "conf/config.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/cluster/cluster.h"
#include "proxy/ops/log.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/passthrough.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

/* ---- failures ---- */

struct dial_failure {
    enum close_reason close;
    enum cluster_outcome outcome;
    const char *reason;
    const char *detail;
    bool trusted;
};

static struct dial_failure dial_classify(struct session *s)
{
    struct broker_login *login = s->handshake->broker_login;
    const struct leg *leg = &s->broker;
    bool with_certificate = s->route.generation->login == CONF_LOGIN_MAPPED_CERTIFICATE;
    struct dial_failure f = {CLOSE_BROKER_TLS_FAILED, CLUSTER_CONNECT_FAILED,
                             leg_error_name(leg->error), leg->error_text, true};
    switch (leg->error) {
    case LEG_ERROR_CONNECT:
        f.close = CLOSE_BROKER_UNREACHABLE;
        return f;
    case LEG_ERROR_TLS_VERIFY:
        f.close = CLOSE_BROKER_NOT_TRUSTED;
        f.outcome = CLUSTER_LOGIN_FAILED;
        f.trusted = false;
        return f;
    case LEG_ERROR_TLS_REJECTED:
        f.close = CLOSE_BROKER_REJECTED_CERTIFICATE;
        f.outcome = CLUSTER_LOGIN_FAILED;
        return f;
    case LEG_ERROR_TLS:
    case LEG_ERROR_NOT_TLS:
        f.outcome = CLUSTER_LOGIN_FAILED; /* perhaps it is of another generation by now */
        return f;
    default:
        break;
    }
    f.outcome = CLUSTER_LOGIN_FAILED;
    f.close = with_certificate ? CLOSE_BROKER_REJECTED_CERTIFICATE : CLOSE_BROKER_LOGIN_FAILED;
    if (login != NULL && broker_login_reason(login) != BROKER_LOGIN_NO_REASON) {
        f.reason = broker_login_reason_name(broker_login_reason(login));
        f.detail = broker_login_text(login);
        if (broker_login_reason(login) == BROKER_LOGIN_CLOSED) {
            f.close = CLOSE_BROKER_CLOSED;
        }
    }
    return f;
}

static void dial_count_failure(struct session *s, enum close_reason reason)
{
    struct stats *stats = &s->world->stats;
    stats_add(reason == CLOSE_BROKER_UNREACHABLE ? &stats->broker_connect_failed
                                                 : &stats->broker_login_failed,
              1);
    if (reason == CLOSE_BROKER_NOT_TRUSTED || reason == CLOSE_BROKER_TLS_FAILED) {
        stats_add(&stats->tls_broker_failed, 1);
    }
}

/*
 * Nearly whatever the cause: the next connection of this identity to this broker shakes hands in whole. But where a
 * password was wrong, TLS had done its part, and others share its sessions.
 */
static void dial_forget(const struct session *s)
{
    const struct broker_login *login = s->handshake->broker_login;
    bool denied = login != NULL && broker_login_reason(login) == BROKER_LOGIN_DENIED;
    if (s->broker.ssl != NULL && !denied) {
        tls_sessions_forget(s->broker.ssl);
    }
}

void dial_failed(struct session *s)
{
    struct broker_login *login = s->handshake->broker_login;
    if (login != NULL && broker_login_reason(login) == BROKER_LOGIN_NO_REASON &&
        broker_login_closed(login) == BROKER_LOGIN_PENDING) {
        return; /* resume reports it when the work is done */
    }
    struct dial_failure f = dial_classify(s);
    dial_forget(s);
    dial_count_failure(s, f.close);
    evidence_broker_failed(s, f.reason, f.detail, f.trusted);
    cluster_report(s->gate->cluster, &s->route, f.outcome);
    session_close(s, f.close);
}

void dial_timed_out(struct session *s)
{
    bool clients_turn = s->state == SESSION_EXCHANGE && !s->handshake->awaiting_broker;
    if (!clients_turn && !leg_is_gone(&s->broker)) {
        bool connecting = s->broker.state == LEG_CONNECTING;
        dial_forget(s);
        stats_add(&s->world->stats.broker_timeout, 1);
        evidence_broker_failed(s, "timeout", connecting ? "no connection" : "no answer", true);
        cluster_report(s->gate->cluster, &s->route,
                       connecting ? CLUSTER_CONNECT_FAILED : CLUSTER_LOGIN_FAILED);
    }
    session_close(s, clients_turn ? CLOSE_LOGIN_TIMEOUT : CLOSE_BROKER_TIMEOUT);
}

/* ---- connect ---- */

static void dial_offer(struct session *s, const struct world_context *context, SSL *ssl)
{
    const struct route *route = &s->route;
    const struct tls_origin origin = {
        .cluster = s->gate->conf->cluster,
        .generation = route->generation->name,
        .host = route->host,
        .node_id = route->node_id,
        .port = route->port,
        .verify_hostname = route->generation->tls.verify_hostname,
        .identity = context->certificate,
        .facts = &context->facts,
    };
    (void)tls_sessions_offer(s->world->tls_sessions, ssl, &origin, world_now_ns() / 1000000000);
}

static SSL *dial_ssl(struct session *s)
{
    const struct conf_generation *generation = s->route.generation;
    const char *name =
        generation->login == CONF_LOGIN_MAPPED_CERTIFICATE ? s->certificate->name : NULL;
    const struct world_context *context = world_client_context(s->world, generation, name);
    SSL *ssl = context != NULL ? SSL_new(context->ctx) : NULL;
    if (ssl == NULL) {
        return NULL;
    }
    if (!tls_expect_host(ssl, s->route.host, generation->tls.verify_hostname)) {
        SSL_free(ssl);
        return NULL;
    }
    if (context->resumes) {
        dial_offer(s, context, ssl);
    }
    return ssl;
}

static void dial_connect(struct session *s)
{
    SSL *ssl = NULL;
    if (!s->passthrough && s->route.generation->login == CONF_LOGIN_PASSTHROUGH) {
        /* The login was judged here, for no way was known then; now there is none to pass on. */
        session_close(s, CLOSE_ROUTE_UNKNOWN);
        return;
    }
    if (config_protocol_has_tls(s->route.generation->protocol)) {
        ssl = dial_ssl(s);
        if (ssl == NULL) {
            session_close(s, CLOSE_INTERNAL);
            return;
        }
    }
    stats_add(&s->world->stats.broker_dials, 1);
    if (!leg_connect(&s->broker, (const struct sockaddr *)&s->route.address, ssl)) {
        dial_failed(s);
    }
}

static void dial_waited(struct cluster_waiter *waiter, enum route_status status)
{
    struct handshake *hs = waiter->owner;
    struct session *s = hs->session;
    if (s->state != SESSION_DIAL) {
        return;
    }
    if (status == ROUTE_OK) {
        status = cluster_route(s->gate->cluster, s->target, &s->route);
    }
    if (status == ROUTE_OK) {
        dial_connect(s);
        return;
    }
    struct log_field extra[] = {log_str("route", route_status_name(status)),
                                log_int("target", s->target)};
    session_log(s, LOG_LEVEL_WARN, "route_failed", extra, 2);
    session_close(s, CLOSE_ROUTE_UNKNOWN);
}

void dial_start(struct session *s)
{
    enum route_status status = ROUTE_OK;
    if (s->route.generation == NULL) {
        status = cluster_route(s->gate->cluster, s->target, &s->route);
    }
    if (status == ROUTE_PENDING || status == ROUTE_NONE_LIVE) {
        struct cluster_waiter *waiter = &s->handshake->waiter;
        *waiter =
            (struct cluster_waiter){.node_id = s->target, .fn = dial_waited, .owner = s->handshake};
        cluster_wait(s->gate->cluster, waiter);
        return;
    }
    if (status != ROUTE_OK) {
        struct log_field extra[] = {log_str("route", route_status_name(status)),
                                    log_int("target", s->target)};
        session_log(s, LOG_LEVEL_WARN, "route_failed", extra, 2);
        session_close(s, CLOSE_ROUTE_UNKNOWN);
        return;
    }
    dial_connect(s);
}

/* ---- log in ---- */

static void dial_step(struct session *s, enum broker_login_status status);

static void dial_work(struct handshake *hs)
{
    broker_login_work(hs->broker_login);
}

static void dial_work_done(struct session *s)
{
    struct handshake *hs = s->handshake;
    assert(s->state == SESSION_DIAL);
    leg_resume(&s->broker);
    dial_step(s, broker_login_resume(hs->broker_login, &hs->out));
}

static void dial_begin_work(struct session *s)
{
    leg_pause(&s->broker); /* an end would be reported again and again until the work is done */
    handshake_begin_work(s->handshake, dial_work, dial_work_done);
}

static const struct password *dial_password(struct session *s)
{
    const struct passwords *passwords = world_passwords(s->world, s->route.generation);
    return passwords != NULL ? passwords_find(passwords, s->principal) : NULL;
}

static void dial_keep_keys(struct session *s)
{
    struct scram_keys keys;
    if (s->route.generation->login == CONF_LOGIN_SASL &&
        broker_login_take_keys(s->handshake->broker_login, &keys)) {
        world_keep_keys(s->world, dial_password(s), &keys);
        scram_keys_wipe(&keys);
    }
}

static bool dial_send(struct session *s)
{
    struct handshake *hs = s->handshake;
    struct view out = writer_view(&hs->out);
    bool sent =
        out.length == 0 || (leg_write(&s->broker, out.at, out.length) && leg_flush(&s->broker));
    writer_reset(&hs->out);
    return sent;
}

static void dial_step(struct session *s, enum broker_login_status status)
{
    struct handshake *hs = s->handshake;
    if (!dial_send(s)) {
        dial_failed(s);
        return;
    }
    switch (status) {
    case BROKER_LOGIN_MORE:
        break;
    case BROKER_LOGIN_PENDING:
        dial_begin_work(s);
        break;
    case BROKER_LOGIN_FAILED:
        dial_failed(s);
        break;
    case BROKER_LOGIN_OK:
        dial_keep_keys(s);
        cluster_report(s->gate->cluster, &s->route, CLUSTER_OK);
        if (broker_login_versions(hs->broker_login) != NULL) {
            cluster_saw_versions(s->gate->cluster, s->route.node_id,
                                 broker_login_versions(hs->broker_login));
        }
        dial_done(s);
        break;
    }
}

void dial_open(struct session *s)
{
    const struct conf_generation *generation = s->route.generation;
    struct handshake *hs = s->handshake;
    struct broker_login_params params = {
        .authenticate_version = s->route.authenticate_version,
        .want_versions = true,
        .client_id = view_from_string(s->client_id),
        .correlation_id = 1,
    };
    if (s->broker.ssl != NULL) {
        struct stats *stats = &s->world->stats;
        stats_add(tls_sessions_settle(s->broker.ssl) ? &stats->tls_broker_resumed
                                                     : &stats->tls_broker_ok,
                  1);
    }
    if (s->passthrough) {
        passthrough_open(s);
        return;
    }
    if (generation->login == CONF_LOGIN_SASL) {
        const struct password *password = dial_password(s);
        if (password == NULL) {
            evidence_broker_failed(s, "no_stored_credential",
                                   "the credentials file has no entry for this principal", true);
            session_close(s, CLOSE_BROKER_LOGIN_FAILED);
            return;
        }
        params.mechanism = generation->sasl.mechanism;
        params.username = password->username;
        params.password = &password->secret;
        params.keys = world_find_keys(s->world, password);
    }
    hs->broker_login = broker_login_new(&params);
    if (hs->broker_login == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return;
    }
    dial_step(s, broker_login_start(hs->broker_login, &hs->out));
}

static void dial_bytes(struct session *s, struct view in)
{
    struct handshake *hs = s->handshake;
    size_t consumed = 0;
    if (s->passthrough) {
        passthrough_broker_bytes(s, in);
        return;
    }
    enum broker_login_status status = broker_login_feed(hs->broker_login, in, &consumed, &hs->out);
    if (status != BROKER_LOGIN_FAILED && consumed < in.length) {
        session_close(s, CLOSE_RESPONSE_UNEXPECTED);
        return;
    }
    dial_step(s, status);
}

void dial_readable(struct session *s)
{
    uint8_t *scratch = s->world->io.scratch;
    size_t length = 0;
    if (s->state != SESSION_DIAL && s->state != SESSION_EXCHANGE) {
        return;
    }
    switch (leg_read(&s->broker, scratch, IO_SCRATCH_BYTES, &length)) {
    case LEG_READ_SOME:
        if (length == IO_SCRATCH_BYTES) {
            leg_again(&s->broker);
        }
        dial_bytes(s, view_of(scratch, length));
        break;
    case LEG_READ_BLOCKED:
        break;
    case LEG_READ_END:
    case LEG_READ_FAILED:
        dial_failed(s);
        break;
    }
}

void dial_done(struct session *s)
{
    evidence_broker_ok(s);
    session_enter(s, SESSION_RELAY);
    leg_resume(&s->client);
}
