/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping.h"

#include "conf/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rules under test start in line RULES_LINE of the file. */
enum { RULES_LINE = 5 };

static const char before[] = "certificates:\n"
                             "  - {name: a, chain: /a.pem, key: /a.key}\n"
                             "  - {name: b, chain: /b.pem, key: /b.key}\n"
                             "mapping:\n";
static const char after[] =
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:9092\"]\n"
    "    identity: {certificate: a}\n"
    "    generations:\n"
    "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n"
    "listeners:\n"
    "  - {name: l, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
    "     advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512]}\n"
    "users: {file: /u.yaml}\n"
    "audit: {file: /a.log}\n";

static struct mapping *build(const char *rules, struct conf_errors *errors)
{
    const size_t size = strlen(before) + strlen(rules) + strlen(after) + 1;
    char *text = malloc(size);
    snprintf(text, size, "%s%s%s", before, rules, after);
    conf_errors_init(errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", errors);
    free(text);
    if (config == NULL) {
        conf_errors_print(errors, stderr);
    }
    cr_assert_not_null(config);
    conf_errors_deinit(errors);
    struct mapping *mapping = mapping_build(config, errors);
    config_unref(&config); /* the mapping holds its own */
    return mapping;
}

static struct mapping *good(const char *rules)
{
    struct conf_errors errors;
    struct mapping *mapping = build(rules, &errors);
    if (mapping == NULL) {
        conf_errors_print(&errors, stderr);
    }
    cr_assert_not_null(mapping);
    cr_assert_eq(errors.count, 0);
    return mapping;
}

static void refused(const char *rules, int line, const char *why)
{
    struct conf_errors errors;
    cr_assert_null(build(rules, &errors), "%s", rules);
    cr_assert_eq(errors.errors, 1);
    cr_assert_str_eq(errors.items[0].file, "setu.yaml");
    cr_assert_eq(errors.items[0].line, line, "%d", errors.items[0].line);
    cr_assert_gt(errors.items[0].column, 0);
    cr_assert_not_null(strstr(errors.items[0].text, why), "%s", errors.items[0].text);
    conf_errors_deinit(&errors);
}

static struct mapping_query at(const char *principal)
{
    return (struct mapping_query){principal, "main", "g", "l", "SCRAM-SHA-512"};
}

static bool decide(const struct mapping *mapping, const char *principal,
                   struct mapping_decision *decision_r)
{
    const struct mapping_query query = at(principal);
    return mapping_decide(mapping, &query, decision_r);
}

static void expect(const struct mapping *mapping, const char *principal, const char *certificate,
                   int rule)
{
    struct mapping_decision decision;
    cr_assert(decide(mapping, principal, &decision), "%s", principal);
    cr_assert_eq(decision.outcome, MAPPING_MAPPED);
    cr_assert_str_eq(decision.certificate, certificate);
    cr_assert_eq(decision.rule, rule);
    cr_assert_eq(decision.line, RULES_LINE + rule);
    cr_assert_gt(decision.column, 0);
    cr_assert_str_eq(decision.file, "setu.yaml");
    cr_assert_eq(decision.other_rule, MAPPING_NO_RULE);
}

static void denied(const struct mapping *mapping, const char *principal,
                   enum mapping_outcome outcome, int rule, int other)
{
    struct mapping_decision decision;
    cr_assert_not(decide(mapping, principal, &decision), "%s", principal);
    cr_assert_eq(decision.outcome, outcome, "%s: %s", principal,
                 mapping_outcome_name(decision.outcome));
    cr_assert_null(decision.certificate);
    cr_assert_eq(decision.rule, rule);
    cr_assert_eq(decision.other_rule, other);
    cr_assert_eq(decision.other_line, other < 0 ? 0 : RULES_LINE + other);
}

Test(mapping, exact_glob_and_regex_name_a_certificate)
{
    struct mapping *mapping = good("  - {principal: orders, certificate: a}\n"
                                   "  - {principal_glob: \"svc-*\", certificate: b}\n"
                                   "  - {principal_regex: \"batch-[0-9]+\", certificate: a}\n"
                                   "  - {principal_regex: \"^night-[0-9]+$\", certificate: b}\n");
    expect(mapping, "orders", "a", 0);
    expect(mapping, "svc-", "b", 1);
    expect(mapping, "svc-x", "b", 1);
    expect(mapping, "batch-7", "a", 2);
    expect(mapping, "night-7", "b", 3);
    mapping_unref(&mapping);
    cr_assert_null(mapping);
    mapping_unref(&mapping);
}

Test(mapping, t58_what_no_rule_names_is_denied)
{
    struct mapping *mapping = good("  - {principal: orders, certificate: a}\n"
                                   "  - {principal_glob: \"svc-*\", certificate: b}\n"
                                   "  - {principal_regex: \"batch-[0-9]+\", certificate: a}\n"
                                   "  - {principal_regex: \"x|y\", certificate: b}\n");
    static const char *const strangers[] = {
        "",       "Orders", "orders ",  "order",     "orderss",      "SVC-x",
        "xsvc-a", "batch-", "batch-7x", "xbatch-7",  "batch-7\n",    "xy",
        "xz",     "zy",     "@orders",  "../orders", "batch-\u0667",
    };
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        denied(mapping, strangers[i], MAPPING_UNMAPPED, MAPPING_NO_RULE, MAPPING_NO_RULE);
    }
    mapping_unref(&mapping);
}

/* T58 */
Test(mapping, a_configuration_without_rules_maps_nobody)
{
    struct mapping *mapping = good("  []\n");
    cr_assert_eq(mapping_count(mapping), 0);
    denied(mapping, "orders", MAPPING_UNMAPPED, MAPPING_NO_RULE, MAPPING_NO_RULE);
    cr_assert_eq(strlen(mapping_hash(mapping)), 64);
    mapping_unref(&mapping);
}

Test(mapping, t59_two_certificates_for_one_principal_are_denied)
{
    struct mapping *mapping = good("  - {principal_glob: \"svc-*\", certificate: a}\n"
                                   "  - {principal_glob: \"*-x\", certificate: b}\n"
                                   "  - {principal_regex: \"svc-[a-z]\", certificate: a}\n");
    expect(mapping, "svc-y", "a", 0);
    expect(mapping, "svc-1", "a", 0);
    expect(mapping, "job-x", "b", 1);
    denied(mapping, "svc-x", MAPPING_AMBIGUOUS, 0, 1);
    denied(mapping, "svc--x", MAPPING_AMBIGUOUS, 0, 1);
    mapping_unref(&mapping);
}

Test(mapping, the_order_of_rules_has_no_meaning)
{
    struct mapping *mapping = good("  - {principal_regex: \"svc-[a-z]\", certificate: a}\n"
                                   "  - {principal_glob: \"*-x\", certificate: b}\n"
                                   "  - {principal_glob: \"svc-*\", certificate: a}\n");
    denied(mapping, "svc-x", MAPPING_AMBIGUOUS, 0, 1);
    expect(mapping, "svc-y", "a", 0);
    mapping_unref(&mapping);
}

struct trace {
    char text[1024];
};

static void trace_step(void *context, const struct mapping_step *step)
{
    struct trace *trace = context;
    const size_t used = strlen(trace->text);
    snprintf(trace->text + used, sizeof(trace->text) - used, "%d:%d %s %s %s %d %s\n", step->rule,
             step->line, mapping_kind_name(step->kind), step->pattern, step->certificate,
             (int)step->verdict, step->why);
    cr_assert_str_eq(step->file, "setu.yaml");
}

Test(mapping, t60_a_rule_that_runs_away_denies_even_when_another_matches)
{
    struct mapping *mapping = good("  - {principal_glob: \"a*\", certificate: a}\n"
                                   "  - {principal_regex: \"(a+)+b\", certificate: a}\n");
    denied(mapping, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacb", MAPPING_ERROR, 1,
           MAPPING_NO_RULE);
    expect(mapping, "aab", "a", 0);
    mapping_unref(&mapping);
    mapping = good("  - {principal_regex: \"(a+)+b\", certificate: a}\n"
                   "  - {principal_glob: \"a*\", certificate: a}\n"
                   "  - {principal_glob: \"*b\", certificate: b}\n");
    struct trace trace = {""};
    struct mapping_decision decision;
    const struct mapping_query query = at("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacb");
    cr_assert_not(mapping_explain(mapping, &query, trace_step, &trace, &decision));
    cr_assert_eq(decision.outcome, MAPPING_ERROR);
    cr_assert_eq(decision.rule, 0);
    cr_assert_eq(decision.other_rule, MAPPING_NO_RULE);
    cr_assert_not_null(strstr(trace.text, "2 regex spent its budget"));
    cr_assert_not_null(strstr(trace.text, "glob *b b 1 glob matches"), "the trace goes on");
    mapping_unref(&mapping);
}

/* T59 */
Test(mapping, what_is_ambiguous_for_a_name_in_the_file_is_refused_at_load)
{
    refused("  - {principal: svc-a, certificate: a}\n"
            "  - {principal_glob: \"svc-*\", certificate: b}\n",
            RULES_LINE + 1, "\"svc-a\" of line 5");
    refused("  - {principal_regex: \"svc-.\", certificate: b}\n"
            "  - {principal: svc-a, certificate: a}\n",
            RULES_LINE, "\"svc-a\" of line 6");
    refused("  - {principal_regex: \"(a+)+b\", certificate: b}\n"
            "  - {principal: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacb, certificate: b}\n",
            RULES_LINE, "budget");
}

Test(mapping, bad_rules_are_refused_with_their_place)
{
    refused("  - {principal: orders, certificate: a}\n"
            "  - {principal_regex: \"(\", certificate: a}\n",
            RULES_LINE + 1, "missing closing parenthesis");
    refused("  - {principal_regex: \"(*UTF)a\", certificate: a}\n", RULES_LINE, "(*");
    refused("  - {principal: \" orders\", certificate: a}\n", RULES_LINE, "blank");
    refused("  - {principal: \"or\\u00adders\", certificate: a}\n", RULES_LINE, "invisible");
}

Test(mapping, every_fault_is_told)
{
    struct conf_errors errors;
    cr_assert_null(build("  - {principal_regex: \"(\", certificate: a}\n"
                         "  - {principal_regex: \"[\", certificate: a}\n"
                         "  - {principal: \"a \", certificate: a}\n",
                         &errors));
    cr_assert_eq(errors.errors, 3);
    conf_errors_deinit(&errors);
}

Test(mapping, an_explanation_goes_through_every_rule_in_order)
{
    struct mapping *mapping = good("  - {principal: orders, certificate: a}\n"
                                   "  - {principal_glob: \"o*\", certificate: a}\n"
                                   "  - {principal_regex: \"[x-z]+\", certificate: b}\n");
    struct trace trace = {""};
    struct mapping_decision decision;
    const struct mapping_query query = at("orders");
    cr_assert(mapping_explain(mapping, &query, trace_step, &trace, &decision));
    cr_assert_str_eq(trace.text, "0:5 exact orders a 1 equals\n"
                                 "1:6 glob o* a 1 glob matches\n"
                                 "2:7 regex [x-z]+ b 0 regex does not match the whole name\n");
    mapping_unref(&mapping);
}

static void hash_of(const char *rules, char hash[MAPPING_HASH_SIZE])
{
    struct mapping *mapping = good(rules);
    memcpy(hash, mapping_hash(mapping), MAPPING_HASH_SIZE);
    mapping_unref(&mapping);
}

Test(mapping, the_hash_follows_the_decisions_and_nothing_else)
{
    char one[MAPPING_HASH_SIZE], other[MAPPING_HASH_SIZE];
    hash_of("  - {principal: orders, certificate: a}\n"
            "  - {principal_glob: \"svc-*\", certificate: b}\n",
            one);
    cr_assert_eq(strspn(one, "0123456789abcdef"), 64);
    hash_of("  # a comment\n"
            "  - {principal_glob: \"svc-*\", certificate: b, owner: me, ticket: T-1}\n"
            "  - {certificate: a, principal: orders}\n",
            other);
    cr_assert_str_eq(one, other);
    static const char *const changed[] = {
        "  - {principal: orders, certificate: b}\n"
        "  - {principal_glob: \"svc-*\", certificate: b}\n",
        "  - {principal: orderS, certificate: a}\n"
        "  - {principal_glob: \"svc-*\", certificate: b}\n",
        "  - {principal_glob: orders, certificate: a}\n"
        "  - {principal_glob: \"svc-*\", certificate: b}\n",
        "  - {principal: orders, certificate: a}\n",
        "  - {principal: ordersa, certificate: a}\n"
        "  - {principal_glob: \"svc-*\", certificate: b}\n",
    };
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        hash_of(changed[i], other);
        cr_assert_str_neq(one, other, "%s", changed[i]);
    }
}

Test(mapping, references_keep_it)
{
    struct mapping *mapping = good("  - {principal: orders, certificate: a}\n");
    struct mapping *second = mapping_ref(mapping);
    mapping_unref(&mapping);
    expect(second, "orders", "a", 0);
    mapping_unref(&second);
}

/* ---- where rules hold ---- */

static const char scoped[] =
    "certificates:\n"
    "  - {name: a, chain: /a.pem, key: /a.key}\n"
    "  - {name: b, chain: /b.pem, key: /b.key}\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:9092\"]\n"
    "    identity: {certificate: a}\n"
    "    generations:\n"
    "      - {name: old, match: {port: 1}, protocol: SSL, login: mapped-certificate,\n"
    "         tls: {ca: /ca.pem}}\n"
    "      - {name: new, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n"
    "  - name: other\n"
    "    bootstrap: [\"127.0.0.1:9093\"]\n"
    "    identity: {certificate: b}\n"
    "    generations:\n"
    "      - {name: only, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n"
    "listeners:\n"
    "  - {name: l, cluster: main, bind: 127.0.0.1, port: 19092, advertised_host: localhost,\n"
    "     node_base_port: 19100, mechanisms: [SCRAM-SHA-512, SCRAM-SHA-256]}\n"
    "  - {name: m, cluster: other, bind: 127.0.0.1, port: 29092, advertised_host: localhost,\n"
    "     node_base_port: 29100, mechanisms: [SCRAM-SHA-512]}\n"
    "users: {file: /u.yaml}\n"
    "audit: {file: /a.log}\n"
    "mapping:\n";

/* NULL: the texts of all problems are in `problems`. */
static struct mapping *build_scoped(const char *rules, char *problems, size_t size)
{
    char text[8192];
    struct conf_errors errors;
    conf_errors_init(&errors);
    snprintf(text, sizeof text, "%s%s", scoped, rules);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    struct mapping *mapping = config != NULL ? mapping_build(config, &errors) : NULL;
    FILE *out = fmemopen(problems, size, "w");
    conf_errors_print(&errors, out);
    fclose(out);
    conf_errors_deinit(&errors);
    config_unref(&config);
    return mapping;
}

static struct mapping *good_scoped(const char *rules)
{
    char problems[4096] = "";
    struct mapping *mapping = build_scoped(rules, problems, sizeof problems);
    cr_assert_not_null(mapping, "%s", problems);
    cr_assert_str_eq(problems, "");
    return mapping;
}

/* "a", "b", or the name of the outcome. */
static const char *said(const struct mapping *mapping, const char *cluster, const char *generation,
                        const char *listener, const char *mechanism)
{
    struct mapping_decision decision;
    const struct mapping_query query = {"orders", cluster, generation, listener, mechanism};
    return mapping_decide(mapping, &query, &decision) ? decision.certificate
                                                      : mapping_outcome_name(decision.outcome);
}

Test(mapping, the_certificate_may_depend_on_the_generation)
{
    struct mapping *mapping =
        good_scoped("  - {principal: orders, when: {generation: old}, certificate: a}\n"
                    "  - {principal: orders, when: {generation: [new, only]}, certificate: b}\n");
    cr_assert(mapping_by_generation(mapping));
    cr_assert_str_eq(said(mapping, "main", "old", "l", "SCRAM-SHA-512"), "a");
    cr_assert_str_eq(said(mapping, "main", "new", "l", "SCRAM-SHA-512"), "b");
    cr_assert_str_eq(said(mapping, "other", "only", "m", "SCRAM-SHA-512"), "b");
    cr_assert_str_eq(said(mapping, "main", "none", "l", "SCRAM-SHA-512"), "unmapped");
    cr_assert_str_eq(said(mapping, "main", NULL, "l", "SCRAM-SHA-512"), "unmapped");
    mapping_unref(&mapping);
}

Test(mapping, every_part_of_when_must_fit)
{
    struct mapping *mapping = good_scoped(
        "  - {principal: orders, certificate: a,\n"
        "     when: {cluster: main, generation: new, listener: l, mechanism: SCRAM-SHA-512}}\n");
    cr_assert_str_eq(said(mapping, "main", "new", "l", "SCRAM-SHA-512"), "a");
    cr_assert_str_eq(said(mapping, "other", "new", "l", "SCRAM-SHA-512"), "unmapped");
    cr_assert_str_eq(said(mapping, "main", "old", "l", "SCRAM-SHA-512"), "unmapped");
    cr_assert_str_eq(said(mapping, "main", "new", "m", "SCRAM-SHA-512"), "unmapped");
    cr_assert_str_eq(said(mapping, "main", "new", "l", "SCRAM-SHA-256"), "unmapped");
    cr_assert_str_eq(said(mapping, NULL, "new", "l", "SCRAM-SHA-512"), "unmapped");
    cr_assert_str_eq(said(mapping, "main", "new", NULL, "SCRAM-SHA-512"), "unmapped");
    cr_assert_str_eq(said(mapping, "main", "new", "l", NULL), "unmapped");
    cr_assert_str_eq(mapping_when(mapping, 0),
                     "cluster=main generation=new listener=l mechanism=SCRAM-SHA-512");
    mapping_unref(&mapping);
}

/* T59 */
Test(mapping, a_wider_rule_makes_a_narrower_one_ambiguous_where_both_hold)
{
    struct mapping *mapping =
        good_scoped("  - {principal_glob: \"ord*\", certificate: a}\n"
                    "  - {principal_glob: \"*ers\", when: {generation: new}, certificate: b}\n");
    cr_assert_str_eq(said(mapping, "main", "old", "l", "SCRAM-SHA-512"), "a");
    cr_assert_str_eq(said(mapping, "main", "new", "l", "SCRAM-SHA-512"), "ambiguous");
    mapping_unref(&mapping);
}

/* T59 */
Test(mapping, scopes_that_meet_and_disagree_are_refused_at_load)
{
    static const struct {
        const char *rules, *problem;
    } cases[] = {
        {"  - {principal: orders, certificate: a}\n"
         "  - {principal: orders, when: {generation: new}, certificate: b}\n",
         "line 25 has another certificate for the same"},
        {"  - {principal: orders, when: {listener: l}, certificate: a}\n"
         "  - {principal: orders, when: {cluster: main}, certificate: b}\n",
         "line 25 has another certificate for the same"},
        {"  - {principal: orders, when: {mechanism: SCRAM-SHA-512}, certificate: a}\n"
         "  - {principal_glob: \"*\", when: {cluster: other}, certificate: b}\n",
         "also matches principal \"orders\" of line 25"},
        {"  - {principal_regex: \"o+\", when: {mechanism: SCRAM-SHA-512}, certificate: a}\n"
         "  - {principal_regex: \"o+\", when: {cluster: other}, certificate: b}\n",
         "line 25 has another certificate for the same"},
        {"  - {principal: orders, when: {generation: none}, certificate: a}\n",
         "25:44: 'when' names a generation 'none' that there is not"},
        {"  - {principal: orders, when: {cluster: mein}, certificate: a}\n",
         "'when' names a cluster 'mein' that there is not (did you mean 'main'?)"},
        {"  - {principal: orders, when: {listener: [l, x]}, certificate: a}\n",
         "25:46: 'when' names a listener 'x' that there is not"},
        {"  - {principal: orders, when: {mechanism: SSL}, certificate: a}\n",
         "'when' names a mechanism 'SSL' that there is not"},
        {"  - {principal: orders, when: {mechanism: []}, certificate: a}\n",
         "'mechanism' is empty"},
        {"  - {name: x, principal: orders, certificate: a}\n"
         "  - {name: x, principal: others, certificate: a}\n",
         "mapping rule 'x' is given again"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char problems[4096] = "";
        cr_assert_null(build_scoped(cases[i].rules, problems, sizeof problems), "%zu", i);
        cr_assert_not_null(strstr(problems, cases[i].problem), "%zu: %s", i, problems);
    }
}

Test(mapping, scopes_that_never_meet_may_disagree)
{
    static const char *const cases[] = {
        "  - {principal: orders, when: {listener: l}, certificate: a}\n"
        "  - {principal: orders, when: {cluster: other}, certificate: b}\n",
        "  - {principal: orders, when: {mechanism: SCRAM-SHA-256}, certificate: a}\n"
        "  - {principal_glob: \"*\", when: {cluster: other}, certificate: b}\n",
        "  - {principal: orders, when: {mechanism: SCRAM-SHA-256}, certificate: a}\n"
        "  - {principal: orders, when: {mechanism: SCRAM-SHA-512}, certificate: b}\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mapping *mapping = good_scoped(cases[i]);
        mapping_unref(&mapping);
    }
}

Test(mapping, a_rule_that_holds_nowhere_is_warned_of)
{
    char problems[4096] = "";
    struct mapping *mapping = build_scoped(
        "  - {principal: orders, when: {cluster: main, listener: m}, certificate: a}\n", problems,
        sizeof problems);
    cr_assert_not_null(mapping);
    cr_assert_not_null(strstr(problems, "setu.yaml:25:31: warning: the rule holds nowhere"), "%s",
                       problems);
    mapping_unref(&mapping);
}

Test(mapping, the_hash_follows_where_rules_hold)
{
    static const char *const same[] = {
        "  - {principal: orders, when: {generation: [new, old]}, certificate: a}\n",
        "  - {principal: orders, when: {generation: [old, new, old]}, certificate: a, name: x,\n"
        "     break_glass: true, approver: me, intended_principal: CN=x}\n",
    };
    static const char *const changed[] = {
        "  - {principal: orders, certificate: a}\n",
        "  - {principal: orders, when: {generation: old}, certificate: a}\n",
        "  - {principal: orders, when: {generation: [new, old], cluster: main}, certificate: a}\n",
    };
    char one[MAPPING_HASH_SIZE];
    for (size_t i = 0; i < 2 + sizeof changed / sizeof *changed; i++) {
        struct mapping *mapping = good_scoped(i < 2 ? same[i] : changed[i - 2]);
        if (i == 0) {
            memcpy(one, mapping_hash(mapping), sizeof one);
        }
        cr_assert_eq(strcmp(one, mapping_hash(mapping)) == 0, i < 2, "%zu", i);
        mapping_unref(&mapping);
    }
}
