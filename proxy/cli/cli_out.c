/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_out.h"

#include <string.h>

#include "conf/errors.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/cli_failure.h"
#include "proxy/ops/log_line.h"

const char *cli_out_safe(const char *text, char out[CLI_OUT_TEXT_SIZE])
{
    size_t length = log_escape(out, CLI_OUT_TEXT_SIZE - 1, view_from_string(text));
    out[length] = '\0';
    return out;
}

json_t *cli_out_string(const char *text)
{
    json_t *string = json_string(text);
    char safe[CLI_OUT_TEXT_SIZE];
    return string != NULL ? string : json_string(cli_out_safe(text, safe));
}

json_t *cli_out_problems(const struct conf_errors *errors)
{
    json_t *list = json_array();
    for (size_t i = 0; i < errors->count; i++) {
        const struct conf_error *error = &errors->items[i];
        json_t *row = json_object();
        json_object_set_new(row, "file", cli_out_string(error->file));
        json_object_set_new(row, "line", json_integer(error->line));
        json_object_set_new(row, "column", json_integer(error->column));
        json_object_set_new(row, "severity",
                            json_string(error->severity == CONF_ERROR ? "error" : "warning"));
        json_object_set_new(row, "text", cli_out_string(error->text));
        json_array_append_new(list, row);
    }
    return list;
}

void cli_out_json_to(json_t *value, FILE *out)
{
    json_dumpf(value, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    fputc('\n', out);
    json_decref(value);
}

void cli_out_json(json_t *value)
{
    cli_failure_answered(value);
    cli_out_json_to(value, stdout);
}

void cli_out_answer(const struct cli_call *call, json_t *value)
{
    if (call->answer_r != NULL) {
        *call->answer_r = value;
    } else {
        cli_out_json(value);
    }
}
