/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_lint.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "auth/mapping_lint_private.h"
#include "conf/config.h"

enum { LINT_TEXT_SIZE = 2048 };

static const struct {
    const char *name, *what, *why;
    enum mapping_severity severity;
} list[] = {
#define LINT(id, severity, what, why) {#id, what, why, MAPPING_SEVERITY_##severity},
#include "auth/mapping_lint.def"
#undef LINT
};

static void (*const looks[])(const struct lint *lint) = {
    [MAPPING_LINT_L01] = lint_many_principals,
    [MAPPING_LINT_L02] = lint_many_certificates,
    [MAPPING_LINT_L03] = lint_patterns,
    [MAPPING_LINT_L04] = lint_anchors,
    [MAPPING_LINT_L05] = lint_overlaps,
    [MAPPING_LINT_L06] = lint_predicted,
    [MAPPING_LINT_L07] = lint_time,
    [MAPPING_LINT_L08] = lint_key_mode,
    [MAPPING_LINT_L09] = lint_shared_keys,
    [MAPPING_LINT_L10] = lint_strength,
    [MAPPING_LINT_L11] = lint_usage,
    [MAPPING_LINT_L12] = lint_answerable,
    [MAPPING_LINT_L13] = lint_unused,
    [MAPPING_LINT_L14] = lint_mechanisms,
    [MAPPING_LINT_L15] = lint_everybody,
    [MAPPING_LINT_L16] = lint_environments,
    [MAPPING_LINT_L17] = lint_lookalikes,
    [MAPPING_LINT_L18] = lint_revocation,
    [MAPPING_LINT_L19] = lint_broker_certificate,
    [MAPPING_LINT_L20] = lint_listeners,
};

static_assert(sizeof looks / sizeof *looks == MAPPING_LINTS, "each id has somebody who looks");

void mapping_lint(const struct mapping_lint_params *params,
                  const struct mapping_lint_events *events)
{
    const struct lint lint = {.params = params, .events = events};
    for (size_t i = 0; i < MAPPING_LINTS; i++) {
        looks[i](&lint);
    }
}

static void tell(const struct lint *lint, enum mapping_lint_id id, enum mapping_severity severity,
                 const struct conf_mapping *conf, struct conf_place place, const char *format,
                 va_list arguments)
{
    char text[LINT_TEXT_SIZE];
    vsnprintf(text, sizeof text, format, arguments);
    const struct mapping_finding finding = {
        .id = id,
        .severity = severity,
        .place = place,
        .rule = conf != NULL ? conf->name : "",
        .text = text,
    };
    lint->events->found(lint->events->context, &finding);
}

void lint_found(const struct lint *lint, enum mapping_lint_id id, enum mapping_severity severity,
                const struct conf_mapping *conf, struct conf_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(lint, id, severity, conf, place, format, arguments);
    va_end(arguments);
}

void lint_rule(const struct lint *lint, enum mapping_lint_id id, const struct conf_mapping *conf,
               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(lint, id, list[id].severity, conf, conf->place, format, arguments);
    va_end(arguments);
}

void lint_not_judged(const struct lint *lint, enum mapping_lint_id id, const char *why)
{
    lint->events->not_judged(lint->events->context, id, why);
}

const char *mapping_lint_name(enum mapping_lint_id id)
{
    return list[id].name;
}

const char *mapping_lint_what(enum mapping_lint_id id)
{
    return list[id].what;
}

const char *mapping_lint_why(enum mapping_lint_id id)
{
    return list[id].why;
}

enum mapping_severity mapping_lint_severity(enum mapping_lint_id id)
{
    return list[id].severity;
}

const char *mapping_severity_name(enum mapping_severity severity)
{
    return severity == MAPPING_SEVERITY_ERROR ? "error" : "warning";
}
