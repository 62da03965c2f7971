/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/probe_private.h"

#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/tls_context.h"
#include "conf/config.h"
#include "proxy/cluster/identity.h"

enum { OUT_BYTES_MAX = 128 * 1024 };

static void on_timer(uv_timer_t *timer);
static void end_attempt(struct probe *probe, enum probe_attempt_end end);

void probe_say(struct probe *probe, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(probe->text, sizeof probe->text, format, arguments);
    va_end(arguments);
}

/* ---- a connection and a login over it ---- */

static bool attempt_is_look(const struct probe *probe)
{
    return probe->attempt == PROBE_ATTEMPT_LOOK_PLAIN || probe->attempt == PROBE_ATTEMPT_LOOK_TLS;
}

static bool attempt_has_tls(const struct probe *probe)
{
    return probe->attempt == PROBE_ATTEMPT_LOOK_TLS ||
           (probe->attempt != PROBE_ATTEMPT_LOOK_PLAIN &&
            config_protocol_has_tls(probe->generation->protocol));
}

static struct broker_login *attempt_login(const struct probe *probe)
{
    struct identity *identity = probe->identity;
    struct broker_login_params params = {.authenticate_version = -1,
                                         .client_id = view_from_string("setu")};
    if (attempt_is_look(probe)) {
        params.look = true;
        params.mechanism = identity->mechanism != NULL ? identity->mechanism : "SCRAM-SHA-512";
    } else if (probe->attempt == PROBE_ATTEMPT_VERSIONS) {
        params.want_versions = true;
    } else {
        params.want_versions = true;
        params.want_metadata = probe->conf->follow;
        params.topics = writer_view(&probe->topics);
        params.frame_max = probe->frame_max;
        if (config_protocol_has_sasl(probe->generation->protocol)) {
            params.mechanism = identity->mechanism;
            params.username = identity->username;
            params.password = &identity->password;
            params.kerberos = identity->kerberos;
            params.service = identity->service;
            params.host = probe->host;
            params.keys = identity->keys_known ? &identity->keys : NULL;
        }
    }
    return broker_login_new(&params);
}

static SSL *attempt_tls(struct probe *probe)
{
    SSL *ssl = SSL_new(identity_context(probe->identity, probe->generation));
    if (ssl != NULL && !tls_expect_host(ssl, probe->host)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static void begin_timer(struct probe *probe, uint64_t timeout_ms)
{
    uv_timer_start(&probe->timer, on_timer, timeout_ms, 0);
}

static enum probe_attempt_end leg_end(const struct leg *leg, bool answered)
{
    switch (leg->error) {
    case LEG_ERROR_CONNECT:
        return PROBE_END_CONNECT;
    case LEG_ERROR_LOCAL:
        return PROBE_END_LOCAL;
    case LEG_ERROR_TLS_VERIFY:
        return PROBE_END_UNTRUSTED;
    case LEG_ERROR_TLS_REJECTED:
        return PROBE_END_REJECTED;
    case LEG_ERROR_NOT_TLS:
        return PROBE_END_NOT_TLS;
    case LEG_ERROR_NONE:
    case LEG_ERROR_RESET:
    case LEG_ERROR_END:
    case LEG_ERROR_TLS:
        break;
    }
    return answered ? PROBE_END_LOGIN : PROBE_END_BROKEN;
}

static void on_leg(struct leg *leg, enum leg_event event);

static void connect_leg(struct probe *probe)
{
    probe->login = attempt_login(probe);
    SSL *ssl = NULL;
    if (attempt_has_tls(probe)) {
        ssl = attempt_tls(probe);
        if (ssl == NULL) {
            probe_say(probe, "host name cannot be used for TLS");
            end_attempt(probe, PROBE_END_INTERNAL);
            return;
        }
    }
    if (probe->login == NULL) {
        SSL_free(ssl);
        probe_say(probe, "no memory, or the identity cannot be used with its mechanism");
        end_attempt(probe, PROBE_END_INTERNAL);
        return;
    }
    const struct sockaddr *address =
        (const struct sockaddr *)&probe->addresses.addresses[probe->address];
    if (!leg_connect(&probe->leg, address, ssl)) {
        probe_say(probe, "%s", probe->leg.error_text);
        end_attempt(probe, leg_end(&probe->leg, false));
        return;
    }
    begin_timer(probe, probe->timeout_ms);
}

static void on_token(void *context, enum secret_file_status status, struct secret *token)
{
    struct probe *probe = context;
    probe->reading = NULL;
    identity_take_token(probe->identity, status, token);
    connect_leg(probe);
}

/* Not on the loop: the file may lie where reading takes long. False: nothing is to be read. */
static bool reads_token(struct probe *probe)
{
    const char *file = NULL;
    if (probe->attempt == PROBE_ATTEMPT_LOGIN &&
        config_protocol_has_sasl(probe->generation->protocol)) {
        file = identity_token_file(probe->identity);
    }
    if (file == NULL) {
        return false;
    }
    probe->reading = token_read_start(probe->io, file, on_token, probe);
    if (probe->reading == NULL) {
        identity_miss_token(probe->identity, "cannot be read: no thread to be had");
        return false;
    }
    begin_timer(probe, probe->timeout_ms);
    return true;
}

static void begin_attempt(struct probe *probe)
{
    probe->end = PROBE_END_NONE;
    probe->extended_master_secret = -1;
    probe->running = true;
    broker_login_free(&probe->login);
    writer_reset(&probe->out);
    leg_init(&probe->leg, probe->io, on_leg, probe);
    if (!reads_token(probe)) {
        connect_leg(probe);
    }
}

void probe_attempt_next(struct probe *probe, enum probe_attempt attempt)
{
    probe->attempt = attempt;
    begin_timer(probe, 0);
}

static void flush(struct probe *probe)
{
    struct view out = writer_view(&probe->out);
    bool sent =
        out.length == 0 || (leg_write(&probe->leg, out.at, out.length) && leg_flush(&probe->leg));
    writer_reset(&probe->out);
    if (!sent) {
        probe_say(probe, "%s", probe->leg.error_text);
        broker_login_closed(probe->login);
        end_attempt(probe, PROBE_END_BROKEN);
    }
}

static void on_login(struct probe *probe, enum broker_login_status status);

static void on_work(struct slow_work *work)
{
    struct probe *probe = work->owner;
    broker_login_work(probe->login);
}

static void on_worked(struct slow_work *work)
{
    struct probe *probe = work->owner;
    probe->working = false;
    if (probe->done == NULL) {
        probe_release_if_idle(probe);
    } else if (probe->end != PROBE_END_NONE) {
        /* The connection ended meanwhile; its end was waiting for the thread. */
        enum probe_attempt_end end = probe->end;
        probe->end = PROBE_END_NONE;
        end_attempt(probe, end);
    } else {
        leg_resume(&probe->leg);
        on_login(probe, broker_login_resume(probe->login, &probe->out));
    }
}

static void on_login(struct probe *probe, enum broker_login_status status)
{
    switch (status) {
    case BROKER_LOGIN_MORE:
        flush(probe);
        break;
    case BROKER_LOGIN_PENDING:
        leg_pause(&probe->leg);
        probe->working = true;
        if (!slow_work_begin(probe->io, &probe->work,
                             broker_login_waits(probe->login) ? SLOW_FOR_BROKER : SLOW_COMPUTES,
                             on_work, on_worked)) {
            probe->working = false;
            end_attempt(probe, PROBE_END_INTERNAL);
        }
        break;
    case BROKER_LOGIN_OK:
        end_attempt(probe, PROBE_END_OK);
        break;
    case BROKER_LOGIN_FAILED:
        end_attempt(probe, PROBE_END_LOGIN);
        break;
    }
}

static void on_leg_failed(struct probe *probe)
{
    bool answered = broker_login_answered(probe->login);
    broker_login_closed(probe->login);
    probe_say(probe, "%s", probe->leg.error_text);
    end_attempt(probe, leg_end(&probe->leg, answered));
}

static void on_leg_end(struct probe *probe)
{
    broker_login_closed(probe->login);
    /* Before any answer, after a TLS handshake that went well on our side: TLS 1.3 brokers that
     * want a certificate and close without an alert look just like this. */
    bool answered = broker_login_answered(probe->login);
    probe_say(probe, "the broker closed the connection%s", answered ? "" : " without an answer");
    end_attempt(probe, answered                 ? PROBE_END_LOGIN
                       : probe->leg.ssl != NULL ? PROBE_END_REJECTED
                                                : PROBE_END_BROKEN);
}

static void on_leg_readable(struct probe *probe)
{
    size_t length = 0;
    switch (leg_read(&probe->leg, probe->io->scratch, IO_SCRATCH_BYTES, &length)) {
    case LEG_READ_SOME: {
        size_t consumed = 0;
        struct view in = {probe->io->scratch, length};
        enum broker_login_status status =
            broker_login_feed(probe->login, in, &consumed, &probe->out);
        if (status == BROKER_LOGIN_MORE && length == IO_SCRATCH_BYTES) {
            leg_again(&probe->leg);
        }
        on_login(probe, status);
        break;
    }
    case LEG_READ_BLOCKED:
        break;
    case LEG_READ_END:
        on_leg_end(probe);
        break;
    case LEG_READ_FAILED:
        on_leg_failed(probe);
        break;
    }
}

static void note_tls(struct probe *probe)
{
    if (probe->leg.ssl != NULL) {
        snprintf(probe->tls_version, sizeof probe->tls_version, "%s",
                 SSL_get_version(probe->leg.ssl));
        snprintf(probe->tls_cipher, sizeof probe->tls_cipher, "%s",
                 SSL_get_cipher_name(probe->leg.ssl));
        probe->extended_master_secret = SSL_version(probe->leg.ssl) == TLS1_2_VERSION
                                            ? SSL_get_extms_support(probe->leg.ssl) == 1
                                            : -1;
    }
}

/* ---- its events and its end ---- */

static void on_leg_closed(struct probe *probe)
{
    probe->running = false;
    if (probe->done == NULL || probe->finished) {
        probe_release_if_idle(probe);
    } else {
        probe_conclude(probe);
    }
}

static void on_leg(struct leg *leg, enum leg_event event)
{
    struct probe *probe = leg->owner;
    if (event == LEG_CLOSED) {
        on_leg_closed(probe);
        return;
    }
    if (probe->end != PROBE_END_NONE) {
        return;
    }
    switch (event) {
    case LEG_OPEN:
        note_tls(probe);
        leg_resume(leg);
        on_login(probe, broker_login_start(probe->login, &probe->out));
        break;
    case LEG_READABLE:
        on_leg_readable(probe);
        break;
    case LEG_FAILED:
        on_leg_failed(probe);
        break;
    case LEG_DRAINED:
    case LEG_CLOSED:
        break;
    }
}

/* Closes the connection; conclude follows when it is gone and no thread works for it. */
static void end_attempt(struct probe *probe, enum probe_attempt_end end)
{
    if (probe->end != PROBE_END_NONE) {
        return;
    }
    probe->end = end;
    uv_timer_stop(&probe->timer);
    if (probe->working) {
        leg_pause(&probe->leg);
        return;
    }
    if (leg_is_gone(&probe->leg)) {
        /* Nothing was opened, so nothing will call back: from the timer instead. */
        begin_timer(probe, 0);
        return;
    }
    leg_close(&probe->leg);
}

static void on_timer(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    if (!probe->begun) {
        probe_begin(probe);
    } else if (!probe->running) {
        begin_attempt(probe);
    } else if (probe->end != PROBE_END_NONE) {
        on_leg_closed(probe);
    } else if (probe->reading != NULL) {
        token_read_cancel(&probe->reading);
        identity_miss_token(probe->identity, "was not read in time");
        connect_leg(probe);
    } else {
        probe_say(probe, "no answer in time");
        broker_login_closed(probe->login);
        end_attempt(probe, PROBE_END_TIMEOUT);
    }
}

/* ---- for the plan ---- */

bool probe_attempt_init(struct probe *probe)
{
    if (uv_timer_init(probe->io->loop, &probe->timer) != 0) {
        return false;
    }
    probe->timer.data = probe;
    probe->timer_open = true;
    probe->work.owner = probe;
    leg_init(&probe->leg, probe->io, on_leg, probe);
    writer_init_growing(&probe->out, OUT_BYTES_MAX);
    writer_init_growing(&probe->topics, OUT_BYTES_MAX / 2);
    probe->out.wipe = true;
    return true;
}

void probe_attempt_soon(struct probe *probe)
{
    begin_timer(probe, 0);
}

void probe_attempt_abort(struct probe *probe)
{
    probe->end = PROBE_END_INTERNAL;
    uv_timer_stop(&probe->timer);
    token_read_cancel(&probe->reading);
    if (!leg_is_gone(&probe->leg)) {
        leg_close(&probe->leg);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    void (*gone)(void *) = probe->done == NULL ? probe->gone : NULL;
    void *context = probe->context;
    broker_login_free(&probe->login);
    writer_free(&probe->out);
    writer_free(&probe->topics);
    free(probe);
    if (gone != NULL) {
        gone(context);
    }
}

void probe_release_if_idle(struct probe *probe)
{
    bool idle = leg_is_gone(&probe->leg) && !probe->working;
    if (idle && probe->timer_open) {
        probe->timer_open = false;
        uv_close((uv_handle_t *)&probe->timer, on_timer_closed);
    }
}
