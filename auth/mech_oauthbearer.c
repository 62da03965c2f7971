/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OAUTHBEARER (RFC 7628, KIP-255), both ends.
 *
 *     good token:   first message ──▶ (verified off the loop) ──▶ empty token, DONE
 *     bad token:    first message ──▶ (verified off the loop) ──▶ DENIED
 *                   the client is told {"status":"invalid_token"} ──▶ ^A ──▶ the refusal
 *
 * Whoever is refused is told so as the RFC wants it, by an error object and one more round; the object
 * says the same whatever was wrong, be it the token, the grammar, or that nobody is to come in by that name.
 */
#include <assert.h>
#include <string.h>

#include "auth/mech_end.h"
#include "auth/oauth_message.h"
#include "auth/scram_message.h"
#include "auth/tokens.h"

static const char separator[] = {OAUTH_SEPARATOR, '\0'};

enum { TOKEN_BYTES_MAX = EXCHANGE_PLAIN_TOKEN_BYTES_MAX };

struct oauth_server {
    struct writer token;          /* wiped */
    char authzid[PRINCIPAL_SIZE]; /* "": none */
    struct token_facts facts;
    enum auth_reason reason;
};

/* The name a client asks to act as; escaped as in SCRAM (RFC 5801). */
static bool authzid_read(struct view escaped, char authzid_r[PRINCIPAL_SIZE])
{
    size_t length = 0;
    if (escaped.length > 0 && !scram_name_read(escaped, authzid_r, PRINCIPAL_BYTES_MAX, &length)) {
        return false;
    }
    authzid_r[length] = '\0';
    return true;
}

static enum exchange_status server_first(struct exchange *ex, struct oauth_server *server,
                                         struct view token)
{
    struct oauth_first first;
    enum auth_reason reason = oauth_first_parse(token, &first);
    if (reason != AUTH_REASON_NONE) {
        return exchange_deny(ex, reason);
    }
    if (!authzid_read(first.authzid, server->authzid)) {
        return exchange_deny(ex, AUTH_REASON_MALFORMED);
    }
    writer_init_growing(&server->token, TOKEN_BYTES_MAX);
    server->token.wipe = true;
    writer_put(&server->token, first.token);
    if (ex->tokens == NULL || !writer_ok(&server->token)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    return EXCHANGE_PENDING;
}

static enum exchange_status server_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    struct oauth_server *server = state;
    (void)reply;
    return server_first(ex, server, token);
}

static void server_work(struct exchange *ex, void *state)
{
    struct oauth_server *server = state;
    server->reason =
        tokens_judge(ex->tokens, writer_view(&server->token), ex->now_ms, &server->facts);
    writer_free(&server->token);
}

static enum exchange_status server_resume(struct exchange *ex, void *state, struct writer *reply)
{
    struct oauth_server *server = state;
    (void)reply;
    memcpy(ex->name, server->facts.principal, sizeof ex->name);
    if (server->reason != AUTH_REASON_NONE) {
        return exchange_deny(ex, server->reason);
    }
    if (server->authzid[0] != '\0' && strcmp(server->authzid, ex->name) != 0) {
        return exchange_deny(ex, AUTH_REASON_AUTHZID_MISMATCH);
    }
    ex->expires_ms = server->facts.expires_ms;
    static_assert(sizeof ex->stamp == sizeof server->facts.stamp, "one stamp");
    memcpy(ex->stamp, server->facts.stamp, sizeof ex->stamp);
    return EXCHANGE_DONE;
}

static void server_release(void *state)
{
    struct oauth_server *server = state;
    writer_free(&server->token);
}

/* ---- towards brokers: the password is the token ---- */

enum progress { PROGRESS_NEW, PROGRESS_SENT, PROGRESS_REFUSED };

struct oauth_client {
    enum progress progress;
};

/* RFC 6750 §2.1; anything else could end the pair it stands in. */
static bool is_bearer(struct view token)
{
    static const char signs[] = "-._~+/=";
    for (size_t i = 0; i < token.length; i++) {
        uint8_t c = token.at[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || strchr(signs, c) == NULL)) {
            return false;
        }
    }
    return token.length > 0;
}

static enum exchange_status client_begin(struct exchange *ex, struct oauth_client *client,
                                         struct writer *reply)
{
    if (!is_bearer(secret_view(&ex->password))) {
        return exchange_deny(ex, AUTH_REASON_MALFORMED);
    }
    client->progress = PROGRESS_SENT;
    reply->wipe = true;
    writer_put(reply, view_from_string("n,,"));
    writer_put(reply, view_from_string(separator));
    writer_put(reply, view_from_string("auth=Bearer "));
    writer_put(reply, secret_view(&ex->password));
    writer_put(reply, view_from_string(separator));
    writer_put(reply, view_from_string(separator));
    return EXCHANGE_CONTINUE;
}

static enum exchange_status client_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    struct oauth_client *client = state;
    switch (client->progress) {
    case PROGRESS_NEW:
        return token.length == 0 ? client_begin(ex, client, reply)
                                 : exchange_deny(ex, AUTH_REASON_UNEXPECTED_TOKEN);
    case PROGRESS_SENT:
        if (token.length == 0) {
            return EXCHANGE_DONE;
        }
        client->progress = PROGRESS_REFUSED; /* the broker's error code follows */
        writer_put(reply, view_from_string(separator));
        return EXCHANGE_CONTINUE;
    case PROGRESS_REFUSED:
        return exchange_deny(ex, AUTH_REASON_SERVER_ERROR);
    }
    return EXCHANGE_ERROR;
}

static const struct mech_end server_end = {
    .state_bytes = sizeof(struct oauth_server),
    .token_bytes_max = TOKEN_BYTES_MAX,
    .refusal = "{\"status\":\"invalid_token\"}",
    .step = server_step,
    .work = server_work,
    .resume = server_resume,
    .release = server_release,
};

static const struct mech_end client_end = {
    .state_bytes = sizeof(struct oauth_client),
    .token_bytes_max = EXCHANGE_SCRAM_BROKER_TOKEN_BYTES_MAX,
    .step = client_step,
};

const struct mech mech_oauthbearer = {
    .name = "OAUTHBEARER",
    .cleartext = true,
    .without_users = true,
    .server = &server_end,
    .client = &client_end,
};
