/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker_login_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"

enum {
    VERSIONS_ASKED = 3, /* of ApiVersions: the first that carries the software's name */
    METADATA_MAX = 12,
    METADATA_MIN = 1,     /* v0 cannot ask for no topics */
    METADATA_TOPICS = 4,  /* before, to ask for a topic may create it */
    HANDSHAKE_VERSION = 1 /* v0 would mean raw tokens */
};

/* ---- endings ---- */

enum broker_login_status broker_login_fail(struct broker_login *login,
                                           enum broker_login_reason reason)
{
    login->step = BROKER_LOGIN_STEP_END;
    login->reason = reason;
    return login->status = BROKER_LOGIN_FAILED;
}

enum broker_login_status broker_login_fail_text(struct broker_login *login,
                                                enum broker_login_reason reason, const char *format,
                                                ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(login->text, sizeof login->text, format, arguments);
    va_end(arguments);
    return broker_login_fail(login, reason);
}

static enum broker_login_status done(struct broker_login *login)
{
    login->step = BROKER_LOGIN_STEP_END;
    return login->status = BROKER_LOGIN_OK;
}

/* A broker's own words, cut; a NUL in them must not hide the rest. */
static void keep_text(struct broker_login *login, struct view text)
{
    size_t length = text.length < BROKER_LOGIN_TEXT_SIZE ? text.length : BROKER_LOGIN_TEXT_SIZE - 1;
    for (size_t i = 0; i < length; i++) {
        login->text[i] = (char)(text.at[i] != 0 ? text.at[i] : '?');
    }
    login->text[length] = '\0';
}

/* ---- requests ---- */

/* Notes the request that follows and takes its correlation id. */
static int32_t ask(struct broker_login *login, enum broker_login_step step, int16_t key,
                   int16_t version)
{
    login->step = step;
    login->asked_key = key;
    login->asked_version = version;
    login->asked_correlation_id = login->next_correlation_id;
    /* Wraps as Kafka's clients wrap: never negative. */
    login->next_correlation_id = (int32_t)(((uint32_t)login->next_correlation_id + 1U) & INT32_MAX);
    return login->asked_correlation_id;
}

static enum broker_login_status sent(struct broker_login *login, const struct writer *out)
{
    if (!writer_ok(out)) {
        return broker_login_fail(login, BROKER_LOGIN_INTERNAL);
    }
    return login->status = BROKER_LOGIN_MORE;
}

static const struct view *client_id(const struct broker_login *login)
{
    return login->client_id_null ? NULL : &login->client_id;
}

static enum broker_login_status ask_versions(struct broker_login *login,
                                             enum broker_login_step step, int16_t version,
                                             struct writer *out)
{
    int32_t id = ask(login, step, API_API_VERSIONS, version);
    api_versions_encode_request(out, version, id, client_id(login),
                                view_from_string(login->software_name),
                                view_from_string(login->software_version));
    return sent(login, out);
}

static enum broker_login_status ask_handshake(struct broker_login *login, struct writer *out)
{
    int32_t id = ask(login, BROKER_LOGIN_STEP_HANDSHAKE, API_SASL_HANDSHAKE, HANDSHAKE_VERSION);
    sasl_handshake_encode_request(out, HANDSHAKE_VERSION, id, client_id(login),
                                  view_from_string(login->mechanism));
    return sent(login, out);
}

static enum broker_login_status ask_authenticate(struct broker_login *login, struct writer *out)
{
    int16_t version = login->authenticate_version;
    int32_t id = ask(login, BROKER_LOGIN_STEP_AUTHENTICATE, API_SASL_AUTHENTICATE, version);
    struct view token = writer_view(&login->token);
    sasl_authenticate_encode_request(out, version, id, client_id(login), token);
    writer_reset(&login->token);
    return sent(login, out);
}

static enum broker_login_status ask_metadata(struct broker_login *login, struct writer *out)
{
    const struct api_range *range = api_versions_find(&login->versions, API_METADATA);
    int16_t least = login->topics.length > 0 ? METADATA_TOPICS : METADATA_MIN;
    if (range == NULL || range->max < least || range->min > METADATA_MAX) {
        return broker_login_fail_text(login, BROKER_LOGIN_UNSUPPORTED,
                                      "no common version of Metadata");
    }
    int16_t version = range->max < METADATA_MAX ? range->max : (int16_t)METADATA_MAX;
    int32_t id = ask(login, BROKER_LOGIN_STEP_METADATA, API_METADATA, version);
    metadata_encode_request(out, version, id, client_id(login), login->topics);
    return sent(login, out);
}

/* What comes after a login, or in its place. */
static enum broker_login_status ask_after_login(struct broker_login *login, struct writer *out)
{
    if (login->want_versions) {
        return ask_versions(login, BROKER_LOGIN_STEP_VERSIONS, VERSIONS_ASKED, out);
    }
    return done(login);
}

/* ---- the exchange ---- */

static enum broker_login_status exchange_denied(struct broker_login *login)
{
    enum auth_reason reason = exchange_reason(login->exchange);
    if (reason == AUTH_REASON_KEYS_SALT || reason == AUTH_REASON_KEYS_ITERATIONS) {
        return broker_login_fail_text(login, BROKER_LOGIN_KEYS_DIFFER, "%s",
                                      auth_reason_meaning(reason));
    }
    const char *detail = exchange_detail(login->exchange);
    enum broker_login_reason as = reason == AUTH_REASON_SERVER_ERROR ? BROKER_LOGIN_DENIED
                                  : reason == AUTH_REASON_KERBEROS_NO_TICKET
                                      ? BROKER_LOGIN_NO_TICKET
                                      : BROKER_LOGIN_IMPOSTOR;
    return broker_login_fail_text(login, as, "%s%s%s", auth_reason_name(reason),
                                  detail[0] != 0 ? ": " : "", detail);
}

static enum broker_login_status exchange_moved(struct broker_login *login,
                                               enum exchange_status status, struct writer *out)
{
    switch (status) {
    case EXCHANGE_CONTINUE:
        return ask_authenticate(login, out);
    case EXCHANGE_DONE:
        return ask_after_login(login, out);
    case EXCHANGE_PENDING:
        login->working = true;
        return login->status = BROKER_LOGIN_PENDING;
    case EXCHANGE_DENIED:
        return exchange_denied(login);
    case EXCHANGE_ERROR:
        break;
    }
    return broker_login_fail(login, BROKER_LOGIN_INTERNAL);
}

static enum broker_login_status exchange_token(struct broker_login *login, struct view token,
                                               struct writer *out)
{
    writer_reset(&login->token);
    return exchange_moved(login, exchange_step(login->exchange, token, &login->token), out);
}

/* ---- answers ---- */

static bool is_printable(struct view name)
{
    for (size_t i = 0; i < name.length; i++) {
        if (name.at[i] <= ' ' || name.at[i] > '~') {
            return false;
        }
    }
    return name.length > 0;
}

static void keep_offers(struct broker_login *login, const struct sasl_handshake_response *answer)
{
    size_t used = 0;
    for (size_t i = 0; i < answer->count; i++) {
        struct view name = answer->mechanisms[i];
        if (!is_printable(name) || name.length >= BROKER_LOGIN_OFFER_SIZE) {
            continue;
        }
        char *offer = login->offers[login->offers_count++];
        memcpy(offer, name.at, name.length);
        offer[name.length] = '\0';
        if (used + name.length + 2 < BROKER_LOGIN_TEXT_SIZE) {
            int n = snprintf(login->text + used, BROKER_LOGIN_TEXT_SIZE - used, "%s%s",
                             used > 0 ? "," : "", offer);
            used += (size_t)n;
        }
    }
}

static enum broker_login_status on_ask(struct broker_login *login, struct view body,
                                       struct writer *out)
{
    if (!api_versions_decode_response(0, body, &login->versions)) {
        return broker_login_fail_text(login, BROKER_LOGIN_MALFORMED, "ApiVersions response");
    }
    login->error_code = login->versions.error_code;
    if (login->error_code != 0) {
        return broker_login_fail(login, BROKER_LOGIN_ERROR_CODE);
    }
    login->versions_known = true;
    const struct api_range *handshake = api_versions_find(&login->versions, API_SASL_HANDSHAKE);
    const struct api_range *token = api_versions_find(&login->versions, API_SASL_AUTHENTICATE);
    bool usable = handshake != NULL && handshake->max >= HANDSHAKE_VERSION && token != NULL &&
                  token->min <= BROKER_LOGIN_AUTHENTICATE_MAX;
    if (!usable && login->look) {
        return done(login);
    }
    if (!usable) {
        return broker_login_fail_text(login, BROKER_LOGIN_UNSUPPORTED,
                                      "no common version of SaslAuthenticate");
    }
    login->authenticate_version = token->max < BROKER_LOGIN_AUTHENTICATE_MAX
                                      ? token->max
                                      : (int16_t)BROKER_LOGIN_AUTHENTICATE_MAX;
    return ask_handshake(login, out);
}

static enum broker_login_status on_look_handshake(struct broker_login *login, int16_t error_code)
{
    login->offers_sasl =
        error_code == HANDSHAKE_NONE || error_code == HANDSHAKE_UNSUPPORTED_SASL_MECHANISM;
    login->text[0] = '\0';
    if (login->offers_sasl || error_code == HANDSHAKE_ILLEGAL_SASL_STATE) {
        return done(login);
    }
    login->error_code = error_code;
    return broker_login_fail(login, BROKER_LOGIN_ERROR_CODE);
}

static enum broker_login_status on_handshake(struct broker_login *login, struct view body,
                                             struct writer *out)
{
    struct sasl_handshake_response answer;
    if (!sasl_handshake_decode_response(body, &answer)) {
        return broker_login_fail_text(login, BROKER_LOGIN_MALFORMED, "SaslHandshake response");
    }
    keep_offers(login, &answer);
    if (login->look) {
        return on_look_handshake(login, answer.error_code);
    }
    if (answer.error_code == HANDSHAKE_NONE) {
        login->text[0] = '\0';
        return exchange_token(login, view_of(NULL, 0), out);
    }
    login->error_code = answer.error_code;
    return broker_login_fail(
        login, answer.error_code == HANDSHAKE_UNSUPPORTED_SASL_MECHANISM ? BROKER_LOGIN_NO_MECHANISM
               : answer.error_code == HANDSHAKE_ILLEGAL_SASL_STATE       ? BROKER_LOGIN_NOT_SASL
                                                                         : BROKER_LOGIN_ERROR_CODE);
}

static enum broker_login_status on_authenticate(struct broker_login *login, struct view body,
                                                struct writer *out)
{
    struct sasl_authenticate_response answer;
    if (!sasl_authenticate_decode_response(login->asked_version, body, &answer)) {
        return broker_login_fail_text(login, BROKER_LOGIN_MALFORMED, "SaslAuthenticate response");
    }
    if (answer.error_code != HANDSHAKE_NONE) {
        keep_text(login, answer.error_message);
        login->error_code = answer.error_code;
        return broker_login_fail(login, answer.error_code == HANDSHAKE_SASL_AUTHENTICATION_FAILED
                                            ? BROKER_LOGIN_DENIED
                                            : BROKER_LOGIN_ERROR_CODE);
    }
    login->lifetime_ms = answer.session_lifetime_ms > 0 ? answer.session_lifetime_ms : 0;
    return exchange_token(login, answer.auth_bytes, out);
}

/* KIP-511: the refusal names what the broker takes, or (before 2.4) nothing; then v0 always works.
 */
static enum broker_login_status retry_versions(struct broker_login *login, struct writer *out)
{
    const struct api_range *range = api_versions_find(&login->versions, API_API_VERSIONS);
    int16_t version = 0;
    if (range != NULL && range->min > 0) {
        version = range->min;
    }
    if (range != NULL && range->max > 0) {
        version = range->max < VERSIONS_ASKED ? range->max : (int16_t)VERSIONS_ASKED;
    }
    if (login->versions_retried || (range != NULL && range->min > VERSIONS_ASKED)) {
        return broker_login_fail_text(login, BROKER_LOGIN_UNSUPPORTED,
                                      "no common version of ApiVersions");
    }
    login->versions_retried = true;
    return ask_versions(login, BROKER_LOGIN_STEP_VERSIONS, version, out);
}

static enum broker_login_status on_versions(struct broker_login *login, struct view body,
                                            struct writer *out)
{
    login->versions_known = false;
    if (!api_versions_decode_response(login->asked_version, body, &login->versions)) {
        return broker_login_fail_text(login, BROKER_LOGIN_MALFORMED, "ApiVersions response");
    }
    if (login->versions.error_code == HANDSHAKE_UNSUPPORTED_VERSION) {
        return retry_versions(login, out);
    }
    if (login->versions.error_code != HANDSHAKE_NONE) {
        login->error_code = login->versions.error_code;
        return broker_login_fail(login, BROKER_LOGIN_ERROR_CODE);
    }
    login->versions_known = true;
    return login->want_metadata ? ask_metadata(login, out) : done(login);
}

enum broker_login_status broker_login_answer(struct broker_login *login, struct view body,
                                             struct writer *out)
{
    switch (login->step) {
    case BROKER_LOGIN_STEP_ASK:
        return on_ask(login, body, out);
    case BROKER_LOGIN_STEP_HANDSHAKE:
        return on_handshake(login, body, out);
    case BROKER_LOGIN_STEP_AUTHENTICATE:
        return on_authenticate(login, body, out);
    case BROKER_LOGIN_STEP_VERSIONS:
        return on_versions(login, body, out);
    case BROKER_LOGIN_STEP_METADATA:
        login->metadata_length = frame_collector_payload(&login->frames).length;
        return done(login);
    case BROKER_LOGIN_STEP_NEW:
    case BROKER_LOGIN_STEP_END:
        break;
    }
    return broker_login_fail(login, BROKER_LOGIN_INTERNAL);
}

/* ---- the first step, and those a thread pool took ---- */

enum broker_login_status broker_login_start(struct broker_login *login, struct writer *out)
{
    if (login->step != BROKER_LOGIN_STEP_NEW) {
        return broker_login_fail(login, BROKER_LOGIN_INTERNAL);
    }
    if (login->look || (login->exchange != NULL && login->authenticate_version < 0)) {
        return ask_versions(login, BROKER_LOGIN_STEP_ASK, 0, out);
    }
    return login->exchange != NULL ? ask_handshake(login, out) : ask_after_login(login, out);
}

bool broker_login_waits(const struct broker_login *login)
{
    return exchange_waits(login->exchange);
}

void broker_login_work(struct broker_login *login)
{
    exchange_work(login->exchange);
}

enum broker_login_status broker_login_resume(struct broker_login *login, struct writer *out)
{
    if (!login->working) {
        return broker_login_fail(login, BROKER_LOGIN_INTERNAL);
    }
    login->working = false;
    writer_reset(&login->token);
    enum exchange_status status = exchange_resume(login->exchange, &login->token);
    if (login->closed) {
        return broker_login_fail(login, BROKER_LOGIN_CLOSED);
    }
    return exchange_moved(login, status, out);
}
