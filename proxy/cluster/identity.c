/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/identity.h"

#include <stdlib.h>
#include <string.h>

#include "auth/kerberos.h"
#include "auth/mech.h"
#include "auth/tls_context.h"
#include "auth/tls_material.h"
#include "conf/config.h"
#include "proxy/ops/log.h"

static bool load_sasl(struct identity *identity, struct conf_errors *errors)
{
    const struct conf_identity_sasl *sasl = &identity->conf->identity.sasl;
    if (!sasl->present) {
        return true;
    }
    identity->mechanism = sasl->mechanism;
    identity->username = sasl->username;
    identity->service = sasl->service_name;
    if (sasl->keytab[0] != '\0') {
        struct kerberos_fault fault;
        identity->kerberos = kerberos_login_new(sasl->username, sasl->keytab, &fault);
        if (identity->kerberos == NULL) {
            conf_errors_add(errors, sasl->place, "keytab %s of %s: %s", sasl->keytab,
                            sasl->username, fault.text);
        }
        return identity->kerberos != NULL;
    }
    enum secret_file_status status = secret_read_password(&identity->password, sasl->password_file);
    if (status != SECRET_FILE_OK) {
        conf_errors_add(errors, sasl->place, "password_file %s: %s", sasl->password_file,
                        secret_file_text(status));
        return false;
    }
    return true;
}

static SSL_CTX *context_new(const struct identity *identity,
                            const struct conf_generation *generation,
                            const struct tls_material *material, struct conf_errors *errors)
{
    const struct conf_tls *tls = &generation->tls;
    const struct trust *trust =
        material != NULL ? tls_material_trust(material, tls->ca, tls->crl) : NULL;
    /* A SASL listener is told who we are by SASL alone. No resumption: a look is to see everything. */
    bool show = generation->protocol == CONF_PROTOCOL_SSL;
    if (trust == NULL) {
        conf_errors_add(errors, tls->place, "%s: was not read", tls->ca);
        return NULL;
    }
    return tls_client_ctx_from(material->certificates, trust,
                               show ? identity->certificate : NULL, tls, errors);
}

static bool load_contexts(struct identity *identity, const struct tls_material *material,
                          struct conf_errors *errors)
{
    const struct conf_cluster *conf = identity->conf;
    bool good = true;
    for (size_t i = 0; i < conf->generations_count; i++) {
        const struct conf_generation *generation = &conf->generations[i];
        if (!config_protocol_has_tls(generation->protocol)) {
            continue;
        }
        SSL_CTX *made = context_new(identity, generation, material, errors);
        if (made != NULL) {
            SSL_CTX_free(identity->contexts[i]);
            identity->contexts[i] = made;
        }
        good = good && made != NULL;
    }
    return good;
}

bool identity_load(struct identity *identity_r, const struct conf_cluster *conf,
                   const struct tls_material *material, struct conf_errors *errors)
{
    memset(identity_r, 0, sizeof *identity_r);
    identity_r->conf = conf;
    if (conf->identity.certificate[0] != '\0') {
        identity_r->certificate = conf->identity.certificate;
    }
    identity_r->contexts = calloc(conf->generations_count, sizeof(SSL_CTX *));
    if (identity_r->contexts == NULL) {
        conf_errors_add(errors, conf->place, "no memory");
        return false;
    }
    bool good = load_sasl(identity_r, errors);
    good = load_contexts(identity_r, material, errors) && good;
    if (!good) {
        identity_free(identity_r);
    }
    return good;
}

bool identity_rotate(struct identity *identity, const struct tls_material *material,
                     struct conf_errors *errors)
{
    return load_contexts(identity, material, errors);
}

const char *identity_token_file(const struct identity *identity)
{
    const bool token =
        identity->mechanism != NULL && strcmp(identity->mechanism, "OAUTHBEARER") == 0;
    return token ? identity->conf->identity.sasl.password_file : NULL;
}

void identity_miss_token(const struct identity *identity, const char *why)
{
    struct log_field fields[] = {log_str("file", identity_token_file(identity)),
                                 log_str("text", why)};
    log_write(LOG_LEVEL_ERROR, "identity_token_unreadable", fields, 2);
}

void identity_take_token(struct identity *identity, enum secret_file_status status,
                         struct secret *token)
{
    if (status != SECRET_FILE_OK) {
        identity_miss_token(identity, secret_file_text(status));
        return;
    }
    secret_wipe(&identity->password);
    identity->password = *token;
    *token = (struct secret){0};
}

SSL_CTX *identity_context(const struct identity *identity, const struct conf_generation *generation)
{
    return identity->contexts[generation - identity->conf->generations];
}

/* A look can be deceived by whoever sits on an unencrypted path: what it finds is not enough to
 * send a password in clear. A rule of the operator's is. */
static bool exposes_password(const struct identity *identity,
                             const struct conf_generation *generation)
{
    return mech_cleartext(identity->mechanism) && !config_protocol_has_tls(generation->protocol) &&
           generation->match.probe;
}

bool identity_serves(const struct identity *identity, const struct conf_generation *generation)
{
    if (config_protocol_has_sasl(generation->protocol)) {
        return identity->mechanism != NULL && !exposes_password(identity, generation);
    }
    /* A listener for SSL may do without a client certificate; then there is nothing to show. */
    return true;
}

void identity_free(struct identity *identity)
{
    for (size_t i = 0; identity->contexts != NULL && i < identity->conf->generations_count; i++) {
        SSL_CTX_free(identity->contexts[i]);
    }
    free(identity->contexts);
    secret_wipe(&identity->password);
    kerberos_login_unref(&identity->kerberos);
    scram_keys_wipe(&identity->keys);
    memset(identity, 0, sizeof *identity);
}
