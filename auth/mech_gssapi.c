/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSSAPI (RFC 4752). Every step is done off the loop: the server end reads the replay cache, the
 * client end may wait for a KDC. What is authenticated is a Kerberos principal; who it is for the
 * mapping, the listener's rules say (kerberos_name.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/cyrus.h"
#include "auth/gssapi_client.h"
#include "auth/mech_end.h"

/* The token of the step, for the thread that does it. */
struct token {
    uint8_t *at;
    size_t length;
};

static bool token_keep(struct token *token, struct view bytes)
{
    if (bytes.length > 0) {
        token->at = malloc(bytes.length);
        if (token->at == NULL) {
            return false;
        }
        memcpy(token->at, bytes.at, bytes.length);
    }
    token->length = bytes.length;
    return true;
}

static void token_drop(struct token *token)
{
    secret_cleanse(token->at, token->length);
    free(token->at);
    *token = (struct token){0};
}

static enum exchange_status deny(struct exchange *ex, enum auth_reason reason,
                                 const struct kerberos_fault *fault)
{
    snprintf(ex->detail, sizeof ex->detail, "%s", fault->text);
    return exchange_deny(ex, reason);
}

/* ---- client leg ---- */

struct gssapi_server {
    struct cyrus_server *cyrus;
    struct token token;
    struct view reply; /* of cyrus */
    struct kerberos_fault fault;
    enum cyrus_status status;
    enum kerberos_name_status named;
    char name[PRINCIPAL_SIZE];
};

static enum exchange_status server_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    struct gssapi_server *server = state;
    (void)reply;
    if (server->cyrus == NULL) {
        if (token.length == 0) {
            return exchange_deny(ex, AUTH_REASON_MALFORMED);
        }
        server->cyrus = ex->acceptor != NULL ? cyrus_server_new(ex->acceptor) : NULL;
    }
    if (server->cyrus == NULL || !token_keep(&server->token, token)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    return EXCHANGE_PENDING;
}

static void server_work(struct exchange *ex, void *state)
{
    struct gssapi_server *server = state;
    server->status =
        cyrus_server_step(server->cyrus, view_of(server->token.at, server->token.length),
                          &server->reply, &server->fault);
    token_drop(&server->token);
    if (server->status == CYRUS_DONE) {
        server->named = kerberos_acceptor_name(
            ex->acceptor, view_from_string(cyrus_server_principal(server->cyrus)), server->name,
            sizeof server->name);
    }
}

static enum exchange_status server_named(struct exchange *ex, const struct gssapi_server *server)
{
    const char *principal = cyrus_server_principal(server->cyrus);
    if (server->named == KERBEROS_NAME_OK &&
        principal_canonical(view_from_string(server->name), ex->name) == PRINCIPAL_OK) {
        snprintf(ex->detail, sizeof ex->detail, "%s", principal);
        return EXCHANGE_DONE;
    }
    enum principal_status status = principal_canonical(view_from_string(principal), ex->name);
    if (status != PRINCIPAL_OK) {
        snprintf(ex->detail, sizeof ex->detail, "%s", principal_status_text(status));
    }
    return exchange_deny(ex, AUTH_REASON_KERBEROS_NAME);
}

static enum exchange_status server_resume(struct exchange *ex, void *state, struct writer *reply)
{
    struct gssapi_server *server = state;
    switch (server->status) {
    case CYRUS_MORE:
        writer_put(reply, server->reply);
        return EXCHANGE_CONTINUE;
    case CYRUS_DONE:
        return server_named(ex, server);
    case CYRUS_AUTHZID:
        return deny(ex, AUTH_REASON_AUTHZID_MISMATCH, &server->fault);
    case CYRUS_REFUSED:
        break;
    }
    return deny(ex, AUTH_REASON_KERBEROS_TICKET, &server->fault);
}

static void server_release(void *state)
{
    struct gssapi_server *server = state;
    cyrus_server_free(&server->cyrus);
    token_drop(&server->token);
}

/* ---- broker leg ---- */

struct gssapi_client_end {
    struct gssapi_client *gssapi;
    struct token token;
    struct writer reply;
    struct kerberos_fault fault;
    enum gssapi_client_status status;
};

static enum exchange_status client_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    struct gssapi_client_end *client = state;
    (void)reply;
    if (client->gssapi == NULL && ex->kerberos != NULL) {
        writer_init_growing(&client->reply, EXCHANGE_GSSAPI_TOKEN_BYTES_MAX);
        client->gssapi = gssapi_client_new(ex->kerberos, ex->service, ex->host);
    }
    if (client->gssapi == NULL || !token_keep(&client->token, token)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    return EXCHANGE_PENDING;
}

static void client_work(struct exchange *ex, void *state)
{
    struct gssapi_client_end *client = state;
    (void)ex;
    writer_reset(&client->reply);
    client->status =
        gssapi_client_step(client->gssapi, view_of(client->token.at, client->token.length),
                           &client->reply, &client->fault);
    token_drop(&client->token);
}

static enum exchange_status client_resume(struct exchange *ex, void *state, struct writer *reply)
{
    struct gssapi_client_end *client = state;
    switch (client->status) {
    case GSSAPI_CLIENT_MORE:
        if (!writer_ok(&client->reply)) {
            return exchange_deny(ex, AUTH_REASON_TOKEN_TOO_LARGE);
        }
        writer_put(reply, writer_view(&client->reply));
        return EXCHANGE_CONTINUE;
    case GSSAPI_CLIENT_DONE:
        return EXCHANGE_DONE;
    case GSSAPI_CLIENT_NO_TICKET:
        return deny(ex, AUTH_REASON_KERBEROS_NO_TICKET, &client->fault);
    case GSSAPI_CLIENT_REFUSED:
        break;
    }
    return deny(ex, AUTH_REASON_KERBEROS_BROKER, &client->fault);
}

static void client_release(void *state)
{
    struct gssapi_client_end *client = state;
    gssapi_client_free(&client->gssapi);
    token_drop(&client->token);
    writer_free(&client->reply);
}

static const struct mech_end gssapi_server_end = {
    .state_bytes = sizeof(struct gssapi_server),
    .token_bytes_max = EXCHANGE_GSSAPI_TOKEN_BYTES_MAX,
    .ends_silently = true,
    .step = server_step,
    .work = server_work,
    .resume = server_resume,
    .release = server_release,
};

static const struct mech_end gssapi_client_end = {
    .state_bytes = sizeof(struct gssapi_client_end),
    .token_bytes_max = EXCHANGE_GSSAPI_TOKEN_BYTES_MAX,
    .waits = true,
    .step = client_step,
    .work = client_work,
    .resume = client_resume,
    .release = client_release,
};

const struct mech mech_gssapi = {
    .name = "GSSAPI",
    .without_users = true,
    .server = &gssapi_server_end,
    .client = &gssapi_client_end,
};
