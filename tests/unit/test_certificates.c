/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/certificates.h"

#include "conf/config.h"
#include "tests/unit/pki_kit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct pki_cert root, orders;

static void prepare(void)
{
    pki_open();
    const struct pki_options authority = {.common_name = "Root", .authority = true};
    const struct pki_options client = {.common_name = "orders",
                                       .organization = "Example, Inc.",
                                       .ext_usage = "clientAuth",
                                       .usage = "digitalSignature"};
    root = pki_make(&authority, NULL);
    orders = pki_make(&client, &root);
    X509 *const chain[] = {orders.cert, root.cert, NULL};
    pki_write_certs("orders.pem", 0644, chain);
    pki_write_key("orders.key", 0400, orders.key, NULL);
}

static void tidy(void)
{
    pki_free(&root);
    pki_free(&orders);
    pki_close();
}

TestSuite(certificates, .init = prepare, .fini = tidy);

static struct config *config_of(const char *chain, const char *key)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "certificates:\n"
             "  - name: orders\n"
             "    chain: %s\n"
             "    key: %s\n"
             "mapping: [{principal: orders, certificate: orders}]\n"
             "clusters:\n"
             "  - name: main\n"
             "    bootstrap: [\"127.0.0.1:9092\"]\n"
             "    identity: {certificate: orders}\n"
             "    generations:\n"
             "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n"
             "listeners:\n"
             "  - {name: l, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
             "     advertised_host: localhost, node_base_port: 19100,\n"
             "     mechanisms: [SCRAM-SHA-512]}\n"
             "users: {file: /u.yaml}\n"
             "audit: {file: /a.log}\n",
             pki_path(chain), pki_path(key));
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(config);
    conf_errors_deinit(&errors);
    return config;
}

static struct certificates *load(const char *chain, const char *key, int64_t now_s,
                                 struct conf_errors *errors)
{
    struct config *config = config_of(chain, key);
    conf_errors_init(errors);
    struct certificates *certs = certificates_load(config, now_s, errors);
    config_unref(&config);
    return certs;
}

static int64_t now(void)
{
    return (int64_t)time(NULL);
}

enum { CHAIN_LINE = 3, KEY_LINE = 4 };

static void refused_at(const char *chain, const char *key, int64_t now_s, int line,
                       const char *path, const char *why)
{
    struct conf_errors errors;
    cr_assert_null(load(chain, key, now_s, &errors), "%s", why);
    cr_assert_geq(errors.errors, 1);
    const struct conf_error *error = &errors.items[0];
    cr_assert_str_eq(error->file, "setu.yaml");
    cr_assert_eq(error->line, line, "%s: line %d: %s", why, error->line, error->text);
    cr_assert_gt(error->column, 0);
    cr_assert_not_null(strstr(error->text, pki_path(path)), "%s", error->text);
    cr_assert_not_null(strstr(error->text, why), "%s | %s", why, error->text);
    conf_errors_deinit(&errors);
}

static void key_refused(const char *key, const char *why)
{
    refused_at("orders.pem", key, now(), KEY_LINE, key, why);
}

static void chain_refused(const char *chain, const char *key, const char *why)
{
    refused_at(chain, key, now(), CHAIN_LINE, chain, why);
}

Test(certificates, a_good_pair_is_described)
{
    struct conf_errors errors;
    struct certificates *certs = load("orders.pem", "orders.key", now(), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(certs);
    cr_assert_eq(errors.count, 0);
    cr_assert_eq(certificates_count(certs), 1);
    const struct certificate *cert = certificates_find(certs, "orders");
    cr_assert_eq(cert, certificates_at(certs, 0));
    cr_assert_null(certificates_at(certs, 1));
    cr_assert_null(certificates_find(certs, "other"));
    cr_assert_str_eq(cert->name, "orders");
    cr_assert_str_eq(cert->path, pki_path("orders.pem"));
    cr_assert_str_eq(cert->key_path, pki_path("orders.key"));
    cr_assert_str_eq(cert->subject, "CN=orders,O=Example\\, Inc.");
    cr_assert_str_eq(cert->issuer, "CN=Root");
    cr_assert_eq(strspn(cert->fingerprint, "0123456789abcdef"), 64);
    cr_assert_eq(strspn(cert->spki_fingerprint, "0123456789abcdef"), 64);
    cr_assert_str_neq(cert->fingerprint, cert->spki_fingerprint);
    cr_assert_eq(sk_X509_num(cert->issuers), 1);
    cr_assert_eq(EVP_PKEY_eq(cert->key, orders.key), 1);
    cr_assert_eq(X509_cmp(cert->leaf, orders.cert), 0);
    cr_assert_eq(cert->line, 2);
    cr_assert(certificates_valid_at(cert, now()));
    cr_assert(certificates_valid_at(cert, cert->not_before_s));
    cr_assert(certificates_valid_at(cert, cert->not_after_s));
    cr_assert_not(certificates_valid_at(cert, cert->not_before_s - 1));
    cr_assert_not(certificates_valid_at(cert, cert->not_after_s + 1));
    struct certificates *second = certificates_ref(certs);
    certificates_unref(&certs);
    cr_assert_null(certs);
    certificates_unref(&certs);
    cr_assert_str_eq(certificates_at(second, 0)->subject, "CN=orders,O=Example\\, Inc.");
    certificates_unref(&second);
    conf_errors_deinit(&errors);
}

Test(certificates, only_safe_modes_of_a_key_are_taken)
{
    static const mode_t good[] = {0400, 0600, 0440, 0640};
    static const mode_t bad[] = {0644, 0604, 0444, 0660, 0620, 0666, 0777, 0602, 0601};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        pki_write_key("k", good[i], orders.key, NULL);
        struct conf_errors errors;
        struct certificates *certs = load("orders.pem", "k", now(), &errors);
        cr_assert_not_null(certs, "%o", good[i]);
        certificates_unref(&certs);
        conf_errors_deinit(&errors);
        unlink(pki_path("k"));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pki_write_key("k", bad[i], orders.key, NULL);
        key_refused("k", "not safe");
        unlink(pki_path("k"));
    }
}

Test(certificates, keys_that_are_no_plain_readable_file_are_refused)
{
    cr_assert_eq(mkdir(pki_path("open"), 0700), 0);
    cr_assert_eq(chmod(pki_path("open"), 0777), 0);
    cr_assert_eq(symlink("../orders.key", pki_path("open/link")), 0);
    key_refused("open/link", "not safe");
    cr_assert_eq(unlink(pki_path("open/link")), 0);
    cr_assert_eq(rmdir(pki_path("open")), 0);
    cr_assert_eq(mkfifo(pki_path("fifo"), 0600), 0);
    key_refused("fifo", "not safe");
    cr_assert_eq(mkdir(pki_path("dir"), 0700), 0);
    key_refused("dir", "not safe");
    key_refused("missing", "No such file");
    pki_write_text("empty", 0600, "");
    key_refused("empty", "empty");
    pki_write_text("junk", 0600, "not a key\n");
    key_refused("junk", "holds no private key");
    pki_write_cert("public", orders.cert);
    cr_assert_eq(chmod(pki_path("public"), 0600), 0);
    key_refused("public", "holds no private key");
}

Test(certificates, a_foreign_owner_is_refused)
{
    if (geteuid() != 0) {
        cr_skip_test("only root can give files away");
    }
    pki_write_key("k", 0400, orders.key, NULL);
    cr_assert_eq(chown(pki_path("k"), 12345, 12345), 0);
    key_refused("k", "not safe");
    pki_write_cert("c", orders.cert);
    cr_assert_eq(chown(pki_path("c"), 12345, 12345), 0);
    chain_refused("c", "orders.key", "belongs to neither");
}

Test(certificates, an_encrypted_key_is_refused_without_asking)
{
    pki_write_key("k", 0400, orders.key, "secret");
    key_refused("k", "encrypted");
}

Test(certificates, the_key_has_to_fit)
{
    pki_write_key("k", 0400, root.key, NULL);
    key_refused("k", "does not belong");
    const struct pki_options rsa = {.common_name = "x", .rsa_bits = 2048};
    struct pki_cert other = pki_make(&rsa, NULL);
    pki_write_key("k2", 0400, other.key, NULL);
    key_refused("k2", "does not belong");
    pki_free(&other);
}

Test(certificates, chains_are_judged_by_file)
{
    static const struct {
        mode_t mode;
        const char *why;
    } modes[] = {{0664, "written by others"}, {0646, "written by others"}};
    X509 *const chain[] = {orders.cert, NULL};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        pki_write_certs("c", modes[i].mode, chain);
        chain_refused("c", "orders.key", modes[i].why);
        unlink(pki_path("c"));
    }
    cr_assert_eq(mkdir(pki_path("open"), 0700), 0);
    cr_assert_eq(chmod(pki_path("open"), 0777), 0);
    cr_assert_eq(symlink("../orders.pem", pki_path("open/link")), 0);
    chain_refused("open/link", "orders.key", "symbolic link");
    cr_assert_eq(unlink(pki_path("open/link")), 0);
    cr_assert_eq(rmdir(pki_path("open")), 0);
    cr_assert_eq(mkfifo(pki_path("fifo"), 0600), 0);
    chain_refused("fifo", "orders.key", "not a plain file");
    chain_refused("missing", "orders.key", "No such file");
    pki_write_text("empty", 0644, "");
    chain_refused("empty", "orders.key", "empty");
    pki_write_text("junk", 0644, "hello\n");
    chain_refused("junk", "orders.key", "holds no certificate");
    pki_write_text("broken", 0644,
                   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    chain_refused("broken", "orders.key", "certificate 1 cannot be read");
    pki_write_key("both", 0400, orders.key, NULL);
    chain_refused("both", "orders.key", "holds a private key");
}

Test(certificates, a_chain_starts_with_the_leaf_and_goes_up)
{
    X509 *const reversed[] = {root.cert, orders.cert, NULL};
    pki_write_certs("c", 0644, reversed);
    pki_write_key("root.key", 0400, root.key, NULL);
    chain_refused("c", "root.key", "certificate 2 did not issue certificate 1");
    X509 *const doubled[] = {orders.cert, orders.cert, NULL};
    pki_write_certs("d", 0644, doubled);
    chain_refused("d", "orders.key", "certificate 2 did not issue certificate 1");
    X509 *long_chain[18] = {orders.cert};
    for (int i = 1; i < 17; i++) {
        long_chain[i] = root.cert;
    }
    pki_write_certs("e", 0644, long_chain);
    chain_refused("e", "orders.key", "more than 16");
}

static void make_refused(struct pki_options options, const char *why)
{
    options.common_name = "x";
    struct pki_cert made = pki_make(&options, &root);
    pki_write_cert("made.pem", made.cert);
    pki_write_key("made.key", 0400, made.key, NULL);
    chain_refused("made.pem", "made.key", why);
    unlink(pki_path("made.key"));
    pki_free(&made);
}

Test(certificates, what_a_broker_would_refuse_is_refused_here)
{
    const int64_t day = 86400;
    make_refused((struct pki_options){.to_s = now() - 10}, "certificate 1 expired at 20");
    make_refused((struct pki_options){.from_s = now() + day}, "not valid before 20");
    make_refused((struct pki_options){.ext_usage = "serverAuth"}, "lacks clientAuth");
    make_refused((struct pki_options){.ext_usage = "codeSigning,emailProtection"},
                 "lacks clientAuth");
    make_refused((struct pki_options){.usage = "keyEncipherment"}, "lacks digitalSignature");
    make_refused((struct pki_options){.rsa_bits = 1024}, "too weak");
    make_refused((struct pki_options){.digest = "SHA1"}, "weak digest");
}

Test(certificates, an_issuer_that_expired_is_refused)
{
    const struct pki_options old = {.common_name = "Old", .authority = true, .to_s = now() - 10};
    const struct pki_options leaf = {.common_name = "x"};
    struct pki_cert issuer = pki_make(&old, &root), made = pki_make(&leaf, &issuer);
    X509 *const chain[] = {made.cert, issuer.cert, NULL};
    pki_write_certs("c", 0644, chain);
    pki_write_key("k", 0400, made.key, NULL);
    chain_refused("c", "k", "certificate 2 expired");
    pki_free(&issuer);
    pki_free(&made);
}

Test(certificates, usages_that_allow_it_are_taken)
{
    static const struct pki_options good[] = {
        {.common_name = "x"},
        {.common_name = "x", .ext_usage = "clientAuth,serverAuth"},
        {.common_name = "x", .ext_usage = "anyExtendedKeyUsage"},
        {.common_name = "x", .usage = "digitalSignature,keyAgreement"},
        {.common_name = "x", .rsa_bits = 2048},
        {.common_name = "ünï, \"x\""},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct pki_cert made = pki_make(&good[i], &root);
        pki_write_cert("made.pem", made.cert);
        pki_write_key("made.key", 0400, made.key, NULL);
        struct conf_errors errors;
        struct certificates *certs = load("made.pem", "made.key", now(), &errors);
        conf_errors_print(&errors, stderr);
        cr_assert_not_null(certs);
        certificates_unref(&certs);
        conf_errors_deinit(&errors);
        unlink(pki_path("made.key"));
        pki_free(&made);
    }
}

Test(certificates, the_time_given_decides)
{
    const int64_t year = 366 * 86400;
    refused_at("orders.pem", "orders.key", now() + year, CHAIN_LINE, "orders.pem", "expired");
    refused_at("orders.pem", "orders.key", now() - year, CHAIN_LINE, "orders.pem",
               "not valid before");
    struct conf_errors errors;
    struct certificates *certs = load("orders.pem", "orders.key", now() + 70 * 86400, &errors);
    cr_assert_not_null(certs);
    cr_assert_eq(errors.errors, 0);
    cr_assert_eq(errors.warnings, 1);
    cr_assert_not_null(strstr(errors.items[0].text, "expires in "), "%s",
                       errors.items[0].text);
    certificates_unref(&certs);
    conf_errors_deinit(&errors);
}

Test(certificates, every_fault_of_a_pair_is_told)
{
    struct conf_errors errors;
    cr_assert_null(load("missing.pem", "missing.key", now(), &errors));
    cr_assert_eq(errors.errors, 2);
    conf_errors_deinit(&errors);
}
