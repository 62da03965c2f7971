/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_failure.h"

#include <stdio.h>

#include "conf/errors.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/cli_out.h"

static struct cli_failure failure;

void cli_failure_begin(void)
{
    json_decref(failure.rows);
    failure = (struct cli_failure){0};
}

void cli_failure_as_json(bool json)
{
    failure.json = json;
}

static json_t *rows(void)
{
    if (failure.rows == NULL) {
        failure.rows = json_array();
    }
    return failure.rows;
}

void cli_failure_keep(const char *file, int line, const char *text)
{
    json_t *row = json_object();
    if (file != NULL) {
        json_object_set_new(row, "file", cli_out_string(file));
    }
    if (line > 0) {
        json_object_set_new(row, "line", json_integer(line));
    }
    json_object_set_new(row, "severity", json_string("error"));
    json_object_set_new(row, "text", cli_out_string(text));
    json_array_append_new(rows(), row);
}

void cli_failure_keep_problems(const struct conf_errors *errors)
{
    if (conf_errors_failed(errors)) {
        json_t *list = cli_out_problems(errors);
        json_array_extend(rows(), list);
        json_decref(list);
    }
}

/* The first that is no warning. */
static json_t *first_error(void)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(failure.rows, i, row)
    {
        if (json_string_value(json_object_get(row, "severity"))[0] == 'e') {
            return row;
        }
    }
    return json_array_get(failure.rows, 0);
}

static void set_missing(json_t *to, const char *key, json_t *value)
{
    const bool unknown = json_is_integer(value)
                             ? json_integer_value(value) == 0
                             : json_is_string(value) && json_string_length(value) == 0;
    if (value != NULL && !unknown && json_object_get(to, key) == NULL) {
        json_object_set(to, key, value);
    }
}

static void describe(json_t *to)
{
    json_t *row = first_error();
    set_missing(to, "ok", json_false());
    set_missing(to, "error", json_object_get(row, "text"));
    set_missing(to, "file", json_object_get(row, "file"));
    set_missing(to, "line", json_object_get(row, "line"));
    set_missing(to, "column", json_object_get(row, "column"));
    set_missing(to, "problems", json_array_size(failure.rows) > 1 ? failure.rows : NULL);
}

void cli_failure_answered(json_t *answer)
{
    failure.answered = true;
    if (failure.rows != NULL && json_is_object(answer)) {
        describe(answer);
    }
}

struct cli_failure cli_failure_set_aside(void)
{
    const struct cli_failure kept = failure;
    failure = (struct cli_failure){0};
    return kept;
}

void cli_failure_take_back(struct cli_failure kept)
{
    json_decref(failure.rows);
    failure = kept;
}

void cli_failure_end(int status)
{
    if (status != CLI_OK && failure.json && !failure.answered && failure.rows != NULL) {
        json_t *root = json_object();
        describe(root);
        json_dumpf(root, stdout, JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
        fputc('\n', stdout);
        json_decref(root);
    }
    cli_failure_begin();
}
