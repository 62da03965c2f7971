/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_predict.h"

#include <stdio.h>
#include <string.h>

#include "auth/mapping_context.h"
#include "conf/config.h"

/* Kafka writes principals as TYPE:NAME; a certificate's is always of type User. */
static const char *without_type(const char *principal)
{
    return strncmp(principal, "User:", 5) == 0 ? principal + 5 : principal;
}

static const char *find(const char *const *entries, size_t count, const char *principal)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(without_type(entries[i]), principal) == 0) {
            return entries[i];
        }
    }
    return NULL;
}

void mapping_predict_one(const struct rules *rules, const struct conf_generation *generation,
                         const char *subject, struct mapping_prediction *prediction_r)
{
    *prediction_r = (struct mapping_prediction){.generation = generation, .intended = true};
    prediction_r->status = rules_apply(rules, view_from_string(subject), prediction_r->principal,
                                       sizeof prediction_r->principal, NULL);
    if (prediction_r->status == RULES_OK) {
        prediction_r->super_user =
            find(generation->super_users, generation->super_users_count, prediction_r->principal);
        prediction_r->broker_principal =
            find(generation->broker_principals, generation->broker_principals_count,
                 prediction_r->principal);
    }
}

static bool can_hold(const struct mapping_predict_params *params, size_t rule,
                     const struct conf_cluster *cluster, const struct conf_generation *generation)
{
    struct mapping_context context;
    const struct mapping_query only = {.cluster = cluster->name, .generation = generation->name};
    mapping_context_begin(&context, params->config, &only);
    while (mapping_context_next(&context)) {
        const struct mapping_query query = mapping_context_query(&context, NULL);
        if (mapping_holds(params->mapping, rule, &query)) {
            return true;
        }
    }
    return false;
}

static void predict_rule(const struct mapping_predict_params *params, size_t rule,
                         const struct rules *rules, const struct conf_cluster *cluster,
                         const struct conf_generation *generation)
{
    const struct conf_mapping *conf = mapping_rule(params->mapping, rule);
    const char *subject = params->subject(params->context, conf->certificate);
    if (subject == NULL || !can_hold(params, rule, cluster, generation)) {
        return;
    }
    struct mapping_prediction prediction;
    mapping_predict_one(rules, generation, subject, &prediction);
    prediction.rule = rule;
    prediction.cluster = cluster;
    if (conf->intended_principal[0] != '\0') {
        prediction.intended =
            strcmp(without_type(conf->intended_principal), prediction.principal) == 0;
    }
    params->predicted(params->context, &prediction);
}

static void predict_generation(const struct mapping_predict_params *params,
                               const struct conf_cluster *cluster,
                               const struct conf_generation *generation, struct conf_errors *errors)
{
    struct rule_fault error;
    struct rules *rules =
        rules_parse(view_from_string(generation->ssl_principal_mapping_rules), &error);
    if (rules == NULL) {
        conf_errors_add(errors,
                        config_place(params->config, &generation->ssl_principal_mapping_rules),
                        "%s (character %zu)", error.text, error.offset + 1);
        return;
    }
    for (size_t i = 0; i < mapping_count(params->mapping); i++) {
        predict_rule(params, i, rules, cluster, generation);
    }
    rules_free(&rules);
}

void mapping_predict(const struct mapping_predict_params *params, struct conf_errors *errors)
{
    const struct config *config = params->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        for (size_t k = 0; k < cluster->generations_count; k++) {
            const struct conf_generation *generation = &cluster->generations[k];
            if (generation->login == CONF_LOGIN_MAPPED_CERTIFICATE) {
                predict_generation(params, cluster, generation, errors);
            }
        }
    }
}

bool mapping_prediction_fault(const struct mapping_prediction *prediction, const char *intended,
                              char *out, size_t size)
{
    const char *generation = prediction->generation->name;
    if (prediction->status != RULES_OK) {
        snprintf(out, size, "brokers of generation '%s' find no principal for the certificate: %s",
                 generation,
                 prediction->status == RULES_NO_MATCH ? "none of their rules matches its subject"
                                                      : "their rules fail on its subject");
    } else if (!prediction->intended) {
        snprintf(out, size,
                 "brokers of generation '%s' will take the certificate for '%s', and "
                 "'%s' is intended",
                 generation, prediction->principal, without_type(intended));
    } else if (prediction->super_user != NULL) {
        snprintf(out, size,
                 "brokers of generation '%s' will take the certificate for '%s', one of "
                 "their super users",
                 generation, prediction->principal);
    } else if (prediction->broker_principal != NULL) {
        snprintf(out, size,
                 "brokers of generation '%s' will take the certificate for '%s', as whom "
                 "they know each other",
                 generation, prediction->principal);
    } else {
        out[0] = '\0';
        return false;
    }
    return true;
}
