/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker_login.h"

#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/exchange.h"
#include "auth/secret.h"
#include "protocol/api.h"
#include "protocol/frame.h"

enum {
    FRAME_MAX = 1024 * 1024,
    VERSIONS_ASKED = 3,   /* of ApiVersions: the first that carries the software's name */
    AUTHENTICATE_MAX = 2, /* of SaslAuthenticate */
    METADATA_MAX = 12,
    METADATA_MIN = 1,      /* v0 cannot ask for no topics */
    METADATA_TOPICS = 4,   /* before, to ask for a topic may create it */
    HANDSHAKE_VERSION = 1, /* v0 would mean raw tokens */
    NAME_SIZE = 256,
    TEXT_SIZE = 256,
    OFFER_SIZE = 32
};

enum step {
    STEP_NEW,
    STEP_ASK, /* ApiVersions v0, before SASL */
    STEP_HANDSHAKE,
    STEP_AUTHENTICATE,
    STEP_VERSIONS,
    STEP_METADATA,
    STEP_END
};

struct broker_login {
    enum step step;
    enum broker_login_status status;
    bool working; /* between PENDING and resume */
    bool closed;  /* the connection ended meanwhile */
    bool answered;
    bool versions_known;
    bool versions_retried;
    bool offers_sasl;
    bool want_versions, want_metadata, look;
    bool client_id_null;
    int16_t authenticate_version;
    int16_t asked_key, asked_version; /* of the one request in flight */
    int16_t error_code;
    int32_t asked_correlation_id, next_correlation_id;
    int64_t lifetime_ms;
    enum broker_login_reason reason;
    struct exchange *exchange; /* NULL: no SASL */
    struct frame_collector frames;
    struct writer token;    /* from the exchange to a request */
    struct view client_id;  /* owned */
    struct view topics;     /* owned */
    size_t metadata_length; /* > 0: the collector holds the Metadata response */
    size_t offers_count;
    struct api_versions versions;
    char mechanism[OFFER_SIZE];
    char offers[SASL_MECHANISMS_MAX][OFFER_SIZE];
    char software_name[NAME_SIZE], software_version[NAME_SIZE];
    char text[TEXT_SIZE];
};

static bool random_bytes(void *context, uint8_t *at, size_t length)
{
    (void)context;
    return length <= INT32_MAX && RAND_bytes(at, (int)length) == 1;
}

/* ---- endings ---- */

static enum broker_login_status fail(struct broker_login *login, enum broker_login_reason reason)
{
    login->step = STEP_END;
    login->reason = reason;
    return login->status = BROKER_LOGIN_FAILED;
}

__attribute__((format(printf, 3, 4))) static enum broker_login_status
fail_text(struct broker_login *login, enum broker_login_reason reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(login->text, sizeof login->text, format, arguments);
    va_end(arguments);
    return fail(login, reason);
}

static enum broker_login_status done(struct broker_login *login)
{
    login->step = STEP_END;
    return login->status = BROKER_LOGIN_OK;
}

/* A broker's own words, cut; a NUL in them must not hide the rest. */
static void keep_text(struct broker_login *login, struct view text)
{
    size_t length = text.length < TEXT_SIZE ? text.length : TEXT_SIZE - 1;
    for (size_t i = 0; i < length; i++) {
        login->text[i] = (char)(text.at[i] != 0 ? text.at[i] : '?');
    }
    login->text[length] = '\0';
}

/* ---- requests ---- */

/* Notes the request that follows and takes its correlation id. */
static int32_t ask(struct broker_login *login, enum step step, int16_t key, int16_t version)
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
        return fail(login, BROKER_LOGIN_INTERNAL);
    }
    return login->status = BROKER_LOGIN_MORE;
}

static const struct view *client_id(const struct broker_login *login)
{
    return login->client_id_null ? NULL : &login->client_id;
}

static enum broker_login_status ask_versions(struct broker_login *login, enum step step,
                                             int16_t version, struct writer *out)
{
    int32_t id = ask(login, step, API_API_VERSIONS, version);
    api_versions_encode_request(out, version, id, client_id(login),
                                view_from_string(login->software_name),
                                view_from_string(login->software_version));
    return sent(login, out);
}

static enum broker_login_status ask_handshake(struct broker_login *login, struct writer *out)
{
    int32_t id = ask(login, STEP_HANDSHAKE, API_SASL_HANDSHAKE, HANDSHAKE_VERSION);
    sasl_handshake_encode_request(out, HANDSHAKE_VERSION, id, client_id(login),
                                  view_from_string(login->mechanism));
    return sent(login, out);
}

static enum broker_login_status ask_authenticate(struct broker_login *login, struct writer *out)
{
    int16_t version = login->authenticate_version;
    int32_t id = ask(login, STEP_AUTHENTICATE, API_SASL_AUTHENTICATE, version);
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
        return fail_text(login, BROKER_LOGIN_UNSUPPORTED, "no common version of Metadata");
    }
    int16_t version = range->max < METADATA_MAX ? range->max : (int16_t)METADATA_MAX;
    int32_t id = ask(login, STEP_METADATA, API_METADATA, version);
    metadata_encode_request(out, version, id, client_id(login), login->topics);
    return sent(login, out);
}

/* What comes after a login, or in its place. */
static enum broker_login_status ask_after_login(struct broker_login *login, struct writer *out)
{
    if (login->want_versions) {
        return ask_versions(login, STEP_VERSIONS, VERSIONS_ASKED, out);
    }
    return done(login);
}

/* ---- the exchange ---- */

static enum broker_login_status exchange_denied(struct broker_login *login)
{
    enum auth_reason reason = exchange_reason(login->exchange);
    if (reason == AUTH_REASON_KEYS_SALT || reason == AUTH_REASON_KEYS_ITERATIONS) {
        return fail_text(login, BROKER_LOGIN_KEYS_DIFFER, "%s", auth_reason_meaning(reason));
    }
    const char *detail = exchange_detail(login->exchange);
    enum broker_login_reason as = reason == AUTH_REASON_SERVER_ERROR ? BROKER_LOGIN_DENIED
                                  : reason == AUTH_REASON_KERBEROS_NO_TICKET
                                      ? BROKER_LOGIN_NO_TICKET
                                      : BROKER_LOGIN_IMPOSTOR;
    return fail_text(login, as, "%s%s%s", auth_reason_name(reason), detail[0] != 0 ? ": " : "",
                     detail);
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
    return fail(login, BROKER_LOGIN_INTERNAL);
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
        if (!is_printable(name) || name.length >= OFFER_SIZE) {
            continue;
        }
        char *offer = login->offers[login->offers_count++];
        memcpy(offer, name.at, name.length);
        offer[name.length] = '\0';
        if (used + name.length + 2 < TEXT_SIZE) {
            int n =
                snprintf(login->text + used, TEXT_SIZE - used, "%s%s", used > 0 ? "," : "", offer);
            used += (size_t)n;
        }
    }
}

static enum broker_login_status on_ask(struct broker_login *login, struct view body,
                                       struct writer *out)
{
    if (!api_versions_decode_response(0, body, &login->versions)) {
        return fail_text(login, BROKER_LOGIN_MALFORMED, "ApiVersions response");
    }
    login->error_code = login->versions.error_code;
    if (login->error_code != 0) {
        return fail(login, BROKER_LOGIN_ERROR_CODE);
    }
    login->versions_known = true;
    const struct api_range *handshake = api_versions_find(&login->versions, API_SASL_HANDSHAKE);
    const struct api_range *token = api_versions_find(&login->versions, API_SASL_AUTHENTICATE);
    bool usable = handshake != NULL && handshake->max >= HANDSHAKE_VERSION && token != NULL &&
                  token->min <= AUTHENTICATE_MAX;
    if (!usable && login->look) {
        return done(login);
    }
    if (!usable) {
        return fail_text(login, BROKER_LOGIN_UNSUPPORTED, "no common version of SaslAuthenticate");
    }
    login->authenticate_version =
        token->max < AUTHENTICATE_MAX ? token->max : (int16_t)AUTHENTICATE_MAX;
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
    return fail(login, BROKER_LOGIN_ERROR_CODE);
}

static enum broker_login_status on_handshake(struct broker_login *login, struct view body,
                                             struct writer *out)
{
    struct sasl_handshake_response answer;
    if (!sasl_handshake_decode_response(body, &answer)) {
        return fail_text(login, BROKER_LOGIN_MALFORMED, "SaslHandshake response");
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
    return fail(
        login, answer.error_code == HANDSHAKE_UNSUPPORTED_SASL_MECHANISM ? BROKER_LOGIN_NO_MECHANISM
               : answer.error_code == HANDSHAKE_ILLEGAL_SASL_STATE       ? BROKER_LOGIN_NOT_SASL
                                                                         : BROKER_LOGIN_ERROR_CODE);
}

static enum broker_login_status on_authenticate(struct broker_login *login, struct view body,
                                                struct writer *out)
{
    struct sasl_authenticate_response answer;
    if (!sasl_authenticate_decode_response(login->asked_version, body, &answer)) {
        return fail_text(login, BROKER_LOGIN_MALFORMED, "SaslAuthenticate response");
    }
    if (answer.error_code != HANDSHAKE_NONE) {
        keep_text(login, answer.error_message);
        login->error_code = answer.error_code;
        return fail(login, answer.error_code == HANDSHAKE_SASL_AUTHENTICATION_FAILED
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
        return fail_text(login, BROKER_LOGIN_UNSUPPORTED, "no common version of ApiVersions");
    }
    login->versions_retried = true;
    return ask_versions(login, STEP_VERSIONS, version, out);
}

static enum broker_login_status on_versions(struct broker_login *login, struct view body,
                                            struct writer *out)
{
    login->versions_known = false;
    if (!api_versions_decode_response(login->asked_version, body, &login->versions)) {
        return fail_text(login, BROKER_LOGIN_MALFORMED, "ApiVersions response");
    }
    if (login->versions.error_code == HANDSHAKE_UNSUPPORTED_VERSION) {
        return retry_versions(login, out);
    }
    if (login->versions.error_code != HANDSHAKE_NONE) {
        login->error_code = login->versions.error_code;
        return fail(login, BROKER_LOGIN_ERROR_CODE);
    }
    login->versions_known = true;
    return login->want_metadata ? ask_metadata(login, out) : done(login);
}

static enum broker_login_status on_answer(struct broker_login *login, struct view body,
                                          struct writer *out)
{
    switch (login->step) {
    case STEP_ASK:
        return on_ask(login, body, out);
    case STEP_HANDSHAKE:
        return on_handshake(login, body, out);
    case STEP_AUTHENTICATE:
        return on_authenticate(login, body, out);
    case STEP_VERSIONS:
        return on_versions(login, body, out);
    case STEP_METADATA:
        login->metadata_length = frame_collector_payload(&login->frames).length;
        return done(login);
    case STEP_NEW:
    case STEP_END:
        break;
    }
    return fail(login, BROKER_LOGIN_INTERNAL);
}

static void on_frame(struct broker_login *login, struct writer *out)
{
    struct view payload = frame_collector_payload(&login->frames);
    int32_t correlation_id = 0;
    size_t header = 0;
    enum frame_status status = response_header_decode(
        payload, login->asked_key, login->asked_version, &correlation_id, &header);
    if (status != FRAME_OK) {
        fail_text(login, BROKER_LOGIN_MALFORMED, "response header");
        return;
    }
    if (correlation_id != login->asked_correlation_id) {
        fail_text(login, BROKER_LOGIN_MALFORMED, "correlation id %d instead of %d",
                  (int)correlation_id, (int)login->asked_correlation_id);
        return;
    }
    login->answered = true;
    on_answer(login, view_from(payload, header), out);
    if (login->metadata_length == 0) {
        frame_collector_next(&login->frames);
    }
}

/* A size that no frame has: say so when the four bytes are the start of a TLS alert record. */
static enum broker_login_status bad_size(struct broker_login *login)
{
    const uint8_t *size = login->frames.size;
    if (size[0] == 0x15 && size[1] == 0x03) {
        return fail_text(login, BROKER_LOGIN_TOO_LARGE, "the broker speaks TLS on this port");
    }
    return fail_text(login, (size[0] & 0x80) != 0 ? BROKER_LOGIN_MALFORMED : BROKER_LOGIN_TOO_LARGE,
                     "frame of %d bytes", (int)bytes_load_u32(size));
}

/* ---- the surface ---- */

static bool copy(struct view from, struct view *to)
{
    *to = view_from_string("");
    if (from.length == 0) {
        return true;
    }
    uint8_t *made = malloc(from.length);
    if (made == NULL) {
        return false;
    }
    memcpy(made, from.at, from.length);
    *to = view_of(made, from.length);
    return true;
}

static void free_copy(const struct view *made)
{
    if (made->length > 0) {
        free((void *)(uintptr_t)made->at);
    }
}

static void copy_software(struct broker_login *login, struct view name, struct view version)
{
    bool good = name.length > 0 && name.length < NAME_SIZE && version.length > 0 &&
                version.length < NAME_SIZE && api_versions_software_valid(name) &&
                api_versions_software_valid(version);
    if (!good) {
        name = view_from_string("setu");
        version = view_from_string(SETU_VERSION);
    }
    memcpy(login->software_name, name.at, name.length);
    memcpy(login->software_version, version.at, version.length);
}

static bool copy_mechanism(struct broker_login *login, const struct broker_login_params *params)
{
    if (params->mechanism == NULL) {
        return true;
    }
    size_t length = strlen(params->mechanism);
    if (length >= sizeof login->mechanism) {
        return false;
    }
    memcpy(login->mechanism, params->mechanism, length + 1);
    if (params->look) {
        return true;
    }
    struct exchange_client client = {
        .username = view_from_string(params->username),
        .password = params->password != NULL ? secret_view(params->password) : view_of(NULL, 0),
        .keys_only = params->keys_only,
        .kerberos = params->kerberos,
        .service = params->service,
        .host = params->host,
        .random = params->random != NULL ? params->random : random_bytes,
        .random_context = params->random_context,
    };
    login->exchange = exchange_client_new(params->mechanism, &client);
    if (login->exchange != NULL && params->keys != NULL) {
        exchange_offer_keys(login->exchange, params->keys);
    }
    return login->exchange != NULL;
}

struct broker_login *broker_login_new(const struct broker_login_params *params)
{
    struct broker_login *login = calloc(1, sizeof *login);
    if (login == NULL) {
        return NULL;
    }
    login->look = params->look;
    login->want_metadata = params->want_metadata;
    login->want_versions = params->want_versions || params->want_metadata;
    login->authenticate_version = params->authenticate_version > AUTHENTICATE_MAX
                                      ? (int16_t)AUTHENTICATE_MAX
                                      : params->authenticate_version;
    login->next_correlation_id = params->correlation_id;
    frame_collector_init(&login->frames, params->frame_max > 0 ? params->frame_max : FRAME_MAX);
    writer_init_growing(&login->token, EXCHANGE_CLIENT_REPLY_BYTES_MAX);
    login->token.wipe = true;
    copy_software(login, params->software_name, params->software_version);
    login->client_id_null = params->client_id.at == NULL;
    if (!copy(params->client_id, &login->client_id) || !copy(params->topics, &login->topics) ||
        !copy_mechanism(login, params)) {
        broker_login_free(&login);
    }
    return login;
}

enum broker_login_status broker_login_start(struct broker_login *login, struct writer *out)
{
    if (login->step != STEP_NEW) {
        return fail(login, BROKER_LOGIN_INTERNAL);
    }
    if (login->look || (login->exchange != NULL && login->authenticate_version < 0)) {
        return ask_versions(login, STEP_ASK, 0, out);
    }
    return login->exchange != NULL ? ask_handshake(login, out) : ask_after_login(login, out);
}

enum broker_login_status broker_login_feed(struct broker_login *login, struct view in,
                                           size_t *consumed_r, struct writer *out)
{
    *consumed_r = 0;
    if (login->working || login->step == STEP_NEW) {
        return login->working ? BROKER_LOGIN_PENDING : fail(login, BROKER_LOGIN_INTERNAL);
    }
    while (login->step != STEP_END && *consumed_r < in.length) {
        size_t used = 0;
        enum frame_status status =
            frame_collector_feed(&login->frames, view_from(in, *consumed_r), &used);
        *consumed_r += used;
        if (status == FRAME_BAD) {
            return bad_size(login);
        }
        if (status == FRAME_OK) {
            on_frame(login, out);
            break;
        }
    }
    bool asked_next = login->status == BROKER_LOGIN_MORE || login->status == BROKER_LOGIN_PENDING;
    if (asked_next && *consumed_r < in.length) {
        /* The next request has not left yet: nobody asked for these bytes. */
        login->working = false;
        return fail_text(login, BROKER_LOGIN_MALFORMED, "bytes after the response");
    }
    return login->status;
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
        return fail(login, BROKER_LOGIN_INTERNAL);
    }
    login->working = false;
    writer_reset(&login->token);
    enum exchange_status status = exchange_resume(login->exchange, &login->token);
    if (login->closed) {
        return fail(login, BROKER_LOGIN_CLOSED);
    }
    return exchange_moved(login, status, out);
}

enum broker_login_status broker_login_closed(struct broker_login *login)
{
    if (login->working) {
        login->closed = true;
        return BROKER_LOGIN_PENDING;
    }
    if (login->step == STEP_END) {
        return login->status;
    }
    return fail(login, login->answered ? BROKER_LOGIN_CLOSED : BROKER_LOGIN_REJECTED);
}

bool broker_login_answered(const struct broker_login *login)
{
    return login->answered;
}

const struct api_versions *broker_login_versions(const struct broker_login *login)
{
    return login->versions_known ? &login->versions : NULL;
}

int64_t broker_login_lifetime_ms(const struct broker_login *login)
{
    return login->lifetime_ms;
}

int16_t broker_login_authenticate_version(const struct broker_login *login)
{
    return login->authenticate_version;
}

int32_t broker_login_next_correlation_id(const struct broker_login *login)
{
    return login->next_correlation_id;
}

struct view broker_login_metadata(const struct broker_login *login, int16_t *version_r)
{
    *version_r = login->asked_version;
    return login->metadata_length > 0 ? frame_collector_payload(&login->frames) : view_of(NULL, 0);
}

bool broker_login_offers_sasl(const struct broker_login *login)
{
    return login->offers_sasl;
}

size_t broker_login_offers(const struct broker_login *login,
                           const char *names_r[SASL_MECHANISMS_MAX])
{
    for (size_t i = 0; i < login->offers_count; i++) {
        names_r[i] = login->offers[i];
    }
    return login->offers_count;
}

bool broker_login_take_keys(const struct broker_login *login, struct scram_keys *keys_r)
{
    return login->status == BROKER_LOGIN_OK && login->exchange != NULL &&
           exchange_take_keys(login->exchange, keys_r);
}

enum broker_login_reason broker_login_reason(const struct broker_login *login)
{
    return login->reason;
}

int16_t broker_login_error_code(const struct broker_login *login)
{
    return login->error_code;
}

const char *broker_login_text(const struct broker_login *login)
{
    return login->text;
}

const char *broker_login_reason_name(enum broker_login_reason reason)
{
    static const char *const names[] = {"none",      "rejected",  "closed",      "no_mechanism",
                                        "not_sasl",  "denied",    "impostor",    "error_code",
                                        "malformed", "too_large", "unsupported", "internal",
                                        "keys_differ", "no_ticket"};
    size_t at = (size_t)reason;
    return at < sizeof names / sizeof names[0] ? names[at] : "unknown";
}

void broker_login_free(struct broker_login **login)
{
    if (*login == NULL) {
        return;
    }
    exchange_free(&(*login)->exchange);
    frame_collector_free(&(*login)->frames);
    writer_free(&(*login)->token);
    free_copy(&(*login)->client_id);
    free_copy(&(*login)->topics);
    free(*login);
    *login = NULL;
}
