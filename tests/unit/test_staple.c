/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses that brokers staple: judged alone, and in handshakes with a server that staples them. */
#include "auth/staple.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/tls_context.h"
#include "auth/tls_origin.h"
#include "conf/config.h"
#include "tests/unit/pki_kit.h"

enum { HOUR_S = 3600 };

static struct pki_cert root, leaf, other, responder, impostor, twin_root, stranger;

static int64_t now(void)
{
    return (int64_t)time(NULL);
}

static void prepare(void)
{
    pki_open();
    const struct pki_options authority = {.common_name = "Root", .authority = true};
    root = pki_make(&authority, NULL);
    twin_root = pki_make(&authority, NULL); /* the same name, another key */
    const struct pki_options server = {.common_name = "broker", .alt_name = "DNS:broker"};
    leaf = pki_make(&server, &root);
    other = pki_make(&server, &root);
    const struct pki_options ocsp = {.common_name = "responder", .ext_usage = "OCSPSigning"};
    responder = pki_make(&ocsp, &root);
    stranger = pki_make(&ocsp, &twin_root);
    const struct pki_options client = {.common_name = "responder", .ext_usage = "clientAuth"};
    impostor = pki_make(&client, &root);
    pki_write_cert("ca.pem", root.cert);
    pki_write_cert("leaf.pem", leaf.cert);
}

static void tidy(void)
{
    struct pki_cert *const all[] = {&root,     &leaf,      &other,   &responder,
                                    &impostor, &twin_root, &stranger};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        pki_free(all[i]);
    }
    pki_close();
}

TestSuite(staple, .init = prepare, .fini = tidy);

/* ---- responses ---- */

struct answer {
    const X509 *of;     /* NULL: leaf */
    const X509 *issuer; /* as the answer names it; NULL: root */
    int status;
    int64_t from_s, to_s; /* around now; to_s 0: an hour from now, -1: none */
    const char *digest;   /* of the certificate's id; NULL: SHA1, as everywhere */
};

struct response {
    uint8_t *der;
    size_t length;
};

static void add(OCSP_BASICRESP *basic, const struct answer *answer)
{
    ASN1_TIME *from = ASN1_GENERALIZEDTIME_set(NULL, time(NULL) + answer->from_s);
    ASN1_TIME *to = ASN1_GENERALIZEDTIME_set(
        NULL, time(NULL) + (answer->to_s == 0 ? HOUR_S : answer->to_s));
    OCSP_CERTID *id = OCSP_cert_to_id(
        EVP_get_digestbyname(answer->digest != NULL ? answer->digest : "SHA1"),
        answer->of != NULL ? answer->of : leaf.cert,
        answer->issuer != NULL ? answer->issuer : root.cert);
    cr_assert_not_null(OCSP_basic_add1_status(
        basic, id, answer->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE,
        answer->status == V_OCSP_CERTSTATUS_REVOKED ? from : NULL, from,
        answer->to_s == -1 ? NULL : to));
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
}

static struct response seal(OCSP_BASICRESP *basic, const struct pki_cert *signer,
                            const char *digest)
{
    struct response made = {0};
    cr_assert_eq(OCSP_basic_sign(basic, signer->cert, signer->key, EVP_get_digestbyname(digest),
                                 NULL, signer == &root ? OCSP_NOCERTS : 0),
                 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    const int length = i2d_OCSP_RESPONSE(response, &made.der);
    cr_assert_gt(length, 0);
    made.length = (size_t)length;
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    return made;
}

static struct response respond(const struct answer *answers, size_t count,
                               const struct pki_cert *signer, const char *digest)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    for (size_t i = 0; i < count; i++) {
        add(basic, &answers[i]);
    }
    return seal(basic, signer, digest);
}

static enum staple_verdict judge(struct response response)
{
    const enum staple_verdict verdict =
        staple_judge(response.der, response.length, leaf.cert, root.cert, now());
    cr_assert_eq(ERR_peek_error(), 0);
    OPENSSL_free(response.der);
    return verdict;
}

static enum staple_verdict judge_one(struct answer answer)
{
    return judge(respond(&answer, 1, &root, "SHA256"));
}

/* ---- judged alone ---- */

Test(staple, good_ones)
{
    cr_expect_eq(judge_one((struct answer){0}), STAPLE_GOOD);
    cr_expect_eq(judge_one((struct answer){.digest = "SHA256"}), STAPLE_GOOD);
    cr_expect_eq(judge_one((struct answer){.from_s = STAPLE_EARLY_MAX_S - 60}), STAPLE_GOOD);
    const struct answer answers[] = {{.of = other.cert, .status = V_OCSP_CERTSTATUS_REVOKED}, {0}};
    cr_expect_eq(judge(respond(answers, 2, &root, "SHA256")), STAPLE_GOOD,
                 "what is said of others does not count");
    cr_expect_eq(judge(respond(&answers[1], 1, &responder, "SHA256")), STAPLE_GOOD,
                 "a responder that the issuer has named");
}

Test(staple, bad_answers)
{
    cr_expect_eq(judge_one((struct answer){.status = V_OCSP_CERTSTATUS_REVOKED}), STAPLE_REVOKED);
    cr_expect_eq(judge_one((struct answer){.status = V_OCSP_CERTSTATUS_UNKNOWN}), STAPLE_UNKNOWN);
    cr_expect_eq(judge_one((struct answer){.from_s = -2 * HOUR_S, .to_s = -10}), STAPLE_EXPIRED);
    cr_expect_eq(judge_one((struct answer){.from_s = HOUR_S, .to_s = 2 * HOUR_S}), STAPLE_EARLY);
    cr_expect_eq(judge_one((struct answer){.from_s = 200, .to_s = 100}), STAPLE_EXPIRED,
                 "ends before it begins");
    cr_expect_eq(judge_one((struct answer){.to_s = -1}), STAPLE_NO_END);
    cr_expect_eq(judge_one((struct answer){.of = other.cert}), STAPLE_OTHER, "another serial");
    cr_expect_eq(judge_one((struct answer){.issuer = twin_root.cert}), STAPLE_UNTRUSTED,
                 "an authority of the same name");
    const struct answer both[] = {{0}, {.status = V_OCSP_CERTSTATUS_REVOKED}};
    cr_expect_eq(judge(respond(both, 2, &root, "SHA256")), STAPLE_REVOKED, "good and revoked");
    struct answer many[STAPLE_ANSWERS_MAX + 1] = {{0}};
    cr_expect_eq(judge(respond(many, STAPLE_ANSWERS_MAX, &root, "SHA256")), STAPLE_GOOD);
    cr_expect_eq(judge(respond(many, STAPLE_ANSWERS_MAX + 1, &root, "SHA256")), STAPLE_MALFORMED);
}

Test(staple, only_the_issuer_and_whom_it_names_may_sign)
{
    const struct answer good = {0};
    cr_expect_eq(judge(respond(&good, 1, &twin_root, "SHA256")), STAPLE_UNTRUSTED);
    cr_expect_eq(judge(respond(&good, 1, &stranger, "SHA256")), STAPLE_UNTRUSTED,
                 "named by another authority");
    cr_expect_eq(judge(respond(&good, 1, &impostor, "SHA256")), STAPLE_UNTRUSTED,
                 "issued, but not for that");
    cr_expect_eq(judge(respond(&good, 1, &leaf, "SHA256")), STAPLE_UNTRUSTED, "its own word");
    cr_expect_eq(judge(respond(&good, 1, &root, "SHA1")), STAPLE_WEAK);
    const struct pki_options ended = {
        .common_name = "ended", .ext_usage = "OCSPSigning", .to_s = now() - 10};
    struct pki_cert old = pki_make(&ended, &root);
    cr_expect_eq(judge(respond(&good, 1, &old, "SHA256")), STAPLE_UNTRUSTED, "ended itself");
    pki_free(&old);
    const struct pki_options weak = {
        .common_name = "weak", .ext_usage = "OCSPSigning", .rsa_bits = 1024};
    old = pki_make(&weak, &root);
    cr_expect_eq(judge(respond(&good, 1, &old, "SHA256")), STAPLE_UNTRUSTED, "RSA 1024");
    pki_free(&old);
}

Test(staple, a_responder_that_fails)
{
    for (int status = 1; status <= 6; status++) {
        OCSP_RESPONSE *response = OCSP_response_create(status, NULL);
        struct response made = {0};
        made.length = (size_t)i2d_OCSP_RESPONSE(response, &made.der);
        OCSP_RESPONSE_free(response);
        cr_expect_eq(judge(made), STAPLE_UNSUCCESSFUL);
    }
}

Test(staple, every_prefix_and_every_flipped_bit)
{
    const struct answer good = {0};
    const struct response whole = respond(&good, 1, &root, "SHA256");
    for (size_t i = 0; i < whole.length; i++) {
        uint8_t *part = malloc(i + 1); /* a byte too many is one that AddressSanitizer sees */
        memcpy(part, whole.der, i);
        cr_expect_eq(staple_judge(part, i, leaf.cert, root.cert, now()), STAPLE_MALFORMED, "%zu",
                     i);
        part[i] = 0;
        free(part);
    }
    uint8_t *changed = malloc(whole.length + 1);
    size_t good_count = 0;
    for (size_t i = 0; i < whole.length; i++) {
        memcpy(changed, whole.der, whole.length);
        changed[i] ^= (uint8_t)(1u << (i % 8));
        const enum staple_verdict verdict =
            staple_judge(changed, whole.length, leaf.cert, root.cert, now());
        good_count += verdict == STAPLE_GOOD;
        cr_expect(verdict == STAPLE_GOOD || staple_refuses(verdict));
    }
    /* What is not signed: the algorithm's parameters and how the bit string ends. */
    cr_expect_lt(good_count, 8u, "%zu", good_count);
    memcpy(changed, whole.der, whole.length);
    changed[whole.length] = 0;
    cr_expect_eq(staple_judge(changed, whole.length + 1, leaf.cert, root.cert, now()),
                 STAPLE_MALFORMED, "something behind it");
    free(changed);
    OPENSSL_free(whole.der);
}

/* ---- handshakes ---- */

static struct response stapled; /* der NULL: nothing */

static int give(SSL *ssl, void *argument)
{
    (void)argument;
    if (stapled.der == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    SSL_set_tlsext_status_ocsp_resp(ssl, OPENSSL_memdup(stapled.der, stapled.length),
                                    (long)stapled.length);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *server_of(const struct pki_cert *shown)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(SSL_CTX_use_cert_and_key(ctx, shown->cert, shown->key, NULL, 1), 1);
    SSL_CTX_set_tlsext_status_cb(ctx, give);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"x", 1);
    return ctx;
}

static SSL_CTX *client_of(enum conf_ocsp mode, const char *ca)
{
    const struct conf_tls tls = {
        .place = {1, 1, "setu.yaml"}, .present = true, .ca = ca, .crl = "", .ocsp = mode};
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx = tls_client_ctx_new(NULL, NULL, &tls, &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(ctx);
    conf_errors_deinit(&errors);
    return ctx;
}

struct seen {
    bool good;
    enum staple_verdict verdict;
    char fault[128];
    int alert; /* heard by the server */
};

static int heard;

static void on_info(const SSL *ssl, int where, int value)
{
    (void)ssl;
    heard = (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT ? value & 0xff : heard;
}

/* session_r not NULL: *session_r is offered, and becomes the newest. */
static struct seen shake(SSL_CTX *client, SSL_CTX *server, int version, SSL_SESSION **session_r)
{
    struct seen seen = {0};
    BIO *left = NULL, *right = NULL;
    char byte;
    heard = 0;
    SSL *a = SSL_new(client), *b = SSL_new(server);
    SSL_set_max_proto_version(a, version);
    SSL_set_info_callback(b, on_info);
    cr_assert_eq(BIO_new_bio_pair(&left, 0, &right, 0), 1);
    SSL_set_bio(a, left, left);
    SSL_set_bio(b, right, right);
    SSL_set_connect_state(a);
    SSL_set_accept_state(b);
    if (session_r != NULL && *session_r != NULL) {
        SSL_set_session(a, *session_r);
    }
    for (int i = 0; i < 10; i++) {
        ERR_clear_error();
        const int result = SSL_do_handshake(a);
        const int error = SSL_get_error(a, result);
        if (result != 1 && error == SSL_ERROR_SSL && seen.fault[0] == '\0') {
            snprintf(seen.fault, sizeof seen.fault, "%s",
                     tls_certificate_text(a, ERR_peek_error()));
        }
        ERR_clear_error();
        (void)SSL_do_handshake(b);
    }
    (void)SSL_read(b, &byte, 1);
    (void)SSL_read(a, &byte, 1);
    seen.good = SSL_is_init_finished(a) && SSL_is_init_finished(b) && seen.fault[0] == '\0';
    seen.verdict = staple_verdict_of(a);
    seen.alert = heard;
    if (session_r != NULL) {
        SSL_SESSION_free(*session_r);
        *session_r = SSL_get1_session(a);
    }
    ERR_clear_error();
    /* Or OpenSSL would take the sessions for broken ones. */
    SSL_set_shutdown(a, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(b, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(a);
    SSL_free(b);
    return seen;
}

static void expect(enum conf_ocsp mode, struct response response, enum staple_verdict verdict)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    SSL_CTX *server = server_of(&leaf);
    SSL_CTX *client = client_of(mode, pki_path("ca.pem"));
    stapled = response;
    for (size_t i = 0; i < 2; i++) {
        const struct seen seen = shake(client, server, versions[i], NULL);
        cr_expect_eq(seen.verdict, verdict, "%s, not %s", staple_name(seen.verdict),
                     staple_name(verdict));
        cr_expect_eq(seen.good, !staple_refuses(verdict), "%s", staple_name(verdict));
        cr_expect_eq(seen.alert == SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE, staple_refuses(verdict),
                     "alert %d", seen.alert);
        if (staple_refuses(verdict)) {
            cr_expect_not_null(strstr(seen.fault, staple_text(verdict)), "%s", seen.fault);
        }
    }
    OPENSSL_free(stapled.der);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(staple, handshakes_end_where_the_mode_says_so)
{
    const struct answer good = {0}, revoked = {.status = V_OCSP_CERTSTATUS_REVOKED};
    const struct response none = {0};
    expect(CONF_OCSP_OFF, none, STAPLE_NOT_ASKED);
    expect(CONF_OCSP_OFF, respond(&revoked, 1, &root, "SHA256"), STAPLE_NOT_ASKED);
    expect(CONF_OCSP_IF_STAPLED, none, STAPLE_ABSENT);
    expect(CONF_OCSP_IF_STAPLED, respond(&good, 1, &root, "SHA256"), STAPLE_GOOD);
    expect(CONF_OCSP_IF_STAPLED, respond(&revoked, 1, &root, "SHA256"), STAPLE_REVOKED);
    expect(CONF_OCSP_REQUIRED, none, STAPLE_MISSING);
    expect(CONF_OCSP_REQUIRED, respond(&good, 1, &responder, "SHA256"), STAPLE_GOOD);
    expect(CONF_OCSP_REQUIRED, respond(&good, 1, &stranger, "SHA256"), STAPLE_UNTRUSTED);
    const struct response garbage = {OPENSSL_memdup("garbage", 7), 7};
    expect(CONF_OCSP_REQUIRED, garbage, STAPLE_MALFORMED);
}

/* Where the broker's own certificate is what is trusted, nobody is known to ask. */
Test(staple, an_anchor_has_no_issuer)
{
    SSL_CTX *server = server_of(&leaf);
    SSL_CTX *client = client_of(CONF_OCSP_IF_STAPLED, pki_path("leaf.pem"));
    const struct answer good = {0};
    stapled = respond(&good, 1, &root, "SHA256");
    cr_expect_eq(shake(client, server, TLS1_3_VERSION, NULL).verdict, STAPLE_NO_ISSUER);
    OPENSSL_free(stapled.der);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

/* RFC 7633: a certificate that says so comes with a staple, whatever the mode. */
Test(staple, a_certificate_that_promises_a_staple_needs_one)
{
    struct pki_cert promising = pki_make(&(struct pki_options){.common_name = "b"}, &root);
    X509_EXTENSION *feature = X509V3_EXT_conf_nid(NULL, NULL, NID_tlsfeature, "status_request");
    cr_assert_not_null(feature);
    X509_add_ext(promising.cert, feature, -1);
    X509_EXTENSION_free(feature);
    cr_assert_gt(X509_sign(promising.cert, root.key, EVP_sha256()), 0);
    SSL_CTX *server = server_of(&promising);
    SSL_CTX *client = client_of(CONF_OCSP_IF_STAPLED, pki_path("ca.pem"));
    stapled = (struct response){0};
    cr_expect_eq(shake(client, server, TLS1_3_VERSION, NULL).verdict, STAPLE_MISSING);
    SSL_CTX_free(client);
    client = client_of(CONF_OCSP_OFF, pki_path("ca.pem"));
    cr_expect(shake(client, server, TLS1_3_VERSION, NULL).good);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    pki_free(&promising);
}

Test(staple, a_resumed_session_needs_no_staple_and_a_whole_one_does)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    const struct answer good = {0};
    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *session = NULL;
        SSL_CTX *server = server_of(&leaf);
        SSL_CTX *client = client_of(CONF_OCSP_REQUIRED, pki_path("ca.pem"));
        SSL_CTX_clear_options(client, SSL_OP_NO_TICKET);
        SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT);
        stapled = respond(&good, 1, &root, "SHA256");
        cr_expect(shake(client, server, versions[i], &session).good);
        OPENSSL_free(stapled.der);
        stapled = (struct response){0};
        const struct seen again = shake(client, server, versions[i], &session);
        cr_expect(again.good, "%s", again.fault);
        /* TLS 1.2 resumes before OpenSSL would ask. */
        cr_expect_eq(again.verdict, i == 0 ? STAPLE_NOT_ASKED : STAPLE_RESUMED);
        cr_expect_not(shake(client, server, versions[i], NULL).good, "a whole one");
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
        SSL_CTX_free(server);
    }
}

/* Sessions made while less was asked are not resumed when more is: tls_sessions keeps them apart by this. */
Test(staple, the_mode_is_part_of_the_origin)
{
    struct tls_facts facts[3];
    for (int mode = 0; mode < 3; mode++) {
        SSL_CTX *ctx = client_of((enum conf_ocsp)mode, pki_path("ca.pem"));
        cr_assert(tls_facts_of(ctx, &facts[mode]));
        SSL_CTX_free(ctx);
    }
    cr_expect_neq(memcmp(facts[0].trusted, facts[1].trusted, TLS_ORIGIN_KEY_BYTES), 0);
    cr_expect_neq(memcmp(facts[1].trusted, facts[2].trusted, TLS_ORIGIN_KEY_BYTES), 0);
    cr_expect_neq(memcmp(facts[0].trusted, facts[2].trusted, TLS_ORIGIN_KEY_BYTES), 0);
}
