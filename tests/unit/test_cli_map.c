/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs `setu map …`: what they print, and their exit statuses. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/audit.h"
#include "proxy/cli/cli.h"
#include "tests/unit/pki_kit.h"

enum { TEXT_MAX = 65536, WORDS_MAX = 16 };

static char out[TEXT_MAX], err[TEXT_MAX];

/* ---- one command ---- */

static int redirect(const char *name, int number)
{
    const int kept = dup(number);
    const int fd = open(pki_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(kept >= 0 && fd >= 0 && dup2(fd, number) == number);
    close(fd);
    return kept;
}

static void restore(int kept, int number, const char *name, char text[TEXT_MAX])
{
    dup2(kept, number);
    close(kept);
    FILE *file = fopen(pki_path(name), "r");
    cr_assert_not_null(file);
    text[fread(text, 1, TEXT_MAX - 1, file)] = '\0';
    fclose(file);
}

/* Runs one command line, split at spaces; "@" is the folder. */
static int setu(const char *line)
{
    char words[4096], *argv[WORDS_MAX] = {NULL};
    size_t used = 0;
    int argc = 0;
    for (const char *c = line; *c != '\0'; c++) {
        used += (size_t)snprintf(words + used, sizeof words - used, "%s%c",
                                 *c == '@' ? pki_path("") : "", *c);
        used -= *c == '@' ? 1 : 0;
    }
    words[used] = '\0';
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    fflush(stdout);
    const int kept_out = redirect("out", STDOUT_FILENO), kept_err = redirect("err", STDERR_FILENO);
    const int status = cli_main(argc, argv);
    fflush(stdout);
    fflush(stderr);
    restore(kept_out, STDOUT_FILENO, "out", out);
    restore(kept_err, STDERR_FILENO, "err", err);
    return status;
}

static void expect(const char *line, int status, const char *in_out, const char *in_err)
{
    const int got = setu(line);
    cr_assert_eq(got, status, "%s: %d\n%s%s", line, got, out, err);
    cr_assert_not_null(strstr(out, in_out), "%s: '%s' is not in\n%s", line, in_out, out);
    cr_assert_not_null(strstr(err, in_err), "%s: '%s' is not in\n%s", line, in_err, err);
}

static json_t *parse(void)
{
    json_error_t error;
    json_t *root = json_loads(out, 0, &error);
    cr_assert_not_null(root, "%s\n%s", error.text, out);
    return root;
}

static const char *text_at(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "(null)";
}

/* ---- a folder with a configuration ---- */

#define RULES                                                                                      \
    "  - {name: orders-old, principal: orders, when: {generation: old}, certificate: old}\n"       \
    "  - {name: orders-new, principal: orders, when: {generation: new}, certificate: new,\n"       \
    "     owner: o, ticket: T-1, approver: a, review_by: \"2099-01-01\",\n"                        \
    "     intended_principal: \"User:orders\"}\n"                                                  \
    "  - {principal_glob: \"svc-*\", certificate: new}\n"

static void write_config(const char *name, const char *rules)
{
    char text[16384];
    snprintf(text, sizeof text,
             "audit: {file: %s}\n"
             "certificates:\n"
             "  - {name: old, chain: %s, key: %s}\n"
             "  - {name: new, chain: %s, key: %s}\n"
             "mapping:\n%s"
             "clusters:\n"
             "  - name: main\n"
             "    bootstrap: [\"127.0.0.1:1\"]\n"
             "    identity: {certificate: old}\n"
             "    generations:\n"
             "      - {name: old, match: {node_ids: \"1-3\"}, protocol: SSL,\n"
             "         login: mapped-certificate, tls: {ca: /ca.pem}}\n"
             "      - {name: new, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem},\n"
             "         ssl_principal_mapping_rules: 'RULE:^CN=([^,]+)$/$1/'}\n"
             "listeners:\n"
             "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1000, node_base_port: 2000,\n"
             "     advertised_host: localhost, mechanisms: [SCRAM-SHA-512, PLAIN]}\n"
             "users: {file: /none.yaml}\n",
             pki_path("audit.log"), pki_path("old.pem"), pki_path("old.key"), pki_path("new.pem"),
             pki_path("new.key"), rules);
    pki_write_text(name, 0600, text);
}

static void make_pair(const char *name, const char *common_name, const struct pki_cert *issuer)
{
    char file[64];
    struct pki_cert made = pki_make(
        &(struct pki_options){.common_name = common_name, .ext_usage = "clientAuth"}, issuer);
    snprintf(file, sizeof file, "%s.pem", name);
    pki_write_cert(file, made.cert);
    snprintf(file, sizeof file, "%s.key", name);
    pki_write_key(file, 0400, made.key, NULL);
    pki_free(&made);
}

static void setup(void)
{
    pki_open();
    struct pki_cert authority =
        pki_make(&(struct pki_options){.common_name = "ca", .authority = true}, NULL);
    make_pair("old", "=1+1", &authority);
    make_pair("new", "orders", &authority);
    pki_free(&authority);
    write_config("setu.yaml", RULES);
}

TestSuite(cli_map, .init = setup, .fini = pki_close);

/* A log with a decision for each principal, at one day each, from the first on. */
static void write_audit(const char *const *principals, const int *days_ago, size_t count)
{
    struct audit_chain chain;
    struct writer log;
    audit_chain_init(&chain, "test");
    writer_init_growing(&log, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        struct audit_event event =
            audit_event_init(principals[i][0] != '\0' ? AUDIT_MAPPING_DECIDED : AUDIT_START);
        event.principal = principals[i];
        event.listener = "l";
        event.cluster = "main";
        event.generation = "new";
        event.mechanism = "PLAIN";
        event.client_address = "192.0.2.9:1234";
        event.time_ns = ((int64_t)time(NULL) - days_ago[i] * INT64_C(86400)) * 1000000000;
        cr_assert(audit_encode(&chain, &event, event.time_ns, &log));
    }
    FILE *file = fopen(pki_path("audit.log"), "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(writer_view(&log).at, 1, log.length, file), log.length);
    fclose(file);
    writer_free(&log);
}

/* ---- the verbs ---- */

Test(cli_map, list)
{
    expect("setu map list -c @setu.yaml", CLI_OK, "orders-new (", "");
    cr_assert_not_null(strstr(out, "    when: generation=old\n"), "%s", out);
    cr_assert_not_null(strstr(out, "3 of 3 rules, mapping "));
    cr_assert_eq(setu("setu map list -o json -c @setu.yaml"), CLI_OK);
    json_t *root = parse(), *rules = json_object_get(root, "rules");
    cr_assert_eq(json_array_size(rules), 3);
    cr_assert_eq(strlen(text_at(root, "mapping_hash")), 64);
    cr_assert_eq(strlen(text_at(root, "config_hash")), 64);
    cr_assert_str_eq(text_at(json_array_get(rules, 1), "approver"), "a");
    json_decref(root);
}

Test(cli_map, list_who_can_become_somebody)
{
    /* by the brokers' rules: new ones cut the name out of the subject, old ones do not */
    expect("setu map list --as User:orders -c @setu.yaml", CLI_OK, "orders-new (", "");
    cr_assert_not_null(strstr(out, "glob `svc-*` -> new\n2 of 3 rules"), "%s", out);
    expect("setu map list --as CN=orders -c @setu.yaml", CLI_OK, "glob `svc-*` -> new\n1 of 3",
           "");
    expect("setu map list --as nobody -c @setu.yaml", CLI_OK, "0 of 3 rules", "");
    unlink(pki_path("old.pem"));
    expect("setu map list --as orders -c @setu.yaml", CLI_BAD_CONFIG, "2 of 3 rules", "old.pem");
}

Test(cli_map, explain_tells_places_apart_where_answers_differ)
{
    expect("setu map explain orders -c @setu.yaml", CLI_OK,
           "  at cluster=main generation=old listener=l mechanism=SCRAM-SHA-512\n", "");
    cr_assert_not_null(strstr(out, "=> mapped to old by orders-old ("), "%s", out);
    cr_assert_not_null(strstr(out, "=> mapped to new by orders-new ("), "%s", out);
    cr_assert_not_null(strstr(out, "brokers of main/new take it for: User:orders\n"), "%s", out);
    cr_assert_not_null(strstr(out, "(does not hold for this generation)"), "%s", out);
    expect("setu map explain orders -c @setu.yaml --generation new", CLI_OK,
           "=> mapped to new by orders-new", "");
    cr_assert_null(strstr(out, "at cluster="));
    expect("setu map explain orders -c @setu.yaml --broker 2", CLI_OK, "=> mapped to old", "");
    cr_assert_null(strstr(out, "mapped to new"), "%s", out);
    expect("setu map explain orders -c @setu.yaml --broker 4", CLI_OK, "=> mapped to new", "");
    cr_assert_null(strstr(out, "mapped to old"), "%s", out);
    expect("setu map explain nobody -c @setu.yaml", CLI_NEGATIVE, "=> unmapped", "");
    expect("setu map explain x -c @setu.yaml --listener k", CLI_USAGE, "", "no listener `k`");
    expect("setu map explain x -c @setu.yaml --mechanism SSL", CLI_USAGE, "", "no mechanism `SSL`");
    expect("setu map explain x -c @setu.yaml --broker x", CLI_USAGE, "", "--broker is a node id");
}

Test(cli_map, explain_as_json)
{
    cr_assert_eq(setu("setu map explain orders svc-1 -o json -c @setu.yaml"), CLI_OK);
    json_t *root = parse(), *list = json_object_get(root, "principals");
    const json_t *orders = json_array_get(list, 0), *svc = json_array_get(list, 1);
    cr_assert_str_eq(text_at(orders, "outcome"), "depends");
    const json_t *cases = json_object_get(orders, "cases");
    cr_assert_eq(json_array_size(cases), 2);
    const json_t *first = json_array_get(cases, 0);
    cr_assert_str_eq(text_at(first, "certificate"), "old");
    cr_assert_eq(json_array_size(json_object_get(first, "where")), 2);
    cr_assert_str_eq(text_at(json_array_get(json_object_get(first, "predicted"), 0), "principal"),
                     "CN=\\=1\\+1");
    cr_assert_str_eq(text_at(svc, "certificate"), "new");
    json_decref(root);
}

Test(cli_map, diff)
{
    expect("setu map diff @setu.yaml @setu.yaml", CLI_OK, "0 changes\n", "");
    write_config("new.yaml", "  - {name: orders-old, principal: orders, when: {generation: old}, "
                             "certificate: new}\n"
                             "  - {name: orders-new, principal: orders, when: {generation: new, "
                             "mechanism: PLAIN}, certificate: new}\n"
                             "  - {principal_glob: \"sv*\", certificate: new}\n"
                             "  - {principal: extra, certificate: old}\n");
    expect("setu map diff @setu.yaml @new.yaml", CLI_NEGATIVE, "4 changes\n", "");
    cr_assert_not_null(strstr(out, "re-pointed\n  - orders-old ("), "%s", out);
    cr_assert_not_null(strstr(out, "narrowed\n  - orders-new ("), "%s", out);
    cr_assert_not_null(strstr(out, "widened\n  - "), "%s", out);
    cr_assert_not_null(strstr(out, "added\n  + "), "%s", out);
    expect("setu map diff @new.yaml @setu.yaml", CLI_NEGATIVE, "removed\n  - ", "");
    cr_assert_eq(setu("setu map diff @setu.yaml @new.yaml -o json"), CLI_NEGATIVE);
    json_t *root = parse();
    cr_assert_eq(json_array_size(json_object_get(root, "changes")), 4);
    cr_assert_str_neq(text_at(root, "old_mapping_hash"), text_at(root, "mapping_hash"));
    json_decref(root);
    expect("setu map diff @setu.yaml @none", CLI_BAD_CONFIG, "", "none");
    expect("setu map diff @setu.yaml", CLI_USAGE, "", "");
}

Test(cli_map, diff_sees_a_certificate_that_is_another_file)
{
    FILE *file = fopen(pki_path("setu.yaml"), "r");
    char text[16384];
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    char *at = strstr(text, "new.pem");
    cr_assert_not_null(at);
    memcpy(at, "old.pem", 7);
    pki_write_text("other.yaml", 0600, text);
    expect("setu map diff @setu.yaml @other.yaml", CLI_NEGATIVE, "re-pointed certificate new\n",
           "");
}

Test(cli_map, lint)
{
    expect("setu map lint --list", CLI_OK, "L20  warning  a listener without protection", "");
    expect("setu map lint -c @setu.yaml", CLI_NEGATIVE, "L19 error:", "");
    cr_assert_not_null(strstr(out, "L13 not judged: "), "%s", out);
    cr_assert_not_null(strstr(out, "setu.yaml:6:5: L12 warning: the rule has no owner"), "%s", out);
    cr_assert_eq(setu("setu map lint -c @setu.yaml -o json"), CLI_NEGATIVE);
    json_t *root = parse();
    const json_t *first = json_array_get(json_object_get(root, "findings"), 0);
    cr_assert_str_eq(text_at(first, "id"), "L01");
    cr_assert(json_is_integer(json_object_get(first, "column")));
    cr_assert_gt(json_array_size(json_object_get(root, "not_judged")), 0);
    json_decref(root);
    expect("setu map lint -c @setu.yaml --days 0", CLI_USAGE, "", "--days");
    write_config("clean.yaml", "  - {principal: orders, certificate: new}\n");
    expect("setu map lint -c @clean.yaml", CLI_OK, "0 errors, ", "");
    expect("setu map lint -c @clean.yaml --strict", CLI_NEGATIVE, "0 errors, ", "");
}

Test(cli_map, test)
{
    pki_write_text("good.yaml", 0600,
                   "cases:\n"
                   "  - {principal: orders, generation: new, certificate: new, rule: orders-new,\n"
                   "     predicted: orders}\n"
                   "  - {principal: orders, expect: mapped}\n"
                   "  - {principal: nobody, expect: unmapped}\n"
                   "  - {principal: \"a \", expect: refused}\n"
                   "  - {principal: \"a \", expect: denied}\n");
    expect("setu map test @good.yaml -c @setu.yaml", CLI_OK, "5 cases, 0 failed\n", "");
    pki_write_text("bad.yaml", 0600,
                   "cases:\n"
                   "  - {principal: orders, certificate: new}\n"
                   "  - {principal: svc-1, rule: other, generation: new}\n"
                   "  - {principal: svc-1, predicted: other, generation: new}\n"
                   "  - {principal: orders, expect: unmapped, mechanism: GSSAPI}\n"
                   "  - {name: n, principal: svc-1, expect: denied}\n");
    expect("setu map test @bad.yaml -c @setu.yaml", CLI_NEGATIVE, "5 cases, 5 failed\n", "");
    cr_assert_not_null(strstr(out, "bad.yaml:2:5: orders: wanted mapped to new, found: mapped to "
                                   "old at cluster=main generation=old"),
                       "%s", out);
    cr_assert_not_null(strstr(out, "found: brokers take it for orders"), "%s", out);
    cr_assert_not_null(strstr(out, "found: no connection is like this"), "%s", out);
    cr_assert_eq(setu("setu map test @bad.yaml -c @setu.yaml -o json"), CLI_NEGATIVE);
    json_t *root = parse();
    cr_assert_eq(json_integer_value(json_object_get(root, "failed")), 5);
    json_decref(root);
    pki_write_text("broken.yaml", 0600, "cases:\n  - {principal: x}\n");
    expect("setu map test @broken.yaml -c @setu.yaml", CLI_BAD_CONFIG, "",
           "broken.yaml:2:5: the case expects nothing");
}

Test(cli_map, export_)
{
    expect("setu map export -c @setu.yaml", CLI_OK, "# generator=setu ", "");
    cr_assert_not_null(strstr(out, "\r\nrule,file,line,kind,principal,when,mechanisms,"), "%s",
                       out);
    cr_assert_not_null(strstr(out, "\"CN=\\=1\\+1\""), "%s", out);
    expect("setu map export --help", CLI_OK, "not signed by itself", "");
    expect("setu map export -c @setu.yaml -o csv", CLI_OK, "", "");
    cr_assert_eq(strncmp(out, "rule,file,line,kind,principal,when,mechanisms,", 40), 0, "%s", out);
    cr_assert_eq(setu("setu map export -c @setu.yaml -o json"), CLI_OK);
    json_t *root = parse(), *rows = json_object_get(root, "rows");
    /* one for each of the two that say where, and one for each generation of the third */
    cr_assert_eq(json_array_size(rows), 4);
    const json_t *row = json_array_get(rows, 1);
    cr_assert_str_eq(text_at(row, "rule"), "orders-new");
    cr_assert_str_eq(text_at(row, "mechanisms"), "SCRAM-SHA-512 PLAIN");
    cr_assert_str_eq(text_at(row, "generation"), "new");
    cr_assert_str_eq(text_at(row, "subject"), "CN=orders");
    cr_assert_str_eq(text_at(row, "predicted_principal"), "orders");
    cr_assert_str_eq(text_at(row, "predicted_is_intended"), "yes");
    cr_assert_str_eq(text_at(row, "key_mode"), "0400");
    cr_assert_str_eq(text_at(row, "revocation"), "unchecked");
    cr_assert(json_is_null(json_object_get(row, "uses")));
    cr_assert_not_null(strstr(text_at(row, "risks"), "L02"), "%s", text_at(row, "risks"));
    json_decref(root);
}

Test(cli_map, a_cell_is_no_formula)
{
    write_config("setu.yaml", "  - {principal: \"=1+1\", certificate: new, owner: 'a \"b\", c'}\n");
    expect("setu map export -c @setu.yaml", CLI_OK, ",\"'=1+1\",", "");
    cr_assert_not_null(strstr(out, ",\"a \"\"b\"\", c\","), "%s", out);
}

Test(cli_map, unused)
{
    static const char *const principals[] = {"", "orders", "svc-7"};
    static const int days[] = {100, 50, 3};
    expect("setu map unused -c @setu.yaml", CLI_BAD_CONFIG, "", "audit.log: No such file");
    write_audit(principals, days, 3);
    expect("setu map unused -c @setu.yaml", CLI_NEGATIVE, "1 of 3 rules not used in 90 days", "");
    cr_assert_not_null(strstr(out, "orders-old ("), "%s", out);
    cr_assert_not_null(strstr(out, ": never used\n"), "%s", out);
    expect("setu map unused -c @setu.yaml --days 30", CLI_NEGATIVE, "2 of 3 rules", "");
    cr_assert_not_null(strstr(out, ": last used 20"), "%s", out);
    expect("setu map unused -c @setu.yaml --days 200", CLI_NEGATIVE, "does not go back that far",
           "");
    cr_assert_eq(setu("setu map unused -c @setu.yaml -o json --days 1"), CLI_NEGATIVE);
    json_t *root = parse();
    cr_assert_eq(json_array_size(json_object_get(root, "unused")), 3);
    cr_assert(json_is_true(json_object_get(root, "log_covers_days")));
    json_decref(root);
    cr_assert_eq(setu("setu map export -c @setu.yaml -o json"), CLI_OK);
    root = parse();
    const json_t *row = json_array_get(json_object_get(root, "rows"), 1);
    cr_assert_eq(json_integer_value(json_object_get(row, "uses")), 1);
    cr_assert_str_eq(text_at(row, "last_source"), "192.0.2.9:1234");
    json_decref(root);
    expect("setu map unused -c @setu.yaml @audit.log --days 90", CLI_NEGATIVE, "1 of 3", "");
    FILE *file = fopen(pki_path("audit.log"), "r+");
    fseek(file, 40, SEEK_SET);
    fputc('!', file);
    fclose(file);
    expect("setu map unused -c @setu.yaml", CLI_BAD_CONFIG, "", "the chain is broken at record 1");
}

Test(cli_map, every_verb_explains_itself)
{
    static const char *const verbs[] = {"list", "explain", "diff",  "lint",
                                        "test", "export",  "unused"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        char line[64];
        snprintf(line, sizeof line, "setu map %s --help", verbs[i]);
        expect(line, CLI_OK, "exit status: 0 ok", "");
        cr_assert_not_null(strstr(out, "Exit"), "%s", out);
    }
    expect("setu map list -c @none", CLI_BAD_CONFIG, "", "none");
}
