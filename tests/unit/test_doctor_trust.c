/* SPDX-License-Identifier: Apache-2.0 */
/* When what the tls blocks name ends: listeners' certificates, authorities, revocation lists. */
#include "proxy/cli/doctor.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "conf/config.h"
#include "tests/unit/doctor_kit.h"
#include "tests/unit/pki_kit.h"

enum { DAY_S = 86400 };

static struct pki_cert root, old_root, leaf;
static char chain_path[128], client_ca_path[128], ca_path[128], crl_path[128];
static int64_t now_s;

static const struct pki_options root_options = {.common_name = "root", .authority = true};
static const struct pki_options leaf_options = {.common_name = "setu", .ext_usage = "serverAuth"};

static void keep_path(char path[128], const char *name)
{
    snprintf(path, 128, "%s", pki_path(name));
}

/* Everything good for 90 days, the list for 10. */
static void open_all(void)
{
    const struct pki_options old = {.common_name = "old", .authority = true, .to_s = 1};
    now_s = (int64_t)time(NULL);
    pki_open();
    root = pki_make(&root_options, NULL);
    old_root = pki_make(&old, NULL);
    leaf = pki_make(&leaf_options, &root);
    X509_CRL *list = pki_crl(&root, NULL, now_s + 10 * DAY_S);
    pki_write_cert("leaf.pem", leaf.cert);
    pki_write_cert("ca.pem", root.cert);
    pki_write_crl("ca.crl", list);
    X509_CRL_free(list);
    keep_path(chain_path, "leaf.pem");
    keep_path(client_ca_path, "ca.pem");
    keep_path(ca_path, "ca.pem");
    keep_path(crl_path, "ca.crl");
}

static void close_all(void)
{
    forget();
    pki_free(&leaf);
    pki_free(&old_root);
    pki_free(&root);
    pki_close();
}

TestSuite(doctor_trust, .init = open_all, .fini = close_all);

static struct conf_listener listener_of(enum conf_client_auth client_auth)
{
    return (struct conf_listener){.name = "l",
                                  .tls = {.present = true,
                                          .chain = chain_path,
                                          .client_ca = client_ca_path,
                                          .client_auth = client_auth}};
}

static void judge_listener(int64_t at_s, enum conf_client_auth client_auth)
{
    const struct conf_listener listener = listener_of(client_auth);
    const struct config config = {.listeners = &listener, .listeners_count = 1};
    forget();
    doctor_judge_trust(&doctor, &config, at_s);
}

static void judge_generation(int64_t at_s)
{
    const struct conf_generation generations[] = {
        {.name = "plain", .protocol = CONF_PROTOCOL_SASL_PLAINTEXT},
        {.name = "g", .protocol = CONF_PROTOCOL_SSL, .tls = {.ca = ca_path, .crl = crl_path}}};
    const struct conf_cluster cluster = {
        .name = "main", .generations = generations, .generations_count = 2};
    const struct config config = {.clusters = &cluster, .clusters_count = 1};
    forget();
    doctor_judge_trust(&doctor, &config, at_s);
}

static void expect_listener(int64_t at_s, int chain, int authorities)
{
    judge_listener(at_s, CONF_CLIENT_AUTH_REQUIRED);
    cr_assert_eq(says("listener_cert"), chain, "%d", says("listener_cert"));
    cr_assert_eq(says("authorities"), authorities, "%d", says("authorities"));
}

static void expect_generation(int64_t at_s, int authorities, int list)
{
    judge_generation(at_s);
    cr_assert_eq(says("authorities"), authorities, "%d", says("authorities"));
    cr_assert_eq(says("revocation"), list, "%d", says("revocation"));
}

/* Several lists in one file. */
static void write_lists(X509_CRL *const *lists, size_t count)
{
    FILE *file = fopen(crl_path, "w");
    cr_assert_not_null(file);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(PEM_write_X509_CRL(file, lists[i]), 1);
    }
    cr_assert(fclose(file) == 0 && chmod(crl_path, 0644) == 0);
}

Test(doctor_trust, listeners_near_their_end)
{
    expect_listener(now_s, DOCTOR_OK, DOCTOR_OK);
    cr_assert_not_null(strstr(doctor.findings[0].what, "listener l: "));
    cr_assert_not_null(strstr(doctor.findings[0].what, chain_path));
    const json_t *days = json_object_get(doctor.findings[0].values, "days");
    cr_assert_geq(json_integer_value(days), 89);
    expect_listener(now_s + 70 * DAY_S, DOCTOR_WARN, DOCTOR_WARN);
    cr_assert_not_null(strstr(doctor.findings[0].what, "ends in "), "%s", doctor.findings[0].what);
    expect_listener(now_s + 91 * DAY_S, DOCTOR_FAIL, DOCTOR_FAIL);
    cr_assert_not_null(strstr(doctor.findings[0].what, " hours ago"), "%s",
                       doctor.findings[0].what);
}

/* The authorities of a listener that asks for no certificate are not even read by Setu. */
Test(doctor_trust, listeners_that_ask_for_no_certificate)
{
    judge_listener(now_s, CONF_CLIENT_AUTH_NONE);
    cr_assert_eq(says("listener_cert"), DOCTOR_OK);
    cr_assert_eq(says("authorities"), -1);
}

Test(doctor_trust, an_issuer_that_ends_before_its_leaf)
{
    const struct pki_options options = {
        .common_name = "middle", .authority = true, .to_s = now_s + 10 * DAY_S};
    struct pki_cert middle = pki_make(&options, &root);
    struct pki_cert below = pki_make(&leaf_options, &middle);
    X509 *const chain[] = {below.cert, middle.cert, NULL};
    pki_write_certs("leaf.pem", 0644, chain);
    expect_listener(now_s, DOCTOR_WARN, DOCTOR_OK);
    expect_listener(now_s + 11 * DAY_S, DOCTOR_FAIL, DOCTOR_OK);
    pki_free(&below);
    pki_free(&middle);
}

/* Files of authorities keep old ones; that is no failure while another is in force. */
Test(doctor_trust, authorities_of_which_one_has_ended)
{
    X509 *const both[] = {old_root.cert, root.cert, NULL};
    pki_write_certs("ca.pem", 0644, both);
    expect_generation(now_s, DOCTOR_WARN, DOCTOR_OK);
    cr_assert_not_null(strstr(doctor.findings[0].what, "1 of 2 in force"));
    cr_assert_not_null(strstr(doctor.findings[0].what, "cluster main, generation g: "));
    expect_generation(now_s + 91 * DAY_S, DOCTOR_FAIL, DOCTOR_FAIL);
    pki_write_cert("ca.pem", old_root.cert);
    expect_generation(now_s, DOCTOR_FAIL, DOCTOR_OK);
}

Test(doctor_trust, lists_near_their_next_update)
{
    expect_generation(now_s, DOCTOR_OK, DOCTOR_OK);
    expect_generation(now_s + 10 * DAY_S - 3600, DOCTOR_OK, DOCTOR_WARN);
    expect_generation(now_s + 10 * DAY_S + 1, DOCTOR_OK, DOCTOR_FAIL);
    expect_generation(now_s - 3 * DAY_S, DOCTOR_OK, DOCTOR_FAIL); /* not in force yet */
    cr_assert_not_null(strstr(doctor.findings[1].what, "CN=root is not in force yet"), "%s",
                       doctor.findings[1].what);
}

Test(doctor_trust, a_list_without_next_update)
{
    X509_CRL *model = pki_crl(&root, NULL, 0), *list = X509_CRL_new();
    cr_assert(X509_CRL_set_version(list, X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(list, X509_CRL_get_issuer(model)) == 1 &&
              X509_CRL_set1_lastUpdate(list, X509_CRL_get0_lastUpdate(model)) == 1 &&
              X509_CRL_sign(list, root.key, EVP_sha256()) > 0);
    write_lists(&list, 1);
    expect_generation(now_s, DOCTOR_OK, DOCTOR_WARN);
    cr_assert_not_null(strstr(doctor.findings[1].what, "no next update"));
    X509_CRL_free(model);
    X509_CRL_free(list);
}

/* The same authority's older list does not matter, another's does. */
Test(doctor_trust, several_lists)
{
    X509_CRL *lists[] = {pki_crl(&root, NULL, now_s - DAY_S),
                         pki_crl(&root, NULL, now_s + 9 * DAY_S),
                         pki_crl(&old_root, NULL, now_s - DAY_S)};
    write_lists(lists, 2);
    expect_generation(now_s, DOCTOR_OK, DOCTOR_OK);
    cr_assert_eq(doctor.count, 2);
    write_lists(lists, 1);
    expect_generation(now_s, DOCTOR_OK, DOCTOR_FAIL);
    write_lists(lists, 3);
    expect_generation(now_s, DOCTOR_OK, DOCTOR_FAIL);
    cr_assert_eq(doctor.count, 3);
    write_lists(lists, 2); /* when neither is in force, both are told */
    expect_generation(now_s + 20 * DAY_S, DOCTOR_OK, DOCTOR_FAIL);
    cr_assert_eq(doctor.count, 3);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        X509_CRL_free(lists[i]);
    }
}

/* They are among the configuration's faults already. */
Test(doctor_trust, files_that_cannot_be_read)
{
    pki_write_text("leaf.pem", 0644, "nothing");
    pki_write_text("ca.pem", 0644, "nothing");
    pki_write_text("ca.crl", 0644, "nothing");
    judge_listener(now_s, CONF_CLIENT_AUTH_REQUIRED);
    cr_assert_eq(doctor.count, 0);
    judge_generation(now_s);
    cr_assert_eq(doctor.count, 0);
}

Test(doctor_trust, nothing_without_tls)
{
    const struct conf_listener plain = {.name = "l"};
    const struct config config = {.listeners = &plain, .listeners_count = 1};
    doctor_judge_trust(&doctor, &config, now_s);
    cr_assert_eq(doctor.count, 0);
    crl_path[0] = '\0';
    expect_generation(now_s, DOCTOR_OK, -1);
}
