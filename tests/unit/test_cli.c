/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/pki_kit.h"

enum { ARGUMENTS_MAX = 16, TEXT_MAX = 65536 };

static char folder[] = "/tmp/setu-cli-XXXXXX";
static char path[64], out[TEXT_MAX], err[TEXT_MAX];

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void teardown(void)
{
    static const char *const names[] = {"in",          "out",       "err",        "users.yaml",
                                        "setu.yaml",   "password",  "stats",      "audit.log",
                                        "signing.key", "public.pem"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

TestSuite(cli, .init = setup, .fini = teardown);

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, 0600);
}

static void read_file(const char *name, char text[TEXT_MAX])
{
    FILE *file = fopen(in_folder(name), "r");
    cr_assert_not_null(file);
    text[fread(text, 1, TEXT_MAX - 1, file)] = '\0';
    fclose(file);
}

static int open_as(const char *name, int flags, int number)
{
    int kept = dup(number);
    int fd = open(in_folder(name), flags, 0600);
    cr_assert(kept >= 0 && fd >= 0 && dup2(fd, number) == number);
    close(fd);
    return kept;
}

static void restore(int kept, int number)
{
    dup2(kept, number);
    close(kept);
}

/* Runs one command line, split at spaces ("@" is the folder), with `input` on standard input. */
static int setu(const char *line, const char *input)
{
    char words[1024], *argv[ARGUMENTS_MAX] = {NULL};
    size_t used = 0;
    int argc = 0;
    for (const char *c = line; *c != '\0'; c++) {
        used += (size_t)snprintf(words + used, sizeof words - used, "%s%c", *c == '@' ? folder : "",
                                 *c == '@' ? '/' : *c);
    }
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    write_file("in", input);
    fflush(stdout);
    int kept_in = open_as("in", O_RDONLY, STDIN_FILENO);
    int kept_out = open_as("out", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
    int kept_err = open_as("err", O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    int status = cli_main(argc, argv);
    fflush(stdout);
    fflush(stderr);
    restore(kept_in, STDIN_FILENO);
    restore(kept_out, STDOUT_FILENO);
    restore(kept_err, STDERR_FILENO);
    read_file("out", out);
    read_file("err", err);
    return status;
}

static void expect(const char *line, int status, const char *in_out, const char *in_err)
{
    int got = setu(line, "");
    cr_assert_eq(got, status, "%s: %d\n%s%s", line, got, out, err);
    cr_assert_not_null(strstr(out, in_out), "%s: %s", line, out);
    cr_assert_not_null(strstr(err, in_err), "%s: %s", line, err);
}

static json_t *parse(void)
{
    json_error_t error;
    json_t *root = json_loads(out, 0, &error);
    cr_assert_not_null(root, "%s: %s", error.text, out);
    return root;
}

/* ---- the frame ---- */

Test(cli, every_verb_helps)
{
    const struct cli_verb *verb = NULL;
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        char line[64], usage[64];
        snprintf(usage, sizeof usage, "usage: setu %s [OPTION...]", verb->name);
        snprintf(line, sizeof line, "setu %s --help", verb->name);
        expect(line, CLI_OK, usage, "");
        cr_assert_not_null(strstr(out, "--output"));
        cr_assert_eq(verb->config, strstr(out, "--config") != NULL);
        snprintf(line, sizeof line, "setu help %s", verb->name);
        expect(line, CLI_OK, usage, "");
        cr_assert_null(strstr(out, "\x1b"), "no colour");
        for (char *text = strtok(out, "\n"); text != NULL; text = strtok(NULL, "\n")) {
            cr_assert_leq(strlen(text), 100, "%s", text);
        }
    }
}

/* What cannot work, of every verb. */
static const struct {
    const char *verb, *operands;
    int status;
} failing[] = {
    {"run", "-c @none", CLI_BAD_CONFIG},
    {"reload", "--socket @none", CLI_NEGATIVE},
    {"drain", "--socket @none", CLI_NEGATIVE},
    {"status", "--socket @none", CLI_NEGATIVE},
    {"certs", "--socket @none", CLI_NEGATIVE},
    {"check", "-c @none", CLI_BAD_CONFIG},
    {"doctor", "-c @none", CLI_BAD_CONFIG},
    {"probe", "-c @none h:1", CLI_BAD_CONFIG},
    {"map list", "-c @none", CLI_BAD_CONFIG},
    {"map explain", "-c @none x", CLI_BAD_CONFIG},
    {"map diff", "@none @none", CLI_BAD_CONFIG},
    {"map lint", "-c @none", CLI_BAD_CONFIG},
    {"map test", "-c @none @none", CLI_BAD_CONFIG},
    {"map export", "-c @none", CLI_BAD_CONFIG},
    {"map unused", "-c @none", CLI_BAD_CONFIG},
    {"audit verify", "@none", CLI_BAD_CONFIG},
    {"audit show", "@none", CLI_BAD_CONFIG},
    {"audit query", "@none", CLI_BAD_CONFIG},
    {"audit export", "@none", CLI_BAD_CONFIG},
    {"audit bundle", "-c @none @evidence.tar", CLI_BAD_CONFIG},
    {"audit keygen", "@none/key", CLI_BAD_CONFIG},
    {"ledger verify", "@none", CLI_USAGE},
    {"ledger show", "@none", CLI_USAGE},
    {"scram make", "u --password-file @none", CLI_NEGATIVE},
    {"scram verify", "u --users @none", CLI_BAD_CONFIG},
    {"scram import", "@none", CLI_NEGATIVE},
    {"version", "none", CLI_USAGE},
    {"help", "none", CLI_USAGE},
};

/* Exactly one document, and it says what is wrong. */
static void expect_failure(const char *line, int status)
{
    const int got = setu(line, "");
    cr_assert_eq(got, status, "%s: %d\n%s%s", line, got, out, err);
    json_t *root = parse();
    cr_assert(json_is_false(json_object_get(root, "ok")), "%s: %s", line, out);
    cr_assert_gt(json_string_length(json_object_get(root, "error")), 5, "%s: %s", line, out);
    json_decref(root);
}

Test(cli, what_fails_with_json_prints_one_object)
{
    const struct cli_verb *verb = NULL;
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        char line[128];
        cr_assert_lt(i, sizeof failing / sizeof *failing, "%s is missing above", verb->name);
        cr_assert_str_eq(failing[i].verb, verb->name);
        snprintf(line, sizeof line, "setu %s -o json %s", verb->name, failing[i].operands);
        expect_failure(line, failing[i].status);
        cr_assert_not_null(strstr(out, "none"), "%s: it says which: %s", line, out);
        snprintf(line, sizeof line, "setu %s --bogus --output=json", verb->name);
        expect_failure(line, CLI_USAGE);
        snprintf(line, sizeof line, "setu %s -o json -o xml -o json", verb->name);
        expect_failure(line, CLI_USAGE);
    }
    expect_failure("setu bogus -o json", CLI_USAGE);
    expect_failure("setu map -o json", CLI_USAGE);
    expect_failure("setu map bogus -o json", CLI_USAGE);
    expect_failure("setu -o json", CLI_USAGE);
    expect_failure("setu -o json check", CLI_USAGE);
    expect_failure("setu help map bogus -o json", CLI_USAGE);
}

static const char *const groups[] = {"map", "audit", "ledger", "scram"};

Test(cli, every_group_helps)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        const size_t length = strlen(groups[i]);
        const struct cli_verb *verb = NULL;
        char line[64], word[64];
        snprintf(line, sizeof line, "setu %s", groups[i]);
        expect(line, CLI_USAGE, "", "usage: setu ");
        cr_expect_str_eq(out, "");
        snprintf(line, sizeof line, "setu %s --help", groups[i]);
        expect(line, CLI_OK, "usage: setu ", "");
        cr_expect_str_eq(err, "");
        cr_expect_null(strstr(out, " \n"), "%s", out);
        for (size_t k = 0; (verb = cli_verb_at(k)) != NULL; k++) {
            if (strncmp(verb->name, groups[i], length) != 0) {
                continue;
            }
            snprintf(word, sizeof word, " setu %s [", verb->name);
            cr_expect_not_null(strstr(out, word), "%s", word);
            const struct cli_option *option = verb->options;
            for (; option != NULL && option->name != NULL; option++) {
                snprintf(word, sizeof word, "[--%s%s%s]", option->name,
                         option->argument != NULL ? " " : "",
                         option->argument != NULL ? option->argument : "");
                cr_expect_not_null(strstr(out, word), "%s", word);
            }
        }
        for (char *text = strtok(out, "\n"); text != NULL; text = strtok(NULL, "\n")) {
            cr_expect_leq(strlen(text), 100, "%s", text);
        }
        snprintf(line, sizeof line, "setu help %s", groups[i]);
        expect(line, CLI_OK, "usage: setu ", "");
    }
}

static size_t verbs_in(const char *line)
{
    cr_assert_eq(setu(line, ""), CLI_OK, "%s: %s%s", line, out, err);
    json_t *root = parse();
    const size_t count = json_array_size(json_object_get(root, "verbs"));
    json_decref(root);
    return count;
}

Test(cli, help_is_json_when_asked_for)
{
    cr_assert_eq(setu("setu help map lint -o json", ""), CLI_OK);
    json_t *root = parse();
    cr_expect_str_eq(json_string_value(json_object_get(root, "name")), "map lint");
    cr_expect_gt(json_array_size(json_object_get(root, "options")), 4);
    json_decref(root);
    cr_assert_eq(setu("setu map lint --help -o json", ""), CLI_OK);
    json_decref(parse());
    cr_expect_eq(verbs_in("setu help -o json"), sizeof failing / sizeof *failing);
    cr_expect_eq(verbs_in("setu --help -o json"), sizeof failing / sizeof *failing);
    cr_expect_eq(verbs_in("setu help audit -o json"), 6);
    cr_expect_eq(verbs_in("setu ledger --help -o json"), 2);
}

Test(cli, usage_errors)
{
    expect("setu", CLI_USAGE, "", "usage: setu VERB");
    expect("setu --help", CLI_OK, "usage: setu VERB", "");
    expect("setu --version", CLI_OK, "setu " SETU_VERSION, "");
    expect("setu bogus", CLI_USAGE, "", "no verb `bogus`");
    expect("setu scram", CLI_USAGE, "", "setu scram verify [--users FILE]");
    expect("setu map", CLI_USAGE, "", "setu map explain");
    expect("setu check --nope", CLI_USAGE, "", "unknown option `--nope`");
    expect("setu check -x", CLI_USAGE, "", "unknown option");
    expect("setu check -c", CLI_USAGE, "", "needs a value");
    expect("setu check --output xml", CLI_USAGE, "", "not `xml`");
    expect("setu map list --output csv", CLI_USAGE, "", "text or json, not `csv`");
    expect("setu map export --output xml", CLI_USAGE, "", "text, json or csv, not `xml`");
    expect("setu map bogus --help", CLI_USAGE, "", "no verb `map bogus`");
    expect("setu audit export --format cef -o json x", CLI_USAGE, "", "leave -o json away");
    expect("setu audit export --format csv -o json x", CLI_USAGE, "", "leave -o json away");
    expect("setu check extra", CLI_USAGE, "", "one operand too many");
    expect("setu scram make", CLI_USAGE, "", "USER is missing");
    expect("setu scram make u --iterations 4095", CLI_USAGE, "", "4096 to 1000000");
    expect("setu scram make u --iterations 5000x", CLI_USAGE, "", "4096 to 1000000");
    expect("setu scram make u --mechanism PLAIN", CLI_USAGE, "", "not `PLAIN`");
    expect("setu scram verify u", CLI_USAGE, "", "--users FILE is missing");
    expect("setu version -c x", CLI_USAGE, "", "unknown option");
}

Test(cli, version_json)
{
    cr_assert_eq(setu("setu version -o json", ""), CLI_OK);
    json_t *root = parse();
    cr_assert_str_eq(json_string_value(json_object_get(root, "version")), SETU_VERSION);
    json_decref(root);
}

Test(cli, numbers)
{
    unsigned long n = 0;
    cr_assert(cli_number("10", 1, 10, &n) && n == 10);
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "11", "0", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(cli_number(bad[i], 1, 10, &n), "%s", bad[i]);
    }
}

/* ---- scram ---- */

Test(cli, scram_make_and_verify)
{
    cr_assert_eq(setu("setu scram make orders --iterations 4096", "pencil\n"), CLI_OK);
    cr_assert_null(strstr(out, "pencil"));
    write_file("users.yaml", out);
    cr_assert_eq(setu("setu scram verify orders --users @users.yaml", "pencil"), CLI_OK);
    cr_assert_str_eq(out, "matches\n");
    cr_assert_eq(
        setu("setu scram verify orders --users @users.yaml --mechanism PLAIN", "pencil\r\n"),
        CLI_OK);
    cr_assert_eq(setu("setu scram verify orders --users @users.yaml", "pen\n"), CLI_NEGATIVE);
    cr_assert_str_eq(out, "does_not_match\n");
    cr_assert_eq(setu("setu scram verify nobody --users @users.yaml", "pencil\n"), CLI_NEGATIVE);
    cr_assert_str_eq(out, "unknown_user\n");
    cr_assert_eq(
        setu("setu scram verify orders --users @users.yaml --mechanism SCRAM-SHA-256", "pencil\n"),
        CLI_NEGATIVE);
    cr_assert_str_eq(out, "no_record\n");
    cr_assert_eq(setu("setu scram verify orders --users @none.yaml", "pencil"), CLI_BAD_CONFIG);
}

Test(cli, scram_make_from_file)
{
    write_file("password", "pencil\n");
    cr_assert_eq(setu("setu scram make orders --password-file @password -o json", ""), CLI_OK);
    json_t *root = parse();
    cr_assert_not_null(json_object_get(root, "scram-sha-512"));
    json_decref(root);
    chmod(in_folder("password"), 0644);
    cr_assert_eq(setu("setu scram make orders --password-file @password", ""), CLI_NEGATIVE);
    cr_assert_not_null(strstr(err, "password"));
}

Test(cli, scram_make_refuses)
{
    char longest[300];
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_assert_eq(setu("setu scram make orders", ""), CLI_NEGATIVE);
    cr_assert_eq(setu("setu scram make orders", "\n"), CLI_NEGATIVE);
    cr_assert_eq(setu("setu scram make orders", longest), CLI_NEGATIVE);
    cr_assert_eq(setu("setu scram make or\001ders", "pencil"), CLI_USAGE);
}

Test(cli, scram_import)
{
    static const char line[] =
        "Configs for user-principal 'orders' are SCRAM-SHA-256=salt=MTIzNDU2Nzg5MGFi,stored_key="
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,server_key="
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,iterations=4096\n";
    cr_assert_eq(setu("setu scram import", line), CLI_OK);
    cr_assert_not_null(strstr(out, "users:\n  - name: \"orders\"\n    scram-sha-256: \"salt="));
    cr_assert_eq(setu("setu scram import -o json", line), CLI_OK);
    json_t *root = parse();
    cr_assert_eq(json_array_size(json_object_get(root, "users")), 1);
    json_decref(root);
    cr_assert_eq(setu("setu scram import", "nothing\n"), CLI_NEGATIVE);
    cr_assert_eq(setu("setu scram import @none", ""), CLI_NEGATIVE);
}

/* ---- configuration ---- */

static const char config[] =
    "audit: {file: \"\"}\n"
    "users: {file: users.yaml}\n"
    "certificates: [{name: orders, chain: /none.pem, key: /none.key}]\n"
    "mapping:\n"
    "  - {principal: orders, certificate: orders}\n"
    "  - {principal_glob: \"svc-*\", certificate: orders}\n"
    "listeners:\n"
    "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1000, advertised_host: localhost,\n"
    "     node_base_port: 2000, mechanisms: [SCRAM-SHA-512]}\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:1\"]\n"
    "    generations:\n"
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough}\n";

Test(cli, a_failure_has_its_place)
{
    char text[2048];
    snprintf(text, sizeof text, "workers: 1\nnonsense: 1\nrubbish: 2\n%s", config);
    write_file("setu.yaml", text);
    expect_failure("setu map lint -c @setu.yaml -o json", CLI_BAD_CONFIG);
    json_t *root = parse();
    cr_expect_eq(json_integer_value(json_object_get(root, "line")), 2, "%s", out);
    cr_expect_eq(json_integer_value(json_object_get(root, "column")), 1);
    cr_expect_str_eq(json_string_value(json_object_get(root, "file")), in_folder("setu.yaml"));
    cr_expect_geq(json_array_size(json_object_get(root, "problems")), 2);
    json_decref(root);
    expect_failure("setu audit show @none -o json", CLI_BAD_CONFIG);
    root = parse();
    cr_expect_str_eq(json_string_value(json_object_get(root, "file")), in_folder("none"));
    cr_expect_null(json_object_get(root, "line"));
    cr_expect_null(json_object_get(root, "problems"), "there is but one");
    json_decref(root);
    cr_assert_eq(setu("setu scram import -o json", "nothing\n"), CLI_NEGATIVE);
    root = parse();
    cr_expect_null(json_object_get(root, "users"));
    json_decref(root);
    cr_assert_eq(setu("setu map lint -c @setu.yaml", ""), CLI_BAD_CONFIG);
    cr_expect_str_eq(out, "", "the state is that of one command line");
}

Test(cli, check_lists_every_problem)
{
    write_file("setu.yaml", config);
    cr_assert_eq(setu("setu check -c @setu.yaml", ""), CLI_BAD_CONFIG);
    cr_assert_not_null(strstr(err, "setu.yaml:3:"), "%s", err);
    cr_assert_not_null(strstr(err, "/none.pem"));
    cr_assert_not_null(strstr(err, "/none.key"));
    cr_assert_eq(setu("setu check -c @setu.yaml -o json", ""), CLI_BAD_CONFIG);
    json_t *root = parse();
    cr_assert(json_is_false(json_object_get(root, "ok")));
    cr_assert_geq(json_array_size(json_object_get(root, "problems")), 2);
    json_decref(root);
    write_file("setu.yaml", "nonsense: 1\n");
    expect("setu check -c @setu.yaml", CLI_BAD_CONFIG, "", "setu.yaml:1:1");
    expect("setu check -c @none", CLI_BAD_CONFIG, "", "none");
    expect("setu run -c @none", CLI_BAD_CONFIG, "", "none");
    expect("setu probe -c @none h:1", CLI_BAD_CONFIG, "", "none");
    expect("setu map explain -c @none x", CLI_BAD_CONFIG, "", "none");
}

static const char fit[] =
    "limits: {connections: 10}\n"
    "audit: {file: %s/audit.log}\n"
    "users: {file: %s/users.yaml}\n"
    "listeners:\n"
    "  - {name: l, cluster: main, bind: 127.0.0.1, port: 10000, advertised_host: localhost,\n"
    "     node_base_port: 10001, node_ports_max: 9, mechanisms: [SCRAM-SHA-512]}\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:1\"]\n"
    "    identity: {sasl: {mechanism: PLAIN, username: u, password_file: %s/password}}\n"
    "    generations:\n"
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough}\n";

static void write_fit(const char *audit_folder)
{
    char text[2048];
    cr_assert_eq(setu("setu scram make orders --iterations 4096", "pencil\n"), CLI_OK);
    write_file("users.yaml", out);
    write_file("password", "secret");
    snprintf(text, sizeof text, fit, audit_folder, folder, folder);
    write_file("setu.yaml", text);
}

/* The status of a check in what doctor printed as JSON; the worst of several. "" none. */
static const char *doctor_says(const char *check)
{
    static char worst[8];
    json_t *root = parse();
    json_t *row = NULL;
    size_t i = 0;
    worst[0] = '\0';
    cr_assert(json_is_boolean(json_object_get(root, "ok")));
    cr_assert(json_is_integer(json_object_get(root, "warnings")));
    cr_assert(json_is_integer(json_object_get(root, "failures")));
    cr_assert_gt(json_array_size(json_object_get(root, "findings")), 5);
    json_array_foreach(json_object_get(root, "findings"), i, row)
    {
        const char *name = json_string_value(json_object_get(row, "check"));
        const char *status = json_string_value(json_object_get(row, "status"));
        cr_assert_eq(json_object_size(row), 6);
        cr_assert(json_is_string(json_object_get(row, "what")));
        cr_assert_gt(json_string_length(json_object_get(row, "why")), 10, "%s", name);
        const bool good = strcmp(status, "ok") == 0;
        cr_assert_eq(good, json_is_null(json_object_get(row, "fix")), "%s", name);
        cr_assert(good || json_string_length(json_object_get(row, "fix")) > 5, "%s", name);
        if (strcmp(name, check) == 0 && strcmp(worst, "fail") != 0) {
            snprintf(worst, sizeof worst, "%s", status);
        }
    }
    json_decref(root);
    return worst;
}

Test(cli, doctor_finds_a_fit_machine_fit)
{
    write_fit(folder);
    int status = setu("setu doctor -c @setu.yaml --stats-file @stats -o json", "");
    cr_assert_str_eq(doctor_says("configuration"), "ok", "%s%s", out, err);
    cr_assert_str_eq(doctor_says("audit"), "ok");
    cr_assert_str_eq(doctor_says("stats"), "ok");
    cr_assert_str_eq(doctor_says("descriptors"), "ok");
    cr_assert_str_eq(doctor_says("ports"), "ok");
    cr_assert_neq(doctor_says("aes")[0], '\0');
    cr_assert_neq(doctor_says("crc32c")[0], '\0');
    cr_assert_eq(status, CLI_OK, "%s", out);
    expect("setu doctor -c @setu.yaml", CLI_OK, " 0 failures\n", "");
    cr_assert_null(strstr(out, "\x1b"));
}

Test(cli, doctor_exit_statuses)
{
    write_fit("/nonexistent");
    expect("setu doctor -c @setu.yaml", CLI_NEGATIVE, "fail  audit ", "");
    cr_assert_not_null(strstr(out, "=> create the directory"));
    cr_assert_eq(setu("setu doctor -c @setu.yaml -o json --stats-file @no/stats", ""),
                 CLI_NEGATIVE);
    cr_assert_str_eq(doctor_says("audit"), "fail");
    cr_assert_str_eq(doctor_says("stats"), "fail");
    write_file("setu.yaml", config);
    cr_assert_eq(setu("setu doctor -c @setu.yaml -o json", ""), CLI_BAD_CONFIG);
    cr_assert_str_eq(doctor_says("configuration"), "fail");
    cr_assert_not_null(strstr(out, "/none.key"), "%s", out);
    cr_assert_neq(doctor_says("descriptors")[0], '\0', "limits are judged all the same");
    cr_assert_eq(setu("setu doctor -c @none -o json", ""), CLI_BAD_CONFIG);
    cr_assert_str_eq(doctor_says("configuration"), "fail");
    cr_assert_neq(doctor_says("cpu")[0], '\0', "the machine is judged all the same");
    expect("setu doctor extra", CLI_USAGE, "", "one operand too many");
    expect("setu doctor --help", CLI_OK, "because of the configuration or a file it reads", "");
}

static const char with_credentials[] =
    "audit: {file: audit.log, signing_key: 'credential:audit.key'}\n"
    "certificates: [{name: orders, chain: /none.pem, key: /none.key}]\n"
    "mapping: [{principal: orders, certificate: orders}]\n"
    "users: {file: users.yaml}\n"
    "listeners:\n"
    "  - {name: l, cluster: main, bind: 127.0.0.1, port: 10000, advertised_host: localhost,\n"
    "     node_base_port: 10001, node_ports_max: 9, mechanisms: [SCRAM-SHA-512]}\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:1\"]\n"
    "    identity: {certificate: orders}\n"
    "    generations:\n"
    "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: 'credential:ca.pem'}}\n";

/* What lies in the working folder by the name of a credential is no credential. */
Test(cli, credentials_without_a_folder_of_them_are_told_and_not_looked_for)
{
    const struct pki_options options = {.common_name = "Root", .authority = true};
    pki_open();
    struct pki_cert authority = pki_make(&options, NULL);
    pki_write_cert("credential:ca.pem", authority.cert);
    pki_write_cert("ca.pem", authority.cert);
    write_file("setu.yaml", with_credentials);
    unsetenv("CREDENTIALS_DIRECTORY");
    cr_assert_eq(chdir(pki_path(".")), 0);
    cr_assert_eq(setu("setu doctor -c @setu.yaml -o json", ""), CLI_BAD_CONFIG);
    cr_expect_str_eq(doctor_says("configuration"), "fail");
    cr_expect_not_null(
        strstr(out, "'credential:ca.pem' is a credential, but CREDENTIALS_DIRECTORY"));
    cr_expect_not_null(strstr(out, "'credential:audit.key' is a credential, but"));
    cr_expect_str_eq(doctor_says("authorities"), "", "%s", out);
    expect("setu audit bundle -c @setu.yaml @evidence.tar", CLI_BAD_CONFIG, "",
           "'credential:audit.key' is a credential, but CREDENTIALS_DIRECTORY names no folder");
    cr_assert_eq(setenv("CREDENTIALS_DIRECTORY", pki_path("."), 1), 0);
    cr_assert_eq(setu("setu doctor -c @setu.yaml -o json", ""), CLI_BAD_CONFIG);
    cr_expect_null(strstr(out, "CREDENTIALS_DIRECTORY"), "%s", out);
    cr_expect_str_eq(doctor_says("authorities"), "ok", "%s", out);
    expect("setu audit bundle -c @setu.yaml @evidence.tar", CLI_BAD_CONFIG, "", "/audit.key");
    pki_free(&authority);
    pki_close();
}

Test(cli, map_explain)
{
    write_file("setu.yaml", config);
    expect("setu map explain -c @setu.yaml orders svc-1", CLI_OK, "=> mapped to orders by", "");
    expect("setu map explain orders nobody -c @setu.yaml", CLI_NEGATIVE, "=> unmapped", "");
    expect("setu map explain a\x1b[31m -c @setu.yaml", CLI_NEGATIVE, "a\\u001b[31m\n  => refused",
           "");
    cr_assert_eq(setu("setu map explain -o json orders nobody a\xff -c @setu.yaml", ""),
                 CLI_NEGATIVE);
    json_t *root = parse();
    json_t *list = json_object_get(root, "principals");
    cr_assert_eq(json_array_size(list), 3);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), "certificate")),
                     "orders");
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 2), "outcome")),
                     "refused");
    json_decref(root);
}

Test(cli, probe_addresses)
{
    write_file("setu.yaml", config);
    static const char *const bad[] = {"h",     "h:",     ":1",      "h:0",   "h:65536", "h:1x",
                                      "::1:1", "[::1:1", "h\x01:1", "a/b:1", "[]:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "setu probe -c @setu.yaml %s", bad[i]);
        expect(line, CLI_USAGE, "", "is not HOST:PORT");
    }
    expect("setu probe -c @setu.yaml h:1 --cluster x", CLI_USAGE, "", "no cluster `x`");
    expect("setu probe -c @setu.yaml h:1 --generation x", CLI_USAGE, "", "no generation `x`");
    expect("setu probe -c @setu.yaml h:1 --timeout-ms 0", CLI_USAGE, "", "--timeout-ms");
}

/* ---- audit ---- */

/* Whoever cuts the log to nothing leaves nothing that is wrong; but nothing vouches for that either. */
Test(cli, an_empty_audit_log_holds_but_nobody_vouches_for_it)
{
    static char key[TEXT_MAX];
    expect("setu audit keygen @signing.key", CLI_OK, "BEGIN PUBLIC KEY", "");
    snprintf(key, sizeof key, "%s", strstr(out, "-----BEGIN"));
    write_file("public.pem", key);
    write_file("audit.log", "");
    expect("setu audit verify @audit.log", CLI_OK, "0 good records", "");
    expect("setu audit verify --key @public.pem @audit.log", CLI_NEGATIVE,
           "no checkpoint vouches", "");
    expect("setu audit verify --signed @audit.log", CLI_NEGATIVE,
           "complaint", "");
    expect("setu audit verify --signed --key @public.pem @audit.log", CLI_NEGATIVE,
           "complaint", "");
    expect("setu audit verify -o json --key @public.pem @audit.log", CLI_NEGATIVE,
           "\"ok\": false", "");
}
