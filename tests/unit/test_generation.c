/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/generation.h"

#include <criterion/criterion.h>
#include <string.h>

#include "conf/config.h"

static const char head[] =
    "audit: {file: \"\"}\n"
    "users: {file: /etc/setu/users.yaml}\n"
    "certificates: [{name: c, chain: /c.pem, key: /c.key}]\n"
    "listeners:\n"
    "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1000, advertised_host: localhost,\n"
    "     node_base_port: 2000, mechanisms: [SCRAM-SHA-512]}\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"b:9092\"]\n"
    "    generations:\n";

static struct config *config;

static const struct conf_cluster *load(const char *generations)
{
    char text[8192];
    struct conf_errors errors;
    conf_errors_init(&errors);
    snprintf(text, sizeof text, "%s%s", head, generations);
    config = config_parse(text, strlen(text), "setu.yaml", &errors);
    if (config == NULL) {
        conf_errors_print(&errors, stderr);
    }
    cr_assert_not_null(config);
    conf_errors_deinit(&errors);
    return &config->clusters[0];
}

static void unload(void)
{
    config_unref(&config);
}

TestSuite(generation, .fini = unload);

static struct generation_subject subject(int32_t node_id, const char *host, uint16_t port,
                                         const char *rack)
{
    return (struct generation_subject){node_id, host, port, rack};
}

static const char *by_rule(const struct conf_cluster *cluster, struct generation_subject subject)
{
    bool look = false;
    const struct conf_generation *found = generation_by_rule(cluster, &subject, &look);
    return found != NULL ? found->name : look ? "look" : "none";
}

Test(generation, every_key_must_hold)
{
    const struct conf_cluster *cluster =
        load("      - {name: g, protocol: SASL_PLAINTEXT, login: passthrough,\n"
             "         match: {node_ids: \"1-3,7\", host: \"*.old\", port: 9092, rack: r1}}\n");
    cr_assert_str_eq(by_rule(cluster, subject(1, "a.old", 9092, "r1")), "g");
    cr_assert_str_eq(by_rule(cluster, subject(7, "A.OLD", 9092, "r1")), "g");
    cr_assert_str_eq(by_rule(cluster, subject(4, "a.old", 9092, "r1")), "none");
    cr_assert_str_eq(by_rule(cluster, subject(1, "a.new", 9092, "r1")), "none");
    cr_assert_str_eq(by_rule(cluster, subject(1, "a.old", 9093, "r1")), "none");
    cr_assert_str_eq(by_rule(cluster, subject(1, "a.old", 9092, "r2")), "none");
    cr_assert_str_eq(by_rule(cluster, subject(1, "a.old", 9092, "")), "none");
}

/* A bootstrap address: no id, no rack yet. */
Test(generation, what_is_not_known_yet_asks_for_a_look)
{
    const struct conf_cluster *cluster = load(
        "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough,\n"
        "         match: {node_ids: \"1-2\"}}\n"
        "      - {name: racked, protocol: SASL_PLAINTEXT, login: passthrough,\n"
        "         match: {rack: r9, port: 9099}}\n"
        "      - {name: ajna, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n");
    cr_assert_str_eq(by_rule(cluster, subject(-1, "b", 9092, NULL)), "look");
    cr_assert_str_eq(by_rule(cluster, subject(1, "b", 9092, NULL)), "legacy");
    cr_assert_str_eq(by_rule(cluster, subject(3, "b", 9092, NULL)), "ajna");
    cr_assert_str_eq(by_rule(cluster, subject(3, "b", 9099, NULL)), "look");
    cr_assert_str_eq(by_rule(cluster, subject(3, "b", 9099, "r9")), "racked");
    cr_assert_str_eq(by_rule(cluster, subject(3, "b", 9099, "")), "ajna");
}

Test(generation, probe_wants_a_look_unless_an_earlier_rule_is_certain)
{
    const struct conf_cluster *cluster =
        load("      - {name: first, protocol: SASL_PLAINTEXT, login: passthrough,\n"
             "         match: {host: \"old*\"}}\n"
             "      - {name: ajna, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem},\n"
             "         match: {probe: true}}\n"
             "      - {name: last, protocol: SASL_PLAINTEXT, login: passthrough}\n");
    cr_assert_str_eq(by_rule(cluster, subject(1, "old1", 9092, "")), "first");
    cr_assert_str_eq(by_rule(cluster, subject(1, "new1", 9092, "")), "look");
}

static const char *by_look(const struct conf_cluster *cluster, struct generation_subject subject,
                           struct generation_look look)
{
    const struct conf_generation *found = generation_by_look(cluster, &subject, &look);
    return found != NULL ? found->name : "none";
}

Test(generation, look_decides)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-512"};
    const struct conf_cluster *cluster =
        load("      - {name: sha256, protocol: SASL_PLAINTEXT, login: sasl, match: {probe: true},\n"
             "         sasl: {mechanism: SCRAM-SHA-256, credentials_file: /x.yaml}}\n"
             "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough,\n"
             "         match: {probe: true}}\n"
             "      - {name: secure, protocol: SASL_SSL, login: passthrough, tls: {ca: /ca.pem},\n"
             "         match: {probe: true, host: \"s*\"}}\n"
             "      - {name: ajna, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem},\n"
             "         match: {probe: true}}\n");
    struct generation_subject any = subject(-1, "b", 9092, NULL);
    struct generation_look plain = {.sasl = true, .mechanisms = mechanisms, .mechanism_count = 2};
    cr_assert_str_eq(by_look(cluster, any, plain), "legacy");
    struct generation_look secure = plain;
    secure.tls = true;
    cr_assert_str_eq(by_look(cluster, any, secure), "none");
    cr_assert_str_eq(by_look(cluster, subject(-1, "s1", 9092, NULL), secure), "secure");
    struct generation_look ssl = {.tls = true};
    cr_assert_str_eq(by_look(cluster, any, ssl), "ajna");
    ssl.certificate_wanted = true;
    cr_assert_str_eq(by_look(cluster, any, ssl), "ajna");
    struct generation_look open = {0};
    cr_assert_str_eq(by_look(cluster, any, open), "none");
}
