/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/dial.h"

#include <assert.h>

#include "auth/certificates.h"
#include "auth/tls_context.h"
#include "auth/tls_sessions.h"
#include "conf/config.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/cluster/cluster.h"
#include "proxy/cluster/served.h"
#include "proxy/ops/log.h"
#include "proxy/session/dial_credential.h"
#include "proxy/session/edition.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/mapped.h"
#include "proxy/session/passthrough.h"
#include "proxy/session/reauth_broker.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

/* ---- connect ---- */

static void dial_offer(struct session *s, const struct edition_context *context, SSL *ssl)
{
    const struct route *route = &s->route;
    const struct tls_origin origin = {
        .cluster = s->gate->conf->cluster,
        .generation = route->generation->name,
        .host = route->host,
        .node_id = route->node_id,
        .flips = route->flips,
        .port = route->port,
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
    const struct edition_context *context =
        edition_client_context(s->gate->edition, generation, name);
    SSL *ssl = context != NULL ? SSL_new(context->ctx) : NULL;
    if (ssl == NULL) {
        return NULL;
    }
    if (!tls_expect_host(ssl, s->route.host)) {
        SSL_free(ssl);
        return NULL;
    }
    if (context->resumes) {
        dial_offer(s, context, ssl);
    }
    return ssl;
}

/* Everything that takes time and no connection is behind us. */
static void dial_now(struct session *s)
{
    SSL *ssl = NULL;
    if (!s->passthrough && !mapped_at_dial(s)) {
        session_close(s, CLOSE_NOT_MAPPED_THERE);
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

static void dial_connect(struct session *s)
{
    if (!dial_credential_read(s, dial_now)) {
        dial_now(s);
    }
}

static void dial_no_route(struct session *s, enum route_status status)
{
    struct log_field extra[] = {log_str("route", route_status_name(status)),
                                log_int("target", s->target)};
    session_log(s, LOG_LEVEL_WARN, "route_failed", extra, 2);
    session_close(s, CLOSE_ROUTE_UNKNOWN);
}

/* The login was judged here, for no way was known then; and now there is none to pass on. */
static bool dial_came_too_late(const struct session *s)
{
    return !s->passthrough && s->route.generation->login == CONF_LOGIN_PASSTHROUGH;
}

/* The address that was known when it queued up is another node's now, or nobody knows how to speak there. */
static void dial_lost_its_way(struct session *s, enum route_status status)
{
    cluster_dial_leave(&s->handshake->dial);
    if (status != ROUTE_PENDING) {
        dial_no_route(s, status);
        return;
    }
    s->route = (struct route){.node_id = -1}; /* it is being found out */
    dial_start(s);
}

/* What was known when it queued up may be old news. */
static void dial_turn(struct cluster_dial *dial)
{
    struct handshake *hs = dial->owner;
    struct session *s = hs->session;
    struct route route;
    assert(s->state == SESSION_DIAL);
    if (dial->in_vain) {
        evidence_broker_failed(s, "away", "nobody has reached it for half a second", true);
        session_close(s, CLOSE_BROKER_UNREACHABLE);
        return;
    }
    if (!s->passthrough && s->route.node_id >= 0) {
        enum route_status status = cluster_route(s->gate->cluster, s->route.node_id, &route);
        if (status != ROUTE_OK) {
            dial_lost_its_way(s, status);
            return;
        }
        s->route = route;
    }
    if (dial_came_too_late(s)) {
        session_close(s, CLOSE_ROUTE_UNKNOWN);
        return;
    }
    dial_connect(s);
}

void dial_enter(struct session *s)
{
    struct cluster_dial *dial = &s->handshake->dial;
    if (dial_came_too_late(s)) {
        session_close(s, CLOSE_ROUTE_UNKNOWN);
        return;
    }
    dial->fn = dial_turn;
    dial->owner = s->handshake;
    if (cluster_dial_enter(s->gate->cluster, &s->route, dial)) {
        dial_connect(s);
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
        dial_enter(s);
    } else {
        dial_no_route(s, status);
    }
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
        dial_no_route(s, status);
        return;
    }
    dial_enter(s);
}

/* ---- log in ---- */

static void dial_step(struct session *s, enum broker_login_status status);

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
    errand_broker_login(&s->handshake->errand, s, s->handshake->broker_login, dial_work_done);
}

/* False: at the node's address another one answers; nothing of the client's may reach it. */
static bool dial_is_itself(struct session *s)
{
    int16_t version = 0;
    struct view metadata = broker_login_metadata(s->handshake->broker_login, &version);
    if (metadata.at == NULL || cluster_identify(s->gate->cluster, &s->route, version, metadata)) {
        return true;
    }
    evidence_broker_failed(s, "another_node", "another node answers at its address", true);
    session_close(s, CLOSE_BROKER_IS_ANOTHER);
    return false;
}

/*
 * The client was told what it may ask for before this broker was reached. Where that was too much
 * it is told anew, on its next connection, by what has been learned here; nothing has been sent.
 */
static bool dial_keeps_promise(struct session *s)
{
    const struct handshake *hs = s->handshake;
    if (s->served == NULL || !hs->promised_known || served_keeps(s->served, &hs->promised)) {
        return true;
    }
    session_close(s, CLOSE_VERSIONS_OUTDATED);
    return false;
}

static void dial_logged_in(struct session *s)
{
    const struct api_versions *versions = broker_login_versions(s->handshake->broker_login);
    dial_credential_used(s);
    if (!dial_is_itself(s)) {
        return;
    }
    cluster_report(s->gate->cluster, &s->route, CLUSTER_OK);
    if (versions != NULL) {
        s->served = cluster_saw_versions(s->gate->cluster, &s->route, versions);
    }
    if (!s->passthrough && config_protocol_has_sasl(s->route.generation->protocol)) {
        cluster_saw_lifetime(s->gate->cluster, &s->route,
                             broker_login_lifetime_ms(s->handshake->broker_login));
    }
    reauth_broker_term(s, s->handshake->broker_login, s->handshake->broker_term_ms);
    if (dial_keeps_promise(s) && (!s->passthrough || passthrough_done(s))) {
        dial_done(s);
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
        dial_logged_in(s);
        break;
    }
}

static struct broker_login_params dial_questions(const struct session *s)
{
    return (struct broker_login_params){
        .authenticate_version = s->route.authenticate_version,
        .want_versions = true,
        .want_metadata = s->route.node_id >= 0 && !s->route.confirmed,
        .client_id = view_from_string(s->client_id),
        .correlation_id = 1,
    };
}

static void dial_begin_login(struct session *s, const struct broker_login_params *params)
{
    struct handshake *hs = s->handshake;
    hs->broker_term_ms = 0;
    hs->broker_login = broker_login_new(params);
    if (hs->broker_login == NULL) {
        session_close(s, CLOSE_INTERNAL);
        return;
    }
    dial_step(s, broker_login_start(hs->broker_login, &hs->out));
}

void dial_ask(struct session *s)
{
    struct broker_login_params params = dial_questions(s);
    dial_begin_login(s, &params);
}

void dial_open(struct session *s)
{
    struct handshake *hs = s->handshake;
    struct scram_keys keys;
    struct broker_login_params params = dial_questions(s);
    cluster_dial_reached(&hs->dial);
    if (s->broker.ssl != NULL) {
        struct stats *stats = &s->world->stats;
        stats_add(tls_sessions_settle(s->broker.ssl) ? &stats->tls_broker_resumed
                                                     : &stats->tls_broker_ok,
                  1);
    }
    if (s->passthrough) {
        cluster_dial_leave(&hs->dial); /* the rest is the client's, who may take its time */
        passthrough_open(s);
        return;
    }
    if (!dial_credential(s, &params, &keys)) {
        return;
    }
    dial_begin_login(s, &params);
    scram_keys_wipe(&keys);
}

static void dial_bytes(struct session *s, struct view in)
{
    struct handshake *hs = s->handshake;
    size_t consumed = 0;
    if (hs->broker_login == NULL) {
        passthrough_broker_bytes(s, in);
        return;
    }
    enum broker_login_status status = broker_login_feed(hs->broker_login, in, &consumed, &hs->out);
    if (hs->broker_term_ms == 0 && broker_login_lifetime_ms(hs->broker_login) > 0) {
        /* What is asked behind the login takes its time. */
        hs->broker_term_ms = uv_now(s->world->io.loop);
    }
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
