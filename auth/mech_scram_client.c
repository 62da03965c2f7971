/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client end of SCRAM (RFC 5802), towards brokers, which may be hostile: what they send costs
 * bounded memory and bounded work (off the loop), and they are not believed before they have shown
 * with v= that they know the password's ServerKey.
 *
 *     transcript: [client-first-bare],[server-first],[client-final-without-proof]  = AuthMessage
 */
#include <string.h>

#include <openssl/crypto.h>

#include "auth/base64.h"
#include "auth/mech_end.h"
#include "auth/scram_message.h"

enum {
    NONCE_RANDOM_BYTES = 24,
    NONCE_CHARACTERS = 32,
    TRANSCRIPT_BYTES_MAX = 3 * EXCHANGE_SCRAM_BROKER_TOKEN_BYTES_MAX
};

enum progress { PROGRESS_NEW, PROGRESS_GREETED, PROGRESS_PROVEN };

struct scram_client {
    enum progress progress;
    struct writer transcript;
    size_t nonce_at; /* of the nonce of server-first in the transcript */
    size_t nonce_length;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_length;
    uint32_t iterations;
    struct scram_keys keys; /* offered, or made by the work */
    bool keys_offered;
    bool keys_made;
    uint8_t server_signature[SCRAM_KEY_BYTES_MAX]; /* the one the broker must show */
};

static enum exchange_status greet(struct exchange *ex, struct scram_client *client,
                                  struct view token, struct writer *reply)
{
    if (token.length > 0) {
        return exchange_deny(ex, AUTH_REASON_UNEXPECTED_TOKEN);
    }
    uint8_t random[NONCE_RANDOM_BYTES];
    if (!exchange_random(ex, random, sizeof random)) {
        return EXCHANGE_DENIED;
    }
    struct writer *transcript = &client->transcript;
    writer_init_growing(transcript, TRANSCRIPT_BYTES_MAX);
    writer_put(transcript, view_from_string("n="));
    scram_name_write(transcript, view_from_string(ex->name));
    writer_put(transcript, view_from_string(",r="));
    base64_write(transcript, view_of(random, sizeof random));
    if (!writer_ok(transcript)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    writer_put(reply, view_from_string("n,,"));
    writer_put(reply, writer_view(transcript));
    client->progress = PROGRESS_GREETED;
    return EXCHANGE_CONTINUE;
}

static enum auth_reason challenge_check(const struct exchange *ex, struct scram_client *client,
                                        const struct scram_server_first *first)
{
    const struct writer *transcript = &client->transcript;
    struct view ours = view_from(writer_view(transcript), transcript->length - NONCE_CHARACTERS);
    if (first->nonce.length > EXCHANGE_SCRAM_NONCE_BYTES_MAX) {
        return AUTH_REASON_NONCE_TOO_LARGE;
    }
    if (first->nonce.length <= ours.length ||
        !view_equal(view_of(first->nonce.at, ours.length), ours)) {
        return AUTH_REASON_NONCE_MISMATCH;
    }
    if (first->iterations < ex->iterations_min) {
        return AUTH_REASON_WEAK_ITERATIONS;
    }
    if (first->iterations > SCRAM_ITERATIONS_MAX) {
        return AUTH_REASON_EXCESSIVE_ITERATIONS;
    }
    if (!base64_read(first->salt, client->salt, sizeof client->salt, &client->salt_length) ||
        client->salt_length == 0) {
        return AUTH_REASON_MALFORMED;
    }
    client->iterations = first->iterations;
    return AUTH_REASON_NONE;
}

/* Without a password the broker must want what the keys were made for. */
static enum exchange_status keys_differ(struct exchange *ex, const struct scram_client *client)
{
    const struct scram_keys *keys = &client->keys;
    bool salt = view_equal(view_of(keys->salt, keys->salt_length),
                           view_of(client->salt, client->salt_length));
    return exchange_deny(ex, salt ? AUTH_REASON_KEYS_ITERATIONS : AUTH_REASON_KEYS_SALT);
}

static bool keys_fit(const struct exchange *ex, const struct scram_client *client)
{
    const struct scram_keys *keys = &client->keys;
    return client->keys_offered && keys->hash == exchange_hash(ex) &&
           keys->iterations == client->iterations &&
           view_equal(view_of(keys->salt, keys->salt_length),
                      view_of(client->salt, client->salt_length));
}

static enum exchange_status prove(struct exchange *ex, struct scram_client *client,
                                  struct writer *reply)
{
    struct writer *transcript = &client->transcript;
    struct view nonce = view_of(transcript->at + client->nonce_at, client->nonce_length);
    uint8_t nonce_copy[EXCHANGE_SCRAM_NONCE_BYTES_MAX];
    memcpy(nonce_copy, nonce.at, nonce.length);
    size_t final_at = transcript->length + 1;
    writer_put(transcript, view_from_string(",c=biws,r=")); /* biws is "n,," */
    writer_put(transcript, view_of(nonce_copy, nonce.length));
    uint8_t proof[SCRAM_KEY_BYTES_MAX];
    if (!writer_ok(transcript) || !scram_proof(&client->keys, writer_view(transcript), proof) ||
        !scram_signature(client->keys.hash, client->keys.server_key, writer_view(transcript),
                         client->server_signature)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    writer_put(reply, view_from(writer_view(transcript), final_at));
    writer_put(reply, view_from_string(",p="));
    base64_write(reply, view_of(proof, scram_key_bytes(client->keys.hash)));
    client->progress = PROGRESS_PROVEN;
    return EXCHANGE_CONTINUE;
}

static enum exchange_status challenged(struct exchange *ex, struct scram_client *client,
                                       struct view token, struct writer *reply)
{
    struct scram_server_first first;
    enum auth_reason reason = scram_server_first_parse(token, &first);
    if (reason == AUTH_REASON_NONE) {
        reason = challenge_check(ex, client, &first);
    }
    if (reason != AUTH_REASON_NONE) {
        return exchange_deny(ex, reason);
    }
    writer_put(&client->transcript, view_from_string(","));
    client->nonce_at = client->transcript.length + (size_t)(first.nonce.at - token.at);
    client->nonce_length = first.nonce.length;
    writer_put(&client->transcript, token);
    if (!writer_ok(&client->transcript)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    if (keys_fit(ex, client)) {
        client->keys_made = true;
        return prove(ex, client, reply);
    }
    return ex->keys_only ? keys_differ(ex, client) : EXCHANGE_PENDING;
}

static enum exchange_status judge(struct exchange *ex, const struct scram_client *client,
                                  struct view token)
{
    struct scram_server_final final;
    uint8_t signature[SCRAM_KEY_BYTES_MAX];
    size_t length = 0;
    enum auth_reason reason = scram_server_final_parse(token, &final);
    if (reason == AUTH_REASON_NONE && final.error.length > 0) {
        return exchange_deny(ex, AUTH_REASON_SERVER_ERROR);
    }
    if (reason == AUTH_REASON_MANDATORY_EXTENSION) {
        return exchange_deny(ex, reason);
    }
    if (reason != AUTH_REASON_NONE ||
        !base64_read(final.signature, signature, sizeof signature, &length) ||
        !secret_equal(view_of(signature, length),
                      view_of(client->server_signature, scram_key_bytes(client->keys.hash)))) {
        return exchange_deny(ex, AUTH_REASON_SERVER_SIGNATURE);
    }
    return EXCHANGE_DONE;
}

static enum exchange_status client_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    struct scram_client *client = state;
    switch (client->progress) {
    case PROGRESS_NEW:
        return greet(ex, client, token, reply);
    case PROGRESS_GREETED:
        return challenged(ex, client, token, reply);
    case PROGRESS_PROVEN:
        return judge(ex, client, token);
    }
    return EXCHANGE_ERROR;
}

static void client_work(struct exchange *ex, void *state)
{
    struct scram_client *client = state;
    client->keys_made = scram_keys_make(exchange_hash(ex), secret_view(&ex->password),
                                        view_of(client->salt, client->salt_length),
                                        client->iterations, &client->keys);
}

static enum exchange_status client_resume(struct exchange *ex, void *state, struct writer *reply)
{
    struct scram_client *client = state;
    return client->keys_made ? prove(ex, client, reply) : exchange_deny(ex, AUTH_REASON_INTERNAL);
}

static void client_release(void *state)
{
    struct scram_client *client = state;
    writer_free(&client->transcript);
}

static void client_offer_keys(void *state, const struct scram_keys *keys)
{
    struct scram_client *client = state;
    if (client->progress == PROGRESS_NEW) {
        client->keys = *keys;
        client->keys_offered = true;
    }
}

static bool client_take_keys(const void *state, struct scram_keys *keys_r)
{
    const struct scram_client *client = state;
    *keys_r = client->keys;
    return client->keys_made;
}

const struct mech_end mech_scram_client = {
    .state_bytes = sizeof(struct scram_client),
    .token_bytes_max = EXCHANGE_SCRAM_BROKER_TOKEN_BYTES_MAX,
    .step = client_step,
    .work = client_work,
    .resume = client_resume,
    .release = client_release,
    .offer_keys = client_offer_keys,
    .take_keys = client_take_keys,
};
