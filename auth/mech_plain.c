/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PLAIN (RFC 4616):  [authzid] NUL user NUL password
 *
 * The server end judges the password against a SCRAM record, so that no password is stored; that is
 * a PBKDF2, done off the loop. An unknown user costs the same, against a phantom. Or saslauthd judges
 * it; then what an unknown user costs is saslauthd's.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "auth/credentials.h"
#include "auth/mech_end.h"
#include "auth/plain_message.h"
#include "auth/saslauthd.h"

struct plain_server {
    struct credentials_match match;
    uint8_t password[EXCHANGE_PASSWORD_BYTES_MAX];
    size_t password_length;
    bool matches;
    enum saslauthd_verdict verdict;
};

static bool message_parse(struct view token, struct plain_message *out)
{
    return plain_message_parse(token, out) && out->password.length <= EXCHANGE_PASSWORD_BYTES_MAX;
}

static enum exchange_status server_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    (void)reply;
    struct plain_server *server = state;
    struct plain_message message;
    if (!message_parse(token, &message) ||
        principal_canonical(message.user, ex->name) != PRINCIPAL_OK) {
        return exchange_deny(ex, AUTH_REASON_MALFORMED);
    }
    if (message.authzid.length > 0 && !view_equal(message.authzid, message.user)) {
        return exchange_deny(ex, AUTH_REASON_AUTHZID_MISMATCH);
    }
    if (!credentials_find_plain(ex->users, message.user, &server->match)) {
        return exchange_deny(ex, AUTH_REASON_INTERNAL);
    }
    memcpy(server->password, message.password.at, message.password.length);
    server->password_length = message.password.length;
    return EXCHANGE_PENDING;
}

static void server_work(struct exchange *ex, void *state)
{
    struct plain_server *server = state;
    struct view password = view_of(server->password, server->password_length);
    if (ex->saslauthd != NULL) {
        server->verdict =
            saslauthd_ask(ex->saslauthd, view_from_string(ex->name), password, "kafka");
    } else {
        server->matches = scram_record_matches(&server->match.record, password);
    }
    OPENSSL_cleanse(server->password, sizeof server->password);
}

static enum exchange_status server_resume(struct exchange *ex, void *state, struct writer *reply)
{
    (void)reply;
    struct plain_server *server = state;
    enum auth_reason reason = credentials_judge(&server->match, server->matches);
    if (ex->saslauthd != NULL) {
        reason = server->verdict == SASLAUTHD_YES  ? AUTH_REASON_NONE
                 : server->verdict == SASLAUTHD_NO ? AUTH_REASON_BAD_PASSWORD
                                                   : AUTH_REASON_SASLAUTHD;
    }
    return reason == AUTH_REASON_NONE ? EXCHANGE_DONE : exchange_deny(ex, reason);
}

struct plain_client {
    bool sent;
};

static enum exchange_status client_step(struct exchange *ex, void *state, struct view token,
                                        struct writer *reply)
{
    struct plain_client *client = state;
    if (client->sent) {
        return EXCHANGE_DONE;
    }
    if (token.length > 0) {
        return exchange_deny(ex, AUTH_REASON_UNEXPECTED_TOKEN);
    }
    client->sent = true;
    reply->wipe = true;
    writer_i8(reply, 0);
    writer_put(reply, view_from_string(ex->name));
    writer_i8(reply, 0);
    writer_put(reply, secret_view(&ex->password));
    return EXCHANGE_CONTINUE;
}

static const struct mech_end plain_server_end = {
    .state_bytes = sizeof(struct plain_server),
    .token_bytes_max = EXCHANGE_PLAIN_TOKEN_BYTES_MAX,
    .step = server_step,
    .work = server_work,
    .resume = server_resume,
};

static const struct mech_end plain_client_end = {
    .state_bytes = sizeof(struct plain_client),
    .token_bytes_max = EXCHANGE_PLAIN_TOKEN_BYTES_MAX,
    .step = client_step,
};

const struct mech mech_plain = {
    .name = "PLAIN",
    .cleartext = true,
    .server = &plain_server_end,
    .client = &plain_client_end,
};
