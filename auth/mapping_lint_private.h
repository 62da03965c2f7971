/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the lint share: how a finding is told, and who looks for what. */
#pragma once

#include "auth/mapping.h"
#include "auth/mapping_lint.h"

struct conf_mapping;

struct lint {
    const struct mapping_lint_params *params;
    const struct mapping_lint_events *events;
};

/* What is found, at a place; conf: the rule it is about, or NULL. */
void lint_found(const struct lint *lint, enum mapping_lint_id id, enum mapping_severity severity,
                const struct conf_mapping *conf, struct conf_place place, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* The same with the severity of the list, at a rule. */
void lint_rule(const struct lint *lint, enum mapping_lint_id id, const struct conf_mapping *conf,
               const char *format, ...) __attribute__((format(printf, 4, 5)));
void lint_not_judged(const struct lint *lint, enum mapping_lint_id id, const char *why);

/* mapping_lint_rules.c: of rules alone */
void lint_many_principals(const struct lint *lint);   /* L01 */
void lint_many_certificates(const struct lint *lint); /* L02 */
void lint_patterns(const struct lint *lint);          /* L03 */
void lint_anchors(const struct lint *lint);           /* L04 */
void lint_answerable(const struct lint *lint);        /* L12 */
void lint_unused(const struct lint *lint);            /* L13 */
void lint_everybody(const struct lint *lint);         /* L15 */

/* mapping_lint_overlap.c: of rules against each other, and names against names */
void lint_overlaps(const struct lint *lint);   /* L05 */
void lint_lookalikes(const struct lint *lint); /* L17 */

/* mapping_lint_certificates.c */
void lint_predicted(const struct lint *lint);          /* L06 */
void lint_time(const struct lint *lint);               /* L07 */
void lint_key_mode(const struct lint *lint);           /* L08 */
void lint_shared_keys(const struct lint *lint);        /* L09 */
void lint_strength(const struct lint *lint);           /* L10 */
void lint_usage(const struct lint *lint);              /* L11 */
void lint_broker_certificate(const struct lint *lint); /* L19 */

/* mapping_lint_places.c: of listeners, clusters and generations */
void lint_mechanisms(const struct lint *lint);   /* L14 */
void lint_environments(const struct lint *lint); /* L16 */
void lint_revocation(const struct lint *lint);   /* L18 */
void lint_listeners(const struct lint *lint);    /* L20 */
