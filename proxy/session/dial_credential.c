/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/dial_credential.h"

#include "auth/exchange.h"
#include "auth/passwords.h"
#include "conf/config.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/session/edition.h"
#include "proxy/session/evidence.h"
#include "proxy/session/handshake_data.h"
#include "proxy/session/session.h"

static const struct password *password_of(const struct session *s, const struct edition *edition)
{
    const struct passwords *passwords = edition_passwords(edition, s->route.generation);
    return passwords != NULL ? passwords_find(passwords, s->principal) : NULL;
}

static const struct password *stored_password(const struct session *s)
{
    return password_of(s, s->gate->edition);
}

static void read_token(void *handshake)
{
    struct handshake *hs = handshake;
    hs->token_status = passwords_read_token(hs->stored, &hs->token);
}

bool dial_credential_read(struct session *s, errand_done_fn then)
{
    struct handshake *hs = s->handshake;
    if (s->route.generation->login != CONF_LOGIN_SASL) {
        return false;
    }
    hs->stored = stored_password(s);
    if (hs->stored == NULL || hs->stored->token_file == NULL) {
        return false;
    }
    secret_wipe(&hs->token); /* of an earlier dial */
    errand_call(&hs->errand, s, read_token, hs, then);
    return true;
}

static bool stored_token(struct session *s, struct broker_login_params *params)
{
    struct handshake *hs = s->handshake;
    if (hs->token.length == 0) {
        evidence_broker_failed(s, "token_unreadable", secret_file_text(hs->token_status), true);
        session_close(s, CLOSE_BROKER_LOGIN_FAILED);
        return false;
    }
    params->password = &hs->token;
    return true;
}

static bool stored(struct session *s, struct broker_login_params *params)
{
    const struct password *password = stored_password(s);
    if (password == NULL) {
        evidence_broker_failed(s, "no_stored_credential",
                               "the credentials file has no entry for this principal", true);
        session_close(s, CLOSE_BROKER_LOGIN_FAILED);
        return false;
    }
    params->mechanism = s->route.generation->sasl.mechanism;
    params->username = password->username;
    if (password->token_file != NULL) {
        return stored_token(s, params);
    }
    params->password = &password->secret;
    params->kerberos = password->kerberos;
    params->service = s->route.generation->sasl.service_name;
    params->host = s->route.host;
    params->keys = edition_find_keys(s->gate->edition, password);
    return true;
}

void dial_credential_relayed(const struct session *s, const struct scram_keys *keys,
                             struct broker_login_params *params)
{
    params->mechanism = scram_mechanism(keys->hash);
    params->username = s->principal;
    params->keys = keys;
    params->keys_only = true;
}

/* The exchange of the client's own login holds its key until relay begins; nobody else does. */
static bool relayed(struct session *s, struct broker_login_params *params,
                    struct scram_keys *keys_r)
{
    const struct exchange *login = s->handshake->exchange;
    if (login == NULL || !exchange_take_keys(login, keys_r)) {
        evidence_broker_failed(s, "relay_key_missing",
                               "the client did not log in by SCRAM (login: scram-relay)", true);
        session_close(s, CLOSE_RELAY_KEY_MISSING);
        return false;
    }
    dial_credential_relayed(s, keys_r, params);
    return true;
}

bool dial_credential(struct session *s, struct broker_login_params *params,
                     struct scram_keys *keys_r)
{
    *keys_r = (struct scram_keys){0};
    switch (s->route.generation->login) {
    case CONF_LOGIN_SASL:
        return stored(s, params);
    case CONF_LOGIN_SCRAM_RELAY:
        return relayed(s, params, keys_r);
    case CONF_LOGIN_MAPPED_CERTIFICATE:
    case CONF_LOGIN_PASSTHROUGH:
    case CONF_LOGIN_NONE:
        break;
    }
    return true;
}

void dial_credential_used(struct session *s)
{
    struct scram_keys keys;
    if (s->route.generation->login == CONF_LOGIN_SASL &&
        broker_login_take_keys(s->handshake->broker_login, &keys)) {
        edition_keep_keys(s->gate->edition, stored_password(s), &keys);
        scram_keys_wipe(&keys);
    }
}

const struct password *dial_credential_again(const struct session *s, const struct edition *edition,
                                             struct broker_login_params *params)
{
    const struct password *password =
        s->route.generation->login == CONF_LOGIN_SASL ? password_of(s, edition) : NULL;
    if (password != NULL) {
        params->mechanism = s->route.generation->sasl.mechanism;
        params->username = password->username;
        params->password = &password->secret;
        params->keys = edition_find_keys(edition, password);
        params->kerberos = password->kerberos;
        params->service = s->route.generation->sasl.service_name;
        params->host = s->route.host;
    }
    return password;
}
