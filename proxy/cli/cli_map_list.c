/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/config.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

static void print_part(const char *name, const char *text)
{
    char safe[CLI_OUT_TEXT_SIZE];
    if (text[0] != '\0') {
        printf("  %s: %s", name, cli_out_safe(text, safe));
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
    printf("\n");
}

int cli_map_list(const struct cli_call *call)
{
    struct map_input input;
    if (!map_load(call, NULL, &input)) {
        return CLI_BAD_CONFIG;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < mapping_count(input.mapping); i++) {
        if (call->json) {
            json_array_append_new(list, map_rule_json(&input, i));
        } else {
            print_rule(&input, i);
        }
    }
    if (call->json) {
        json_t *root = map_header_json(call, &input);
        json_object_set(root, "rules", list);
        cli_out_json(root);
    } else {
        printf("%zu rule%s, mapping %s\n", mapping_count(input.mapping),
               mapping_count(input.mapping) == 1 ? "" : "s", mapping_hash(input.mapping));
    }
    json_decref(list);
    map_free(&input);
    return CLI_OK;
}
