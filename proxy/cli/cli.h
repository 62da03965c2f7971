/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: the `setu` command: one table of verbs, one way to read options, one set of exit statuses.
 *
 *   argv ─▶ cli_main ─▶ verb ─▶ options of its table ─▶ struct cli_call ─▶ verb->run ─▶ exit status
 *
 * Every verb takes --help and -o text|json; those that read the configuration take -c. Results go
 * to standard output, problems to standard error, and with -o json to standard output as well, in
 * one object (cli_failure). There is no colour.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocol/bytes.h"

struct conf_errors;
struct json_t;

enum cli_status {
    CLI_OK = 0,
    CLI_NEGATIVE = 1,   /* the answer is no: not mapped, not reachable, does not match */
    CLI_USAGE = 2,      /* the command line cannot be understood */
    CLI_BAD_CONFIG = 78 /* EX_CONFIG: the configuration or a file it names is not usable */
};

enum { CLI_OPTIONS_MAX = 12, CLI_CONFIG_DEFAULT_SIZE = 32 };

/* An option of a verb. Common ones (--config, --output, --help) are not listed. */
struct cli_option {
    const char *name;     /* long form, without dashes */
    const char *argument; /* "FILE"; NULL: a flag */
    const char *help;
};

/* A command line that was understood. Strings are those of argv. */
struct cli_call {
    const struct cli_verb *verb;
    const char *config_file;
    bool json, csv; /* csv: only of a verb that has it */
    bool help;
    const char *values[CLI_OPTIONS_MAX]; /* by index of verb->options; NULL: not given; flags: "" */
    char **operands;
    int operand_count;
    struct json_t **answer_r; /* cli_out_answer() puts the answer there; NULL: prints it */
};

struct cli_verb {
    const char *name;     /* "map explain": two words are one verb */
    const char *operands; /* "HOST:PORT"; "" none */
    int operands_min, operands_max;
    bool config; /* takes -c */
    const char *summary;
    const char *description;          /* for --help, lines of at most 80 columns */
    const struct cli_option *options; /* ends with a NULL name; may be NULL */
    int (*run)(const struct cli_call *call);
    bool csv; /* takes -o csv */
};

/* The whole command. Returns the exit status. */
int cli_main(int argc, char **argv);

/*
 * What `setu VERB -o json -c CONFIG OPERAND...` would print; the caller's. NULL: it failed, and said
 * so on standard error. Only of a verb that ends in cli_out_answer().
 */
struct json_t *cli_ask(const char *verb, const char *config_file, char **operands,
                       int operand_count);

/* All verbs, for help and documentation; NULL past the end. */
const struct cli_verb *cli_verb_at(size_t index);

/*
 * What goes wrong is said by these, so that -o json has it as well. "setu VERB: …" on standard error;
 * returns CLI_USAGE.
 */
int cli_usage_error(const struct cli_verb *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "setu VERB: …" on standard error, for everything but usage. */
void cli_error(const struct cli_verb *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same about a file, as JSON tells it apart from the text; line 0: not known. */
void cli_error_at(const struct cli_verb *verb, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What conf_errors_print() prints, on standard error. */
void cli_problems(const struct conf_errors *errors);

/* A decimal number within bounds, or false. */
bool cli_number(const char *text, unsigned long min, unsigned long max, unsigned long *number_r)
    __attribute__((warn_unused_result));

/* The verbs, each in its own file. */
int cli_run(const struct cli_call *call);
int cli_check(const struct cli_call *call);
int cli_reload(const struct cli_call *call);
int cli_drain(const struct cli_call *call);
int cli_status(const struct cli_call *call);
int cli_certs(const struct cli_call *call);
int cli_doctor(const struct cli_call *call);
int cli_probe(const struct cli_call *call);
int cli_ledger_verify(const struct cli_call *call);
int cli_ledger_show(const struct cli_call *call);
int cli_audit_show(const struct cli_call *call);
int cli_audit_query(const struct cli_call *call);
int cli_audit_export(const struct cli_call *call);
int cli_audit_verify(const struct cli_call *call);
int cli_audit_bundle(const struct cli_call *call);
int cli_audit_keygen(const struct cli_call *call);
int cli_map_list(const struct cli_call *call);
int cli_map_explain(const struct cli_call *call);
int cli_map_diff(const struct cli_call *call);
int cli_map_lint(const struct cli_call *call);
int cli_map_test(const struct cli_call *call);
int cli_map_export(const struct cli_call *call);
int cli_map_unused(const struct cli_call *call);
int cli_scram_make(const struct cli_call *call);
int cli_scram_verify(const struct cli_call *call);
int cli_scram_import(const struct cli_call *call);
int cli_version(const struct cli_call *call);

/* Their options. */
extern const struct cli_option cli_audit_bundle_options[];
extern const struct cli_option cli_audit_export_options[];
extern const struct cli_option cli_audit_query_options[];
extern const struct cli_option cli_audit_show_options[];
extern const struct cli_option cli_audit_verify_options[];
extern const struct cli_option cli_run_options[];
extern const struct cli_option cli_check_options[];
extern const struct cli_option cli_control_options[];
extern const struct cli_option cli_drain_options[];
extern const struct cli_option cli_doctor_options[];
extern const struct cli_option cli_ledger_verify_options[];
extern const struct cli_option cli_map_list_options[];
extern const struct cli_option cli_map_explain_options[];
extern const struct cli_option cli_map_lint_options[];
extern const struct cli_option cli_map_unused_options[];
extern const struct cli_option cli_probe_options[];
extern const struct cli_option cli_scram_make_options[];
extern const struct cli_option cli_scram_verify_options[];
