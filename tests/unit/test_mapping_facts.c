/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_facts.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/mapping.h"
#include "auth/mapping_predict.h"
#include "conf/config.h"
#include "tests/unit/pki_kit.h"

static struct pki_cert authority;

static void open_kit(void)
{
    pki_open();
    authority = pki_make(&(struct pki_options){.common_name = "ca", .authority = true}, NULL);
}

static void close_kit(void)
{
    pki_free(&authority);
    pki_close();
}

TestSuite(mapping_facts, .init = open_kit, .fini = close_kit);

static struct config *make_config(void)
{
    char text[4096];
    snprintf(text, sizeof text,
             "certificates:\n"
             "  - {name: a, chain: %s, key: %s}\n"
             "  - {name: none, chain: /none.pem, key: /none.key}\n"
             "mapping: [{principal: a, certificate: a}, {principal: n, certificate: none}]\n"
             "clusters:\n"
             "  - name: main\n"
             "    bootstrap: ['127.0.0.1:1']\n"
             "    identity: {certificate: a}\n"
             "    generations:\n"
             "      - {name: g, protocol: SSL, login: mapped-certificate,\n"
             "         tls: {ca: /ca.pem, crl: %s}, super_users: ['User:x', 'CN=a,O=Org']}\n"
             "listeners:\n"
             "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1000, node_base_port: 2000,\n"
             "     advertised_host: localhost, mechanisms: [PLAIN]}\n"
             "users: {file: /u}\n",
             pki_path("a.pem"), pki_path("a.key"), pki_path("list.crl"));
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(config);
    conf_errors_deinit(&errors);
    return config;
}

static struct pki_cert make(const struct pki_options *options)
{
    struct pki_cert made = pki_make(options, &authority);
    pki_write_cert("a.pem", made.cert);
    pki_write_key("a.key", 0400, made.key, NULL);
    return made;
}

Test(mapping_facts, of_a_certificate)
{
    struct pki_cert made = make(&(struct pki_options){
        .common_name = "a",
        .organization = "Org",
        .ext_usage = "clientAuth,serverAuth",
        .alt_name = "DNS:a.example,URI:spiffe://x/y,IP:127.0.0.1,IP:::1,email:a@b.c",
    });
    struct config *config = make_config();
    struct mapping_facts *facts = mapping_facts_new(config);
    const struct mapping_certificate *it = mapping_facts_find(facts, "a");
    cr_assert_str_eq(it->problem, "");
    cr_expect_str_eq(it->subject, "CN=a,O=Org");
    cr_expect_str_eq(it->issuer, "CN=ca");
    cr_expect_str_eq(it->names, "DNS:a.example, URI:spiffe://x/y, IP:127.0.0.1, "
                                "IP:0000:0000:0000:0000:0000:0000:0000:0001, email:a@b.c");
    cr_expect_str_eq(it->usages, "clientAuth, serverAuth");
    cr_expect(it->may_be_client && it->may_be_server && it->says_server);
    cr_expect_str_eq(it->key_type, "EC");
    cr_expect_eq(it->key_bits, 256);
    cr_expect_str_eq(it->signature, "SHA256");
    cr_expect_not(it->weak_signature);
    cr_expect(it->key_found);
    cr_expect_eq(it->key_mode, 0400);
    char fingerprint[CERTIFICATES_FINGERPRINT_SIZE];
    certificates_fingerprint(made.cert, fingerprint);
    cr_expect_str_eq(it->fingerprint, fingerprint);
    cr_expect_neq(strcmp(it->spki_fingerprint, fingerprint), 0);
    cr_expect_gt(it->not_after_s, (int64_t)time(NULL));
    cr_expect_gt(strlen(it->serial), 0);
    const struct mapping_certificate *none = mapping_facts_find(facts, "none");
    cr_expect_not_null(strstr(none->problem, "/none.pem"));
    cr_expect_str_eq(none->subject, "");
    cr_expect_not(none->key_found);
    cr_expect_null(mapping_facts_find(facts, "b"));
    mapping_facts_free(&facts);
    cr_assert_null(facts);
    mapping_facts_free(&facts);
    config_unref(&config);
    pki_free(&made);
}

/* A key that nobody may read is no hindrance: it is not read. */
Test(mapping_facts, revocation)
{
    struct pki_cert made = make(&(struct pki_options){.common_name = "a"});
    struct pki_cert other =
        pki_make(&(struct pki_options){.common_name = "other", .authority = true}, NULL);
    struct config *config = make_config();
    const struct conf_tls *tls = &config->clusters[0].generations[0].tls;
    struct mapping_facts *facts = mapping_facts_new(config);
    const struct mapping_certificate *it = mapping_facts_find(facts, "a");
    struct mapping_revocation_facts found;
    mapping_facts_revocation(it, tls, &found);
    cr_expect_eq(found.state, MAPPING_REVOCATION_UNCHECKED, "there is no list");
    X509_CRL *lists[] = {pki_crl(&authority, NULL, 0), pki_crl(&authority, made.cert, 0),
                         pki_crl(&other, NULL, 0)};
    static const enum mapping_revocation wanted[] = {MAPPING_REVOCATION_GOOD, MAPPING_REVOKED,
                                                     MAPPING_REVOCATION_UNCHECKED};
    for (size_t i = 0; i < 3; i++) {
        pki_write_crl("list.crl", lists[i]);
        mapping_facts_revocation(it, tls, &found);
        cr_expect_eq(found.state, wanted[i], "%zu: %s", i, mapping_revocation_name(found.state));
        cr_expect_eq(found.list_to_s > 0, i < 2);
        X509_CRL_free(lists[i]);
    }
    mapping_facts_free(&facts);
    config_unref(&config);
    pki_free(&other);
    pki_free(&made);
}

static const char *subject(void *context, const char *certificate)
{
    (void)context;
    return strcmp(certificate, "a") == 0 ? "CN=a,O=Org" : NULL;
}

static void keep(void *context, const struct mapping_prediction *prediction)
{
    struct mapping_prediction *kept = context;
    cr_assert_null(kept->generation, "the one whose subject is not known is left out");
    *kept = *prediction;
}

Test(mapping_facts, prediction)
{
    struct conf_errors errors;
    struct config *config = make_config();
    conf_errors_init(&errors);
    struct mapping *mapping = mapping_build(config, &errors);
    struct mapping_prediction kept = {0};
    const struct mapping_predict_params params = {.config = config,
                                                  .mapping = mapping,
                                                  .subject = subject,
                                                  .predicted = keep,
                                                  .context = &kept};
    mapping_predict(&params, &errors);
    cr_assert_eq(errors.count, 0);
    cr_assert_eq(kept.rule, 0);
    cr_assert_eq(kept.status, RULES_OK);
    cr_assert_str_eq(kept.principal, "CN=a,O=Org");
    cr_assert_str_eq(kept.super_user, "CN=a,O=Org");
    cr_assert_null(kept.broker_principal);
    cr_assert(kept.intended, "nothing else is");
    char fault[8192];
    cr_assert(mapping_prediction_fault(&kept, "", fault, sizeof fault));
    cr_assert_not_null(strstr(fault, "one of their super users"), "%s", fault);
    mapping_unref(&mapping);
    config_unref(&config);
    conf_errors_deinit(&errors);
}
