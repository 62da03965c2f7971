/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server end of SCRAM (RFC 5802), towards Kafka clients.
 *
 *     transcript: [gs2 header][client-first-bare],[server-first],[client-final-without-proof]
 *                              └─────────────────── AuthMessage ───────────────────────────┘
 *
 * It works on the bytes as they were sent, never on a re-built message. A known and an unknown user
 * take the same path to the last comparison (credentials.h).
 *
 * librdkafka before 2.6.1 writes its own nonce twice in client-final (librdkafka #4895): exactly
 * cnonce+snonce and cnonce+cnonce+snonce are accepted; Kafka's old endsWith() let any prefix pass
 * (CVE-2024-56128).
 */
#include <string.h>

#include <openssl/crypto.h>

#include "auth/base64.h"
#include "auth/credentials.h"
#include "auth/mech_end.h"
#include "auth/scram_message.h"

enum {
    NONCE_RANDOM_BYTES = 24, /* 32 characters, no padding */
    TRANSCRIPT_BYTES_MAX = 4 * EXCHANGE_SCRAM_TOKEN_BYTES_MAX
};

struct scram_server {
    bool challenged; /* client-first was accepted and answered */
    struct credentials_match match;
    struct writer transcript;
    size_t gs2_length;
    size_t client_nonce_length;
    size_t nonce_at; /* of cnonce+snonce in the transcript, which may move in memory */
    size_t nonce_length;
    struct scram_keys keys; /* of a client that got in, where they are kept */
};

static struct view transcript_part(const struct scram_server *server, size_t at, size_t length)
{
    return view_of(server->transcript.at + at, length);
}

/* The name the client claims goes into the exchange; it may claim no other. */
static enum auth_reason identity_read(struct exchange *ex, const struct scram_client_first *first)
{
    char name[EXCHANGE_NAME_BYTES_MAX];
    size_t length;
    if (!scram_name_read(first->user, name, sizeof name, &length) ||
        principal_canonical(view_of(name, length), ex->name) != PRINCIPAL_OK) {
        return AUTH_REASON_MALFORMED;
    }
    if (first->authzid.length == 0) {
        return AUTH_REASON_NONE;
    }
    char authzid[EXCHANGE_NAME_BYTES_MAX];
    size_t authzid_length;
    if (!scram_name_read(first->authzid, authzid, sizeof authzid, &authzid_length)) {
        return AUTH_REASON_MALFORMED;
    }
    return view_equal(view_of(name, length), view_of(authzid, authzid_length))
               ? AUTH_REASON_NONE
               : AUTH_REASON_AUTHZID_MISMATCH;
}

static void challenge_write(struct scram_server *server, const struct scram_client_first *first,
                            struct view server_nonce)
{
    struct writer *out = &server->transcript;
    writer_put(out, first->gs2_header);
    writer_put(out, first->bare);
    writer_put(out, view_from_string(",r="));
    server->gs2_length = first->gs2_header.length;
    server->nonce_at = out->length;
    server->client_nonce_length = first->nonce.length;
    writer_put(out, first->nonce);
    base64_write(out, server_nonce);
    server->nonce_length = out->length - server->nonce_at;
    const struct scram_record *record = &server->match.record;
    writer_put(out, view_from_string(",s="));
    base64_write(out, view_of(record->salt, record->salt_length));
    writer_put(out, view_from_string(",i="));
    scram_number_write(out, record->iterations);
}

static enum exchange_status client_first(struct exchange *ex, struct scram_server *server,
                                         struct view token, struct writer *reply)
{
    struct scram_client_first first;
    enum auth_reason reason = scram_client_first_parse(token, &first);
    if (reason == AUTH_REASON_NONE) {
        reason = identity_read(ex, &first);
    }
    if (reason == AUTH_REASON_NONE && first.tokenauth) {
        reason = AUTH_REASON_TOKENAUTH;
    }
    if (reason != AUTH_REASON_NONE) {
        return exchange_deny(ex, reason);
    }
    uint8_t random[NONCE_RANDOM_BYTES];
    if (!exchange_random(ex, random, sizeof random)) {
        return EXCHANGE_DENIED;
    }
    if (!credentials_find_scram(ex->users, exchange_hash(ex), view_from_string(ex->name),
                                &server->match)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    writer_init_growing(&server->transcript, TRANSCRIPT_BYTES_MAX);
    challenge_write(server, &first, view_of(random, sizeof random));
    if (!writer_ok(&server->transcript)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    size_t from = server->nonce_at - 2; /* "r=" */
    writer_put(reply, transcript_part(server, from, server->transcript.length - from));
    server->challenged = true;
    return EXCHANGE_CONTINUE;
}

static bool nonce_accepted(const struct scram_server *server, struct view nonce)
{
    struct view agreed = transcript_part(server, server->nonce_at, server->nonce_length);
    if (view_equal(nonce, agreed)) {
        return true;
    }
    size_t once = server->client_nonce_length;
    return nonce.length == once + agreed.length &&
           view_equal(view_of(nonce.at, once), view_of(agreed.at, once)) &&
           view_equal(view_from(nonce, once), agreed);
}

static bool channel_binding_accepted(const struct scram_server *server, struct view text)
{
    uint8_t bound[EXCHANGE_SCRAM_TOKEN_BYTES_MAX];
    size_t length;
    return base64_read(text, bound, sizeof bound, &length) &&
           view_equal(view_of(bound, length), transcript_part(server, 0, server->gs2_length));
}

static enum auth_reason final_check(const struct scram_server *server,
                                    const struct scram_client_final *final, uint8_t *proof_r)
{
    if (!channel_binding_accepted(server, final->channel_binding)) {
        return AUTH_REASON_CHANNEL_BINDING;
    }
    if (!nonce_accepted(server, final->nonce)) {
        return AUTH_REASON_NONCE_MISMATCH;
    }
    size_t key_bytes = scram_key_bytes(server->match.record.hash);
    size_t length;
    if (!base64_read(final->proof, proof_r, key_bytes, &length) || length != key_bytes) {
        return AUTH_REASON_MALFORMED;
    }
    return AUTH_REASON_NONE;
}

/* What the client proved with: enough to prove the same elsewhere. */
static bool keys_keep(struct scram_server *server, const uint8_t *proof, struct view auth_message)
{
    const struct scram_record *record = &server->match.record;
    struct scram_keys *keys = &server->keys;
    keys->hash = record->hash;
    keys->iterations = record->iterations;
    keys->salt_length = record->salt_length;
    memcpy(keys->salt, record->salt, record->salt_length);
    memcpy(keys->server_key, record->server_key, scram_key_bytes(record->hash));
    return scram_client_key(record->hash, record->stored_key, proof, auth_message,
                            keys->client_key);
}

static enum exchange_status client_final(struct exchange *ex, struct scram_server *server,
                                         struct view token, struct writer *reply)
{
    struct scram_client_final final;
    uint8_t proof[SCRAM_KEY_BYTES_MAX];
    enum auth_reason reason = scram_client_final_parse(token, &final);
    if (reason == AUTH_REASON_NONE) {
        reason = final_check(server, &final, proof);
    }
    if (reason != AUTH_REASON_NONE) {
        return exchange_deny(ex, reason);
    }
    struct writer *transcript = &server->transcript;
    writer_put(transcript, view_from_string(","));
    writer_put(transcript, final.without_proof);
    if (!writer_ok(transcript)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    const struct scram_record *record = &server->match.record;
    struct view auth_message = view_from(writer_view(transcript), server->gs2_length);
    bool holds = scram_proof_holds(record->hash, record->stored_key, proof, auth_message);
    reason = credentials_judge(&server->match, holds);
    if (reason != AUTH_REASON_NONE) {
        return exchange_deny(ex, reason);
    }
    uint8_t signature[SCRAM_KEY_BYTES_MAX];
    if (!scram_signature(record->hash, record->server_key, auth_message, signature) ||
        (ex->keeps_keys && !keys_keep(server, proof, auth_message))) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    writer_put(reply, view_from_string("v="));
    base64_write(reply, view_of(signature, scram_key_bytes(record->hash)));
    return EXCHANGE_DONE;
}

static enum exchange_status server_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    struct scram_server *server = state;
    return server->challenged ? client_final(ex, server, token, reply)
                              : client_first(ex, server, token, reply);
}

static bool server_take_keys(const void *state, struct scram_keys *keys_r)
{
    const struct scram_server *server = state;
    *keys_r = server->keys;
    return true;
}

static void server_release(void *state)
{
    struct scram_server *server = state;
    writer_free(&server->transcript);
}

const struct mech_end mech_scram_server = {
    .state_bytes = sizeof(struct scram_server),
    .token_bytes_max = EXCHANGE_SCRAM_TOKEN_BYTES_MAX,
    .step = server_step,
    .release = server_release,
    .take_keys = server_take_keys,
};
