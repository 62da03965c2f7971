/* SPDX-License-Identifier: Apache-2.0 */
/* Which changed files may be taken into use with nobody looking. */
#include "auth/tls_material.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "auth/tls_context.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "tests/unit/pki_kit.h"

enum { HOUR_S = 3600, DAY_S = 86400 };

static struct pki_cert root, other;
static struct config *config;
static struct tls_material *before;

static void write_bundle(const char *name, X509 *first, X509 *second)
{
    X509 *const bundle[] = {first, second, NULL};
    pki_write_certs(name, 0644, bundle);
}

/* Takes the lists. */
static void write_crls(X509_CRL *const *lists)
{
    FILE *file = fopen(pki_path("ca.crl"), "w");
    cr_assert_not_null(file);
    for (; *lists != NULL; lists++) {
        cr_assert_eq(PEM_write_X509_CRL(file, *lists), 1);
        X509_CRL_free(*lists);
    }
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(pki_path("ca.crl"), 0644), 0);
}

static void write_lists(bool of_other)
{
    write_crls((X509_CRL *[]){pki_crl(&root, NULL, 0),
                              of_other ? pki_crl(&other, NULL, 0) : NULL, NULL});
}

/* Of the issuer's name, signed by whoever. pki_crl() makes them two days old. */
static X509_CRL *list_made(const struct pki_cert *issuer, const struct pki_cert *signer,
                           int64_t from_s)
{
    X509_CRL *list = pki_crl(issuer, NULL, from_s + 10 * DAY_S);
    ASN1_TIME *from = ASN1_TIME_set(NULL, from_s);
    cr_assert_not_null(from);
    cr_assert_eq(X509_CRL_set1_lastUpdate(list, from), 1);
    cr_assert_gt(X509_CRL_sign(list, signer->key, EVP_sha256()), 0);
    ASN1_TIME_free(from);
    return list;
}

static void write_shown(const char *who, int64_t from_s)
{
    const struct pki_options options = {.common_name = who, .from_s = from_s};
    struct pki_cert shown = pki_make(&options, &root);
    pki_write_cert("shown.pem", shown.cert);
    pki_write_key("shown.key", 0400, shown.key, NULL);
    pki_free(&shown);
}

static struct config *config_with(const char *shown_key)
{
    char text[4096];
    struct conf_errors errors;
    conf_errors_init(&errors);
    snprintf(text, sizeof text,
             "certificates: [{name: orders, chain: %s, key: %s}]\n"
             "mapping: [{principal: orders, certificate: orders}]\n"
             "clusters:\n"
             "  - name: main\n"
             "    bootstrap: [\"127.0.0.1:9092\"]\n"
             "    identity: {certificate: orders}\n"
             "    generations:\n"
             "      - {name: g, protocol: SSL, login: mapped-certificate,\n"
             "         tls: {ca: %s, crl: %s}}\n"
             "listeners:\n"
             "  - {name: l, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
             "     advertised_host: localhost, node_base_port: 19100,\n"
             "     mechanisms: [SCRAM-SHA-512],\n"
             "     tls: {chain: %s, key: %s, client_auth: required, client_ca: %s,\n"
             "           client_crl: %s, principal_mapping_rules: DEFAULT}}\n"
             "users: {file: /u.yaml}\n",
             pki_path("shown.pem"), pki_path(shown_key), pki_path("ca.pem"), pki_path("ca.crl"),
             pki_path("shown.pem"), pki_path("shown.key"), pki_path("ca.pem"), pki_path("ca.crl"));
    struct config *made = config_parse(text, strlen(text), "setu.yaml", &errors);
    cr_assert_not_null(made, "%s", errors.count > 0 ? errors.items[0].text : "");
    conf_errors_deinit(&errors);
    return made;
}

static struct tls_material *load(void)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct tls_material *material = tls_material_load(config, (int64_t)time(NULL), &errors);
    cr_assert_not_null(material, "%s", errors.count > 0 ? errors.items[0].text : "");
    conf_errors_deinit(&errors);
    return material;
}

static void prepare(void)
{
    const struct pki_options first = {.common_name = "Root", .authority = true};
    const struct pki_options second = {.common_name = "Other", .authority = true};
    pki_open();
    root = pki_make(&first, NULL);
    other = pki_make(&second, NULL);
    write_bundle("ca.pem", root.cert, other.cert);
    write_lists(true);
    write_shown("orders", 0);
    config = config_with("shown.key");
    before = load();
}

static void tidy(void)
{
    tls_material_unref(&before);
    config_unref(&config);
    pki_free(&root);
    pki_free(&other);
    pki_close();
}

TestSuite(tls_material, .init = prepare, .fini = tidy);

/*
 * What lies there now: may it follow, and if not, for which reason each time. Identity and listener show the same
 * files, and believe the same ones of brokers and of clients, so that each fault is told twice.
 */
static void assert_refused(const char *why, size_t times)
{
    struct conf_errors errors;
    struct tls_material *now = load();
    conf_errors_init(&errors);
    cr_assert_eq(tls_material_may_follow(before, now, (int64_t)time(NULL), &errors), times == 0,
                 "%s", errors.count > 0 ? errors.items[0].text : "it may");
    cr_assert_eq(errors.count, times);
    for (size_t i = 0; i < errors.count; i++) {
        cr_assert_not_null(strstr(errors.items[i].text, why), "%s", errors.items[i].text);
    }
    conf_errors_deinit(&errors);
    tls_material_unref(&now);
}

Test(tls_material, what_is_newer_and_speaks_for_the_same_may_follow)
{
    assert_refused("", 0);
    write_shown("orders", (int64_t)time(NULL) - 60);
    assert_refused("", 0);
}

Test(tls_material, an_authority_may_go_but_not_come)
{
    struct pki_cert made = pki_make(&(const struct pki_options){.common_name = "Root",
                                                                .authority = true}, NULL);
    write_bundle("ca.pem", root.cert, made.cert);
    write_lists(true);
    assert_refused("authority", 2);
    write_bundle("ca.pem", root.cert, NULL);
    assert_refused("", 0);
    pki_free(&made);
}

Test(tls_material, t54_a_list_that_is_missing_may_not_follow)
{
    write_lists(false);
    assert_refused("missing", 2);
    write_lists(true);
    assert_refused("", 0);
}

Test(tls_material, t54_a_list_may_not_hide_behind_a_forged_one)
{
    const int64_t now_s = (int64_t)time(NULL);
    write_crls((X509_CRL *[]){list_made(&root, &root, now_s - 2 * HOUR_S),
                              list_made(&root, &other, now_s - HOUR_S), pki_crl(&other, NULL, 0),
                              NULL});
    assert_refused("not signed by its issuer", 2);
}

/* It counts for nothing yet: another is in force, or nobody is let in. In use, each right one after it were older. */
Test(tls_material, t54_a_list_of_tomorrow_may_not_follow)
{
    const struct pki_options options = {.common_name = "Between", .authority = true};
    const int64_t now_s = (int64_t)time(NULL);
    struct pki_cert between = pki_make(&options, &root);
    write_crls(
        (X509_CRL *[]){list_made(&root, &root, now_s + HOUR_S), pki_crl(&other, NULL, 0), NULL});
    assert_refused("not in force yet", 2);
    write_crls((X509_CRL *[]){list_made(&root, &root, now_s - HOUR_S), pki_crl(&other, NULL, 0),
                              list_made(&between, &other, now_s + 1000 * DAY_S), NULL});
    assert_refused("not in force yet", 2); /* whose signature nobody can tell */
    write_crls((X509_CRL *[]){list_made(&root, &root, now_s), pki_crl(&other, NULL, 0), NULL});
    assert_refused("", 0);
    pki_free(&between);
}

/* The newer one may be of a part, or of another key, and then the older one is what counts. */
Test(tls_material, t54_an_older_list_may_not_hide_behind_a_newer_one)
{
    const int64_t now_s = (int64_t)time(NULL);
    X509_CRL *kept = list_made(&root, &root, now_s - 2 * DAY_S);
    tls_material_unref(&before);
    write_crls((X509_CRL *[]){X509_CRL_dup(kept), pki_crl(&other, NULL, 0), NULL});
    before = load();
    write_crls((X509_CRL *[]){list_made(&root, &root, now_s - 5 * DAY_S),
                              list_made(&root, &root, now_s - DAY_S), pki_crl(&other, NULL, 0),
                              NULL});
    assert_refused("older", 2);
    write_crls((X509_CRL *[]){X509_CRL_dup(kept), list_made(&root, &root, now_s - 5 * DAY_S),
                              pki_crl(&other, NULL, 0), NULL});
    assert_refused("older", 2); /* it may be of another key than the one that stays */
    write_crls((X509_CRL *[]){kept, list_made(&root, &root, now_s - DAY_S),
                              pki_crl(&other, NULL, 0), NULL});
    assert_refused("", 0);
    write_crls((X509_CRL *[]){list_made(&root, &root, now_s - DAY_S), pki_crl(&other, NULL, 0),
                              NULL});
    assert_refused("", 0);
}

/* Of an authority that peers send along the file knows no key. */
Test(tls_material, t54_an_older_list_may_not_hide_behind_one_of_an_unknown_signer)
{
    const struct pki_options options = {.common_name = "Between", .authority = true};
    const int64_t now_s = (int64_t)time(NULL);
    struct pki_cert between = pki_make(&options, &root);
    tls_material_unref(&before);
    write_crls((X509_CRL *[]){pki_crl(&root, NULL, 0), pki_crl(&other, NULL, 0),
                              list_made(&between, &between, now_s - 2 * DAY_S), NULL});
    before = load();
    write_crls((X509_CRL *[]){pki_crl(&root, NULL, 0), pki_crl(&other, NULL, 0),
                              list_made(&between, &between, now_s - 5 * DAY_S),
                              list_made(&between, &other, now_s - HOUR_S), NULL});
    assert_refused("older", 2);
    write_crls((X509_CRL *[]){pki_crl(&root, NULL, 0), pki_crl(&other, NULL, 0),
                              list_made(&between, &between, now_s - DAY_S), NULL});
    assert_refused("", 0);
    pki_free(&between);
}

Test(tls_material, t53_a_certificate_that_is_older_or_speaks_for_another_may_not_follow)
{
    write_shown("orders", (int64_t)time(NULL) - 3 * DAY_S);
    assert_refused("older", 2);
    write_shown("payments", (int64_t)time(NULL) - 60);
    assert_refused("another identity", 2);
}

/* Again and again --------------------------------------------------------------------------- */

/* Of the sanitizers' allocators, to the byte; not there in other builds. */
__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);

static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL
               ? __sanitizer_get_current_allocated_bytes()
               : mallinfo2().uordblks;
}

/* What a rotation does, and one that is refused at the last of its files. */
static void rotate(const struct config *broken)
{
    struct conf_errors errors;
    struct tls_material *now = load();
    const struct conf_listener *listener = now->config->listeners;
    const struct conf_tls *tls = &now->config->clusters[0].generations[0].tls;
    conf_errors_init(&errors);
    cr_assert(tls_material_may_follow(before, now, (int64_t)time(NULL), &errors));
    SSL_CTX *shown =
        tls_server_ctx_from(listener, &now->sides[0].pair, now->sides[0].clients, &errors);
    SSL_CTX *dialling =
        tls_client_ctx_from(now->certificates, now->trusts[0], "orders", tls, &errors);
    cr_assert(shown != NULL && dialling != NULL);
    SSL_CTX_free(shown);
    SSL_CTX_free(dialling);
    tls_material_unref(&now);
    cr_assert_null(tls_material_load(broken, (int64_t)time(NULL), &errors));
    conf_errors_deinit(&errors);
}

static bool is_over(int64_t done, int64_t wanted, const struct timespec *began)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t passed_ms =
        (now.tv_sec - began->tv_sec) * 1000 + (now.tv_nsec - began->tv_nsec) / 1000000;
    return wanted > 0 ? done >= wanted : done >= 30 && passed_ms >= 2000;
}

/*
 * T57: as often as two seconds allow (thirty times at least), or as SETU_LOADS says: what is allocated after each
 * is what was allocated after the first few, to the byte.
 */
Test(tls_material, t57_what_is_loaded_again_and_again_is_given_back, .timeout = 1200)
{
    enum { WARM = 20 }; /* OpenSSL's own tables fill at first use */
    const size_t room = __sanitizer_get_current_allocated_bytes != NULL ? 0 : 262144;
    const char *text = getenv("SETU_LOADS");
    const int64_t wanted = text != NULL ? strtoll(text, NULL, 10) : 0;
    struct config *broken = config_with("missing.key");
    struct timespec began;
    size_t warm = 0;
    int64_t done = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &began);
    while (!is_over(done, wanted, &began)) {
        rotate(broken);
        done++;
        warm = done <= WARM ? allocated() : warm;
        cr_assert_leq(allocated(), warm + room, "grew by %zu bytes with load %lld",
                      allocated() - warm, (long long)done);
    }
    printf("loaded %lld times, and refused as often: %zu bytes after %d, %zu at the end\n",
           (long long)done, warm, WARM, allocated());
    config_unref(&broken);
}
