/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As whom brokers will take a certificate: their own ssl.principal.mapping.rules, which stand in the
 * configuration beside their generation, applied here to the subject as Java prints it.
 *
 *   certificate ─▶ subject (dn.h) ─▶ the generation's rules (rules.h) ─▶ principal ─▶ intended?
 *                                                                                 ─▶ super.users?
 *                                                                                 ─▶ a broker's own?
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/dn.h"
#include "auth/rules.h"

struct conf_cluster;
struct conf_errors;
struct conf_generation;
struct config;
struct mapping;
struct rules;

struct mapping_prediction {
    size_t rule; /* of the mapping */
    const struct conf_cluster *cluster;
    const struct conf_generation *generation;
    enum rules_status status;     /* RULES_OK: there is a principal; else brokers end the login */
    char principal[DN_BYTES_MAX]; /* without "User:"; "" when there is none */
    bool intended;                /* false: the rule says another one */
    const char *super_user;       /* the entry of super_users that it is, or NULL */
    const char *broker_principal; /* the entry of broker_principals that it is, or NULL */
};

/* The subject of a configured certificate as Java prints it; NULL = not known. */
typedef const char *(*mapping_subject_fn)(void *context, const char *certificate);
typedef void (*mapping_prediction_fn)(void *context, const struct mapping_prediction *prediction);

struct mapping_predict_params {
    const struct config *config;
    const struct mapping *mapping;
    mapping_subject_fn subject;
    mapping_prediction_fn predicted;
    void *context; /* of both */
};

/*
 * Every rule at every generation that certificates are shown to and where the rule can hold, in the
 * order of generations, then rules. A certificate whose subject is not known is left out; so is a
 * generation whose rules cannot be read, which is added to `errors`.
 */
void mapping_predict(const struct mapping_predict_params *params, struct conf_errors *errors);

/* One subject, by rules that were parsed already. */
void mapping_predict_one(const struct rules *rules, const struct conf_generation *generation,
                         const char *subject, struct mapping_prediction *prediction_r);

/* One sentence fragment on what is wrong with it, in `out`; false: nothing is. */
bool mapping_prediction_fault(const struct mapping_prediction *prediction, const char *intended,
                              char *out, size_t size);
