/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong, or unwise, about a mapping that works: mapping_lint.def has the list.
 *
 *   config, mapping ──┐
 *   facts  ───────────┼──▶ L01 … L20 ──▶ findings, each with id, severity, place, what and how to fix
 *   users, usages ────┘                  and what could not be judged, with the reason
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/errors.h"

struct config;
struct credentials;
struct mapping;
struct mapping_facts;
struct mapping_usages;

enum mapping_lint_id {
#define LINT(id, severity, what, why) MAPPING_LINT_##id,
#include "auth/mapping_lint.def"
#undef LINT
    MAPPING_LINTS
};

enum mapping_severity { MAPPING_SEVERITY_ERROR, MAPPING_SEVERITY_WARNING };

struct mapping_lint_params {
    const struct config *config;
    const struct mapping *mapping;
    const struct mapping_facts *facts;
    const struct credentials *users;     /* NULL: their names cannot be looked at */
    const struct mapping_usages *usages; /* NULL: L13 is not judged */
    const char *no_usages;               /* why not */
    int64_t now_s;                       /* since 1970 UTC */
    unsigned unused_days;                /* L13 */
};

struct mapping_finding {
    enum mapping_lint_id id;
    enum mapping_severity severity;
    struct conf_place place;
    const char *rule; /* name of the rule it is about; "" = none, or it has none */
    const char *text; /* what (how to fix it); lives until the callback returns */
};

struct mapping_lint_events {
    void (*found)(void *context, const struct mapping_finding *finding);
    /* For want of what it needs, this was not, or not everywhere, looked for. */
    void (*not_judged)(void *context, enum mapping_lint_id id, const char *why);
    void *context;
};

/* All of them, in the order of their ids. */
void mapping_lint(const struct mapping_lint_params *params,
                  const struct mapping_lint_events *events);

const char *mapping_lint_name(enum mapping_lint_id id); /* "L01" */
const char *mapping_lint_what(enum mapping_lint_id id);
const char *mapping_lint_why(enum mapping_lint_id id);
enum mapping_severity mapping_lint_severity(enum mapping_lint_id id); /* of most findings */
const char *mapping_severity_name(enum mapping_severity severity);    /* "error", "warning" */
