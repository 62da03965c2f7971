/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/probe.h"

#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "auth/tls_context.h"
#include "conf/config.h"
#include "proxy/cluster/identity.h"
#include "proxy/io/leg.h"

enum { OUT_BYTES_MAX = 128 * 1024, TEXT_SIZE = 256, RACK_SIZE = 256, MECHANISM_SIZE = 32 };

/* What one connection is for. */
enum attempt {
    ATTEMPT_LOGIN,    /* as the generation says, with the identity */
    ATTEMPT_VERSIONS, /* as the generation says, ApiVersions only */
    ATTEMPT_LOOK_PLAIN,
    ATTEMPT_LOOK_TLS /* with the trust of candidate `generation` */
};

enum attempt_end {
    END_NONE,      /* it runs */
    END_OK,        /* login says what came out */
    END_LOGIN,     /* the broker or we refused: login says why */
    END_CONNECT,   /* no connection at this address */
    END_REJECTED,  /* TLS: it does not accept our certificate, or wants one */
    END_UNTRUSTED, /* TLS: we do not accept its certificate */
    END_NOT_TLS,
    END_BROKEN, /* TLS or socket failed otherwise */
    END_TIMEOUT,
    END_INTERNAL
};

struct probe {
    struct leg leg;
    uv_timer_t timer; /* 0 ms: begin the next attempt; else the limit of the attempt */
    uv_work_t work;
    probe_fn done; /* NULL: cancelled */
    void (*gone)(void *context);
    void *context;
    struct io *io;
    const struct conf_cluster *conf;
    struct identity *identity;
    struct generation_subject subject;
    struct resolve_result addresses;
    size_t address;
    enum attempt attempt;
    enum attempt_end end;
    const struct conf_generation *generation;
    size_t next_trust; /* first generation whose TLS trust was not tried yet in this look */
    bool begun;        /* the first attempt was chosen */
    bool running;      /* an attempt has the leg */
    bool relook, timer_open, working, finished;
    struct broker_login *login;
    struct writer out;
    uint64_t timeout_ms, started_ms;
    struct api_versions versions;
    struct probe_result result;
    char host[ROUTE_HOST_MAX], rack[RACK_SIZE], text[TEXT_SIZE];
    char tls_version[32], tls_cipher[64];
    const char *mechanisms[SASL_MECHANISMS_MAX];
    char mechanism_names[SASL_MECHANISMS_MAX][MECHANISM_SIZE];
};

static void on_timer(uv_timer_t *timer);
static void end_attempt(struct probe *probe, enum attempt_end end);

/* ---- the end of it all ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    void (*gone)(void *) = probe->done == NULL ? probe->gone : NULL;
    void *context = probe->context;
    broker_login_free(&probe->login);
    writer_free(&probe->out);
    free(probe);
    if (gone != NULL) {
        gone(context);
    }
}

/* Frees the probe once neither the loop nor a thread holds a part of it. */
static void release_if_idle(struct probe *probe)
{
    bool idle = leg_is_gone(&probe->leg) && !probe->working;
    if (idle && probe->timer_open) {
        probe->timer_open = false;
        uv_close((uv_handle_t *)&probe->timer, on_timer_closed);
    }
}

static void finish(struct probe *probe, enum probe_outcome outcome)
{
    struct probe_result *result = &probe->result;
    result->outcome = outcome;
    result->generation = probe->generation;
    result->address = probe->address < probe->addresses.count ? probe->address : 0;
    result->text = probe->text;
    result->tls_version = probe->tls_version;
    result->tls_cipher = probe->tls_cipher;
    result->elapsed_ms = uv_now(probe->io->loop) - probe->started_ms;
    probe->finished = true;
    probe->done(probe->context, result);
    release_if_idle(probe);
}

__attribute__((format(printf, 2, 3))) static void say(struct probe *probe, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(probe->text, sizeof probe->text, format, arguments);
    va_end(arguments);
}

/* ---- one attempt: a connection and a login over it ---- */

static bool attempt_is_look(const struct probe *probe)
{
    return probe->attempt == ATTEMPT_LOOK_PLAIN || probe->attempt == ATTEMPT_LOOK_TLS;
}

static bool attempt_has_tls(const struct probe *probe)
{
    return probe->attempt == ATTEMPT_LOOK_TLS ||
           (probe->attempt != ATTEMPT_LOOK_PLAIN &&
            config_protocol_has_tls(probe->generation->protocol));
}

static struct broker_login *attempt_login(const struct probe *probe)
{
    const struct identity *identity = probe->identity;
    struct broker_login_params params = {.authenticate_version = -1,
                                         .client_id = view_from_string("setu")};
    if (attempt_is_look(probe)) {
        params.look = true;
        params.mechanism = identity->mechanism != NULL ? identity->mechanism : "SCRAM-SHA-512";
    } else if (probe->attempt == ATTEMPT_VERSIONS) {
        params.want_versions = true;
    } else {
        params.want_versions = true;
        params.want_metadata = true;
        if (config_protocol_has_sasl(probe->generation->protocol)) {
            params.mechanism = identity->mechanism;
            params.username = identity->username;
            params.password = &identity->password;
            params.keys = identity->keys_known ? &identity->keys : NULL;
        }
    }
    return broker_login_new(&params);
}

static SSL *attempt_tls(struct probe *probe)
{
    SSL *ssl = SSL_new(identity_context(probe->identity, probe->generation));
    if (ssl != NULL && !tls_expect_host(ssl, probe->host, probe->generation->tls.verify_hostname)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static void begin_timer(struct probe *probe, uint64_t timeout_ms)
{
    uv_timer_start(&probe->timer, on_timer, timeout_ms, 0);
}

static void on_leg(struct leg *leg, enum leg_event event);

static void begin_attempt(struct probe *probe)
{
    probe->end = END_NONE;
    probe->running = true;
    broker_login_free(&probe->login);
    writer_reset(&probe->out);
    probe->login = attempt_login(probe);
    leg_init(&probe->leg, probe->io, on_leg, probe);
    SSL *ssl = NULL;
    if (attempt_has_tls(probe)) {
        ssl = attempt_tls(probe);
        if (ssl == NULL) {
            say(probe, "host name cannot be used for TLS");
            end_attempt(probe, END_INTERNAL);
            return;
        }
    }
    if (probe->login == NULL) {
        SSL_free(ssl);
        say(probe, "no memory, or the identity cannot be used with its mechanism");
        end_attempt(probe, END_INTERNAL);
        return;
    }
    const struct sockaddr *address =
        (const struct sockaddr *)&probe->addresses.addresses[probe->address];
    if (!leg_connect(&probe->leg, address, ssl)) {
        say(probe, "%s", probe->leg.error_text);
        end_attempt(probe, END_CONNECT);
        return;
    }
    begin_timer(probe, probe->timeout_ms);
}

static void next_attempt(struct probe *probe, enum attempt attempt)
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
        say(probe, "%s", probe->leg.error_text);
        broker_login_closed(probe->login);
        end_attempt(probe, END_BROKEN);
    }
}

static void on_login(struct probe *probe, enum broker_login_status status);

static void on_work(uv_work_t *work)
{
    struct probe *probe = work->data;
    broker_login_work(probe->login);
}

static void on_worked(uv_work_t *work, int status)
{
    struct probe *probe = work->data;
    (void)status;
    probe->working = false;
    if (probe->done == NULL) {
        release_if_idle(probe);
    } else if (probe->end != END_NONE) {
        /* The connection ended meanwhile; its end was waiting for the thread. */
        enum attempt_end end = probe->end;
        probe->end = END_NONE;
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
        if (uv_queue_work(probe->io->loop, &probe->work, on_work, on_worked) != 0) {
            probe->working = false;
            end_attempt(probe, END_INTERNAL);
        }
        break;
    case BROKER_LOGIN_OK:
        end_attempt(probe, END_OK);
        break;
    case BROKER_LOGIN_FAILED:
        end_attempt(probe, END_LOGIN);
        break;
    }
}

static enum attempt_end leg_end(const struct leg *leg, bool answered)
{
    switch (leg->error) {
    case LEG_ERROR_CONNECT:
        return END_CONNECT;
    case LEG_ERROR_TLS_VERIFY:
        return END_UNTRUSTED;
    case LEG_ERROR_TLS_REJECTED:
        return END_REJECTED;
    case LEG_ERROR_NOT_TLS:
        return END_NOT_TLS;
    case LEG_ERROR_NONE:
    case LEG_ERROR_RESET:
    case LEG_ERROR_END:
    case LEG_ERROR_TLS:
        break;
    }
    return answered ? END_LOGIN : END_BROKEN;
}

static void on_leg_failed(struct probe *probe)
{
    bool answered = broker_login_answered(probe->login);
    broker_login_closed(probe->login);
    say(probe, "%s", probe->leg.error_text);
    end_attempt(probe, leg_end(&probe->leg, answered));
}

static void on_leg_end(struct probe *probe)
{
    broker_login_closed(probe->login);
    /* Before any answer, after a TLS handshake that went well on our side: TLS 1.3 brokers that
     * want a certificate and close without an alert look just like this. */
    bool answered = broker_login_answered(probe->login);
    say(probe, "the broker closed the connection%s", answered ? "" : " without an answer");
    end_attempt(probe, answered ? END_LOGIN : probe->leg.ssl != NULL ? END_REJECTED : END_BROKEN);
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
    }
}

/* ---- what an attempt's end leads to ---- */

static void begin(struct probe *probe);
static void conclude(struct probe *probe);

static void on_leg_closed(struct probe *probe)
{
    probe->running = false;
    if (probe->done == NULL || probe->finished) {
        release_if_idle(probe);
    } else {
        conclude(probe);
    }
}

static void on_leg(struct leg *leg, enum leg_event event)
{
    struct probe *probe = leg->owner;
    if (event == LEG_CLOSED) {
        on_leg_closed(probe);
        return;
    }
    if (probe->end != END_NONE) {
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
static void end_attempt(struct probe *probe, enum attempt_end end)
{
    if (probe->end != END_NONE) {
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
        begin(probe);
    } else if (!probe->running) {
        begin_attempt(probe);
    } else if (probe->end != END_NONE) {
        on_leg_closed(probe);
    } else {
        say(probe, "no answer in time");
        broker_login_closed(probe->login);
        end_attempt(probe, END_TIMEOUT);
    }
}

/* True when the next address of the name is tried instead. */
static bool tries_next_address(struct probe *probe)
{
    if (probe->end != END_CONNECT || probe->address + 1 >= probe->addresses.count) {
        return false;
    }
    probe->address++;
    next_attempt(probe, probe->attempt);
    return true;
}

static bool is_candidate(const struct probe *probe, const struct conf_generation *generation)
{
    return generation_match(generation, &probe->subject) != GENERATION_NO;
}

/* Tries TLS with the trust of the next candidate that speaks it. False: none is left. */
static bool looks_over_tls(struct probe *probe)
{
    for (size_t i = probe->next_trust; i < probe->conf->generations_count; i++) {
        const struct conf_generation *generation = &probe->conf->generations[i];
        if (is_candidate(probe, generation) && config_protocol_has_tls(generation->protocol)) {
            probe->next_trust = i + 1;
            probe->generation = generation;
            next_attempt(probe, ATTEMPT_LOOK_TLS);
            return true;
        }
    }
    return false;
}

static void begin_look(struct probe *probe)
{
    probe->relook = false;
    probe->next_trust = 0;
    probe->generation = NULL;
    for (size_t i = 0; i < probe->conf->generations_count; i++) {
        const struct conf_generation *generation = &probe->conf->generations[i];
        if (is_candidate(probe, generation) && !config_protocol_has_tls(generation->protocol)) {
            next_attempt(probe, ATTEMPT_LOOK_PLAIN);
            return;
        }
    }
    if (!looks_over_tls(probe)) {
        say(probe, "no generation of the configuration matches it");
        finish(probe, PROBE_UNDECIDED);
    }
}

static void begin_known(struct probe *probe, const struct conf_generation *generation)
{
    probe->generation = generation;
    next_attempt(probe,
                 identity_serves(probe->identity, generation) ? ATTEMPT_LOGIN : ATTEMPT_VERSIONS);
}

/* From the timer, so that nothing ever ends inside probe_start. */
static void begin(struct probe *probe)
{
    probe->begun = true;
    if (probe->generation != NULL) {
        begin_known(probe, probe->generation);
    } else {
        begin_look(probe);
    }
}

/* What was seen, from the login of a look that got answers. */
static void take_look(struct probe *probe)
{
    struct generation_look *look = &probe->result.look;
    probe->result.looked = true;
    look->tls = probe->attempt == ATTEMPT_LOOK_TLS;
    look->certificate_wanted = probe->end == END_REJECTED;
    look->sasl = broker_login_offers_sasl(probe->login);
    look->mechanism_count = 0;
    look->mechanisms = probe->mechanisms;
    const char *names[SASL_MECHANISMS_MAX];
    size_t count = broker_login_offers(probe->login, names);
    for (size_t i = 0; i < count; i++) {
        char *name = probe->mechanism_names[i];
        snprintf(name, MECHANISM_SIZE, "%s", names[i]);
        probe->mechanisms[look->mechanism_count++] = name;
    }
}

static void conclude_look(struct probe *probe)
{
    bool seen = probe->end == END_OK || probe->end == END_REJECTED;
    if (probe->end == END_CONNECT) {
        finish(probe, PROBE_UNREACHABLE);
        return;
    }
    if (!seen && looks_over_tls(probe)) {
        return;
    }
    if (!seen) {
        probe->generation = NULL;
        finish(probe, PROBE_FAILED);
        return;
    }
    take_look(probe);
    const struct conf_generation *tried = probe->generation;
    const struct conf_generation *found = NULL;
    if (tried != NULL && generation_fits(tried, &probe->result.look)) {
        found = tried;
    } else {
        found = generation_by_look(probe->conf, &probe->subject, &probe->result.look);
    }
    if (found == NULL) {
        probe->generation = NULL;
        say(probe, "no generation fits what it speaks (%s%s)",
            probe->result.look.sasl ? "SASL_" : "", probe->result.look.tls ? "SSL" : "PLAINTEXT");
        finish(probe, PROBE_UNDECIDED);
        return;
    }
    begin_known(probe, found);
}

/* The broker does not speak as its generation does. */
static bool is_mismatch(const struct probe *probe)
{
    switch (probe->end) {
    case END_REJECTED:
        /* A SASL listener wants no certificate; it is an SSL one by now. */
        return config_protocol_has_sasl(probe->generation->protocol);
    case END_NOT_TLS:
    case END_UNTRUSTED:
    case END_BROKEN:
    case END_TIMEOUT:
        return true;
    case END_LOGIN:
        switch (broker_login_reason(probe->login)) {
        case BROKER_LOGIN_NOT_SASL:
        case BROKER_LOGIN_NO_MECHANISM:
        case BROKER_LOGIN_MALFORMED:
        case BROKER_LOGIN_TOO_LARGE:
        case BROKER_LOGIN_CLOSED:
        case BROKER_LOGIN_REJECTED:
            return true;
        case BROKER_LOGIN_NO_REASON:
        case BROKER_LOGIN_DENIED:
        case BROKER_LOGIN_IMPOSTOR:
        case BROKER_LOGIN_ERROR_CODE:
        case BROKER_LOGIN_UNSUPPORTED:
        case BROKER_LOGIN_INTERNAL:
            return false;
        }
        return false;
    case END_NONE:
    case END_OK:
    case END_CONNECT:
    case END_INTERNAL:
        return false;
    }
    return false;
}

static void note_login_failure(struct probe *probe)
{
    struct probe_result *result = &probe->result;
    result->reason = broker_login_reason(probe->login);
    result->error_code = broker_login_error_code(probe->login);
    const char *words = broker_login_text(probe->login);
    if (words[0] != '\0') {
        say(probe, "%s", words);
    }
}

static void take_answers(struct probe *probe)
{
    struct probe_result *result = &probe->result;
    const struct api_versions *versions = broker_login_versions(probe->login);
    if (versions != NULL) {
        probe->versions = *versions;
        result->versions = &probe->versions;
    }
    result->metadata = broker_login_metadata(probe->login, &result->metadata_version);
    if (broker_login_take_keys(probe->login, &probe->identity->keys)) {
        probe->identity->keys_known = true;
    }
}

static void conclude_login(struct probe *probe)
{
    if (probe->end == END_OK) {
        take_answers(probe);
        probe->text[0] = '\0';
        finish(probe, PROBE_OK);
        return;
    }
    if (probe->end == END_CONNECT) {
        finish(probe, PROBE_UNREACHABLE);
        return;
    }
    if (probe->end == END_LOGIN) {
        note_login_failure(probe);
    }
    if (probe->relook && is_mismatch(probe)) {
        begin_look(probe);
        return;
    }
    bool sasl = config_protocol_has_sasl(probe->generation->protocol);
    if (sasl && probe->end == END_LOGIN) {
        probe->result.login_failed = true;
        next_attempt(probe, ATTEMPT_VERSIONS);
        return;
    }
    probe->result.login_failed = probe->end == END_REJECTED;
    finish(probe, probe->end == END_REJECTED ? PROBE_REFUSED : PROBE_FAILED);
}

static void conclude_versions(struct probe *probe)
{
    if (probe->end == END_OK) {
        take_answers(probe);
        if (!probe->result.login_failed) {
            probe->text[0] = '\0';
        }
        finish(probe, PROBE_VERSIONS_ONLY);
        return;
    }
    if (probe->end == END_CONNECT) {
        finish(probe, PROBE_UNREACHABLE);
    } else if (probe->relook && is_mismatch(probe)) {
        begin_look(probe);
    } else {
        finish(probe, probe->result.login_failed ? PROBE_REFUSED : PROBE_FAILED);
    }
}

static void conclude(struct probe *probe)
{
    if (tries_next_address(probe)) {
        return;
    }
    switch (probe->attempt) {
    case ATTEMPT_LOGIN:
        conclude_login(probe);
        break;
    case ATTEMPT_VERSIONS:
        conclude_versions(probe);
        break;
    case ATTEMPT_LOOK_PLAIN:
    case ATTEMPT_LOOK_TLS:
        conclude_look(probe);
        break;
    }
}

/* ---- the surface ---- */

static void copy_subject(struct probe *probe, const struct generation_subject *subject)
{
    snprintf(probe->host, sizeof probe->host, "%s", subject->host);
    probe->subject = *subject;
    probe->subject.host = probe->host;
    if (subject->rack != NULL) {
        snprintf(probe->rack, sizeof probe->rack, "%s", subject->rack);
        probe->subject.rack = probe->rack;
    }
}

struct probe *probe_start(const struct probe_params *params, probe_fn done, void *context)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL) {
        return NULL;
    }
    if (uv_timer_init(params->io->loop, &probe->timer) != 0) {
        free(probe);
        return NULL;
    }
    probe->timer.data = probe;
    probe->timer_open = true;
    probe->work.data = probe;
    probe->io = params->io;
    probe->done = done;
    probe->context = context;
    probe->conf = params->conf;
    probe->identity = params->identity;
    probe->addresses = params->addresses;
    probe->relook = params->relook;
    probe->timeout_ms = params->timeout_ms;
    probe->started_ms = uv_now(params->io->loop);
    probe->result.text = "";
    copy_subject(probe, &params->subject);
    leg_init(&probe->leg, probe->io, on_leg, probe);
    writer_init_growing(&probe->out, OUT_BYTES_MAX);
    probe->out.wipe = true;
    probe->generation = params->generation;
    begin_timer(probe, 0);
    return probe;
}

void probe_cancel(struct probe **probe_p, void (*gone)(void *context), void *context)
{
    struct probe *probe = *probe_p;
    *probe_p = NULL;
    probe->done = NULL;
    probe->gone = gone;
    probe->context = context;
    probe->end = END_INTERNAL;
    uv_timer_stop(&probe->timer);
    if (!leg_is_gone(&probe->leg)) {
        leg_close(&probe->leg);
    }
    release_if_idle(probe);
}

const char *probe_outcome_name(enum probe_outcome outcome)
{
    static const char *const names[] = {"ok",          "versions_only", "refused",
                                        "unreachable", "failed",        "undecided"};
    size_t at = (size_t)outcome;
    return at < sizeof names / sizeof names[0] ? names[at] : "unknown";
}
