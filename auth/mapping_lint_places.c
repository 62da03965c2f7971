/* SPDX-License-Identifier: Apache-2.0 */
/* What listeners, clusters and generations show. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "auth/mapping_context.h"
#include "auth/mapping_facts.h"
#include "auth/mapping_lint_private.h"
#include "conf/config.h"
#include "conf/forms.h"

/* ---- L14 ---- */

static bool offers(const struct conf_listener *listener, const char *mechanism)
{
    for (size_t i = 0; i < listener->mechanisms_count; i++) {
        if (strcmp(listener->mechanisms[i], mechanism) == 0) {
            return true;
        }
    }
    return false;
}

/* The first rule that holds for who comes by a listener with a mechanism; NULL = none does. */
static const struct conf_mapping *
rule_there(const struct lint *lint, const struct conf_listener *listener, const char *mechanism)
{
    struct mapping_context context;
    const struct mapping_query only = {.listener = listener->name, .mechanism = mechanism};
    for (size_t i = 0; i < mapping_count(lint->params->mapping); i++) {
        mapping_context_begin(&context, lint->params->config, &only);
        while (mapping_context_next(&context)) {
            const struct mapping_query query = mapping_context_query(&context, NULL);
            if (mapping_holds(lint->params->mapping, i, &query)) {
                return mapping_rule(lint->params->mapping, i);
            }
        }
    }
    return NULL;
}

void lint_mechanisms(const struct lint *lint)
{
    static const char *const weaker[] = {"PLAIN", "SCRAM-SHA-256"};
    const struct config *config = lint->params->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        for (size_t k = 0; k < 2 && offers(listener, "SCRAM-SHA-512"); k++) {
            const struct conf_mapping *conf =
                offers(listener, weaker[k]) ? rule_there(lint, listener, weaker[k]) : NULL;
            if (conf != NULL) {
                lint_found(lint, MAPPING_LINT_L14, MAPPING_SEVERITY_WARNING, NULL,
                           config_place(config, &listener->mechanisms),
                           "listener '%s' takes %s though it has SCRAM-SHA-512, and the rule of "
                           "line %d holds for it (do not offer it, or let rules say 'when: "
                           "{mechanism: SCRAM-SHA-512}')",
                           listener->name, weaker[k], conf->place.line);
            }
        }
    }
}

/* ---- L16 ---- */

enum environment { ENVIRONMENT_NONE, PRODUCTION, STAGING, TESTING, DEVELOPMENT };

static const struct {
    const char *word;
    enum environment environment;
} words[] = {
    {"prod", PRODUCTION}, {"production", PRODUCTION},
    {"prd", PRODUCTION},  {"stage", STAGING},
    {"staging", STAGING}, {"stg", STAGING},
    {"preprod", STAGING}, {"test", TESTING},
    {"testing", TESTING}, {"tst", TESTING},
    {"qa", TESTING},      {"uat", TESTING},
    {"dev", DEVELOPMENT}, {"development", DEVELOPMENT},
};

static enum environment word_environment(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) == length && strncasecmp(words[i].word, text, length) == 0) {
            return words[i].environment;
        }
    }
    return ENVIRONMENT_NONE;
}

/* The environment of which a name has a word in it: "kafka-prod-1". */
static enum environment environment_of(const char *name)
{
    for (const char *at = name; *at != '\0';) {
        size_t length = 0;
        while (isalpha((unsigned char)at[length])) {
            length++;
        }
        const enum environment found = word_environment(at, length);
        if (found != ENVIRONMENT_NONE) {
            return found;
        }
        at += length > 0 ? length : 1;
    }
    return ENVIRONMENT_NONE;
}

static const char *environment_name(enum environment environment)
{
    static const char *const names[] = {"", "production", "staging", "testing", "development"};
    return names[environment];
}

/* By its name in the configuration, else by what the certificate says. */
static enum environment certificate_environment(const struct lint *lint, const char *name)
{
    const enum environment by_name = environment_of(name);
    const struct mapping_certificate *facts = mapping_facts_find(lint->params->facts, name);
    return by_name != ENVIRONMENT_NONE || facts == NULL ? by_name : environment_of(facts->subject);
}

static void lint_rule_environment(const struct lint *lint, size_t rule, enum environment own)
{
    const struct conf_mapping *conf = mapping_rule(lint->params->mapping, rule);
    struct mapping_context context;
    mapping_context_begin(&context, lint->params->config, NULL);
    while (mapping_context_next(&context)) {
        const struct mapping_query query = mapping_context_query(&context, NULL);
        const enum environment there = environment_of(context.cluster->name);
        if (there != ENVIRONMENT_NONE && there != own &&
            mapping_holds(lint->params->mapping, rule, &query)) {
            lint_rule(lint, MAPPING_LINT_L16, conf,
                      "certificate '%s' is of %s and is shown to cluster '%s' of %s (give it a "
                      "certificate of its own, or let 'when' keep them apart)",
                      conf->certificate, environment_name(own), context.cluster->name,
                      environment_name(there));
            return;
        }
    }
}

void lint_environments(const struct lint *lint)
{
    for (size_t i = 0; i < mapping_count(lint->params->mapping); i++) {
        const enum environment own =
            certificate_environment(lint, mapping_rule(lint->params->mapping, i)->certificate);
        if (own != ENVIRONMENT_NONE) {
            lint_rule_environment(lint, i, own);
        }
    }
}

/* ---- L18 ---- */

void lint_revocation(const struct lint *lint)
{
    const struct config *config = lint->params->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        for (size_t k = 0; k < config->clusters[i].generations_count; k++) {
            const struct conf_generation *generation = &config->clusters[i].generations[k];
            if (generation->tls.present && generation->tls.crl[0] == '\0' &&
                generation->tls.ocsp != CONF_OCSP_REQUIRED) {
                lint_found(lint, MAPPING_LINT_L18, MAPPING_SEVERITY_WARNING, NULL,
                           generation->tls.place,
                           "a broker of generation '%s' whose certificate was revoked is trusted "
                           "(set 'crl')",
                           generation->name);
            }
        }
    }
}

/* ---- L20 ---- */

static bool is_local(const struct conf_listener *listener)
{
    for (size_t i = 0; i < listener->bind_count; i++) {
        if (!form_is_loopback(listener->bind[i])) {
            return false;
        }
    }
    return true;
}

void lint_listeners(const struct lint *lint)
{
    const struct config *config = lint->params->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        const bool bare = !listener->tls.present || listener->tls.optional;
        if (!bare || is_local(listener)) {
            continue;
        }
        const bool plain = offers(listener, "PLAIN");
        lint_found(lint, MAPPING_LINT_L20,
                   plain ? MAPPING_SEVERITY_ERROR : MAPPING_SEVERITY_WARNING, NULL, listener->place,
                   "listener '%s' takes %s in the clear from other machines (%s)", listener->name,
                   plain ? "passwords" : "clients",
                   listener->tls.present ? "set 'tls.optional' to false"
                                         : "give it 'tls', or bind it to a loopback address");
    }
}
