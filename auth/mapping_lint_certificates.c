/* SPDX-License-Identifier: Apache-2.0 */
/* What the certificates show that rules lead to. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth/mapping_facts.h"
#include "auth/mapping_lint_private.h"
#include "auth/mapping_predict.h"
#include "conf/config.h"

enum { VALID_DAYS_MAX = 398, RSA_BITS_MIN = 2048 };

static const int64_t day_s = 86400;

static struct conf_place chain_place(const struct lint *lint,
                                     const struct mapping_certificate *certificate)
{
    return config_place(lint->params->config, &certificate->conf->chain);
}

static bool is_mapped(const struct lint *lint, const char *certificate)
{
    for (size_t i = 0; i < mapping_count(lint->params->mapping); i++) {
        if (strcmp(mapping_rule(lint->params->mapping, i)->certificate, certificate) == 0) {
            return true;
        }
    }
    return false;
}

/* Certificates that rules lead to and that could be read, one after the other; *at from 0. */
static const struct mapping_certificate *next_known(const struct lint *lint, size_t *at)
{
    const struct mapping_facts *facts = lint->params->facts;
    while (*at < facts->count) {
        const struct mapping_certificate *certificate = &facts->items[(*at)++];
        if (certificate->problem[0] == '\0' && is_mapped(lint, certificate->conf->name)) {
            return certificate;
        }
    }
    return NULL;
}

/* Said once for each id that needs certificates. */
static void tell_unknown(const struct lint *lint, enum mapping_lint_id id)
{
    const struct mapping_facts *facts = lint->params->facts;
    for (size_t i = 0; i < facts->count; i++) {
        if (facts->items[i].problem[0] != '\0' && is_mapped(lint, facts->items[i].conf->name)) {
            lint_not_judged(lint, id, facts->items[i].problem);
        }
    }
}

/* ---- L06 ---- */

static const char *subject_of(void *context, const char *certificate)
{
    const struct lint *lint = context;
    const struct mapping_certificate *found = mapping_facts_find(lint->params->facts, certificate);
    return found != NULL && found->problem[0] == '\0' ? found->subject : NULL;
}

static void on_predicted(void *context, const struct mapping_prediction *prediction)
{
    const struct lint *lint = context;
    const struct conf_mapping *conf = mapping_rule(lint->params->mapping, prediction->rule);
    char fault[DN_BYTES_MAX + 512];
    if (mapping_prediction_fault(prediction, conf->intended_principal, fault, sizeof fault)) {
        lint_rule(lint, MAPPING_LINT_L06, conf,
                  "%s (issue another certificate, or correct 'intended_principal' or what is said "
                  "of the brokers)",
                  fault);
    }
}

void lint_predicted(const struct lint *lint)
{
    struct lint copy = *lint;
    struct conf_errors errors;
    const struct mapping_predict_params params = {
        .config = lint->params->config,
        .mapping = lint->params->mapping,
        .subject = subject_of,
        .predicted = on_predicted,
        .context = &copy,
    };
    conf_errors_init(&errors);
    mapping_predict(&params, &errors);
    for (size_t i = 0; i < errors.count; i++) {
        lint_not_judged(lint, MAPPING_LINT_L06, errors.items[i].text);
    }
    conf_errors_deinit(&errors);
    tell_unknown(lint, MAPPING_LINT_L06);
}

/* ---- L07 to L11 ---- */

void lint_time(const struct lint *lint)
{
    const struct mapping_certificate *it = NULL;
    const int64_t now_s = lint->params->now_s;
    for (size_t at = 0; (it = next_known(lint, &at)) != NULL;) {
        const int64_t left = (it->not_after_s - now_s) / day_s;
        const int64_t length = (it->not_after_s - it->not_before_s) / day_s;
        if (now_s > it->not_after_s || now_s < it->not_before_s) {
            lint_found(lint, MAPPING_LINT_L07, MAPPING_SEVERITY_ERROR, NULL, chain_place(lint, it),
                       "certificate '%s' is %s (renew it)", it->conf->name,
                       now_s > it->not_after_s ? "expired" : "not valid yet");
        } else if (left < CERTIFICATES_WARN_DAYS) {
            lint_found(lint, MAPPING_LINT_L07, MAPPING_SEVERITY_WARNING, NULL,
                       chain_place(lint, it), "certificate '%s' expires in %lld days (renew it)",
                       it->conf->name, (long long)left);
        } else if (length > VALID_DAYS_MAX) {
            lint_found(lint, MAPPING_LINT_L07, MAPPING_SEVERITY_WARNING, NULL,
                       chain_place(lint, it),
                       "certificate '%s' is valid for %lld days (at most %d, and renew it in time)",
                       it->conf->name, (long long)length, VALID_DAYS_MAX);
        }
    }
    tell_unknown(lint, MAPPING_LINT_L07);
}

void lint_key_mode(const struct lint *lint)
{
    const struct mapping_facts *facts = lint->params->facts;
    for (size_t i = 0; i < facts->count; i++) {
        const struct mapping_certificate *it = &facts->items[i];
        if (!is_mapped(lint, it->conf->name) || it->key_on_token) {
            continue;
        }
        if (!it->key_found) {
            char why[512];
            snprintf(why, sizeof why, "the key file of certificate '%s' cannot be looked at",
                     it->conf->name);
            lint_not_judged(lint, MAPPING_LINT_L08, why);
        } else if ((it->key_mode & 0077) != 0) {
            lint_found(lint, MAPPING_LINT_L08, MAPPING_SEVERITY_ERROR, NULL,
                       config_place(lint->params->config, &it->conf->key),
                       "%s has mode %04o: %s can use the key of certificate '%s' (chmod 0400)",
                       it->conf->key, it->key_mode,
                       (it->key_mode & 0007) != 0 ? "everybody on the machine" : "its group",
                       it->conf->name);
        }
    }
}

void lint_shared_keys(const struct lint *lint)
{
    const struct mapping_facts *facts = lint->params->facts;
    const struct mapping_certificate *it = NULL;
    for (size_t at = 0; (it = next_known(lint, &at)) != NULL;) {
        for (const struct mapping_certificate *other = facts->items; other != it; other++) {
            const bool same_key = other->problem[0] == '\0' &&
                                  strcmp(other->spki_fingerprint, it->spki_fingerprint) == 0;
            if (same_key && strcmp(other->fingerprint, it->fingerprint) != 0) {
                lint_found(lint, MAPPING_LINT_L09, MAPPING_SEVERITY_ERROR, NULL,
                           chain_place(lint, it),
                           "certificates '%s' and '%s' have the same key (make a key for each)",
                           other->conf->name, it->conf->name);
                break;
            }
        }
    }
    tell_unknown(lint, MAPPING_LINT_L09);
}

void lint_strength(const struct lint *lint)
{
    const struct mapping_certificate *it = NULL;
    for (size_t at = 0; (it = next_known(lint, &at)) != NULL;) {
        if (strcmp(it->key_type, "RSA") == 0 && it->key_bits < RSA_BITS_MIN) {
            lint_found(lint, MAPPING_LINT_L10, MAPPING_SEVERITY_ERROR, NULL, chain_place(lint, it),
                       "certificate '%s' has an RSA key of %d bits (2048 or more, or P-256)",
                       it->conf->name, it->key_bits);
        }
        if (it->weak_signature) {
            lint_found(lint, MAPPING_LINT_L10, MAPPING_SEVERITY_ERROR, NULL, chain_place(lint, it),
                       "certificate '%s' or one behind it is signed over %s (SHA-256 or better)",
                       it->conf->name, it->signature);
        }
    }
    tell_unknown(lint, MAPPING_LINT_L10);
}

void lint_usage(const struct lint *lint)
{
    const struct mapping_certificate *it = NULL;
    for (size_t at = 0; (it = next_known(lint, &at)) != NULL;) {
        if (!it->may_be_client) {
            lint_found(lint, MAPPING_LINT_L11, MAPPING_SEVERITY_ERROR, NULL, chain_place(lint, it),
                       "the extended key usage of certificate '%s' lacks clientAuth: brokers "
                       "refuse it (issue it again)",
                       it->conf->name);
        }
        if (it->says_server) {
            lint_found(lint, MAPPING_LINT_L11, MAPPING_SEVERITY_WARNING, NULL,
                       chain_place(lint, it),
                       "the extended key usage of certificate '%s' has serverAuth: with it one can "
                       "pose as a broker (issue it again, for clientAuth alone)",
                       it->conf->name);
        }
    }
    tell_unknown(lint, MAPPING_LINT_L11);
}

/* ---- L19 ---- */

static bool is_peer(const struct conf_listener *listener, const struct lint *lint, size_t rule)
{
    for (size_t i = 0; listener->role == CONF_ROLE_BROKERS && i < listener->peers_count; i++) {
        if (mapping_takes(lint->params->mapping, rule, listener->peers[i]) == MAPPING_YES) {
            return true;
        }
    }
    return false;
}

/* A rule for a broker behind a bridge: its certificate is a broker's, and is to be. */
static bool is_for_broker(const struct lint *lint, size_t rule)
{
    const struct config *config = lint->params->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        if (is_peer(&config->listeners[i], lint, rule)) {
            return true;
        }
    }
    return false;
}

/* What says that the certificate is a broker's or Setu's; false = nothing does. */
static bool is_of_cluster(const struct lint *lint, const struct conf_cluster *cluster,
                          const struct mapping_certificate *certificate, char *why, size_t size)
{
    if (strcmp(cluster->identity.certificate, certificate->conf->name) == 0) {
        snprintf(why, size, "Setu itself looks at cluster '%s' with it", cluster->name);
        return true;
    }
    for (size_t i = 0; i < cluster->bootstrap_count; i++) {
        const char *host = cluster->bootstrap[i].host;
        char name[300];
        snprintf(name, sizeof name, "DNS:%s", host);
        const char *at = strcasestr(certificate->names, name);
        const char end = at != NULL ? at[strlen(name)] : 'x';
        if (end == '\0' || end == ',') {
            snprintf(why, size, "it names %s, a broker of cluster '%s'", host, cluster->name);
            return true;
        }
    }
    for (size_t i = 0; i < mapping_count(lint->params->mapping); i++) {
        if (is_for_broker(lint, i) && strcmp(mapping_rule(lint->params->mapping, i)->certificate,
                                             certificate->conf->name) == 0) {
            snprintf(why, size, "line %d shows it for a broker",
                     mapping_rule(lint->params->mapping, i)->place.line);
            return true;
        }
    }
    return false;
}

void lint_broker_certificate(const struct lint *lint)
{
    const struct config *config = lint->params->config;
    for (size_t i = 0; i < mapping_count(lint->params->mapping); i++) {
        const struct conf_mapping *conf = mapping_rule(lint->params->mapping, i);
        const struct mapping_certificate *certificate =
            mapping_facts_find(lint->params->facts, conf->certificate);
        char why[512];
        bool found = false;
        for (size_t k = 0; k < config->clusters_count && !found && !is_for_broker(lint, i); k++) {
            found = is_of_cluster(lint, &config->clusters[k], certificate, why, sizeof why);
        }
        if (found) {
            lint_rule(lint, MAPPING_LINT_L19, conf,
                      "certificate '%s' is not only a client's: %s (give the client its own)",
                      conf->certificate, why);
        }
    }
    tell_unknown(lint, MAPPING_LINT_L19);
}
