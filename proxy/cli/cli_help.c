/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_help.h"

#include <string.h>

#include "proxy/cli/cli.h"
#include "proxy/cli/cli_out.h"

enum { COLUMNS = 98, INDENT = 11, WORD_SIZE = 96 };

static const struct cli_option config_option = {"config", "FILE",
                                                "the configuration (default /etc/setu/setu.yaml)"};
static const struct cli_option output_option = {"output", "FORMAT", "text (default) or json"};
static const struct cli_option csv_option = {"output", "FORMAT", "text (default), json or csv"};
static const struct cli_option help_option = {"help", NULL, "print this"};

/* letter: its short form, or 0 */
typedef void (*option_fn)(void *context, const struct cli_option *option, char letter);

static void each_option(const struct cli_verb *verb, option_fn on_option, void *context)
{
    for (const struct cli_option *option = verb->options; option != NULL && option->name != NULL;
         option++) {
        on_option(context, option, 0);
    }
    if (verb->config) {
        on_option(context, &config_option, 'c');
    }
    on_option(context, verb->csv ? &csv_option : &output_option, 'o');
    on_option(context, &help_option, 'h');
}

static bool is_of_group(const struct cli_verb *verb, const char *word)
{
    const size_t length = strlen(word);
    return strncmp(verb->name, word, length) == 0 && verb->name[length] == ' ';
}

bool cli_help_is_group(const char *word)
{
    const struct cli_verb *verb = NULL;
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        if (is_of_group(verb, word)) {
            return true;
        }
    }
    return false;
}

/* ---- a verb ---- */

static void print_option(void *context, const struct cli_option *option, char letter)
{
    char left[64];
    const char dash[] = {'-', letter, ',', ' ', '\0'};
    (void)context;
    snprintf(left, sizeof left, "%s--%s%s%s", letter != 0 ? dash : "", option->name,
             option->argument != NULL ? " " : "", option->argument != NULL ? option->argument : "");
    printf("  %-26s %s\n", left, option->help);
}

static void print_verb(const struct cli_verb *verb)
{
    printf("usage: setu %s [OPTION...]%s%s\n\n%c%s.\n", verb->name, verb->operands[0] ? " " : "",
           verb->operands, verb->summary[0] - 'a' + 'A', verb->summary + 1);
    if (verb->description[0] != '\0') {
        printf("\n%s", verb->description);
    }
    printf("\noptions:\n");
    each_option(verb, print_option, NULL);
    printf("\nexit status: 0 ok, 1 the answer is no, 2 usage, 78 bad configuration\n");
}

static void add_option(void *context, const struct cli_option *option, char letter)
{
    char name[40];
    json_t *row = json_object();
    (void)letter;
    snprintf(name, sizeof name, "--%s", option->name);
    json_object_set_new(row, "name", json_string(name));
    json_object_set_new(row, "argument",
                        option->argument != NULL ? json_string(option->argument) : json_null());
    json_object_set_new(row, "help", json_string(option->help));
    json_array_append_new(context, row);
}

static json_t *summary_json(const struct cli_verb *verb)
{
    json_t *root = json_object();
    json_object_set_new(root, "name", json_string(verb->name));
    json_object_set_new(root, "operands", json_string(verb->operands));
    json_object_set_new(root, "summary", json_string(verb->summary));
    return root;
}

static json_t *verb_json(const struct cli_verb *verb)
{
    json_t *root = summary_json(verb), *options = json_array();
    each_option(verb, add_option, options);
    json_object_set_new(root, "description", json_string(verb->description));
    json_object_set_new(root, "options", options);
    return root;
}

void cli_help_verb(const struct cli_verb *verb, bool json)
{
    if (json) {
        cli_out_json(verb_json(verb));
    } else {
        print_verb(verb);
    }
}

/* ---- a group ---- */

/* A line that goes on below when it gets too long. */
struct fold {
    FILE *out;
    size_t column;
};

static void put_word(struct fold *fold, const char *word)
{
    const size_t length = strlen(word);
    if (fold->column + 1 + length > COLUMNS) {
        fold->column = (size_t)fprintf(fold->out, "\n%*s", INDENT, "") - 1;
    }
    fold->column += (size_t)fprintf(fold->out, " %s", word);
}

static void put_option(void *context, const struct cli_option *option, char letter)
{
    char word[WORD_SIZE];
    const char dash[] = {letter, '\0'};
    snprintf(word, sizeof word, "[%s%s%s%s]", letter != 0 ? "-" : "--",
             letter != 0 ? dash : option->name, option->argument != NULL ? " " : "",
             option->argument != NULL ? option->argument : "");
    put_word(context, word);
}

void cli_help_group_to(FILE *out, const char *word)
{
    const struct cli_verb *verb = NULL;
    const char *before = "usage:";
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        if (is_of_group(verb, word)) {
            struct fold fold = {.out = out};
            fold.column = (size_t)fprintf(out, "%s setu %s", before, verb->name);
            each_option(verb, put_option, &fold);
            if (verb->operands[0] != '\0') {
                put_word(&fold, verb->operands);
            }
            fprintf(out, "\n");
            before = "      ";
        }
    }
}

void cli_help_group(const char *word, bool json)
{
    if (!json) {
        cli_help_group_to(stdout, word);
        printf("\n`setu %s VERB --help` says more.\n", word);
        return;
    }
    const struct cli_verb *verb = NULL;
    json_t *list = json_array();
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        if (is_of_group(verb, word)) {
            json_array_append_new(list, verb_json(verb));
        }
    }
    cli_out_json(json_pack("{s:o}", "verbs", list));
}

/* ---- all ---- */

void cli_help_all_to(FILE *out)
{
    const struct cli_verb *verb = NULL;
    fprintf(out, "usage: setu VERB [OPTION...] [OPERAND...]\n\n"
                 "Setu stands between Kafka clients and brokers of two generations of login.\n\n"
                 "verbs:\n");
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        fprintf(out, "  %-14s %s\n", verb->name, verb->summary);
    }
    fprintf(out, "\n`setu VERB --help` says more.\n");
}

void cli_help_all(bool json)
{
    if (!json) {
        cli_help_all_to(stdout);
        return;
    }
    const struct cli_verb *verb = NULL;
    json_t *list = json_array();
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        json_array_append_new(list, summary_json(verb));
    }
    cli_out_json(json_pack("{s:o}", "verbs", list));
}
