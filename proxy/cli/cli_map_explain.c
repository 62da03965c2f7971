/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "auth/dn.h"
#include "auth/principal.h"
#include "conf/config.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

enum { CLUSTER, GENERATION, BROKER, LISTENER, MECHANISM };

const struct cli_option cli_map_explain_options[] = {
    [CLUSTER] = {"cluster", "NAME", "only for clients of this cluster"},
    [GENERATION] = {"generation", "NAME", "only where a broker of this generation is dialled"},
    [BROKER] = {"broker", "ID", "only where this node is dialled, as far as its id tells"},
    [LISTENER] = {"listener", "NAME", "only for clients that come by this listener"},
    [MECHANISM] = {"mechanism", "NAME", "only for logins by this mechanism (SSL: a certificate)"},
    {NULL, NULL, NULL},
};

enum { PLACES_SHOWN_MAX = 12 };

/* Places in which every rule says the same. */
struct group {
    char *trace;           /* what makes them one: the verdict of each rule, and why */
    const size_t *members; /* indices of places; of the explanation's memory */
    size_t count;
    struct mapping_decision decision;
};

struct explanation {
    const struct map_input *input;
    const struct map_places *places;
    const char *principal;
    struct group *groups;
    size_t group_count;
    size_t *members; /* places, those of a group side by side */
};

/* ---- grouping ---- */

static void trace_step(void *context, const struct mapping_step *step)
{
    fprintf(context, "%s %s\n", mapping_verdict_name(step->verdict), step->why);
}

static char *trace_of(const struct explanation *e, size_t place,
                      struct mapping_decision *decision_r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        abort();
    }
    const struct mapping_query query =
        mapping_context_query(&e->places->items[place], e->principal);
    (void)mapping_explain(e->input->mapping, &query, trace_step, out, decision_r);
    if (fclose(out) != 0) {
        abort();
    }
    return text;
}

static struct group *group_of(struct explanation *e, char *trace)
{
    for (size_t i = 0; i < e->group_count; i++) {
        if (strcmp(e->groups[i].trace, trace) == 0) {
            return &e->groups[i];
        }
    }
    e->groups = realloc(e->groups, (e->group_count + 1) * sizeof *e->groups);
    if (e->groups == NULL) {
        abort();
    }
    e->groups[e->group_count] = (struct group){.trace = strdup(trace)};
    return &e->groups[e->group_count++];
}

static void explain_places(struct explanation *e)
{
    size_t *group_index = calloc(e->places->count + 1, sizeof *group_index);
    e->members = calloc(e->places->count + 1, sizeof *e->members);
    if (group_index == NULL || e->members == NULL) {
        abort();
    }
    for (size_t i = 0; i < e->places->count; i++) {
        struct mapping_decision decision;
        char *trace = trace_of(e, i, &decision);
        struct group *group = group_of(e, trace);
        group->decision = decision;
        group_index[i] = (size_t)(group - e->groups);
        free(trace);
    }
    size_t used = 0;
    for (size_t g = 0; g < e->group_count; g++) {
        e->groups[g].members = e->members + used;
        for (size_t i = 0; i < e->places->count; i++) {
            if (group_index[i] == g) {
                e->members[used++] = i;
                e->groups[g].count++;
            }
        }
    }
    free(group_index);
}

static void explanation_free(struct explanation *e)
{
    for (size_t i = 0; i < e->group_count; i++) {
        free(e->groups[i].trace);
    }
    free(e->groups);
    free(e->members);
}

static const struct mapping_context *member(const struct explanation *e, const struct group *group,
                                            size_t i)
{
    return &e->places->items[group->members[i]];
}

/* Whether a generation was met before among the places of a group. */
static bool is_new_generation(const struct explanation *e, const struct group *group, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (member(e, group, k)->generation == member(e, group, i)->generation) {
            return false;
        }
    }
    return true;
}

/* ---- text ---- */

static void print_step(void *context, const struct mapping_step *step)
{
    (void)context;
    char pattern[CLI_OUT_TEXT_SIZE];
    printf("  %-6s %s:%d  %s%s%s `%s`%s%s -> %s  (%s)\n", mapping_verdict_name(step->verdict),
           step->file, step->line, step->name, step->name[0] != '\0' ? ": " : "",
           mapping_kind_name(step->kind), cli_out_safe(step->pattern, pattern),
           step->when[0] != '\0' ? " when " : "", step->when, step->certificate, step->why);
}

static void print_decision(const struct explanation *e, const struct mapping_decision *decision)
{
    printf("  => %s", mapping_outcome_name(decision->outcome));
    if (decision->outcome == MAPPING_MAPPED) {
        char rule[CLI_OUT_TEXT_SIZE];
        map_rule_text(mapping_rule(e->input->mapping, (size_t)decision->rule), rule, sizeof rule);
        printf(" to %s by %s", decision->certificate, rule);
    } else if (decision->outcome == MAPPING_AMBIGUOUS) {
        printf(": lines %d and %d name different certificates", decision->line,
               decision->other_line);
    } else if (decision->outcome == MAPPING_ERROR) {
        printf(": the rule in line %d failed", decision->line);
    }
    printf("\n");
}

static void print_predictions(const struct explanation *e, const struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct mapping_context *place = member(e, group, i);
        if (!is_new_generation(e, group, i)) {
            continue;
        }
        char memory[DN_BYTES_MAX], safe[CLI_OUT_TEXT_SIZE];
        const char *why = "";
        if (place->generation->login != CONF_LOGIN_MAPPED_CERTIFICATE) {
            printf("     brokers of %s/%s are not shown it (login: %s)\n", place->cluster->name,
                   place->generation->name, config_login_name(place->generation->login));
            continue;
        }
        const char *principal = map_predict(
            e->input, place->generation, group->decision.certificate, memory, sizeof memory, &why);
        printf("     brokers of %s/%s take it for: %s%s\n", place->cluster->name,
               place->generation->name, principal != NULL ? "User:" : "",
               principal != NULL ? cli_out_safe(principal, safe) : why);
    }
}

static void print_places(const struct explanation *e, const struct group *group)
{
    for (size_t i = 0; i < group->count && i < PLACES_SHOWN_MAX; i++) {
        char text[CLI_OUT_TEXT_SIZE];
        map_place_text(member(e, group, i), text, sizeof text);
        printf("  at %s\n", text);
    }
    if (group->count > PLACES_SHOWN_MAX) {
        printf("  and %zu more\n", group->count - PLACES_SHOWN_MAX);
    }
}

static void print_explanation(const struct explanation *e)
{
    char safe[CLI_OUT_TEXT_SIZE];
    printf("%s\n", cli_out_safe(e->principal, safe));
    for (size_t i = 0; i < e->group_count; i++) {
        const struct group *group = &e->groups[i];
        struct mapping_decision decision;
        if (e->group_count > 1) {
            print_places(e, group);
        }
        const struct mapping_query query = mapping_context_query(member(e, group, 0), e->principal);
        (void)mapping_explain(e->input->mapping, &query, print_step, NULL, &decision);
        print_decision(e, &decision);
        if (decision.outcome == MAPPING_MAPPED) {
            print_predictions(e, group);
        }
    }
}

/* ---- JSON ---- */

static void collect_step(void *context, const struct mapping_step *step)
{
    json_t *row = json_object();
    json_object_set_new(row, "verdict", json_string(mapping_verdict_name(step->verdict)));
    json_object_set_new(row, "name", cli_out_string(step->name));
    json_object_set_new(row, "file", cli_out_string(step->file));
    json_object_set_new(row, "line", json_integer(step->line));
    json_object_set_new(row, "kind", json_string(mapping_kind_name(step->kind)));
    json_object_set_new(row, "pattern", cli_out_string(step->pattern));
    json_object_set_new(row, "when", cli_out_string(step->when));
    json_object_set_new(row, "certificate", cli_out_string(step->certificate));
    json_object_set_new(row, "why", json_string(step->why));
    json_array_append_new(context, row);
}

static json_t *predictions_json(const struct explanation *e, const struct group *group)
{
    json_t *list = json_array();
    for (size_t i = 0; i < group->count; i++) {
        const struct mapping_context *place = member(e, group, i);
        if (place->generation->login != CONF_LOGIN_MAPPED_CERTIFICATE ||
            !is_new_generation(e, group, i)) {
            continue;
        }
        char memory[DN_BYTES_MAX];
        const char *why = "";
        const char *principal = map_predict(
            e->input, place->generation, group->decision.certificate, memory, sizeof memory, &why);
        json_t *row = json_object();
        json_object_set_new(row, "cluster", cli_out_string(place->cluster->name));
        json_object_set_new(row, "generation", cli_out_string(place->generation->name));
        json_object_set_new(row, "principal",
                            principal != NULL ? cli_out_string(principal) : json_null());
        json_object_set_new(row, "why", principal != NULL ? json_null() : json_string(why));
        json_array_append_new(list, row);
    }
    return list;
}

static void set_decision(json_t *row, const struct mapping_decision *decision)
{
    const bool mapped = decision->outcome == MAPPING_MAPPED;
    json_object_set_new(row, "outcome", json_string(mapping_outcome_name(decision->outcome)));
    json_object_set_new(row, "certificate",
                        mapped ? cli_out_string(decision->certificate) : json_null());
    json_object_set_new(row, "line",
                        decision->line > 0 ? json_integer(decision->line) : json_null());
}

static json_t *group_json(const struct explanation *e, const struct group *group)
{
    struct mapping_decision decision;
    json_t *row = json_object(), *steps = json_array(), *places = json_array();
    const struct mapping_query query = mapping_context_query(member(e, group, 0), e->principal);
    (void)mapping_explain(e->input->mapping, &query, collect_step, steps, &decision);
    for (size_t i = 0; i < group->count; i++) {
        json_array_append_new(places, map_place_json(member(e, group, i)));
    }
    set_decision(row, &decision);
    json_object_set_new(row, "rules", steps);
    json_object_set_new(
        row, "predicted",
        decision.outcome == MAPPING_MAPPED ? predictions_json(e, group) : json_array());
    json_object_set_new(row, "where", places);
    return row;
}

/* One answer for all places, where there is one; and an answer for each group of places. */
static json_t *explanation_json(const struct explanation *e)
{
    json_t *row = json_object(), *cases = json_array();
    json_object_set_new(row, "principal", cli_out_string(e->principal));
    if (e->group_count == 1) {
        set_decision(row, &e->groups[0].decision);
    } else {
        json_object_set_new(row, "outcome", json_string("depends"));
        json_object_set_new(row, "certificate", json_null());
        json_object_set_new(row, "line", json_null());
    }
    for (size_t i = 0; i < e->group_count; i++) {
        json_array_append_new(cases, group_json(e, &e->groups[i]));
    }
    json_object_set_new(row, "cases", cases);
    return row;
}

/* ---- the verb ---- */

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

static bool explain(const struct map_input *input, const struct map_places *places, const char *raw,
                    json_t *list)
{
    char principal[PRINCIPAL_SIZE];
    enum principal_status status = principal_canonical(view_from_string(raw), principal);
    if (status != PRINCIPAL_OK) {
        return explain_refused(raw, status, list);
    }
    struct explanation e = {.input = input, .places = places, .principal = principal};
    bool all = true;
    explain_places(&e);
    for (size_t i = 0; i < e.group_count; i++) {
        all = all && e.groups[i].decision.outcome == MAPPING_MAPPED;
    }
    if (list != NULL) {
        json_array_append_new(list, explanation_json(&e));
    } else {
        print_explanation(&e);
    }
    explanation_free(&e);
    return all;
}

static int explain_all(const struct cli_call *call, const struct map_input *input,
                       const struct map_places *places)
{
    json_t *list = call->json ? json_array() : NULL;
    bool all = true;
    for (int i = 0; i < call->operand_count; i++) {
        all = explain(input, places, call->operands[i], list) && all;
    }
    if (list != NULL) {
        json_t *root = map_header_json(call, input);
        json_object_set_new(root, "principals", list);
        cli_out_answer(call, root);
    }
    return all ? CLI_OK : CLI_NEGATIVE;
}

int cli_map_explain(const struct cli_call *call)
{
    struct map_input input;
    struct map_places places;
    const struct mapping_query only = {
        .cluster = call->values[CLUSTER],
        .generation = call->values[GENERATION],
        .listener = call->values[LISTENER],
        .mechanism = call->values[MECHANISM],
    };
    if (!map_load(call, NULL, &input)) {
        return CLI_BAD_CONFIG;
    }
    int status = CLI_USAGE;
    map_load_facts(&input);
    if (map_places(call, &input, &only, call->values[BROKER], &places)) {
        status = explain_all(call, &input, &places);
        map_places_free(&places);
    }
    map_free(&input);
    return status;
}
