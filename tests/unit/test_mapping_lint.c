/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each lint by its id: a configuration that has nothing but it, made by changing one thing in a
 * configuration that has none; and changes that come near it and are not it.
 */
#include "auth/mapping_lint.h"

#include <criterion/criterion.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/mapping.h"
#include "auth/mapping_facts.h"
#include "auth/mapping_usage.h"
#include "conf/config.h"
#include "tests/unit/pki_kit.h"

enum { FILE_BYTES = 16384 };

static const int64_t day_s = 86400;

static struct pki_cert authority;
static int64_t now_s;

static void open_kit(void)
{
    pki_open();
    now_s = (int64_t)time(NULL);
    authority = pki_make(&(struct pki_options){.common_name = "ca", .authority = true}, NULL);
}

static void close_kit(void)
{
    pki_free(&authority);
    pki_close();
}

TestSuite(mapping_lint, .init = open_kit, .fini = close_kit);

/* ---- the configuration ---- */

/* What stands in the place of a good part; NULL = the good one. */
struct change {
    const char *mapping, *cluster, *generation, *listener;
    struct pki_options certificate; /* of "orders"; common_name NULL = the good one */
    mode_t key_mode;                /* 0 = 0400 */
    bool same_key;                  /* "billing" has the key of "orders" */
    const char *logins;             /* principals in the audit log, by spaces */
    int64_t logins_days;            /* ago; 0 = one day */
};

#define ANSWERED "owner: o, ticket: T-1, review_by: \"2099-01-01\""
#define ORDERS "  - {principal: orders, certificate: orders, " ANSWERED "}\n"

static void make_pair(const char *name, const struct pki_options *options, mode_t mode,
                      EVP_PKEY *key)
{
    char file[64];
    struct pki_cert made = pki_make(options, &authority);
    if (key != NULL) {
        cr_assert(X509_set_pubkey(made.cert, key) == 1);
        cr_assert_gt(X509_sign(made.cert, authority.key, EVP_sha256()), 0);
    }
    snprintf(file, sizeof file, "%s.pem", name);
    pki_write_cert(file, made.cert);
    snprintf(file, sizeof file, "%s.key", name);
    pki_write_key(file, mode, key != NULL ? key : made.key, NULL);
    pki_free(&made);
}

static void make_certificates(const struct change *change)
{
    static const struct pki_options good = {.common_name = "orders", .ext_usage = "clientAuth"};
    static const struct pki_options billing = {.common_name = "billing", .ext_usage = "clientAuth"};
    static const struct pki_options setu = {.common_name = "setu", .ext_usage = "clientAuth"};
    struct pki_cert shared = pki_make(&good, &authority);
    make_pair("orders", change->certificate.common_name != NULL ? &change->certificate : &good,
              change->key_mode != 0 ? change->key_mode : 0400,
              change->same_key ? shared.key : NULL);
    make_pair("billing", &billing, 0400, change->same_key ? shared.key : NULL);
    make_pair("setu", &setu, 0400, NULL);
    pki_free(&shared);
}

static struct config *make_config(const struct change *change)
{
    static const char format[] =
        "audit: {file: /a.log}\n"
        "users: {file: /u.yaml}\n"
        "certificates:\n"
        "  - {name: orders, chain: %s, key: %s}\n"
        "  - {name: billing, chain: %s, key: %s}\n"
        "  - {name: stage-orders, chain: %s, key: %s}\n"
        "  - {name: setu, chain: %s, key: %s}\n"
        "mapping:\n%s"
        "clusters:\n"
        "  - %s, bootstrap: [\"kafka-1.example:9093\"], identity: {certificate: setu},\n"
        "     generations: [%s]}\n"
        "listeners:\n"
        "  - {name: l, cluster: %s, port: 19092, advertised_host: localhost,\n"
        "     node_base_port: 19100, %s}\n";
    char text[FILE_BYTES];
    const char *cluster = change->cluster != NULL ? change->cluster : "main";
    char name[64];
    snprintf(name, sizeof name, "{name: %s", cluster);
    snprintf(text, sizeof text, format, pki_path("orders.pem"), pki_path("orders.key"),
             pki_path("billing.pem"), pki_path("billing.key"), pki_path("orders.pem"),
             pki_path("orders.key"), pki_path("setu.pem"), pki_path("setu.key"),
             change->mapping != NULL ? change->mapping : ORDERS, name,
             change->generation != NULL ? change->generation
                                        : "{name: g, protocol: SSL, login: mapped-certificate, "
                                          "tls: {ca: /ca.pem, crl: /crl.pem}}",
             cluster,
             change->listener != NULL ? change->listener
                                      : "bind: 127.0.0.1, mechanisms: [SCRAM-SHA-512]");
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(config, "%s", text);
    conf_errors_deinit(&errors);
    return config;
}

static void put_record(struct audit_chain *chain, struct writer *log, enum audit_code code,
                       const char *principal, const struct config *config, int64_t at_s)
{
    struct audit_event event = audit_event_init(code);
    event.principal = principal;
    event.listener = "l";
    event.cluster = config->clusters[0].name;
    event.client_address = "192.0.2.1:50000";
    event.time_ns = at_s * 1000000000;
    cr_assert(audit_encode(chain, &event, event.time_ns, log));
}

/* A log that begins a hundred days ago. */
static struct mapping_usages *make_usages(const struct change *change, const struct config *config,
                                          const struct mapping *mapping)
{
    struct audit_chain chain;
    struct writer log;
    char names[256];
    uint64_t seq = 0;
    const int64_t days = change->logins_days != 0 ? change->logins_days : 1;
    audit_chain_init(&chain, "test");
    writer_init_growing(&log, 1 << 20);
    put_record(&chain, &log, AUDIT_START, NULL, config, now_s - 100 * day_s);
    snprintf(names, sizeof names, "%s", change->logins != NULL ? change->logins : "orders");
    for (char *save = NULL, *name = strtok_r(names, " ", &save); name != NULL;
         name = strtok_r(NULL, " ", &save)) {
        put_record(&chain, &log, AUDIT_MAPPING_DECIDED, name, config, now_s - days * day_s);
    }
    struct mapping_usages *usages = mapping_usages_new(mapping);
    cr_assert_eq(mapping_usages_read(usages, config, mapping, writer_view(&log), &seq), AUDIT_END);
    cr_assert_eq(seq, chain.head.seq);
    writer_free(&log);
    return usages;
}

/* ---- what is found ---- */

struct seen {
    size_t count[MAPPING_LINTS], all;
    struct conf_place place; /* of the last */
    enum mapping_severity severity;
    char texts[8192];
};

static void on_found(void *context, const struct mapping_finding *finding)
{
    struct seen *seen = context;
    const size_t used = strlen(seen->texts);
    seen->count[finding->id]++;
    seen->all++;
    seen->place = finding->place;
    seen->severity = finding->severity;
    cr_assert_str_eq(finding->place.file, "setu.yaml");
    cr_assert_gt(finding->place.line, 0);
    cr_assert_gt(finding->place.column, 0);
    cr_assert_not_null(strchr(finding->text, '('), "how to mend it: %s", finding->text);
    snprintf(seen->texts + used, sizeof seen->texts - used, "%s %s\n",
             mapping_lint_name(finding->id), finding->text);
}

static void on_not_judged(void *context, enum mapping_lint_id id, const char *why)
{
    (void)context;
    cr_assert_fail("%s was not judged: %s", mapping_lint_name(id), why);
}

static struct seen look(const struct change *change)
{
    struct seen seen = {0};
    struct conf_errors errors;
    make_certificates(change);
    struct config *config = make_config(change);
    conf_errors_init(&errors);
    struct mapping *mapping = mapping_build(config, &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(mapping);
    conf_errors_deinit(&errors);
    struct mapping_facts *facts = mapping_facts_new(config);
    struct mapping_usages *usages = make_usages(change, config, mapping);
    const struct mapping_lint_params params = {
        .config = config,
        .mapping = mapping,
        .facts = facts,
        .usages = usages,
        .now_s = now_s,
        .unused_days = 90,
    };
    const struct mapping_lint_events events = {on_found, on_not_judged, &seen};
    mapping_lint(&params, &events);
    mapping_usages_free(&usages);
    mapping_facts_free(&facts);
    mapping_unref(&mapping);
    config_unref(&config);
    return seen;
}

static void only(enum mapping_lint_id id, enum mapping_severity severity, int line,
                 const struct change *change)
{
    const struct seen seen = look(change);
    cr_expect_eq(seen.all, 1, "%s", seen.texts);
    cr_expect_eq(seen.count[id], 1, "%s: %s", mapping_lint_name(id), seen.texts);
    cr_expect_eq(seen.severity, severity, "%s", seen.texts);
    cr_expect_eq(seen.place.line, line, "line %d: %s", seen.place.line, seen.texts);
}

static void none(const struct change *change)
{
    const struct seen seen = look(change);
    cr_expect_eq(seen.all, 0, "%s", seen.texts);
}

enum { CERTIFICATE_LINE = 4, MAPPING_LINE = 9 };

#define GENERATION(more)                                                                           \
    "{name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem, crl: /crl.pem}" more "}"
#define RULE(body) "  - {" body ", " ANSWERED "}\n"

Test(mapping_lint, a_good_configuration_has_none)
{
    none(&(struct change){0});
}

Test(mapping_lint, l01_one_certificate_for_many_principals)
{
    only(MAPPING_LINT_L01, MAPPING_SEVERITY_WARNING, MAPPING_LINE + 1,
         &(struct change){.mapping = ORDERS RULE("principal: shop, certificate: orders"),
                          .logins = "orders shop"});
    none(&(struct change){.mapping = ORDERS RULE("principal: shop, certificate: billing"),
                          .logins = "orders shop"});
}

#define TWO_GENERATIONS                                                                            \
    "{name: old, match: {port: 1}, protocol: SSL, login: mapped-certificate,\n"                    \
    "       tls: {ca: /ca.pem, crl: /crl.pem}}, " GENERATION("")

Test(mapping_lint, l02_one_principal_with_many_certificates)
{
    only(MAPPING_LINT_L02, MAPPING_SEVERITY_WARNING, MAPPING_LINE + 1,
         &(struct change){.generation = TWO_GENERATIONS,
                          .mapping = RULE("principal: orders, when: {generation: old}, "
                                          "certificate: orders")
                              RULE("principal: orders, when: {generation: g}, "
                                   "certificate: billing")});
    none(&(struct change){.generation = TWO_GENERATIONS});
    none(&(struct change){
        .generation = TWO_GENERATIONS,
        .mapping = RULE("principal: orders, when: {generation: old}, certificate: orders")
            RULE("principal: orders, when: {generation: g}, certificate: orders")});
}

Test(mapping_lint, l03_a_pattern_names_principals)
{
    only(MAPPING_LINT_L03, MAPPING_SEVERITY_WARNING, MAPPING_LINE,
         &(struct change){.mapping = RULE("principal_glob: \"ord*\", certificate: orders")});
    only(MAPPING_LINT_L03, MAPPING_SEVERITY_WARNING, MAPPING_LINE,
         &(struct change){.mapping = RULE("principal_regex: \"^ord.*$\", certificate: orders")});
}

Test(mapping_lint, l04_an_expression_without_anchors)
{
    const struct seen seen =
        look(&(struct change){.mapping = RULE("principal_regex: \"ord.*\", certificate: orders")});
    cr_expect_eq(seen.count[MAPPING_LINT_L04], 1, "%s", seen.texts);
    cr_expect_eq(seen.count[MAPPING_LINT_L03] + 1, seen.all, "%s", seen.texts);
    const struct seen escaped = look(
        &(struct change){.mapping = RULE("principal_regex: '^orders\\$', certificate: orders")});
    cr_expect_eq(escaped.count[MAPPING_LINT_L04], 1, "%s", escaped.texts);
}

/* Kafka's own documented example makes CN=admin of a subject that only holds the text. */
Test(mapping_lint, t61_l04_a_rule_for_names_that_searches)
{
    only(MAPPING_LINT_L04, MAPPING_SEVERITY_ERROR, MAPPING_LINE + 3,
         &(struct change){.generation =
                              GENERATION(", ssl_principal_mapping_rules: "
                                         "'RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L,DEFAULT'")});
    none(&(struct change){.generation = GENERATION(", ssl_principal_mapping_rules: "
                                                   "'RULE:^CN=([^,]+)(,.*)?$/$1/,DEFAULT'")});
}

Test(mapping_lint, l05_rules_that_overlap)
{
    only(MAPPING_LINT_L05, MAPPING_SEVERITY_WARNING, MAPPING_LINE + 1,
         &(struct change){.mapping = ORDERS RULE(
                              "principal: orders, when: {cluster: main}, certificate: orders")});
    const struct seen seen =
        look(&(struct change){.mapping = RULE("principal_glob: \"ord*\", certificate: orders")
                                  RULE("principal_glob: \"*ers\", certificate: billing")});
    cr_expect_eq(seen.count[MAPPING_LINT_L05], 1, "%s", seen.texts);
    const struct seen apart =
        look(&(struct change){.mapping = RULE("principal_glob: \"ord*\", certificate: orders")
                                  RULE("principal_glob: \"bil*\", certificate: billing"),
                              .logins = "orders bill"});
    cr_expect_eq(apart.count[MAPPING_LINT_L05], 0, "%s", apart.texts);
}

Test(mapping_lint, l06_brokers_take_it_for_another)
{
    only(MAPPING_LINT_L06, MAPPING_SEVERITY_ERROR, MAPPING_LINE,
         &(struct change){.mapping = RULE("principal: orders, certificate: orders, "
                                          "intended_principal: CN=other")});
    none(&(struct change){.mapping = RULE("principal: orders, certificate: orders, "
                                          "intended_principal: \"User:CN=orders\"")});
    only(MAPPING_LINT_L06, MAPPING_SEVERITY_ERROR, MAPPING_LINE,
         &(struct change){.generation = GENERATION(", super_users: ['User:CN=orders']")});
    none(&(struct change){.generation = GENERATION(", super_users: ['User:CN=order']")});
    only(MAPPING_LINT_L06, MAPPING_SEVERITY_ERROR, MAPPING_LINE,
         &(struct change){.generation = GENERATION(", broker_principals: ['CN=orders']")});
    only(MAPPING_LINT_L06, MAPPING_SEVERITY_ERROR, MAPPING_LINE,
         &(struct change){.generation = GENERATION(", ssl_principal_mapping_rules: "
                                                   "'RULE:^OU=(.*)$/$1/'")});
}

static struct change with_times(int64_t from_s, int64_t to_s)
{
    return (struct change){
        .certificate = {
            .common_name = "orders", .ext_usage = "clientAuth", .from_s = from_s, .to_s = to_s}};
}

Test(mapping_lint, l07_a_certificates_time)
{
    const struct change over = with_times(now_s - 20 * day_s, now_s - day_s);
    const struct change early = with_times(now_s + day_s, now_s + 90 * day_s);
    const struct change soon = with_times(now_s - day_s, now_s + 29 * day_s);
    const struct change near = with_times(now_s - day_s, now_s + 31 * day_s);
    const struct change longest = with_times(now_s - day_s, now_s + 397 * day_s);
    const struct change longer = with_times(now_s - day_s, now_s + 400 * day_s);
    only(MAPPING_LINT_L07, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE, &over);
    only(MAPPING_LINT_L07, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE, &early);
    only(MAPPING_LINT_L07, MAPPING_SEVERITY_WARNING, CERTIFICATE_LINE, &soon);
    none(&near);
    none(&longest);
    only(MAPPING_LINT_L07, MAPPING_SEVERITY_WARNING, CERTIFICATE_LINE, &longer);
}

Test(mapping_lint, l08_a_key_that_others_can_read)
{
    only(MAPPING_LINT_L08, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE,
         &(struct change){.key_mode = 0440});
    only(MAPPING_LINT_L08, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE,
         &(struct change){.key_mode = 0604});
    none(&(struct change){.key_mode = 0600});
}

Test(mapping_lint, l09_a_key_shared_between_certificates)
{
    const char *both = ORDERS RULE("principal: shop, certificate: billing");
    only(MAPPING_LINT_L09, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE + 1,
         &(struct change){.mapping = both, .logins = "orders shop", .same_key = true});
}

Test(mapping_lint, l10_a_weak_key_or_signature)
{
    only(
        MAPPING_LINT_L10, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE,
        &(struct change){
            .certificate = {.common_name = "orders", .ext_usage = "clientAuth", .rsa_bits = 1024}});
    only(
        MAPPING_LINT_L10, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE,
        &(struct change){
            .certificate = {.common_name = "orders", .ext_usage = "clientAuth", .digest = "SHA1"}});
    none(&(struct change){
        .certificate = {.common_name = "orders", .ext_usage = "clientAuth", .rsa_bits = 2048}});
}

Test(mapping_lint, l11_a_usage_that_does_not_fit)
{
    only(MAPPING_LINT_L11, MAPPING_SEVERITY_WARNING, CERTIFICATE_LINE,
         &(struct change){
             .certificate = {.common_name = "orders", .ext_usage = "clientAuth,serverAuth"}});
    only(MAPPING_LINT_L11, MAPPING_SEVERITY_ERROR, CERTIFICATE_LINE,
         &(struct change){.certificate = {.common_name = "orders", .ext_usage = "codeSigning"}});
    none(&(struct change){.certificate = {.common_name = "orders"}});
}

Test(mapping_lint, l12_nobody_answers_for_it)
{
    static const char *const without[] = {
        "  - {principal: orders, certificate: orders, ticket: t, review_by: \"2099-01-01\"}\n",
        "  - {principal: orders, certificate: orders, owner: o, review_by: \"2099-01-01\"}\n",
        "  - {principal: orders, certificate: orders, owner: o, ticket: t}\n",
        ("  - {principal: orders, certificate: orders, owner: o, ticket: t, "
         "review_by: \"2020-01-01\"}\n"),
    };
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        only(MAPPING_LINT_L12, MAPPING_SEVERITY_WARNING, MAPPING_LINE,
             &(struct change){.mapping = without[i]});
    }
}

Test(mapping_lint, l13_a_rule_that_nobody_uses)
{
    only(MAPPING_LINT_L13, MAPPING_SEVERITY_WARNING, MAPPING_LINE,
         &(struct change){.logins = "order"});
    only(MAPPING_LINT_L13, MAPPING_SEVERITY_WARNING, MAPPING_LINE,
         &(struct change){.logins_days = 91});
    none(&(struct change){.logins_days = 89});
    none(&(struct change){.logins = "order",
                          .mapping = RULE("principal: orders, certificate: orders, "
                                          "break_glass: true")});
}

Test(mapping_lint, l14_a_weaker_mechanism)
{
    only(MAPPING_LINT_L14, MAPPING_SEVERITY_WARNING, MAPPING_LINE + 6,
         &(struct change){.listener = "bind: 127.0.0.1, mechanisms: [SCRAM-SHA-512, PLAIN]"});
    none(&(struct change){.listener = "bind: 127.0.0.1, mechanisms: [SCRAM-SHA-512, PLAIN]",
                          .mapping = RULE("principal: orders, certificate: orders, "
                                          "when: {mechanism: SCRAM-SHA-512}")});
}

Test(mapping_lint, l15_a_rule_for_everybody)
{
    static const char *const wide[] = {
        RULE("principal_glob: \"*\", certificate: orders"),
        RULE("principal_regex: \"^.+$\", certificate: orders"),
        RULE("principal_regex: \"^[^/]*/?.*$\", certificate: orders"),
    };
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        only(MAPPING_LINT_L15, MAPPING_SEVERITY_ERROR, MAPPING_LINE,
             &(struct change){.mapping = wide[i]});
    }
}

Test(mapping_lint, l16_a_mapping_across_environments)
{
    const char *stage = RULE("principal: orders, certificate: stage-orders");
    only(MAPPING_LINT_L16, MAPPING_SEVERITY_WARNING, MAPPING_LINE,
         &(struct change){.mapping = stage, .cluster = "kafka-prod1"});
    none(&(struct change){.mapping = stage, .cluster = "staging"});
    none(&(struct change){.mapping = stage, .cluster = "product"});
}

Test(mapping_lint, l17_principals_that_differ_in_case_only)
{
    only(MAPPING_LINT_L17, MAPPING_SEVERITY_WARNING, MAPPING_LINE,
         &(struct change){.mapping = ORDERS RULE("principal: Orders, certificate: billing"),
                          .logins = "orders Orders"});
    none(&(struct change){.mapping = ORDERS RULE("principal: orders2, certificate: billing"),
                          .logins = "orders orders2"});
}

Test(mapping_lint, l18_revocation_is_not_checked)
{
    only(MAPPING_LINT_L18, MAPPING_SEVERITY_WARNING, MAPPING_LINE + 4,
         &(struct change){.generation = "\n       {name: g, protocol: SSL, "
                                        "login: mapped-certificate, tls: {ca: /ca.pem}}"});
}

Test(mapping_lint, l19_a_brokers_certificate_for_a_client)
{
    only(MAPPING_LINT_L19, MAPPING_SEVERITY_ERROR, MAPPING_LINE,
         &(struct change){.certificate = {.common_name = "orders",
                                          .ext_usage = "clientAuth",
                                          .alt_name = "DNS:x,DNS:kafka-1.example"}});
    none(&(struct change){.certificate = {.common_name = "orders",
                                          .ext_usage = "clientAuth",
                                          .alt_name = "DNS:kafka-1.example.org"}});
    only(MAPPING_LINT_L19, MAPPING_SEVERITY_ERROR, MAPPING_LINE,
         &(struct change){.mapping = RULE("principal: orders, certificate: setu")});
}

/* T31: allowed on purpose, it is an error of the lint. */
Test(mapping_lint, l20_a_listener_without_protection)
{
    only(MAPPING_LINT_L20, MAPPING_SEVERITY_WARNING, MAPPING_LINE + 5,
         &(struct change){.listener = "bind: \"::\", mechanisms: [SCRAM-SHA-512]"});
    only(MAPPING_LINT_L20, MAPPING_SEVERITY_ERROR, MAPPING_LINE + 5,
         &(struct change){.listener = "bind: \"::\", mechanisms: [PLAIN], "
                                      "allow_plain_without_tls: true"});
    none(&(struct change){.listener = "bind: [127.0.0.1, \"::1\"], mechanisms: [PLAIN]"});
}
