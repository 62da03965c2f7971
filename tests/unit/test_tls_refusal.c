/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_refusal.h"

#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>
#include <time.h>

#include "auth/tls_context.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "tests/unit/pki_kit.h"

static struct pki_cert root, stranger_root, listener;
static SSL_CTX *server;

static void prepare(void)
{
    const struct pki_options authority = {
        .common_name = "Root", .authority = true, .usage = "keyCertSign,cRLSign"};
    const struct pki_options own = {.common_name = "listener", .ext_usage = "serverAuth"};
    pki_open();
    root = pki_make(&authority, NULL);
    stranger_root = pki_make(&authority, NULL);
    listener = pki_make(&own, &root);
    pki_write_cert("ca.pem", root.cert);
    pki_write_cert("listener.pem", listener.cert);
    pki_write_key("listener.key", 0400, listener.key, NULL);
}

static void tidy(void)
{
    SSL_CTX_free(server);
    server = NULL;
    pki_free(&root);
    pki_free(&stranger_root);
    pki_free(&listener);
    pki_close();
}

TestSuite(tls_refusal, .init = prepare, .fini = tidy);

static void listen(const char *crl)
{
    const struct conf_listener conf = {.name = "clients",
                                       .tls = {.present = true,
                                               .place = {1, 1, "setu.yaml"},
                                               .chain = pki_path("listener.pem"),
                                               .key = pki_path("listener.key"),
                                               .client_ca = pki_path("ca.pem"),
                                               .client_crl = crl,
                                               .client_auth = CONF_CLIENT_AUTH_REQUIRED}};
    struct conf_errors errors;
    conf_errors_init(&errors);
    server = tls_server_ctx_new(&conf, (int64_t)time(NULL), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(server);
    conf_errors_deinit(&errors);
}

static SSL_CTX *dialler(const struct pki_cert *shown, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    cr_assert_not_null(ctx);
    cr_assert_eq(SSL_CTX_set_max_proto_version(ctx, version), 1);
    if (shown != NULL) {
        cr_assert_eq(SSL_CTX_use_certificate(ctx, shown->cert), 1);
        cr_assert_eq(SSL_CTX_use_PrivateKey(ctx, shown->key), 1);
    }
    return ctx;
}

/* Both ends in memory, until neither goes on. True: the server is content. */
static bool shake(const struct pki_cert *shown, int version, struct tls_refusal *refusal_r)
{
    SSL_CTX *client = dialler(shown, version);
    SSL *ours = SSL_new(server), *theirs = SSL_new(client);
    BIO *left = NULL, *right = NULL;
    cr_assert_eq(BIO_new_bio_pair(&left, 0, &right, 0), 1);
    SSL_set_bio(ours, left, left);
    SSL_set_bio(theirs, right, right);
    SSL_set_accept_state(ours);
    SSL_set_connect_state(theirs);
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(theirs);
        (void)SSL_do_handshake(ours);
        ERR_clear_error();
    }
    bool content = SSL_is_init_finished(ours) == 1;
    tls_refusal_of(ours, refusal_r);
    SSL_free(ours);
    SSL_free(theirs);
    SSL_CTX_free(client);
    return content;
}

static void refused(const struct pki_cert *shown, const char *reason, const char *subject)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    char fingerprint[CERTIFICATES_FINGERPRINT_SIZE] = "";
    if (shown != NULL) {
        certificates_fingerprint(shown->cert, fingerprint);
    }
    for (size_t i = 0; i < 2; i++) {
        struct tls_refusal refusal;
        cr_assert_not(shake(shown, versions[i], &refusal), "%s", reason);
        cr_assert_str_eq(auth_reason_name(refusal.reason), reason);
        cr_assert_str_eq(refusal.subject, subject);
        cr_assert_str_eq(refusal.fingerprint, fingerprint);
    }
}

static void refused_made(const struct pki_options *options, const struct pki_cert *issuer,
                         const char *reason)
{
    struct pki_cert made = pki_make(options, issuer);
    refused(&made, reason, "CN=orders");
    pki_free(&made);
}

Test(tls_refusal, each_fault_has_its_word)
{
    const int64_t now_s = (int64_t)time(NULL), day_s = 86400;
    const struct pki_options good = {.common_name = "orders", .ext_usage = "clientAuth"};
    const struct pki_options ended = {
        .common_name = "orders", .from_s = now_s - 2 * day_s, .to_s = now_s - day_s};
    const struct pki_options to_come = {
        .common_name = "orders", .from_s = now_s + day_s, .to_s = now_s + 2 * day_s};
    const struct pki_options of_a_server = {.common_name = "orders", .ext_usage = "serverAuth"};
    struct tls_refusal refusal;
    struct pki_cert made = pki_make(&good, &root);
    listen("");
    cr_assert(shake(&made, TLS1_3_VERSION, &refusal));
    pki_free(&made);
    refused(NULL, "client_certificate_missing", "");
    refused_made(&ended, &root, "client_certificate_expired");
    refused_made(&to_come, &root, "client_certificate_not_yet");
    refused_made(&of_a_server, &root, "client_certificate_usage");
    refused_made(&good, &stranger_root, "client_certificate_authority");
    refused_made(&good, NULL, "client_certificate_authority");
}

Test(tls_refusal, revoked_and_of_an_issuer_whose_list_is_missing)
{
    const struct pki_options good = {.common_name = "orders", .ext_usage = "clientAuth"};
    const struct pki_options below = {
        .common_name = "Middle", .authority = true, .usage = "keyCertSign,cRLSign"};
    struct pki_cert made = pki_make(&good, &root), middle = pki_make(&below, &root);
    X509 *const authorities[] = {root.cert, middle.cert, NULL};
    X509_CRL *crl = pki_crl(&root, made.cert, 0);
    pki_write_certs("ca.pem", 0644, authorities);
    pki_write_crl("clients.crl", crl);
    listen(pki_path("clients.crl"));
    refused(&made, "client_certificate_revoked", "CN=orders");
    refused_made(&good, &middle, "client_certificate_unchecked");
    X509_CRL_free(crl);
    pki_free(&made);
    pki_free(&middle);
}

/* The certificate's public key, and a private one that is not its own. */
static EVP_PKEY *mismatched(EVP_PKEY *of, EVP_PKEY *other)
{
    uint8_t point[256];
    size_t length = 0;
    BIGNUM *secret = NULL;
    EVP_PKEY *key = NULL;
    cr_assert_eq(EVP_PKEY_get_octet_string_param(of, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                                 &length), 1);
    cr_assert_eq(EVP_PKEY_get_bn_param(other, OSSL_PKEY_PARAM_PRIV_KEY, &secret), 1);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    cr_assert_eq(OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
                                                 0), 1);
    cr_assert_eq(OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, length),
                 1);
    cr_assert_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, secret), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    cr_assert_eq(EVP_PKEY_fromdata_init(ctx), 1);
    cr_assert_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_clear_free(secret);
    return key;
}

Test(tls_refusal, a_certificate_without_its_key_is_a_login_that_failed)
{
    const struct pki_options good = {.common_name = "orders", .ext_usage = "clientAuth"};
    struct pki_cert made = pki_make(&good, &root);
    struct pki_cert stolen = {.cert = made.cert, .key = mismatched(made.key, listener.key)};
    listen("");
    refused(&stolen, "client_certificate_key", "CN=orders");
    EVP_PKEY_free(stolen.key);
    pki_free(&made);
}

/* CN=orders and an organization of so many clefs, of four bytes each. */
static void claimed(size_t clefs, struct tls_refusal *refusal_r)
{
    char organization[64 * 4 + 1] = "";
    for (size_t i = 0; i < clefs; i++) {
        memcpy(organization + 4 * i, "\xf0\x9d\x84\x9e", 5);
    }
    const struct pki_options odd = {.common_name = "orders", .organization = organization};
    struct pki_cert made = pki_make(&odd, &stranger_root);
    cr_assert_not(shake(&made, TLS1_3_VERSION, refusal_r));
    pki_free(&made);
}

Test(tls_refusal, a_subject_of_more_than_256_bytes_is_cut_between_characters)
{
    struct tls_refusal refusal;
    listen("");
    claimed(61, &refusal);
    cr_assert_eq(strlen(refusal.subject), 256u, "12 and 61 times 4");
    cr_assert_str_eq(refusal.subject + 252, "\xf0\x9d\x84\x9e");
    claimed(62, &refusal);
    cr_assert_eq(strlen(refusal.subject), 255u, "12, 60 times 4, and that there was more");
    cr_assert_str_eq(refusal.subject + 248, "\xf0\x9d\x84\x9e...");
}

Test(tls_refusal, a_subject_holds_no_line)
{
    char organization[65];
    memset(organization, '\x01', 64); /* one byte in the name, one in what is printed */
    organization[64] = '\0';
    memcpy(organization, "a\nSETU2000I", 11);
    const struct pki_options odd = {.common_name = "orders", .organization = organization};
    struct pki_cert made = pki_make(&odd, &stranger_root);
    struct tls_refusal refusal;
    listen("");
    cr_assert_not(shake(&made, TLS1_3_VERSION, &refusal));
    cr_assert_eq(refusal.reason, AUTH_REASON_CLIENT_CERTIFICATE_AUTHORITY);
    cr_assert_lt(strlen(refusal.subject), sizeof refusal.subject);
    cr_assert_eq(strncmp(refusal.subject, "CN=orders,O=", 12), 0, "%s", refusal.subject);
    pki_free(&made);
}
