/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/errors.h"
#include "proxy/cli/cli_failure.h"
#include "proxy/cli/cli_help.h"

enum { SAID_SIZE = 8192, WRONG_SIZE = 512 };

static int cli_help(const struct cli_call *call);

static const char config_default[] = "/etc/setu/setu.yaml";

static const struct cli_verb verbs[] = {
    {"run", "", 0, 0, true, "serve clients until told to stop",
     "Loads the configuration and every file it names, and serves.\n"
     "TERM or INT: drain, then stop; again: stop at once. QUIT: stop at once.\n"
     "USR1: write the counters to the log and open the log file anew. HUP: reload.\n"
     "USR2: start this command again, with --takeover.\n"
     "With --takeover the process that runs with the same configuration file hands its listening\n"
     "sockets over once this one has loaded everything and found the brokers; when it cannot,\n"
     "the other one serves on. When there is none, this one just starts.\n",
     cli_run_options, cli_run, false},
    {"reload", "", 0, 0, true, "make the running process use its configuration file as it is now",
     "Says what has changed, and what only takes effect with the next process (`setu run\n"
     "--takeover`, or USR2). Exit status 78 when the file, or one it names, has errors: then\n"
     "nothing has changed. 1 when nobody answers, or not now.\n",
     cli_control_options, cli_reload, false},
    {"drain", "", 0, 0, true, "make the running process end each connection at rest, then itself",
     "Nobody is served any more from the moment this begins. Shows how many connections are\n"
     "left, until the process has ended. Exit status 1 when nobody answers.\n",
     cli_drain_options, cli_drain, false},
    {"status", "", 0, 0, true, "show what the running process is doing",
     "Exit status 1 when nobody answers.\n", cli_control_options, cli_status, false},
    {"certs", "", 0, 0, true, "list what the running process shows and believes, and when it ends",
     "Certificates of identities and listeners, authorities and revocation lists, the nearest\n"
     "end first. Exit status 1 when one of them has ended, or nobody answers.\n",
     cli_control_options, cli_certs, false},
    {"check", "", 0, 0, true, "check the configuration and every file it names",
     "Reports every problem it finds, not only the first. Exit status 0 when `setu run`\n"
     "would start with it, 78 when not.\n",
     cli_check_options, cli_check, false},
    {"doctor", "", 0, 0, true, "tell whether this machine and configuration are fit",
     "Looks at the processor, OpenSSL, clock, kernel limits, ports, certificates, revocation\n"
     "lists and files, measures the speed of encryption, and says what to do about what it\n"
     "finds. Changes nothing. Exit status 0 when nothing failed (there may be warnings), 78\n"
     "when `setu run` would not start because of the configuration or a file it reads, 1 when\n"
     "anything else failed: the machine, or a file to be written, is not fit.\n",
     cli_doctor_options, cli_doctor, false},
    {"probe", "HOST:PORT", 1, 1, true, "look at one broker with Setu's own identity",
     "Connects as a running Setu does when it looks at brokers: finds out which generation\n"
     "the broker belongs to, logs in, asks for API versions and brokers. Exit status 0 when\n"
     "it could log in, 1 when not.\n",
     cli_probe_options, cli_probe, false},
    {"map list", "", 0, 0, true, "show the rules from principals to certificates",
     "With what each says of where it holds, who owns it and who agreed to it. With --as: who\n"
     "can become this principal at brokers, by their own rules for names. Exit status 0, or 78\n"
     "when with --as a certificate cannot be read, so that the answer is not whole.\n",
     cli_map_list_options, cli_map_list, false},
    {"map explain", "PRINCIPAL...", 1, 1000, true, "show how a principal is mapped, rule by rule",
     "Answers for every cluster, generation, listener and mechanism by which the principal may\n"
     "come, or those named; where answers differ, each is shown with its places. Predicts as\n"
     "whom brokers will take the certificate. Nothing is connected to. Exit status 0 when every\n"
     "principal is mapped everywhere asked, 1 when not.\n",
     cli_map_explain_options, cli_map_explain, false},
    {"map diff", "OLD NEW", 2, 2, false, "compare the mappings of two configuration files",
     "Tells rules that were added, removed, re-pointed (to another certificate), widened (more\n"
     "principals or places), narrowed or moved, and certificates that are another file. Exit\n"
     "status 0 when the mappings are the same, 1 when not.\n",
     NULL, cli_map_diff, false},
    {"map lint", "", 0, 0, true, "tell what is wrong or unwise about the mapping",
     "Looks for L01 to L20, which --list explains; each finding has its id, severity, place, and\n"
     "how to mend it. Reads certificates, the users file and the audit log where it may, never a\n"
     "private key; says what it could not judge. Exit status 0 without errors (with --strict\n"
     "also without warnings and with all of it judged), 1 else.\n",
     cli_map_lint_options, cli_map_lint, false},
    {"map test", "CASES", 1, 1, true, "check decisions against those a file expects",
     "The file lists cases, each with a principal and what is expected: expect (mapped,\n"
     "unmapped, ambiguous, error, refused, denied), or certificate, rule, predicted. A case\n"
     "holds for every cluster, generation, listener and mechanism, or those it names:\n"
     "  cases:\n"
     "    - {principal: orders, generation: ajna, certificate: orders}\n"
     "    - {principal: nobody, expect: unmapped}\n"
     "Exit status 0 when all hold, 1 when one does not, 78 when the file has errors.\n",
     NULL, cli_map_test, false},
    {"map export", "", 0, 0, true, "print the mapping with all that is known about it, as a table",
     "One row for each rule and each generation that is shown its certificate: rule, ways in,\n"
     "certificate, key file, revocation, predicted and intended principal, owner, use, lint ids.\n"
     "-o csv is RFC 4180; text is the same after one line of comment with version, host, time and\n"
     "hashes. A cell that would be a formula to a spreadsheet begins with an apostrophe.\n"
     "There is one column for the principal: names are compared byte for byte, so that what the\n"
     "configuration has is canonical, or refused. The table is not signed by itself: `setu audit\n"
     "bundle` puts it into an archive that is. Exit status 0.\n",
     NULL, cli_map_export, true},
    {"map unused", "[FILE|FOLDER...]", 0, 10000, true,
     "list rules by which nobody was mapped lately",
     "Puts the logins in the audit log (the configured one with its rotated files, or those\n"
     "named) to the rules as they are now. Exit status 0 when every rule is used, 1 when not, 78\n"
     "when there is no audit log that can be read, or its chain is broken.\n",
     cli_map_unused_options, cli_map_unused, false},
    {"audit verify", "FILE|FOLDER...", 1, 100000, false,
     "tell whether the audit log is whole, and who vouches for it",
     "Reads every file of one audit log, in any order, as one chain: a record or a file that was\n"
     "changed, removed, moved or put in is found, and the first bad record named. With --key the\n"
     "signatures of its checkpoints are verified; records behind the last one (the unsigned tail)\n"
     "are told. The log must begin with record 1, or behind --from, the last record that was\n"
     "moved away. What was cut off the end shows only against a --head that was kept elsewhere.\n"
     "Exit status 0 when it is in order, 1 when not, 78 when a file cannot be read.\n",
     cli_audit_verify_options, cli_audit_verify, false},
    {"audit show", "FILE|FOLDER...", 1, 100000, false, "print the records of the audit log",
     "One line for each; with -o json, one JSON object a line. Exit status 1 when the chain does\n"
     "not hold.\n",
     cli_audit_show_options, cli_audit_show, false},
    {"audit query", "FILE|FOLDER...", 1, 100000, false, "find records of the audit log",
     "As show; exit status 1 also when there is none.\n", cli_audit_query_options, cli_audit_query,
     false},
    {"audit export", "FILE|FOLDER...", 1, 100000, false,
     "print the records of the audit log as other tools read them",
     "One line for each, whatever names and reasons hold: line ends in them are escaped. jsonl\n"
     "has every field; ocsf is OCSF 1.4, ecs is ECS 8.11, cef is CEF 0. -o json goes with those\n"
     "that are JSON, and makes what fails one more line of it. Exit status 1 when the chain does\n"
     "not hold.\n",
     cli_audit_export_options, cli_audit_export, false},
    {"audit bundle", "FILE", 1, 1, true, "put all evidence into one signed archive, or verify one",
     "The audit log, what verify says of it, an export, the configuration and what `setu map`\n"
     "says of it, signed with audit.signing_key. FILE is a tar archive that tar, sha256sum and\n"
     "openssl can verify as well. Exit status 1 when the log, or with --verify the archive, is\n"
     "not in order.\n",
     cli_audit_bundle_options, cli_audit_bundle, false},
    {"audit keygen", "FILE", 1, 1, false, "make a key that signs the audit log",
     "Writes a new Ed25519 key to FILE (0400, never over another one) and prints its public half,\n"
     "which auditors verify with. `openssl genpkey -algorithm ed25519` makes the same.\n",
     NULL, cli_audit_keygen, false},
    {"ledger verify", "FILE|FOLDER...", 1, 100000, false,
     "tell what the ledger proves: lost, duplicated, altered",
     "Reads ledger files of any number of processes, in any order (of a folder: *.ledger), and\n"
     "matches what brokers acknowledged with what readers got. Wants a reader to have read\n"
     "everything through Setu, from the first batch in question to the last. Exit status 0 when\n"
     "nothing is lost, duplicated, altered or reordered and the ledger has no gap, 1 when not.\n"
     "Batches in doubt (sent, never answered, never found) are told and do not change it.\n",
     cli_ledger_verify_options, cli_ledger_verify, false},
    {"ledger show", "FILE|FOLDER...", 1, 100000, false, "print what is in ledger files",
     "One line for each record; with -o json, one JSON object a line.\n", NULL, cli_ledger_show,
     false},
    {"scram make", "USER", 1, 1, false, "make a user's entry for the users file",
     "The password is read from a file or from standard input, never from the command line.\n"
     "What is printed cannot be turned back into the password.\n",
     cli_scram_make_options, cli_scram_make, false},
    {"scram verify", "USER", 1, 1, false, "check a password against the users file",
     "Exit status 0 when the password is the user's, 1 when it is not, or the user is unknown.\n",
     cli_scram_verify_options, cli_scram_verify, false},
    {"scram import", "[FILE]", 0, 1, false,
     "turn Kafka's SCRAM credentials into users file entries",
     "Reads the output of\n"
     "  kafka-configs --zookeeper HOST:PORT --describe --entity-type users\n"
     "from FILE or standard input. No password is needed.\n",
     NULL, cli_scram_import, false},
    {"version", "", 0, 0, false, "print the version and what it is built with", "", NULL,
     cli_version, false},
    {"help", "[VERB...]", 0, 2, false, "print help for a verb, or a group of them", "", NULL,
     cli_help, false},
};

enum { VERBS = sizeof verbs / sizeof verbs[0] };

const struct cli_verb *cli_verb_at(size_t index)
{
    return index < VERBS ? &verbs[index] : NULL;
}

/* ---- saying things ---- */

static void say(const struct cli_verb *verb, const char *file, int line, const char *format,
                va_list arguments)
{
    char text[SAID_SIZE];
    vsnprintf(text, sizeof text, format, arguments);
    fprintf(stderr, "setu%s%s: %s\n", verb != NULL ? " " : "", verb != NULL ? verb->name : "",
            text);
    cli_failure_keep(file, line, text);
}

int cli_usage_error(const struct cli_verb *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(verb, NULL, 0, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try `setu %s%s--help`.\n", verb != NULL ? verb->name : "",
            verb != NULL ? " " : "");
    return CLI_USAGE;
}

void cli_error(const struct cli_verb *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(verb, NULL, 0, format, arguments);
    va_end(arguments);
}

void cli_error_at(const struct cli_verb *verb, const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(verb, file, line, format, arguments);
    va_end(arguments);
}

void cli_problems(const struct conf_errors *errors)
{
    conf_errors_print(errors, stderr);
    cli_failure_keep_problems(errors);
}

/* ---- verbs ---- */

/* Does the command line start with the verb's words? Returns how many words, or 0. */
static int verb_words(const struct cli_verb *verb, int argc, char **argv)
{
    const char *name = verb->name;
    int words = 0;
    while (*name != '\0') {
        size_t length = strcspn(name, " ");
        if (words >= argc || strlen(argv[words]) != length ||
            memcmp(argv[words], name, length) != 0) {
            return 0;
        }
        name += length + (name[length] == ' ' ? 1 : 0);
        words++;
    }
    return words;
}

static const struct cli_verb *find_verb(int argc, char **argv, int *words_r)
{
    for (size_t i = 0; i < VERBS; i++) {
        *words_r = verb_words(&verbs[i], argc, argv);
        if (*words_r > 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int cli_help(const struct cli_call *call)
{
    int words = 0;
    const int count = call->operand_count;
    char **operands = call->operands;
    const struct cli_verb *verb = find_verb(count, operands, &words);
    if (count == 0) {
        cli_help_all(call->json);
    } else if (verb != NULL && words == count) {
        cli_help_verb(verb, call->json);
    } else if (count == 1 && cli_help_is_group(operands[0])) {
        cli_help_group(operands[0], call->json);
    } else {
        return cli_usage_error(call->verb, "there is no verb `%s%s%s`", operands[0],
                               count > 1 ? " " : "", count > 1 ? operands[1] : "");
    }
    return CLI_OK;
}

/* ---- options ---- */

enum { LETTER_CONFIG = 'c', LETTER_OUTPUT = 'o', LETTER_HELP = 'h', LETTER_FIRST = 256 };

static void list_options(const struct cli_verb *verb, struct option *list)
{
    size_t n = 0;
    for (; verb->options != NULL && verb->options[n].name != NULL && n < CLI_OPTIONS_MAX; n++) {
        list[n] =
            (struct option){verb->options[n].name,
                            verb->options[n].argument != NULL ? required_argument : no_argument,
                            NULL, LETTER_FIRST + (int)n};
    }
    if (verb->config) {
        list[n++] = (struct option){"config", required_argument, NULL, LETTER_CONFIG};
    }
    list[n++] = (struct option){"output", required_argument, NULL, LETTER_OUTPUT};
    list[n++] = (struct option){"help", no_argument, NULL, LETTER_HELP};
    list[n] = (struct option){NULL, 0, NULL, 0};
}

static bool take_output(struct cli_call *call, const char *value)
{
    call->json = strcmp(value, "json") == 0;
    call->csv = strcmp(value, "csv") == 0;
    return call->json || (call->csv && call->verb->csv) || strcmp(value, "text") == 0;
}

/* Takes one; what is wrong with it goes to `wrong`. */
static void take_option(struct cli_call *call, int letter, const char *word, char *wrong)
{
    if (letter == LETTER_HELP) {
        call->help = true;
    } else if (letter == LETTER_CONFIG) {
        call->config_file = optarg;
    } else if (letter >= LETTER_FIRST) {
        call->values[letter - LETTER_FIRST] = optarg != NULL ? optarg : "";
    } else if (letter == ':') {
        snprintf(wrong, WRONG_SIZE, "`%s` needs a value", word);
    } else if (letter != LETTER_OUTPUT) {
        snprintf(wrong, WRONG_SIZE, "unknown option `%s`", word);
    } else if (!take_output(call, optarg)) {
        snprintf(wrong, WRONG_SIZE, "--output is text%s json%s, not `%s`",
                 call->verb->csv ? "," : " or", call->verb->csv ? " or csv" : "", optarg);
    }
}

/* Reads all options, the wrong ones too: -o json may come behind them. `wrong`: the first of those, or "". */
static void take_options(struct cli_call *call, int argc, char **argv, char wrong[WRONG_SIZE])
{
    struct option list[CLI_OPTIONS_MAX + 4];
    char ignored[WRONG_SIZE];
    list_options(call->verb, list);
    wrong[0] = '\0';
    opterr = 0;
    optind = 0; /* GNU: start over */
    int letter = 0;
    while ((letter = getopt_long(argc, argv, call->verb->config ? ":c:o:h" : ":o:h", list, NULL)) !=
           -1) {
        take_option(call, letter, argv[optind - 1], wrong[0] == '\0' ? wrong : ignored);
    }
    call->operands = argv + optind;
    call->operand_count = argc - optind;
    cli_failure_as_json(call->json);
}

static int run_verb(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_call call = {.verb = verb, .config_file = config_default};
    char wrong[WRONG_SIZE];
    take_options(&call, argc, argv, wrong);
    if (call.help) {
        cli_help_verb(verb, call.json);
        return CLI_OK;
    }
    if (wrong[0] != '\0') {
        return cli_usage_error(verb, "%s", wrong);
    }
    if (call.operand_count < verb->operands_min) {
        return cli_usage_error(verb, "%s is missing", verb->operands);
    }
    if (call.operand_count > verb->operands_max) {
        return cli_usage_error(verb, "`%s` is one operand too many",
                               call.operands[verb->operands_max]);
    }
    return verb->run(&call);
}

/* A first word that only makes sense with a second one. */
static int run_group(const char *word, int argc, char **argv)
{
    const struct cli_verb group = {.name = word, .operands = "VERB"};
    const char *first = argc > 1 ? argv[1] : ""; /* getopt moves words about */
    struct cli_call call = {.verb = &group};
    char wrong[WRONG_SIZE];
    take_options(&call, argc, argv, wrong);
    if (call.operand_count > 0 && first[0] == '-') {
        cli_error(NULL, "both words of the verb come before its options");
    } else if (call.operand_count > 0) {
        cli_error(NULL, "there is no verb `%s %s`", word, call.operands[0]);
    } else if (call.help) {
        cli_help_group(word, call.json);
        return CLI_OK;
    } else {
        cli_error(&group, "%s", wrong[0] != '\0' ? wrong : "VERB is missing");
    }
    cli_help_group_to(stderr, word);
    return CLI_USAGE;
}

/* No verb, and none of a group. */
static int run_nothing(int argc, char **argv)
{
    const struct cli_verb none = {.name = "", .operands = ""};
    const char *first = argv[1]; /* getopt moves words about */
    struct cli_call call = {.verb = &none};
    char wrong[WRONG_SIZE];
    take_options(&call, argc, argv, wrong);
    if (first[0] != '-') {
        return cli_usage_error(NULL, "there is no verb `%s`", first);
    }
    if (call.operand_count > 0) {
        return cli_usage_error(NULL, "the verb comes before its options");
    }
    if (call.help) {
        cli_help_all(call.json);
        return CLI_OK;
    }
    return cli_usage_error(NULL, "%s", wrong[0] != '\0' ? wrong : "VERB is missing");
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        cli_help_all_to(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return run_verb(&verbs[VERBS - 2], argc - 1, argv + 1);
    }
    int words = 0;
    const struct cli_verb *verb = find_verb(argc - 1, argv + 1, &words);
    if (verb != NULL) {
        /* getopt takes the word before the options as the name of the program. */
        return run_verb(verb, argc - words, argv + words);
    }
    if (cli_help_is_group(argv[1])) {
        return run_group(argv[1], argc - 1, argv + 1);
    }
    return run_nothing(argc, argv);
}

int cli_main(int argc, char **argv)
{
    cli_failure_begin();
    const int status = run(argc, argv);
    cli_failure_end(status);
    /* What was printed counts only when it got out. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "setu: standard output: %s\n", strerror(errno));
        return status == CLI_OK ? CLI_NEGATIVE : status;
    }
    return status;
}

struct json_t *cli_ask(const char *verb, const char *config_file, char **operands,
                       int operand_count)
{
    struct json_t *answer = NULL;
    const struct cli_failure kept = cli_failure_set_aside();
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, verb) == 0) {
            const struct cli_call call = {
                .verb = &verbs[i],
                .config_file = config_file,
                .json = true,
                .operands = operands,
                .operand_count = operand_count,
                .answer_r = &answer,
            };
            (void)verbs[i].run(&call);
        }
    }
    cli_failure_take_back(kept);
    return answer;
}

bool cli_number(const char *text, unsigned long min, unsigned long max, unsigned long *number_r)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *number_r = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *number_r >= min && *number_r <= max;
}
