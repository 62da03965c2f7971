/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "auth/dn.h"
#include "auth/mapping_cases.h"
#include "auth/principal.h"
#include "conf/config.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

/* One case, tried everywhere it is about: the first place where it does not hold. */
struct trial {
    const struct map_input *input;
    const struct mapping_case *wanted;
    char found[DN_BYTES_MAX + 256]; /* what was found there instead; "" = it holds */
    char place[CLI_OUT_TEXT_SIZE];
    size_t places;
};

static void say_outcome(struct trial *trial, const struct mapping_decision *decision)
{
    if (decision->outcome == MAPPING_MAPPED) {
        snprintf(trial->found, sizeof trial->found, "mapped to %s", decision->certificate);
    } else {
        snprintf(trial->found, sizeof trial->found, "%s", mapping_outcome_name(decision->outcome));
    }
}

static void try_details(struct trial *trial, const struct mapping_context *context,
                        const struct mapping_decision *decision)
{
    const struct mapping_case *wanted = trial->wanted;
    const struct conf_mapping *rule = mapping_rule(trial->input->mapping, (size_t)decision->rule);
    if (wanted->certificate != NULL && strcmp(wanted->certificate, decision->certificate) != 0) {
        say_outcome(trial, decision);
        return;
    }
    if (wanted->rule != NULL && strcmp(wanted->rule, rule->name) != 0) {
        char text[CLI_OUT_TEXT_SIZE];
        map_rule_text(rule, text, sizeof text);
        snprintf(trial->found, sizeof trial->found, "mapped by %s", text);
        return;
    }
    if (wanted->predicted == NULL || context->generation->login != CONF_LOGIN_MAPPED_CERTIFICATE) {
        return;
    }
    char memory[DN_BYTES_MAX];
    const char *why = "";
    const char *principal = map_predict(trial->input, context->generation, decision->certificate,
                                        memory, sizeof memory, &why);
    if (principal == NULL || strcmp(principal, wanted->predicted) != 0) {
        snprintf(trial->found, sizeof trial->found, "brokers take it for %s",
                 principal != NULL ? principal : why);
    }
}

static void try_place(struct trial *trial, const struct mapping_context *context,
                      const char *principal)
{
    struct mapping_decision decision;
    const struct mapping_query query = mapping_context_query(context, principal);
    trial->places++;
    (void)mapping_decide(trial->input->mapping, &query, &decision);
    if (!mapping_case_expects(trial->wanted, decision.outcome, false)) {
        say_outcome(trial, &decision);
    } else if (trial->wanted->expect == MAPPING_EXPECT_MAPPED) {
        try_details(trial, context, &decision);
    }
    if (trial->found[0] != '\0') {
        map_place_text(context, trial->place, sizeof trial->place);
    }
}

static bool try_case(struct trial *trial)
{
    char principal[PRINCIPAL_SIZE];
    const struct mapping_case *wanted = trial->wanted;
    enum principal_status status =
        principal_canonical(view_from_string(wanted->query.principal), principal);
    if (status != PRINCIPAL_OK) {
        if (!mapping_case_expects(wanted, MAPPING_UNMAPPED, true)) {
            snprintf(trial->found, sizeof trial->found, "refused: %s",
                     principal_status_text(status));
        }
        return trial->found[0] == '\0';
    }
    struct mapping_context context;
    mapping_context_begin(&context, trial->input->config, &wanted->query);
    while (trial->found[0] == '\0' && mapping_context_next(&context)) {
        if (context.generation->login != CONF_LOGIN_PASSTHROUGH) {
            try_place(trial, &context, principal);
        }
    }
    if (trial->places == 0) {
        snprintf(trial->found, sizeof trial->found, "no connection is like this");
    }
    return trial->found[0] == '\0';
}

static const char *wanted_text(const struct mapping_case *wanted, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s", mapping_expect_name(wanted->expect),
             wanted->certificate != NULL ? " to " : "",
             wanted->certificate != NULL ? wanted->certificate : "");
    return out;
}

static void print_failure(const struct trial *trial)
{
    char safe[CLI_OUT_TEXT_SIZE], found[CLI_OUT_TEXT_SIZE], text[CLI_OUT_TEXT_SIZE];
    const struct mapping_case *wanted = trial->wanted;
    printf("%s:%d:%d: %s%s%s: wanted %s, found: %s%s%s\n", wanted->place.file, wanted->place.line,
           wanted->place.column, wanted->name != NULL ? wanted->name : "",
           wanted->name != NULL ? ": " : "", cli_out_safe(wanted->query.principal, safe),
           wanted_text(wanted, text, sizeof text), cli_out_safe(trial->found, found),
           trial->place[0] != '\0' ? " at " : "", trial->place);
}

static json_t *trial_json(const struct trial *trial, bool good)
{
    char text[CLI_OUT_TEXT_SIZE];
    const struct mapping_case *wanted = trial->wanted;
    json_t *row = json_object();
    json_object_set_new(row, "file", cli_out_string(wanted->place.file));
    json_object_set_new(row, "line", json_integer(wanted->place.line));
    json_object_set_new(row, "name",
                        wanted->name != NULL ? cli_out_string(wanted->name) : json_null());
    json_object_set_new(row, "principal", cli_out_string(wanted->query.principal));
    json_object_set_new(row, "good", json_boolean(good));
    json_object_set_new(row, "wanted", cli_out_string(wanted_text(wanted, text, sizeof text)));
    json_object_set_new(row, "found", good ? json_null() : cli_out_string(trial->found));
    json_object_set_new(row, "where",
                        trial->place[0] != '\0' ? cli_out_string(trial->place) : json_null());
    json_object_set_new(row, "places", json_integer((json_int_t)trial->places));
    return row;
}

static int run_cases(const struct cli_call *call, const struct map_input *input,
                     const struct mapping_cases *cases)
{
    size_t failed = 0;
    json_t *list = call->json ? json_array() : NULL;
    for (size_t i = 0; i < mapping_cases_count(cases); i++) {
        struct trial trial = {.input = input, .wanted = mapping_cases_at(cases, i)};
        const bool good = try_case(&trial);
        failed += good ? 0 : 1;
        if (list != NULL) {
            json_array_append_new(list, trial_json(&trial, good));
        } else if (!good) {
            print_failure(&trial);
        }
    }
    if (list != NULL) {
        json_t *root = map_header_json(call, input);
        json_object_set_new(root, "failed", json_integer((json_int_t)failed));
        json_object_set_new(root, "cases", list);
        cli_out_answer(call, root);
    } else {
        printf("%zu case%s, %zu failed\n", mapping_cases_count(cases),
               mapping_cases_count(cases) == 1 ? "" : "s", failed);
    }
    return failed == 0 ? CLI_OK : CLI_NEGATIVE;
}

int cli_map_test(const struct cli_call *call)
{
    struct conf_errors errors;
    struct map_input input;
    int status = CLI_BAD_CONFIG;
    if (!map_load(call, NULL, &input)) {
        return CLI_BAD_CONFIG;
    }
    conf_errors_init(&errors);
    struct mapping_cases *cases = mapping_cases_load(call->operands[0], &errors);
    if (cases != NULL) {
        map_load_facts(&input);
        status = run_cases(call, &input, cases);
    } else {
        cli_problems(&errors);
    }
    mapping_cases_free(&cases);
    conf_errors_deinit(&errors);
    map_free(&input);
    return status;
}
