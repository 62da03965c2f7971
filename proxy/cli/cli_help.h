/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_help: what `--help` and `setu help` print, out of the table of verbs, as text or as JSON:
 *
 *   all     {"verbs": [{"name", "operands", "summary"}…]}
 *   group   {"verbs": [verb…]}: those whose first word it is
 *   verb    {"name", "operands", "summary", "description", "options": [{"name", "argument", "help"}…]}
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct cli_verb;

/* Is this the first word of verbs of two? */
bool cli_help_is_group(const char *word);

/* To standard output, as text or as JSON. */
void cli_help_all(bool json);
void cli_help_group(const char *word, bool json);
void cli_help_verb(const struct cli_verb *verb, bool json);

/* As text, to out. */
void cli_help_all_to(FILE *out);
void cli_help_group_to(FILE *out, const char *word);
