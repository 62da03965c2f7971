/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_failure: what went wrong, as -o json tells it. Verbs say it on standard error (cli_error, cli_usage_error,
 * cli_problems); all of it is kept here, and the command ends with one object on standard output, on a line of its own:
 *
 *   {"ok": false, "error": "unknown key 'nonsense'", "file": "setu.yaml", "line": 3, "column": 1, "problems": [...]}
 *
 * `error` is the first of them, with its place as far as that is known; `problems` are there when there is more than
 * one, in the form of `setu check -o json`. A verb that printed its answer all the same has the same members in it:
 * there is never a second document. After the lines of a verb that prints one object a line, it is the last line.
 *
 * One command line is one process: the state is static.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct conf_errors;

/* Of a command line. rows NULL: nothing went wrong. */
struct cli_failure {
    bool json;     /* -o json was given */
    bool answered; /* the answer has been printed, and nothing may follow it */
    json_t *rows;
};

void cli_failure_begin(void);
/* From now on known to be wanted as JSON, or not. */
void cli_failure_as_json(bool json);

/* Keeps what went wrong. file may be NULL, line 0: not known. */
void cli_failure_keep(const char *file, int line, const char *text);
/* Keeps the errors of a list; warnings are none. */
void cli_failure_keep_problems(const struct conf_errors *errors);

/* An answer is about to be printed: it gets what went wrong, if anything did, under keys it has not. */
void cli_failure_answered(json_t *answer);

/* What goes wrong between these two is not told by this command line. */
struct cli_failure cli_failure_set_aside(void);
void cli_failure_take_back(struct cli_failure kept);

/* The command ends with this exit status. */
void cli_failure_end(int status);
