/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "auth/mapping_predict.h"
#include "conf/config.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

enum { AS };

const struct cli_option cli_map_list_options[] = {
    [AS] = {"as", "PRINCIPAL", "only rules whose certificate brokers take for this principal"},
    {NULL, NULL, NULL},
};

/* ---- whom brokers take for somebody ---- */

struct search {
    const struct map_input *input;
    const char *principal;
    bool *found; /* by rule */
};

static const char *subject_of(void *context, const char *certificate)
{
    const struct search *search = context;
    const struct mapping_certificate *facts = mapping_facts_find(search->input->facts, certificate);
    return facts != NULL && facts->problem[0] == '\0' ? facts->subject : NULL;
}

static void on_predicted(void *context, const struct mapping_prediction *prediction)
{
    const struct search *search = context;
    if (prediction->status == RULES_OK && strcmp(prediction->principal, search->principal) == 0) {
        search->found[prediction->rule] = true;
    }
}

/* What cannot be read could be anybody: false = the answer would not be whole, and it is told. */
static bool all_known(const struct cli_call *call, const struct map_input *input,
                      const struct conf_errors *errors)
{
    bool known = !conf_errors_failed(errors);
    cli_problems(errors);
    for (size_t i = 0; i < mapping_count(input->mapping); i++) {
        const struct mapping_certificate *facts =
            mapping_facts_find(input->facts, mapping_rule(input->mapping, i)->certificate);
        if (facts->problem[0] != '\0') {
            cli_error(call->verb, "%s", facts->problem);
            known = false;
        }
    }
    return known;
}

static bool find_those(const struct cli_call *call, struct map_input *input, bool *found)
{
    struct conf_errors errors;
    const char *principal = call->values[AS];
    struct search search = {
        .input = input,
        .principal = strncmp(principal, "User:", 5) == 0 ? principal + 5 : principal,
        .found = found,
    };
    const struct mapping_predict_params params = {
        .config = input->config,
        .mapping = input->mapping,
        .subject = subject_of,
        .predicted = on_predicted,
        .context = &search,
    };
    map_load_facts(input);
    conf_errors_init(&errors);
    mapping_predict(&params, &errors);
    const bool whole = all_known(call, input, &errors);
    conf_errors_deinit(&errors);
    return whole;
}

/* ---- printing ---- */

static void print_part(const char *name, const char *text)
{
    char safe[CLI_OUT_TEXT_SIZE];
    if (text[0] != '\0') {
        printf("    %s: %s\n", name, cli_out_safe(text, safe));
    }
}

static void print_rule(const struct map_input *input, size_t i)
{
    const struct conf_mapping *rule = mapping_rule(input->mapping, i);
    char safe[CLI_OUT_TEXT_SIZE], name[CLI_OUT_TEXT_SIZE];
    map_rule_text(rule, name, sizeof name);
    printf("%s  %s `%s` -> %s\n", name, mapping_kind_name((enum mapping_kind)rule->kind),
           cli_out_safe(rule->pattern, safe), rule->certificate);
    print_part("when", mapping_when(input->mapping, i));
    print_part("intended", rule->intended_principal);
    print_part("owner", rule->owner);
    print_part("ticket", rule->ticket);
    print_part("approver", rule->approver);
    print_part("review by", rule->review_by);
    print_part("break glass", rule->break_glass ? "yes" : "");
}

/* `found` NULL: all of them. */
static void print_rules(const struct cli_call *call, const struct map_input *input,
                        const bool *found)
{
    json_t *list = json_array();
    size_t shown = 0;
    for (size_t i = 0; i < mapping_count(input->mapping); i++) {
        if (found != NULL && !found[i]) {
            continue;
        }
        shown++;
        if (call->json) {
            json_array_append_new(list, map_rule_json(input, i));
        } else {
            print_rule(input, i);
        }
    }
    if (call->json) {
        json_t *root = map_header_json(call, input);
        json_object_set(root, "rules", list);
        cli_out_answer(call, root);
    } else {
        printf("%zu of %zu rules, mapping %s\n", shown, mapping_count(input->mapping),
               mapping_hash(input->mapping));
    }
    json_decref(list);
}

int cli_map_list(const struct cli_call *call)
{
    struct map_input input;
    bool whole = true;
    if (!map_load(call, NULL, &input)) {
        return CLI_BAD_CONFIG;
    }
    bool *found = calloc(mapping_count(input.mapping) + 1, sizeof *found);
    if (found == NULL) {
        abort();
    }
    if (call->values[AS] != NULL) {
        whole = find_those(call, &input, found);
    }
    print_rules(call, &input, call->values[AS] != NULL ? found : NULL);
    free(found);
    map_free(&input);
    return whole ? CLI_OK : CLI_BAD_CONFIG;
}
