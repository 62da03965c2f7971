/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/audit.h"
#include "auth/certificates.h"
#include "auth/mapping.h"
#include "conf/config.h"
#include "proxy/cluster/cluster.h"
#include "proxy/cluster/served.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/session/denial.h"
#include "proxy/session/dial.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/login.h"
#include "proxy/session/reauth.h"
#include "proxy/session/session_private.h"

enum { SESSION_MAGIC = 0x53455455, SESSION_FINISH_MS = 5000, SESSION_LINGER_MS = 1000 };

#define M(id) (1u << SESSION_##id)
static const struct {
    const char *name;
    unsigned next;
} states[] = {
#define SESSION_STATE(id, name, next, meaning) [SESSION_##id] = {name, next},
#include "proxy/session/states.def"
#undef SESSION_STATE
};
#undef M

const char *session_state_name(enum session_state state)
{
    assert(state < SESSION_STATE_COUNT);
    return states[state].name;
}

bool session_may(enum session_state from, enum session_state to)
{
    if (to == SESSION_CLOSED) {
        return from != SESSION_CLOSED;
    }
    return (states[from].next & (1u << to)) != 0;
}

void session_log(const struct session *s, enum log_level level, const char *event,
                 const struct log_field *extra, size_t extra_count)
{
    struct log_field fields[24];
    size_t n = 0;
    if (!log_enabled(level)) {
        return;
    }
    fields[n++] = log_uint("session_id", s->id);
    fields[n++] = log_str("listener", s->gate->conf->name);
    fields[n++] = log_address("client", &s->peer.any);
    fields[n++] = log_str("state", session_state_name(s->state));
    fields[n++] = log_str("principal", s->principal);
    fields[n++] = log_str("mechanism", s->mechanism);
    if (s->route.generation != NULL) {
        fields[n++] = log_int("node_id", s->route.node_id);
        fields[n++] = log_str("generation", s->route.generation->name);
    }
    for (size_t i = 0; i < extra_count && n < sizeof fields / sizeof fields[0]; i++) {
        fields[n++] = extra[i];
    }
    log_write(level, event, fields, n);
}

/* ---- timers ---- */

static enum close_reason session_timeout_reason(const struct session *s)
{
    switch (s->state) {
    case SESSION_RELAY:
        return s->draining ? CLOSE_DRAIN_TIMEOUT : CLOSE_IDLE;
    case SESSION_DRAIN:
    case SESSION_LINGER:
        return s->reason;
    default:
        return CLOSE_LOGIN_TIMEOUT;
    }
}

static void session_arm(struct session *s);

/* RELAY: loop time when nothing will have passed for too long. */
static uint64_t session_idle_ms(const struct session *s)
{
    uint64_t idle_ms = session_shared(s)->config->limits.idle_timeout_ms;
    return idle_ms > 0 ? s->active_ms + idle_ms : UINT64_MAX;
}

/* RELAY: loop time when its broker leg is to be made anew. */
static uint64_t session_renewal_ms(const struct session *s)
{
    return s->renew_ms > 0 ? s->renew_ms : UINT64_MAX;
}

/* RELAY: what was due is done. false: it is idle. */
static bool session_goes_on(struct session *s)
{
    uint64_t now_ms = uv_now(s->world->io.loop);
    if (now_ms >= session_renewal_ms(s)) {
        session_drain(s, CLOSE_CERTIFICATE_RENEWED, true);
        return true;
    }
    if (now_ms >= reauth_alarm_ms(s)) {
        reauth_alarm(s);
    } else if (now_ms >= session_idle_ms(s)) {
        return false;
    }
    if (s->state == SESSION_RELAY && !s->draining) {
        session_arm(s);
    }
    return true;
}

static void session_on_timer(uv_timer_t *timer)
{
    struct session *s = timer->data;
    assert(s->magic == SESSION_MAGIC);
    if (s->state == SESSION_DENY) {
        denial_on_timer(s);
        return;
    }
    if (s->state == SESSION_DIAL || s->state == SESSION_EXCHANGE) {
        dial_timed_out(s);
        return;
    }
    if (s->state == SESSION_RELAY && !s->draining && session_goes_on(s)) {
        return;
    }
    session_close(s, session_timeout_reason(s));
}

/* RELAY: ms until something is due; 0: nothing will be. */
static uint64_t session_next_ms(const struct session *s)
{
    uint64_t now_ms = uv_now(s->world->io.loop);
    uint64_t idle_ms = session_idle_ms(s), alarm_ms = reauth_alarm_ms(s);
    uint64_t next_ms = idle_ms < alarm_ms ? idle_ms : alarm_ms;
    next_ms = next_ms < session_renewal_ms(s) ? next_ms : session_renewal_ms(s);
    if (next_ms == UINT64_MAX) {
        return 0;
    }
    return next_ms > now_ms ? next_ms - now_ms : 1;
}

static void session_arm(struct session *s)
{
    const struct conf_limits *limits = &session_shared(s)->config->limits;
    uint64_t now_ms = uv_now(s->world->io.loop);
    uint64_t after_ms = 0;
    switch (s->state) {
    case SESSION_SECURE:
    case SESSION_LOGIN:
    case SESSION_VERIFY:
    case SESSION_MAP: {
        /* Absolute from the accept: a drip of bytes does not buy time (T07). */
        uint64_t deadline_ms = s->accepted_ms + limits->login_timeout_ms;
        after_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 1;
        break;
    }
    case SESSION_DIAL:
        after_ms = limits->connect_timeout_ms;
        break;
    case SESSION_EXCHANGE:
        return; /* the dial's deadline covers it */
    case SESSION_RELAY:
        after_ms = s->draining ? limits->drain_timeout_ms + 1 : session_next_ms(s);
        break;
    case SESSION_DRAIN:
        after_ms = SESSION_FINISH_MS;
        break;
    case SESSION_LINGER:
        after_ms = SESSION_LINGER_MS;
        break;
    case SESSION_DENY: /* denial.c sets the delay */
    case SESSION_CLOSED:
    case SESSION_STATE_COUNT:
        return;
    }
    uv_timer_stop(&s->timer);
    if (after_ms > 0) {
        uv_timer_start(&s->timer, session_on_timer, after_ms, 0);
    }
}

struct penalty_address session_penalty_address(const struct session *s)
{
    struct penalty_address address = {{0}};
    if (s->peer.any.sa_family == AF_INET6) {
        memcpy(address.bytes, &s->peer.v6.sin6_addr, 16);
        return address;
    }
    address.bytes[10] = address.bytes[11] = 0xff;
    memcpy(address.bytes + 12, &s->peer.v4.sin_addr, 4);
    return address;
}

void session_alarm(struct session *s)
{
    if (s->state == SESSION_RELAY && !s->draining) {
        session_arm(s);
    }
}

void session_delay(struct session *s, uint64_t delay_ms)
{
    assert(s->state == SESSION_DENY);
    uv_timer_start(&s->timer, session_on_timer, delay_ms, 0);
}

void session_enter(struct session *s, enum session_state state)
{
    assert(s->magic == SESSION_MAGIC && session_may(s->state, state));
    struct log_field to[] = {log_str("to", session_state_name(state))};
    session_log(s, LOG_LEVEL_DEBUG, "session_state", to, 1);
    s->state = state;
    s->active_ms = uv_now(s->world->io.loop);
    session_arm(s);
    if (state == SESSION_RELAY) {
        stats_sub(&s->world->stats.client_login, 1);
        stats_add(&s->world->stats.broker_active, 1);
        handshake_free(&s->handshake);
        relay_start(s);
    }
}

/* ---- the end ---- */

static void session_try_free(struct session *s)
{
    if (s->state != SESSION_CLOSED || s->timer_open || !leg_is_gone(&s->client) ||
        !leg_is_gone(&s->broker) || handshake_is_working(s->handshake) ||
        reauth_is_working(s->reauth)) {
        return;
    }
    struct world *world = s->world;
    struct gate *gate = s->gate;
    union session_peer peer = s->peer;
    if (s->next != NULL) {
        s->next->link = s->link;
    }
    *s->link = s->next;
    world->session_count--;
    handshake_free(&s->handshake);
    reauth_free(&s->reauth);
    relay_free(&s->relay);
    served_unref(&s->served);
    certificates_unref(&s->kept);
    free(s->principal);
    free(s->client_id);
    s->magic = 0;
    free(s);
    gate->on_gone(gate, &peer.any);
}

void session_work_done(struct session *s)
{
    session_try_free(s);
}

static void session_on_timer_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;
    s->timer_open = false;
    session_try_free(s);
}

static void session_count_closed(struct session *s, enum session_state before)
{
    struct stats *stats = &s->world->stats;
    stats_add(&stats->client_closed[s->reason], 1);
    stats_sub(&stats->client_active, 1);
    if (before == SESSION_RELAY || before == SESSION_DRAIN || before == SESSION_LINGER) {
        stats_sub(&stats->broker_active, 1);
    } else {
        stats_sub(&stats->client_login, 1);
    }
}

static void session_log_closed(const struct session *s, enum session_state before)
{
    struct log_field extra[] = {
        log_str("reason", close_reason_name(s->reason)),
        log_str("in_state", session_state_name(before)),
        log_uint("client_bytes_in", s->client.bytes_in),
        log_uint("client_bytes_out", s->client.bytes_out),
        log_uint("duration_ms", uv_now(s->world->io.loop) - s->accepted_ms),
        log_uint("in_flight", s->relay.inflight.count),
        log_str("client_error", s->client.error != LEG_ERROR_NONE ? s->client.error_text : NULL),
        log_str("broker_error", s->broker.error != LEG_ERROR_NONE ? s->broker.error_text : NULL),
        log_str("broker_host", s->route.generation != NULL ? s->route.host : NULL),
        log_int("broker_port", s->route.port),
    };
    session_log(s, close_reason_level(s->reason), "session_closed", extra,
                sizeof extra / sizeof extra[0]);
}

void session_close(struct session *s, enum close_reason reason)
{
    assert(s->magic == SESSION_MAGIC);
    if (s->state == SESSION_CLOSED) {
        return;
    }
    enum session_state before = s->state;
    s->reason = reason;
    s->state = SESSION_CLOSED;
    session_count_closed(s, before);
    session_log_closed(s, before);
    evidence_session_closed(s);
    handshake_cancel(s->handshake);
    reauth_cancel(s->reauth);
    uv_close((uv_handle_t *)&s->timer, session_on_timer_closed);
    leg_close(&s->client);
    leg_close(&s->broker);
}

void session_finish(struct session *s, struct leg *ended, enum close_reason reason)
{
    struct leg *other = ended == &s->client ? &s->broker : &s->client;
    if (s->state == SESSION_CLOSED || s->state == SESSION_DRAIN) {
        return;
    }
    if (ended == &s->broker) {
        dial_lost(s, reason);
    }
    if (s->state != SESSION_RELAY || leg_backlog(other) == 0) {
        session_close(s, reason);
        return;
    }
    s->reason = reason;
    leg_close(ended); /* or its own backlog would be tried again, fail, and end the wait */
    leg_pause(other);
    session_enter(s, SESSION_DRAIN);
}

/*
 * To close a socket on requests not read resets the connection, and a client may then drop answers
 * that it has not looked at yet. So it is told the end, and what it sends before it hears of that
 * is thrown away.
 */
static void session_linger(struct session *s)
{
    if (!leg_finish(&s->client)) {
        session_close(s, s->reason);
        return;
    }
    leg_close(&s->broker);
    session_enter(s, SESSION_LINGER);
    leg_resume(&s->client);
}

static void session_throw_away(struct session *s)
{
    size_t length = 0;
    switch (leg_read(&s->client, s->world->io.scratch, IO_SCRATCH_BYTES, &length)) {
    case LEG_READ_SOME:
        leg_again(&s->client);
        break;
    case LEG_READ_BLOCKED:
        break;
    case LEG_READ_END:
    case LEG_READ_FAILED:
        session_close(s, s->reason);
        break;
    }
}

void session_rest(struct session *s)
{
    bool owes = leg_backlog(&s->client) > 0 || leg_backlog(&s->broker) > 0;
    if (s->draining && s->state == SESSION_RELAY && relay_rests(s) && !owes) {
        session_linger(s);
    }
}

void session_drain(struct session *s, enum close_reason reason, bool patient)
{
    if (s->state > SESSION_RELAY) {
        return; /* it is ending */
    }
    if (!s->draining) {
        s->draining = true;
        s->reason = reason;
    }
    if (s->state < SESSION_RELAY && !patient) {
        session_close(s, reason);
    } else if (s->state == SESSION_RELAY) {
        session_arm(s);
        session_rest(s);
    }
}

void session_renew_at(struct session *s, uint64_t at_ms)
{
    if (s->state > SESSION_RELAY || (s->renew_ms > 0 && s->renew_ms <= at_ms)) {
        return;
    }
    s->renew_ms = at_ms > 0 ? at_ms : 1;
    session_alarm(s);
}

/* ---- events of the legs ---- */

static enum close_reason client_failed_reason(const struct session *s)
{
    switch (s->client.error) {
    case LEG_ERROR_NOT_TLS:
        return CLOSE_CLIENT_NOT_TLS;
    case LEG_ERROR_TLS_VERIFY:
        return CLOSE_CLIENT_CERTIFICATE_REFUSED;
    case LEG_ERROR_TLS:
    case LEG_ERROR_TLS_REJECTED:
        return CLOSE_CLIENT_TLS_FAILED;
    case LEG_ERROR_END:
        return CLOSE_CLIENT_CLOSED;
    default:
        return CLOSE_CLIENT_RESET;
    }
}

void session_client_failed(struct session *s)
{
    if (s->state == SESSION_SECURE && s->client.state == LEG_SECURING) {
        stats_add(&s->world->stats.tls_client_failed, 1);
    }
    if (s->state == SESSION_DRAIN || s->state == SESSION_LINGER) {
        session_close(s, s->reason);
        return;
    }
    if (s->state == SESSION_SECURE && s->client.error == LEG_ERROR_TLS_VERIFY) {
        denial_of_certificate(s);
        return;
    }
    session_close(s, client_failed_reason(s));
}

void session_broker_failed(struct session *s)
{
    if (s->state == SESSION_DIAL || s->state == SESSION_EXCHANGE) {
        dial_failed(s);
        return;
    }
    if (s->state == SESSION_DRAIN) {
        session_close(s, s->reason);
        return;
    }
    if (s->broker.error == LEG_ERROR_TLS_REJECTED) {
        session_finish(s, &s->broker, CLOSE_BROKER_REJECTED_CERTIFICATE);
        return;
    }
    session_finish(s, &s->broker, CLOSE_BROKER_RESET);
}

static void client_readable(struct session *s)
{
    if (s->state == SESSION_RELAY) {
        relay_requests(s);
    } else if (s->state == SESSION_LOGIN || s->state == SESSION_EXCHANGE) {
        login_readable(s);
    } else if (s->state == SESSION_LINGER) {
        session_throw_away(s);
    }
}

static void client_drained(struct session *s)
{
    if (s->state == SESSION_RELAY) {
        relay_client_drained(s);
    } else if (s->state == SESSION_DRAIN) {
        session_close(s, s->reason);
    } else if (s->state == SESSION_DENY) {
        denial_drained(s);
    }
}

static void client_event(struct leg *leg, enum leg_event event)
{
    struct session *s = leg->owner;
    assert(s->magic == SESSION_MAGIC);
    switch (event) {
    case LEG_OPEN:
        login_start(s);
        break;
    case LEG_READABLE:
        client_readable(s);
        break;
    case LEG_DRAINED:
        client_drained(s);
        break;
    case LEG_FAILED:
        session_client_failed(s);
        break;
    case LEG_CLOSED:
        session_try_free(s);
        break;
    }
}

static void broker_event(struct leg *leg, enum leg_event event)
{
    struct session *s = leg->owner;
    assert(s->magic == SESSION_MAGIC);
    switch (event) {
    case LEG_OPEN:
        dial_open(s);
        break;
    case LEG_READABLE:
        if (s->state == SESSION_RELAY) {
            relay_responses(s);
        } else {
            dial_readable(s);
        }
        break;
    case LEG_DRAINED:
        if (s->state == SESSION_RELAY) {
            relay_broker_drained(s);
        } else if (s->state == SESSION_DRAIN) {
            session_close(s, s->reason);
        }
        break;
    case LEG_FAILED:
        session_broker_failed(s);
        break;
    case LEG_CLOSED:
        dial_leg_gone(s);
        session_try_free(s);
        break;
    }
}

/* ---- the beginning ---- */

static void session_link(struct session *s)
{
    struct world *world = s->world;
    s->next = world->sessions;
    s->link = &world->sessions;
    if (s->next != NULL) {
        s->next->link = &s->next;
    }
    world->sessions = s;
    world->session_count++;
}

bool session_start(struct gate *gate, int fd, const struct sockaddr *peer, int32_t node_id)
{
    struct world *world = gate->world;
    struct session *s = calloc(1, sizeof *s);
    SSL *ssl = gate->tls != NULL ? SSL_new(gate->tls) : NULL;
    if (s == NULL || (gate->tls != NULL && ssl == NULL) ||
        uv_timer_init(world->io.loop, &s->timer) != 0) {
        SSL_free(ssl);
        free(s);
        close(fd);
        return false;
    }
    s->magic = SESSION_MAGIC;
    s->world = world;
    s->gate = gate;
    s->target = node_id;
    s->route.node_id = -1;
    s->id = atomic_fetch_add(session_shared(s)->session_ids, 1) + 1;
    s->accepted_ms = uv_now(world->io.loop);
    s->timer.data = s;
    s->timer_open = true;
    memcpy(&s->peer, peer,
           peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    if (ssl != NULL) {
        SSL_set_options(ssl, SSL_OP_CLEANSE_PLAINTEXT); /* passwords come now; see relay_start */
    }
    leg_init(&s->client, &world->io, client_event, s);
    leg_init(&s->broker, &world->io, broker_event, s);
    session_link(s);
    stats_add(&world->stats.client_active, 1);
    stats_add(&world->stats.client_login, 1);
    session_arm(s);
    bool accepted = gate->conf->tls.optional ? leg_accept_either(&s->client, fd, ssl)
                                             : leg_accept(&s->client, fd, ssl);
    if (!accepted) {
        session_close(s, CLOSE_INTERNAL);
    }
    return true;
}
