/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_out: what verbs print: text that a terminal cannot be fooled with, JSON, configuration
 * problems.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct cli_call;
struct conf_errors;

enum { CLI_OUT_TEXT_SIZE = 2048 };

/* Text of unknown origin, escaped as in the log (log_escape), in out. Returns out. */
const char *cli_out_safe(const char *text, char out[CLI_OUT_TEXT_SIZE]);

/* A JSON string of any text: what is not UTF-8 is escaped as above. */
json_t *cli_out_string(const char *text);

/* [{"file","line","column","severity","text"}…] */
json_t *cli_out_problems(const struct conf_errors *errors);

/* Prints and releases a JSON value, indented, keys in the order they were set. */
void cli_out_json(json_t *value);
void cli_out_json_to(json_t *value, FILE *out);

/* The answer of a verb with -o json: printed as above, unless cli_ask() wants it. Takes it over. */
void cli_out_answer(const struct cli_call *call, json_t *value);
