/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "auth/mapping.h"
#include "auth/principal.h"
#include "conf/config.h"
#include "proxy/cli/cli_out.h"

static const char *verdict_name(enum mapping_verdict verdict)
{
    return verdict == MAPPING_YES ? "yes" : verdict == MAPPING_NO ? "no" : "failed";
}

static void print_step(void *context, const struct mapping_step *step)
{
    (void)context;
    char pattern[CLI_OUT_TEXT_SIZE];
    printf("  %-6s %s:%d  %s `%s` -> %s  (%s)\n", verdict_name(step->verdict), step->file,
           step->line, mapping_kind_name(step->kind), cli_out_safe(step->pattern, pattern),
           step->certificate, step->why);
}

static void collect_step(void *context, const struct mapping_step *step)
{
    json_t *row = json_object();
    json_object_set_new(row, "verdict", json_string(verdict_name(step->verdict)));
    json_object_set_new(row, "file", cli_out_string(step->file));
    json_object_set_new(row, "line", json_integer(step->line));
    json_object_set_new(row, "kind", json_string(mapping_kind_name(step->kind)));
    json_object_set_new(row, "pattern", cli_out_string(step->pattern));
    json_object_set_new(row, "certificate", cli_out_string(step->certificate));
    json_object_set_new(row, "why", json_string(step->why));
    json_array_append_new(context, row);
}

static bool explain_text(const struct mapping *mapping, const char *principal)
{
    char safe[CLI_OUT_TEXT_SIZE];
    struct mapping_decision decision;
    printf("%s\n", cli_out_safe(principal, safe));
    bool mapped = mapping_explain(mapping, principal, print_step, NULL, &decision);
    printf("  => %s", mapping_outcome_name(decision.outcome));
    if (mapped) {
        printf(" to %s by %s:%d", decision.certificate, decision.file, decision.line);
    } else if (decision.outcome == MAPPING_AMBIGUOUS) {
        printf(": lines %d and %d name different certificates", decision.line, decision.other_line);
    } else if (decision.outcome == MAPPING_ERROR) {
        printf(": the rule in line %d failed", decision.line);
    }
    printf("\n");
    return mapped;
}

static bool explain_json(const struct mapping *mapping, const char *principal, json_t *list)
{
    struct mapping_decision decision;
    json_t *row = json_object();
    json_t *steps = json_array();
    bool mapped = mapping_explain(mapping, principal, collect_step, steps, &decision);
    json_object_set_new(row, "principal", cli_out_string(principal));
    json_object_set_new(row, "outcome", json_string(mapping_outcome_name(decision.outcome)));
    json_object_set_new(row, "certificate",
                        mapped ? cli_out_string(decision.certificate) : json_null());
    json_object_set_new(row, "line", decision.line > 0 ? json_integer(decision.line) : json_null());
    json_object_set_new(row, "rules", steps);
    json_array_append_new(list, row);
    return mapped;
}

/* Refuses what could never be a principal, as login does. */
static bool explain_refused(const char *principal, enum principal_status status, json_t *list)
{
    char safe[CLI_OUT_TEXT_SIZE];
    if (list == NULL) {
        printf("%s\n  => refused: %s\n", cli_out_safe(principal, safe),
               principal_status_text(status));
        return false;
    }
    json_t *row = json_object();
    json_object_set_new(row, "principal", cli_out_string(principal));
    json_object_set_new(row, "outcome", json_string("refused"));
    json_object_set_new(row, "why", json_string(principal_status_text(status)));
    json_array_append_new(list, row);
    return false;
}

static bool explain(const struct mapping *mapping, const char *raw, json_t *list)
{
    char principal[PRINCIPAL_SIZE];
    enum principal_status status = principal_canonical(view_from_string(raw), principal);
    if (status != PRINCIPAL_OK) {
        return explain_refused(raw, status, list);
    }
    return list != NULL ? explain_json(mapping, principal, list) : explain_text(mapping, principal);
}

static bool explain_all(const struct cli_call *call, const struct mapping *mapping)
{
    json_t *list = call->json ? json_array() : NULL;
    bool all = true;
    for (int i = 0; i < call->operand_count; i++) {
        all = explain(mapping, call->operands[i], list) && all;
    }
    if (list != NULL) {
        json_t *root = json_object();
        json_object_set_new(root, "mapping_hash", json_string(mapping_hash(mapping)));
        json_object_set_new(root, "principals", list);
        cli_out_json(root);
    }
    return all;
}

int cli_map_explain(const struct cli_call *call)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    int status = CLI_BAD_CONFIG;
    struct config *config = config_load(call->config_file, &errors);
    struct mapping *mapping = config != NULL ? mapping_build(config, &errors) : NULL;
    if (mapping != NULL) {
        status = explain_all(call, mapping) ? CLI_OK : CLI_NEGATIVE;
    } else {
        conf_errors_print(&errors, stderr);
    }
    mapping_unref(&mapping);
    config_unref(&config);
    conf_errors_deinit(&errors);
    return status;
}
