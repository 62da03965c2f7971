/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <time.h>

#include "auth/mapping_usage.h"
#include "conf/config.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

enum { DAYS };

const struct cli_option cli_map_unused_options[] = {
    [DAYS] = {"days", "N", "without a login in the last N days (default 90)"},
    {NULL, NULL, NULL},
};

enum { DAYS_DEFAULT = 90, DAYS_MAX = 36500 };

static void print_rule(const struct map_input *input, const struct mapping_usage *usage,
                       size_t rule)
{
    char text[CLI_OUT_TEXT_SIZE], safe[CLI_OUT_TEXT_SIZE], last[32];
    const struct conf_mapping *conf = mapping_rule(input->mapping, rule);
    map_rule_text(conf, text, sizeof text);
    map_time_text(usage->last_ns / 1000000000, last);
    printf("%s  %s `%s` -> %s: %s%s\n", text, mapping_kind_name((enum mapping_kind)conf->kind),
           cli_out_safe(conf->pattern, safe), conf->certificate,
           usage->count > 0 ? "last used " : "never used", last);
}

static json_t *rule_json(const struct map_input *input, const struct mapping_usage *usage,
                         size_t rule)
{
    char last[32];
    json_t *row = map_rule_json(input, rule);
    map_time_text(usage->last_ns / 1000000000, last);
    json_object_set_new(row, "last_used", usage->count > 0 ? json_string(last) : json_null());
    json_object_set_new(row, "uses", json_integer((json_int_t)usage->count));
    return row;
}

static int report(const struct cli_call *call, const struct map_input *input,
                  const struct mapping_usages *usages, unsigned long days)
{
    const int64_t since_ns = ((int64_t)time(NULL) - (int64_t)days * 86400) * 1000000000;
    const bool covered = usages->first_ns != 0 && usages->first_ns <= since_ns;
    json_t *list = json_array();
    size_t unused = 0;
    char from[32];
    for (size_t i = 0; i < usages->count; i++) {
        if (mapping_usages_since(usages, i, since_ns)) {
            continue;
        }
        unused++;
        if (call->json) {
            json_array_append_new(list, rule_json(input, &usages->rules[i], i));
        } else {
            print_rule(input, &usages->rules[i], i);
        }
    }
    map_time_text(usages->first_ns / 1000000000, from);
    if (call->json) {
        json_t *root = map_header_json(call, input);
        json_object_set_new(root, "days", json_integer((json_int_t)days));
        json_object_set_new(root, "log_from", from[0] != '\0' ? json_string(from) : json_null());
        json_object_set_new(root, "log_covers_days", json_boolean(covered));
        json_object_set_new(root, "decisions", json_integer((json_int_t)usages->decisions));
        json_object_set(root, "unused", list);
        cli_out_answer(call, root);
    } else {
        printf("%zu of %zu rules not used in %lu days, by %" PRIu64 " logins\n", unused,
               usages->count, days, usages->decisions);
        if (!covered) {
            printf("the audit log does not go back that far: it begins at %s\n",
                   from[0] != '\0' ? from : "no record");
        }
    }
    json_decref(list);
    return unused == 0 ? CLI_OK : CLI_NEGATIVE;
}

int cli_map_unused(const struct cli_call *call)
{
    struct map_input input;
    unsigned long days = DAYS_DEFAULT;
    char why[1024] = "";
    if (call->values[DAYS] != NULL && !cli_number(call->values[DAYS], 1, DAYS_MAX, &days)) {
        return cli_usage_error(call->verb, "--days is a number from 1 to %d", DAYS_MAX);
    }
    if (!map_load(call, NULL, &input)) {
        return CLI_BAD_CONFIG;
    }
    int status = CLI_BAD_CONFIG;
    struct mapping_usages *usages =
        map_load_usages(&input, call->operands, call->operand_count, why, sizeof why);
    if (usages != NULL) {
        status = report(call, &input, usages, days);
    } else {
        cli_error(call->verb, "%s", why);
    }
    mapping_usages_free(&usages);
    map_free(&input);
    return status;
}
