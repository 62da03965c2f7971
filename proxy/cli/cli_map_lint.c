/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "auth/mapping_lint.h"
#include "auth/mapping_usage.h"
#include "conf/config.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

enum { STRICT, LIST, DAYS };

const struct cli_option cli_map_lint_options[] = {
    [STRICT] = {"strict", NULL, "warnings count as errors"},
    [LIST] = {"list", NULL, "print what is looked for, and nothing else"},
    [DAYS] = {"days", "N", "after how many days without use L13 warns (default 90)"},
    {NULL, NULL, NULL},
};

enum { DAYS_DEFAULT = 90, DAYS_MAX = 36500 };

struct report {
    json_t *findings, *not_judged; /* NULL: text is printed at once */
    size_t errors, warnings, unjudged;
};

static void on_found(void *context, const struct mapping_finding *finding)
{
    struct report *report = context;
    const char *severity = mapping_severity_name(finding->severity);
    char safe[CLI_OUT_TEXT_SIZE];
    *(finding->severity == MAPPING_SEVERITY_ERROR ? &report->errors : &report->warnings) += 1;
    if (report->findings == NULL) {
        printf("%s:%d:%d: %s %s: %s\n", finding->place.file, finding->place.line,
               finding->place.column, mapping_lint_name(finding->id), severity,
               cli_out_safe(finding->text, safe));
        return;
    }
    json_t *row = json_object();
    json_object_set_new(row, "id", json_string(mapping_lint_name(finding->id)));
    json_object_set_new(row, "severity", json_string(severity));
    json_object_set_new(row, "file", cli_out_string(finding->place.file));
    json_object_set_new(row, "line", json_integer(finding->place.line));
    json_object_set_new(row, "column", json_integer(finding->place.column));
    json_object_set_new(row, "rule", cli_out_string(finding->rule));
    json_object_set_new(row, "what", json_string(mapping_lint_what(finding->id)));
    json_object_set_new(row, "text", cli_out_string(finding->text));
    json_array_append_new(report->findings, row);
}

static void on_not_judged(void *context, enum mapping_lint_id id, const char *why)
{
    struct report *report = context;
    char safe[CLI_OUT_TEXT_SIZE];
    report->unjudged++;
    if (report->not_judged == NULL) {
        printf("%s not judged: %s\n", mapping_lint_name(id), cli_out_safe(why, safe));
        return;
    }
    json_t *row = json_object();
    json_object_set_new(row, "id", json_string(mapping_lint_name(id)));
    json_object_set_new(row, "why", cli_out_string(why));
    json_array_append_new(report->not_judged, row);
}

static int print_list(const struct cli_call *call)
{
    json_t *list = json_array();
    for (size_t i = 0; i < MAPPING_LINTS; i++) {
        const enum mapping_lint_id id = (enum mapping_lint_id)i;
        const char *severity = mapping_severity_name(mapping_lint_severity(id));
        if (!call->json) {
            printf("%s  %-7s  %s: %s\n", mapping_lint_name(id), severity, mapping_lint_what(id),
                   mapping_lint_why(id));
            continue;
        }
        json_t *row = json_object();
        json_object_set_new(row, "id", json_string(mapping_lint_name(id)));
        json_object_set_new(row, "severity", json_string(severity));
        json_object_set_new(row, "what", json_string(mapping_lint_what(id)));
        json_object_set_new(row, "why", json_string(mapping_lint_why(id)));
        json_array_append_new(list, row);
    }
    if (call->json) {
        cli_out_answer(call, json_incref(list));
    }
    json_decref(list);
    return CLI_OK;
}

static void conclude(const struct cli_call *call, const struct map_input *input,
                     const struct report *report)
{
    if (!call->json) {
        printf("%zu error%s, %zu warning%s, %zu not judged\n", report->errors,
               report->errors == 1 ? "" : "s", report->warnings, report->warnings == 1 ? "" : "s",
               report->unjudged);
        return;
    }
    json_t *root = map_header_json(call, input);
    json_object_set_new(root, "errors", json_integer((json_int_t)report->errors));
    json_object_set_new(root, "warnings", json_integer((json_int_t)report->warnings));
    json_object_set_new(root, "findings", report->findings);
    json_object_set_new(root, "not_judged", report->not_judged);
    cli_out_answer(call, root);
}

static int lint(const struct cli_call *call, struct map_input *input, unsigned days)
{
    char why[1024] = "";
    struct report report = {0};
    struct mapping_usages *usages = map_load_usages(input, NULL, 0, why, sizeof why);
    map_load_facts(input);
    const struct mapping_lint_params params = {
        .config = input->config,
        .mapping = input->mapping,
        .facts = input->facts,
        .users = input->users,
        .usages = usages,
        .no_usages = why,
        .now_s = (int64_t)time(NULL),
        .unused_days = days,
    };
    if (call->json) {
        report.findings = json_array();
        report.not_judged = json_array();
    }
    const struct mapping_lint_events events = {on_found, on_not_judged, &report};
    mapping_lint(&params, &events);
    conclude(call, input, &report);
    mapping_usages_free(&usages);
    const bool clean = report.errors == 0 && (call->values[STRICT] == NULL ||
                                              (report.warnings == 0 && report.unjudged == 0));
    return clean ? CLI_OK : CLI_NEGATIVE;
}

int cli_map_lint(const struct cli_call *call)
{
    struct map_input input;
    unsigned long days = DAYS_DEFAULT;
    if (call->values[LIST] != NULL) {
        return print_list(call);
    }
    if (call->values[DAYS] != NULL && !cli_number(call->values[DAYS], 1, DAYS_MAX, &days)) {
        return cli_usage_error(call->verb, "--days is a number from 1 to %d", DAYS_MAX);
    }
    if (!map_load(call, NULL, &input)) {
        return CLI_BAD_CONFIG;
    }
    const int status = lint(call, &input, (unsigned)days);
    map_free(&input);
    return status;
}
