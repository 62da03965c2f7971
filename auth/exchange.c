/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/exchange.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "auth/credentials.h"
#include "auth/kerberos.h"
#include "auth/mech_end.h"
#include "auth/tokens.h"

static struct exchange *exchange_new(const struct mech *mech, const struct mech_end *end,
                                     exchange_random_fn random, void *random_context)
{
    struct exchange *ex = calloc(1, sizeof *ex);
    if (ex == NULL) {
        return NULL;
    }
    *ex = (struct exchange){
        .mech = mech, .end = end, .random = random, .random_context = random_context};
    ex->state = calloc(1, end->state_bytes);
    if (ex->state == NULL) {
        exchange_free(&ex);
    }
    return ex;
}

struct exchange *exchange_server_new(const char *mechanism, const struct credentials *users,
                                     exchange_random_fn random, void *random_context)
{
    const struct mech *mech = mech_find(mechanism);
    if (mech == NULL || (users == NULL && !mech->without_users)) {
        return NULL;
    }
    struct exchange *ex = exchange_new(mech, mech->server, random, random_context);
    if (ex != NULL && users != NULL) {
        ex->users = credentials_ref(users);
    }
    return ex;
}

void exchange_trust_tokens(struct exchange *ex, const struct tokens *tokens, int64_t now_ms)
{
    tokens_unref(&ex->tokens);
    ex->tokens = tokens != NULL ? tokens_ref(tokens) : NULL;
    ex->now_ms = now_ms;
}

void exchange_ask_saslauthd(struct exchange *ex, const char *path)
{
    ex->saslauthd = strdup(path);
    if (ex->saslauthd == NULL) {
        abort();
    }
}

void exchange_accept_tickets(struct exchange *ex, const struct kerberos_acceptor *acceptor)
{
    ex->acceptor = kerberos_acceptor_ref(acceptor);
}

static bool client_text_fits(struct view text, size_t bytes_max)
{
    return text.length > 0 && text.length <= bytes_max && memchr(text.at, 0, text.length) == NULL;
}

/* What proves the name: a password, or keys. */
static bool client_proof_fits(const struct mech *mech, const struct exchange_client *client)
{
    if (mech == &mech_gssapi) {
        return client->kerberos != NULL && client->service != NULL && client->host != NULL;
    }
    return client->keys_only ? mech->client->offer_keys != NULL && client->password.length == 0
                             : client_text_fits(client->password, SECRET_BYTES_MAX);
}

static bool client_keep_proof(struct exchange *ex, const struct exchange_client *client)
{
    if (ex->mech != &mech_gssapi) {
        return secret_from(&ex->password, client->password);
    }
    ex->kerberos = kerberos_login_ref(client->kerberos);
    ex->service = strdup(client->service);
    ex->host = strdup(client->host);
    return ex->service != NULL && ex->host != NULL;
}

struct exchange *exchange_client_new(const char *mechanism, const struct exchange_client *client)
{
    const struct mech *mech = mech_find(mechanism);
    if (mech == NULL || !client_text_fits(client->username, EXCHANGE_NAME_BYTES_MAX) ||
        !client_proof_fits(mech, client)) {
        return NULL;
    }
    struct exchange *ex = exchange_new(mech, mech->client, client->random, client->random_context);
    if (ex == NULL) {
        return NULL;
    }
    memcpy(ex->name, client->username.at, client->username.length);
    ex->keys_only = client->keys_only;
    ex->keeps_keys = true;
    ex->iterations_min = client->iterations_min > 0 ? client->iterations_min : SCRAM_ITERATIONS_MIN;
    if (!client_keep_proof(ex, client)) {
        exchange_free(&ex);
    }
    return ex;
}

static void state_drop(struct exchange *ex)
{
    if (ex->state == NULL) {
        return;
    }
    if (ex->end->release != NULL) {
        ex->end->release(ex->state);
    }
    OPENSSL_cleanse(ex->state, ex->end->state_bytes);
    free(ex->state);
    ex->state = NULL;
}

void exchange_free(struct exchange **ex)
{
    struct exchange *it = *ex;
    *ex = NULL;
    if (it == NULL) {
        return;
    }
    state_drop(it);
    secret_wipe(&it->password);
    credentials_unref(&it->users);
    tokens_unref(&it->tokens);
    kerberos_acceptor_unref(&it->acceptor);
    free(it->saslauthd);
    kerberos_login_unref(&it->kerberos);
    free(it->service);
    free(it->host);
    OPENSSL_cleanse(it, sizeof *it);
    free(it);
}

enum exchange_status exchange_deny(struct exchange *ex, enum auth_reason reason)
{
    ex->reason = reason;
    return EXCHANGE_DENIED;
}

enum scram_hash exchange_hash(const struct exchange *ex)
{
    return ex->mech == &mech_scram_sha_256 ? SCRAM_SHA_256 : SCRAM_SHA_512;
}

bool exchange_random(struct exchange *ex, uint8_t *at, size_t length)
{
    if (ex->random(ex->random_context, at, length)) {
        return true;
    }
    (void)exchange_deny(ex, AUTH_REASON_INTERNAL);
    return false;
}

/* What was appended since `from` must not leave: it goes with whatever secret it holds. */
static void reply_take_back(struct writer *reply, size_t from)
{
    if (reply->length > from) {
        OPENSSL_cleanse(reply->at + from, reply->length - from);
        reply->length = from;
    }
}

/* Every status of a mechanism passes here: the one place that moves the stage. */
static enum exchange_status settle(struct exchange *ex, enum exchange_status status,
                                   struct writer *reply, size_t reply_from)
{
    if (status != EXCHANGE_DENIED && !writer_ok(reply)) {
        status = EXCHANGE_ERROR;
    }
    switch (status) {
    case EXCHANGE_CONTINUE:
        ex->stage = EXCHANGE_STAGE_READY;
        return status;
    case EXCHANGE_PENDING:
        ex->stage = EXCHANGE_STAGE_WORKING;
        return status;
    case EXCHANGE_DONE:
        ex->stage = EXCHANGE_STAGE_DONE;
        secret_wipe(&ex->password);
        if (ex->end->take_keys == NULL || !ex->keeps_keys) {
            state_drop(ex);
        }
        return status;
    case EXCHANGE_DENIED:
        ex->stage = EXCHANGE_STAGE_DENIED;
        break;
    case EXCHANGE_ERROR:
        ex->stage = EXCHANGE_STAGE_BROKEN;
        ex->reason = AUTH_REASON_INTERNAL;
        break;
    }
    reply_take_back(reply, reply_from);
    secret_wipe(&ex->password);
    state_drop(ex);
    return status;
}

enum exchange_status exchange_step(struct exchange *ex, struct view token, struct writer *reply)
{
    if (ex->stage != EXCHANGE_STAGE_READY) {
        return EXCHANGE_ERROR;
    }
    size_t reply_from = reply->length;
    enum exchange_status status = token.length > ex->end->token_bytes_max
                                      ? exchange_deny(ex, AUTH_REASON_TOKEN_TOO_LARGE)
                                      : ex->end->step(ex, ex->state, token, reply);
    return settle(ex, status, reply, reply_from);
}

void exchange_work(struct exchange *ex)
{
    if (ex->stage == EXCHANGE_STAGE_WORKING) {
        ex->end->work(ex, ex->state);
    }
}

enum exchange_status exchange_resume(struct exchange *ex, struct writer *reply)
{
    if (ex->stage != EXCHANGE_STAGE_WORKING) {
        return EXCHANGE_ERROR;
    }
    size_t reply_from = reply->length;
    return settle(ex, ex->end->resume(ex, ex->state, reply), reply, reply_from);
}

bool exchange_waits(const struct exchange *ex)
{
    return ex->end->waits || ex->saslauthd != NULL;
}

bool exchange_ends_silently(const struct exchange *ex)
{
    return ex->end->ends_silently;
}

const char *exchange_refusal(const struct exchange *ex)
{
    return ex->end->refusal;
}

const char *exchange_detail(const struct exchange *ex)
{
    return ex->detail;
}

const char *exchange_principal(const struct exchange *ex)
{
    return ex->stage == EXCHANGE_STAGE_DONE ? ex->name : NULL;
}

const char *exchange_claimed(const struct exchange *ex)
{
    return ex->name[0] != 0 ? ex->name : NULL;
}

enum auth_reason exchange_reason(const struct exchange *ex)
{
    return ex->reason;
}

const char *exchange_mechanism(const struct exchange *ex)
{
    return ex->mech->name;
}

int64_t exchange_expires_ms(const struct exchange *ex)
{
    return ex->stage == EXCHANGE_STAGE_DONE ? ex->expires_ms : 0;
}

const uint8_t *exchange_token_stamp(const struct exchange *ex)
{
    return ex->stamp;
}

void exchange_offer_keys(struct exchange *ex, const struct scram_keys *keys)
{
    if (ex->end->offer_keys != NULL && ex->state != NULL) {
        ex->end->offer_keys(ex->state, keys);
    }
}

void exchange_keep_keys(struct exchange *ex)
{
    ex->keeps_keys = true;
}

bool exchange_take_keys(const struct exchange *ex, struct scram_keys *keys_r)
{
    *keys_r = (struct scram_keys){0};
    return ex->stage == EXCHANGE_STAGE_DONE && ex->end->take_keys != NULL && ex->keeps_keys &&
           ex->end->take_keys(ex->state, keys_r);
}

const char *exchange_denial_text(void)
{
    return "Authentication failed";
}
