/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker_login.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "proxy/cluster/broker_login_private.h"

enum { FRAME_MAX = 1024 * 1024 };

/* ---- what arrives ---- */

static void on_frame(struct broker_login *login, struct writer *out)
{
    struct view payload = frame_collector_payload(&login->frames);
    int32_t correlation_id = 0;
    size_t header = 0;
    enum frame_status status = response_header_decode(
        payload, login->asked_key, login->asked_version, &correlation_id, &header);
    if (status != FRAME_OK) {
        broker_login_fail_text(login, BROKER_LOGIN_MALFORMED, "response header");
        return;
    }
    if (correlation_id != login->asked_correlation_id) {
        broker_login_fail_text(login, BROKER_LOGIN_MALFORMED, "correlation id %d instead of %d",
                               (int)correlation_id, (int)login->asked_correlation_id);
        return;
    }
    login->answered = true;
    broker_login_answer(login, view_from(payload, header), out);
    if (login->metadata_length == 0) {
        frame_collector_next(&login->frames);
    }
}

/* A size that no frame has: say so when the four bytes are the start of a TLS alert record. */
static enum broker_login_status bad_size(struct broker_login *login)
{
    const uint8_t *size = login->frames.size;
    if (size[0] == 0x15 && size[1] == 0x03) {
        return broker_login_fail_text(login, BROKER_LOGIN_TOO_LARGE,
                                      "the broker speaks TLS on this port");
    }
    return broker_login_fail_text(
        login, (size[0] & 0x80) != 0 ? BROKER_LOGIN_MALFORMED : BROKER_LOGIN_TOO_LARGE,
        "frame of %d bytes", (int)bytes_load_u32(size));
}

enum broker_login_status broker_login_feed(struct broker_login *login, struct view in,
                                           size_t *consumed_r, struct writer *out)
{
    *consumed_r = 0;
    if (login->working || login->step == BROKER_LOGIN_STEP_NEW) {
        return login->working ? BROKER_LOGIN_PENDING
                              : broker_login_fail(login, BROKER_LOGIN_INTERNAL);
    }
    while (login->step != BROKER_LOGIN_STEP_END && *consumed_r < in.length) {
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
        return broker_login_fail_text(login, BROKER_LOGIN_MALFORMED, "bytes after the response");
    }
    return login->status;
}

enum broker_login_status broker_login_closed(struct broker_login *login)
{
    if (login->working) {
        login->closed = true;
        return BROKER_LOGIN_PENDING;
    }
    if (login->step == BROKER_LOGIN_STEP_END) {
        return login->status;
    }
    return broker_login_fail(login, login->answered ? BROKER_LOGIN_CLOSED : BROKER_LOGIN_REJECTED);
}

/* ---- made of its parameters ---- */

static bool random_bytes(void *context, uint8_t *at, size_t length)
{
    (void)context;
    return length <= INT32_MAX && RAND_bytes(at, (int)length) == 1;
}

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
    bool good = name.length > 0 && name.length < BROKER_LOGIN_NAME_SIZE && version.length > 0 &&
                version.length < BROKER_LOGIN_NAME_SIZE && api_versions_software_valid(name) &&
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
    login->authenticate_version = params->authenticate_version > BROKER_LOGIN_AUTHENTICATE_MAX
                                      ? (int16_t)BROKER_LOGIN_AUTHENTICATE_MAX
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

/* ---- what came of it ---- */

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
    static const char *const names[] = {"none",        "rejected",  "closed",      "no_mechanism",
                                        "not_sasl",    "denied",    "impostor",    "error_code",
                                        "malformed",   "too_large", "unsupported", "internal",
                                        "keys_differ", "no_ticket"};
    size_t at = (size_t)reason;
    return at < sizeof names / sizeof names[0] ? names[at] : "unknown";
}
