/* SPDX-License-Identifier: Apache-2.0 */
/* What revocation lists do that are not, or not yet, what they seem to be. */
#include "auth/trust.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/unit/pki_kit.h"

enum { HOUR_S = 3600, DAY_S = 86400 };

static struct pki_cert root, client;
static int64_t now_s;

static void prepare(void)
{
    const struct pki_options authority = {.common_name = "Root", .authority = true};
    const struct pki_options leaf = {.common_name = "orders", .ext_usage = "clientAuth"};
    pki_open();
    now_s = (int64_t)time(NULL);
    root = pki_make(&authority, NULL);
    client = pki_make(&leaf, &root);
    pki_write_cert("ca.pem", root.cert);
}

static void tidy(void)
{
    pki_free(&client);
    pki_free(&root);
    pki_close();
}

TestSuite(trust, .init = prepare, .fini = tidy);

static X509_CRL *list_of(const X509 *revoked, int64_t from_s, long delta_of)
{
    X509_CRL *list = pki_crl(&root, revoked, now_s + 10 * DAY_S);
    ASN1_TIME *from = ASN1_TIME_set(NULL, from_s);
    cr_assert_not_null(from);
    cr_assert_eq(X509_CRL_set1_lastUpdate(list, from), 1);
    if (delta_of != 0) {
        ASN1_INTEGER *base = ASN1_INTEGER_new();
        cr_assert_eq(ASN1_INTEGER_set(base, delta_of), 1);
        cr_assert_eq(X509_CRL_add1_ext_i2d(list, NID_delta_crl, base, 1, 0), 1);
        ASN1_INTEGER_free(base);
    }
    cr_assert_gt(X509_CRL_sign(list, root.key, EVP_sha256()), 0);
    ASN1_TIME_free(from);
    return list;
}

/* One that speaks of authorities' certificates alone. */
static X509_CRL *of_authorities(X509_CRL *list)
{
    ISSUING_DIST_POINT *part = ISSUING_DIST_POINT_new();
    cr_assert_not_null(part);
    part->onlyCA = 0xff;
    cr_assert_eq(X509_CRL_add1_ext_i2d(list, NID_issuing_distribution_point, part, 1, 0), 1);
    cr_assert_gt(X509_CRL_sign(list, root.key, EVP_sha256()), 0);
    ISSUING_DIST_POINT_free(part);
    return list;
}

/* Takes the lists; NULL: refused, and why_r is why. */
static struct trust *load(X509_CRL *first, X509_CRL *second, char why_r[256])
{
    X509_CRL *const lists[] = {first, second};
    struct conf_errors errors;
    FILE *file = fopen(pki_path("ca.crl"), "w");
    cr_assert_not_null(file);
    for (size_t i = 0; i < 2 && lists[i] != NULL; i++) {
        cr_assert_eq(PEM_write_X509_CRL(file, lists[i]), 1);
        X509_CRL_free(lists[i]);
    }
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(pki_path("ca.crl"), 0644), 0);
    conf_errors_init(&errors);
    struct trust *trust =
        trust_load(pki_path("ca.pem"), pki_path("ca.crl"), (struct conf_place){1, 1, "f"}, &errors);
    snprintf(why_r, 256, "%s", errors.count > 0 ? errors.items[0].text : "");
    conf_errors_deinit(&errors);
    return trust;
}

/* As a handshake would, with the lists as they are in force now. Takes them. */
static int verify(X509_CRL *first, X509_CRL *second, bool early)
{
    char why[256];
    struct trust *trust = load(first, second, why);
    cr_assert_not_null(trust, "%s", why);
    cr_assert_eq(trust_is_early(trust, now_s), early);
    X509_STORE_CTX *judge = X509_STORE_CTX_new();
    cr_assert_eq(X509_STORE_CTX_init(judge, trust->store, client.cert, NULL), 1);
    (void)X509_verify_cert(judge);
    const int error = X509_STORE_CTX_get_error(judge);
    X509_STORE_CTX_free(judge);
    trust_unref(&trust);
    return error;
}

/* T54: a list of tomorrow is laid aside, whatever it says, and refuses everybody where it is the only one. */
Test(trust, t54_a_list_counts_from_its_own_time_on)
{
    cr_expect_eq(verify(list_of(NULL, now_s, 0), NULL, false), X509_V_OK);
    cr_expect_eq(verify(list_of(NULL, now_s + HOUR_S, 0), NULL, true),
                 X509_V_ERR_CRL_NOT_YET_VALID);
    cr_expect_eq(
        verify(list_of(client.cert, now_s - DAY_S, 0), list_of(NULL, now_s + HOUR_S, 0), true),
        X509_V_ERR_CERT_REVOKED);
    cr_expect_eq(
        verify(list_of(NULL, now_s - DAY_S, 0), list_of(client.cert, now_s + HOUR_S, 0), true),
        X509_V_OK);
    cr_expect_eq(
        verify(list_of(NULL, now_s - DAY_S, 0), list_of(client.cert, now_s - HOUR_S, 0), false),
        X509_V_ERR_CERT_REVOKED);
}

/* T54: OpenSSL leaves it aside, and whoever thinks otherwise is to be told. */
Test(trust, t54_a_delta_is_refused)
{
    char why[256];
    cr_expect_null(load(list_of(NULL, now_s - HOUR_S, 1), NULL, why));
    cr_expect_not_null(strstr(why, "list 1 in it is a delta"), "%s", why);
    cr_expect_null(
        load(list_of(client.cert, now_s - DAY_S, 0), list_of(NULL, now_s - HOUR_S, 1), why));
    cr_expect_not_null(strstr(why, "list 2 in it is a delta"), "%s", why);
}

/* Are the later ones no successors of the earlier? Takes them. */
static bool goes_back(X509_CRL *before, X509_CRL *first, X509_CRL *second)
{
    char why[256];
    struct trust *was = load(before, NULL, why);
    struct trust *now = load(first, second, why);
    cr_assert(was != NULL && now != NULL, "%s", why);
    const bool back = trust_goes_back(was, now);
    trust_unref(&was);
    trust_unref(&now);
    return back;
}

/* T54: newer, and of the same issuer, but of none of the same certificates: nobody would be let in by it. */
Test(trust, t54_a_list_of_others_is_no_newer_one)
{
    const int64_t then_s = now_s - DAY_S, newer_s = now_s - HOUR_S;
    cr_expect_eq(verify(of_authorities(list_of(NULL, newer_s, 0)), NULL, false),
                 X509_V_ERR_DIFFERENT_CRL_SCOPE);
    cr_expect_not(goes_back(list_of(NULL, then_s, 0), list_of(NULL, newer_s, 0), NULL));
    cr_expect(
        goes_back(list_of(NULL, then_s, 0), of_authorities(list_of(NULL, newer_s, 0)), NULL));
    cr_expect_not(goes_back(list_of(NULL, then_s, 0), list_of(NULL, newer_s, 0),
                            of_authorities(list_of(NULL, newer_s, 0))));
    cr_expect_not(goes_back(of_authorities(list_of(NULL, then_s, 0)),
                            of_authorities(list_of(NULL, newer_s, 0)), NULL));
}

/* T54: time is left out, but a list of tomorrow does not let in whom the one in force refuses. */
Test(trust, t54_who_is_in_stays_only_while_no_list_names_them)
{
    char why[256];
    for (int revoked = 0; revoked < 2; revoked++) {
        struct trust *trust = load(list_of(revoked ? client.cert : NULL, now_s - DAY_S, 0),
                                   list_of(NULL, now_s + HOUR_S, 0), why);
        cr_assert_not_null(trust, "%s", why);
        cr_expect_eq(trust_holds(trust, client.cert, NULL, false), !revoked);
        trust_unref(&trust);
    }
}
