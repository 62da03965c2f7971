/* SPDX-License-Identifier: Apache-2.0 */
/* What old, hostile or misissued peers show on either leg, and how long it takes to refuse it. */
#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/rules.h"
#include "auth/tls_context.h"
#include "conf/config.h"
#include "tests/unit/pki_kit.h"

enum { CPU_SECONDS_MAX = 3 }; /* of one refusal, under AddressSanitizer */

static struct pki_cert root, middle, broker, client;

static void prepare(void)
{
    pki_open();
    const struct pki_options authority = {.common_name = "Root", .authority = true};
    root = pki_make(&authority, NULL);
    middle = pki_make(&(struct pki_options){.common_name = "Middle", .authority = true}, &root);
    broker =
        pki_make(&(struct pki_options){.common_name = "broker", .alt_name = "DNS:broker"}, &root);
    client = pki_make(&(struct pki_options){.common_name = "client"}, &root);
    pki_write_cert("ca.pem", root.cert);
    pki_write_cert("broker.pem", broker.cert);
    pki_write_key("broker.key", 0400, broker.key, NULL);
}

static void tidy(void)
{
    pki_free(&root);
    pki_free(&middle);
    pki_free(&broker);
    pki_free(&client);
    pki_close();
}

TestSuite(tls_attacks, .init = prepare, .fini = tidy);

/* ---- Setu's two ends ---- */

static SSL_CTX *setu_as_client(const char *ca)
{
    const struct conf_tls tls = {
        .place = {1, 1, "setu.yaml"}, .present = true, .ca = ca, .crl = ""};
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx = tls_client_ctx_new(NULL, NULL, &tls, &errors);
    cr_assert_not_null(ctx);
    conf_errors_deinit(&errors);
    return ctx;
}

static SSL_CTX *setu_as_server(enum conf_client_auth client_auth)
{
    const struct conf_listener listener = {.name = "l",
                                           .tls = {.place = {1, 1, "setu.yaml"},
                                                   .present = true,
                                                   .chain = pki_path("broker.pem"),
                                                   .key = pki_path("broker.key"),
                                                   .client_ca = pki_path("ca.pem"),
                                                   .client_auth = client_auth}};
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx = tls_server_ctx_new(&listener, (int64_t)time(NULL), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(ctx);
    conf_errors_deinit(&errors);
    return ctx;
}

/* ---- bytes of an old peer ---- */

struct hello {
    uint8_t bytes[512];
    size_t length;
};

static void put(struct hello *hello, unsigned value, size_t width)
{
    for (size_t i = width; i-- > 0;) {
        hello->bytes[hello->length++] = (uint8_t)(value >> (8 * i));
    }
}

static void put_length(struct hello *hello, size_t at, size_t width)
{
    const size_t inner = hello->length - at - width;
    for (size_t i = 0; i < width; i++) {
        hello->bytes[at + i] = (uint8_t)(inner >> (8 * (width - 1 - i)));
    }
}

/* A ClientHello (1) or ServerHello (2) as it was written before there were extensions, but for what TLS 1.2 needs. */
static struct hello old_hello(unsigned kind, unsigned version, const unsigned *suites, size_t count)
{
    struct hello hello = {.length = 0};
    put(&hello, 22, 1);
    put(&hello, version, 2);
    put(&hello, 0, 2);
    put(&hello, kind, 1);
    put(&hello, 0, 3);
    put(&hello, version, 2);
    for (size_t i = 0; i < 32; i++) {
        put(&hello, 0x5a, 1); /* random */
    }
    put(&hello, 0, 1); /* session */
    if (kind == 1) {
        put(&hello, (unsigned)(2 * count), 2);
    }
    for (size_t i = 0; i < count; i++) {
        put(&hello, suites[i], 2);
    }
    if (kind == 1) {
        put(&hello, 1, 1);
    }
    put(&hello, 0, 1); /* no compression */
    if (kind == 1 && version == 0x0303) {
        static const uint8_t extensions[] = {0, 16, 0, 10, 0, 4, 0, 2, 0, 23, /* P-256 */
                                             0, 13, 0, 4, 0, 2, 4, 3};        /* ECDSA, SHA-256 */
        memcpy(hello.bytes + hello.length, extensions, sizeof extensions);
        hello.length += sizeof extensions;
    }
    put_length(&hello, 6, 3);
    put_length(&hello, 3, 2);
    return hello;
}

/* What one end of ours answers to these bytes: the first record's type, and the alert; 0 0 nothing. */
static void hear(SSL_CTX *ctx, bool server, const struct hello *hello, int *type_r, int *alert_r)
{
    uint8_t said[4096] = {0};
    BIO *ours = NULL, *theirs = NULL;
    SSL *ssl = SSL_new(ctx);
    cr_assert_eq(BIO_new_bio_pair(&ours, 0, &theirs, 0), 1);
    SSL_set_bio(ssl, ours, ours);
    if (server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
        (void)SSL_do_handshake(ssl);
        cr_assert_gt(BIO_read(theirs, said, sizeof said), 0, "our own hello");
        memset(said, 0, sizeof said);
    }
    cr_assert_eq(BIO_write(theirs, hello->bytes, (int)hello->length), (int)hello->length);
    ERR_clear_error();
    cr_assert_neq(SSL_do_handshake(ssl), 1);
    const int length = BIO_read(theirs, said, sizeof said);
    *type_r = length > 0 ? said[0] : 0;
    *alert_r = length > 6 && said[0] == 21 ? said[6] : 0;
    ERR_clear_error();
    SSL_free(ssl);
    BIO_free(theirs);
}

static const unsigned weak[] = {
    0x0004, 0x0005, /* RC4 */
    0x000a, 0x0016, /* 3DES */
    0x0009,         /* DES */
    0x0003, 0x0008, /* export */
    0x0001, 0x0002, 0x003b, 0xc006, /* no encryption */
    0xc018, 0x0034,                 /* nobody authenticated */
    0x002f, 0x0035, 0x003c, 0xc009, 0xc013, 0xc02b + 0x1000, /* CBC, and one that is none */
    0x009c, 0x009d,                 /* no forward secrecy */
};

/* T43: SSLv3 to TLS 1.1, RC4, 3DES and the like, from a client that offers nothing else. */
Test(tls_attacks, t43_old_versions_and_weak_suites_of_clients_are_refused)
{
    static const unsigned versions[] = {0x0300, 0x0301, 0x0302, 0x0303};
    static const unsigned strong[] = {0xc02b, 0xc02c};
    SSL_CTX *ctx = setu_as_server(CONF_CLIENT_AUTH_NONE);
    int type = 0, alert = 0;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        const struct hello hello =
            old_hello(1, versions[i], weak, sizeof weak / sizeof weak[0]);
        hear(ctx, true, &hello, &type, &alert);
        cr_expect_eq(type, 21, "version %x: an alert", versions[i]);
        cr_expect(alert == SSL_AD_PROTOCOL_VERSION || alert == SSL_AD_HANDSHAKE_FAILURE,
                  "version %x: alert %d", versions[i], alert);
    }
    for (size_t i = 0; i < 3; i++) {
        const struct hello hello = old_hello(1, versions[i], strong, 2);
        hear(ctx, true, &hello, &type, &alert);
        cr_expect(alert == SSL_AD_PROTOCOL_VERSION || alert == SSL_AD_HANDSHAKE_FAILURE,
                  "version %x: alert %d", versions[i], alert);
    }
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++) {
        const struct hello hello = old_hello(1, 0x0303, &weak[i], 1);
        hear(ctx, true, &hello, &type, &alert);
        cr_expect_eq(alert, SSL_AD_HANDSHAKE_FAILURE, "suite %04x: alert %d", weak[i], alert);
    }
    const struct hello good = old_hello(1, 0x0303, strong, 2);
    hear(ctx, true, &good, &type, &alert);
    cr_expect_eq(type, 22, "and what is strong is answered: alert %d", alert);
    SSL_CTX_free(ctx);
}

/* T43: a broker that answers with a version or a suite that was not offered. */
Test(tls_attacks, t43_old_versions_and_weak_suites_of_brokers_are_refused)
{
    static const unsigned versions[] = {0x0300, 0x0301, 0x0302};
    static const unsigned strong = 0xc02b;
    SSL_CTX *ctx = setu_as_client(pki_path("ca.pem"));
    int type = 0, alert = 0;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        const struct hello hello = old_hello(2, versions[i], &strong, 1);
        hear(ctx, false, &hello, &type, &alert);
        cr_expect_eq(alert, SSL_AD_PROTOCOL_VERSION, "version %x: alert %d", versions[i], alert);
    }
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++) {
        const struct hello hello = old_hello(2, 0x0303, &weak[i], 1);
        hear(ctx, false, &hello, &type, &alert);
        cr_expect_eq(type, 21, "suite %04x", weak[i]);
        cr_expect_eq(alert, SSL_AD_ILLEGAL_PARAMETER, "suite %04x: alert %d", weak[i], alert);
    }
    SSL_CTX_free(ctx);
}

/* ---- certificates of a hostile peer ---- */

struct outcome {
    bool good;
    double cpu_s;
    struct tls_peer peer;
    enum tls_peer_status status;
};

static SSL_CTX *peer_showing(bool server, const struct pki_cert *leaf, STACK_OF(X509) * chain)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    cr_assert_eq(SSL_CTX_use_cert_and_key(ctx, leaf->cert, leaf->key, chain, 1), 1);
    return ctx;
}

/* The peer shows `leaf` and `chain` to Setu: as a broker to its client end, or as a client to its listener. */
static struct outcome show(bool to_listener, const struct pki_cert *leaf, STACK_OF(X509) * chain,
                           const char *host)
{
    struct outcome outcome = {.good = false};
    SSL_CTX *peer = peer_showing(!to_listener, leaf, chain);
    SSL_CTX *ours = to_listener ? setu_as_server(CONF_CLIENT_AUTH_REQUIRED)
                                : setu_as_client(pki_path("ca.pem"));
    SSL *a = SSL_new(ours), *b = SSL_new(peer);
    BIO *left = NULL, *right = NULL;
    char byte;
    cr_assert_eq(BIO_new_bio_pair(&left, 4 << 20, &right, 4 << 20), 1);
    SSL_set_bio(a, left, left);
    SSL_set_bio(b, right, right);
    to_listener ? SSL_set_accept_state(a) : SSL_set_connect_state(a);
    to_listener ? SSL_set_connect_state(b) : SSL_set_accept_state(b);
    cr_assert(host == NULL || tls_expect_host(a, host));
    const clock_t began = clock();
    for (int i = 0; i < 10; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(a);
        ERR_clear_error();
        (void)SSL_do_handshake(b);
    }
    (void)SSL_read(b, &byte, 1);
    outcome.cpu_s = (double)(clock() - began) / CLOCKS_PER_SEC;
    outcome.good = SSL_is_init_finished(a) == 1;
    outcome.status = tls_peer_principal(a, NULL, &outcome.peer);
    ERR_clear_error();
    SSL_free(a);
    SSL_free(b);
    SSL_CTX_free(peer);
    SSL_CTX_free(ours);
    return outcome;
}

static void expect_both_refuse(const struct pki_cert *leaf, STACK_OF(X509) * chain,
                               const char *what)
{
    for (int listener = 0; listener < 2; listener++) {
        const struct outcome outcome = show(listener == 1, leaf, chain, NULL);
        cr_expect_not(outcome.good, "%s, to the %s", what, listener ? "listener" : "client end");
        cr_expect_str_eq(outcome.peer.principal, "", "%s", what);
        cr_expect_lt(outcome.cpu_s, (double)CPU_SECONDS_MAX, "%s took %.1f s", what,
                     outcome.cpu_s);
    }
}

static void expect_refusal_of(struct pki_options options, const struct pki_cert *issuer,
                              STACK_OF(X509) * chain, const char *what)
{
    options.common_name = options.common_name != NULL ? options.common_name : "x";
    struct pki_cert made = pki_make(&options, issuer);
    expect_both_refuse(&made, chain, what);
    pki_free(&made);
}

/* T43: a chain in which anything but the root is signed with SHA-1. */
Test(tls_attacks, t43_weakly_signed_chains_are_refused_on_both_legs)
{
    expect_refusal_of((struct pki_options){.digest = "SHA1"}, &root, NULL, "SHA-1");
    const struct pki_options authority = {
        .common_name = "Weak", .authority = true, .digest = "SHA1"};
    struct pki_cert weakly = pki_make(&authority, &root);
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, weakly.cert);
    expect_refusal_of((struct pki_options){0}, &weakly, chain, "an issuer");
    sk_X509_free(chain);
    pki_free(&weakly);
    expect_refusal_of((struct pki_options){.rsa_bits = 1024}, &root, NULL, "RSA 1024");
    cr_expect(show(true, &client, NULL, NULL).good);
    cr_expect(show(false, &broker, NULL, "broker").good);
}

/* T47: expired, future, of another use, by nobody who may, by nobody at all. */
Test(tls_attacks, t47_certificates_that_do_not_hold_are_refused_on_both_legs)
{
    const int64_t now = (int64_t)time(NULL);
    expect_refusal_of((struct pki_options){.to_s = now - 10}, &root, NULL, "expired");
    expect_refusal_of((struct pki_options){.from_s = now + 86400}, &root, NULL, "future");
    expect_refusal_of((struct pki_options){.ext_usage = "emailProtection"}, &root, NULL, "use");
    expect_refusal_of((struct pki_options){0}, NULL, NULL, "self-signed");
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, client.cert);
    expect_refusal_of((struct pki_options){0}, &client, chain, "its issuer is no authority");
    sk_X509_free(chain);
}

static X509_EXTENSION *extension(int nid, const char *value)
{
    X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    cr_assert_not_null(made, "%s", value);
    return made;
}

/* T47: an authority that may issue for one domain only, and one that may issue no authority. */
Test(tls_attacks, t47_constraints_of_authorities_hold)
{
    struct pki_cert limited =
        pki_make(&(struct pki_options){.common_name = "Limited", .authority = true}, &root);
    X509_EXTENSION *only = extension(NID_name_constraints, "critical,permitted;DNS:good.example");
    X509_add_ext(limited.cert, only, -1);
    X509_EXTENSION_free(only);
    cr_assert_gt(X509_sign(limited.cert, root.key, EVP_sha256()), 0);
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, limited.cert);
    expect_refusal_of((struct pki_options){.alt_name = "DNS:evil.example"}, &limited, chain,
                      "a name that its authority may not give");
    struct pki_cert within =
        pki_make(&(struct pki_options){.common_name = "b", .alt_name = "DNS:a.good.example"},
                 &limited);
    cr_expect(show(false, &within, chain, "a.good.example").good);
    pki_free(&within);
    sk_X509_free(chain);
    pki_free(&limited);
}

/* T48: a hundred authorities in a row, a certificate of a megabyte, ten thousand names. */
Test(tls_attacks, t48_excess_is_refused_in_bounded_time_on_both_legs)
{
    enum { DEPTH = 100, MEGABYTE = 1 << 20 };
    struct pki_cert row[DEPTH];
    STACK_OF(X509) *chain = sk_X509_new_null();
    for (size_t i = 0; i < DEPTH; i++) {
        char name[32];
        snprintf(name, sizeof name, "Level %zu", i);
        row[i] = pki_make(&(struct pki_options){.common_name = name, .authority = true},
                          i == 0 ? &root : &row[i - 1]);
        sk_X509_unshift(chain, row[i].cert);
    }
    expect_refusal_of((struct pki_options){0}, &row[DEPTH - 1], chain, "100 authorities");
    sk_X509_free(chain);
    for (size_t i = 0; i < DEPTH; i++) {
        pki_free(&row[i]);
    }
    char *names = malloc(2 * MEGABYTE);
    size_t used = 0;
    for (int i = 0; i < 10000; i++) {
        used += (size_t)snprintf(names + used, 2 * MEGABYTE - used, "%sDNS:h%d.example",
                                 i == 0 ? "" : ",", i);
    }
    expect_refusal_of((struct pki_options){.alt_name = names}, &root, NULL, "10,000 names");
    memcpy(names, "DNS:", 4);
    memset(names + 4, 'a', MEGABYTE);
    names[4 + MEGABYTE] = '\0';
    expect_refusal_of((struct pki_options){.alt_name = names}, &root, NULL, "a megabyte");
    free(names);
}

/* T48: a curve that the certificate itself describes (CVE-2022-0778, CVE-2020-0601). */
Test(tls_attacks, t48_explicit_curve_parameters_are_refused)
{
    struct pki_cert made = pki_make(&(struct pki_options){.common_name = "x"}, &root);
    cr_assert_eq(EVP_PKEY_set_utf8_string_param(made.key, "encoding", "explicit"), 1);
    cr_assert_eq(X509_set_pubkey(made.cert, made.key), 1);
    cr_assert_gt(X509_sign(made.cert, root.key, EVP_sha256()), 0);
    unsigned char *der = NULL;
    const int length = i2d_X509(made.cert, &der);
    cr_assert_gt(length, 450, "the parameters are in it: %d", length);
    OPENSSL_free(der);
    expect_both_refuse(&made, NULL, "explicit parameters");
    pki_free(&made);
}

static size_t der_wrap(uint8_t *out, uint8_t tag, const uint8_t *inner, size_t length)
{
    size_t head = 0;
    out[head++] = tag;
    if (length > 127) {
        out[head++] = 0x81;
    }
    out[head++] = (uint8_t)length;
    memmove(out + head, inner, length);
    return head + length;
}

/* A public key on the "curve" y² = x³ + b modulo 697 = 17 · 41, its base point compressed. */
static size_t composite_curve(unsigned b, uint8_t out[160])
{
    static const uint8_t prime_field[] = {0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 1, 1,
                                          0x02, 2, 0x02, 0xb9};
    static const uint8_t ec_key[] = {0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1};
    uint8_t inner[128], part[128];
    size_t used = 0;
    const uint8_t curve[] = {0x04, 2, 0, 0, 0x04, 2, (uint8_t)(b >> 8), (uint8_t)b};
    const uint8_t rest[] = {0x04, 3, 2, 0, 0, 0x02, 2, 0x02, 0xb9, 0x02, 1, 1};
    const uint8_t point[] = {0x03, 4, 0, 2, 0, 0};
    const uint8_t one[] = {0x02, 1, 1};
    memcpy(inner, one, sizeof one);
    used += sizeof one;
    used += der_wrap(inner + used, 0x30, prime_field, sizeof prime_field);
    used += der_wrap(inner + used, 0x30, curve, sizeof curve);
    memcpy(inner + used, rest, sizeof rest);
    used += sizeof rest;
    memcpy(part, ec_key, sizeof ec_key);
    size_t all = sizeof ec_key + der_wrap(part + sizeof ec_key, 0x30, inner, used);
    used = der_wrap(inner, 0x30, part, all);
    memcpy(inner + used, point, sizeof point);
    return der_wrap(out, 0x30, inner, used + sizeof point);
}

/* T48: square roots modulo what is no prime: a loop without end once (CVE-2022-0778). */
Test(tls_attacks, t48_square_roots_modulo_a_composite_end)
{
    const clock_t began = clock();
    for (unsigned b = 0; b < 697; b++) {
        uint8_t der[160];
        const unsigned char *at = der;
        const size_t length = composite_curve(b, der);
        EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)length);
        EVP_PKEY_free(key);
    }
    ERR_clear_error();
    cr_expect_lt((double)(clock() - began) / CLOCKS_PER_SEC, 10.0);
}

static struct pki_cert named(const char *const *types, const char *const *values,
                             const int *lengths, const int *sets, size_t count)
{
    struct pki_cert made = pki_make(&(struct pki_options){.common_name = "x"}, &root);
    X509_NAME *name = X509_NAME_new();
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(X509_NAME_add_entry_by_txt(name, types[i], V_ASN1_UTF8STRING,
                                                (const unsigned char *)values[i], lengths[i], -1,
                                                sets[i]),
                     1);
    }
    cr_assert_eq(X509_set_subject_name(made.cert, name), 1);
    X509_NAME_free(name);
    cr_assert_gt(X509_sign(made.cert, root.key, EVP_sha256()), 0);
    return made;
}

/* T48: names that are to be read as somebody else's: a NUL, a CN twice, parts in another order. */
Test(tls_attacks, t48_names_that_try_to_be_others_are_not)
{
    static const char *const cn_o[] = {"CN", "O"}, *const cn_cn[] = {"CN", "CN"};
    static const char *const o_cn[] = {"O", "CN"};
    static const int whole[] = {-1, -1}, apart[] = {0, 0}, together[] = {0, -1};
    const struct {
        struct pki_cert cert;
        const char *principal; /* NULL: any but those below */
    } cases[] = {
        {named(cn_o, (const char *const[]){"orders", "Example"}, whole, apart, 2),
         "O=Example,CN=orders"},
        {named(o_cn, (const char *const[]){"Example", "orders"}, whole, apart, 2),
         "CN=orders,O=Example"},
        {named(cn_cn, (const char *const[]){"orders", "mallory"}, whole, apart, 2),
         "CN=mallory,CN=orders"},
        {named(cn_o, (const char *const[]){"orders\0.mallory", ""}, (const int[]){15, 0}, apart, 1),
         NULL}, /* Java prints a NUL as an escape */
        {named(cn_o, (const char *const[]){"orders,O=Example", ""}, whole, apart, 1),
         "CN=orders\\,O\\=Example"},
        {named(cn_cn, (const char *const[]){"orders", "mallory"}, whole, together, 2), NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct outcome outcome = show(true, &cases[i].cert, NULL, NULL);
        if (cases[i].principal != NULL) {
            cr_expect_str_eq(outcome.peer.principal, cases[i].principal, "case %zu", i);
        }
        cr_expect_str_neq(outcome.peer.principal, "CN=orders", "case %zu", i);
        cr_expect_str_neq(outcome.peer.principal, "orders", "case %zu", i);
        struct pki_cert gone = cases[i].cert;
        pki_free(&gone);
    }
}

/* T49: behind the attacker's own certificate stands somebody else's, with and without a way to the root. */
Test(tls_attacks, t49_only_the_verified_leaf_names_the_peer)
{
    struct pki_cert attacker = pki_make(&(struct pki_options){.common_name = "attacker"}, &middle);
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, client.cert);
    cr_expect_not(show(true, &attacker, chain, NULL).good, "its issuer is missing");
    sk_X509_push(chain, middle.cert);
    const struct outcome outcome = show(true, &attacker, chain, NULL);
    cr_expect(outcome.good);
    cr_expect_str_eq(outcome.peer.principal, "CN=attacker");
    sk_X509_free(chain);
    pki_free(&attacker);
}

/* T50: for another host, by another authority, for an address as a name and the other way round. */
Test(tls_attacks, t50_brokers_that_are_others_are_refused)
{
    static const struct {
        const char *names, *host;
        bool good;
    } cases[] = {
        {"DNS:broker-1.example", "broker-1.example", true},
        {"DNS:broker-1.example", "broker-2.example", false},
        {"DNS:broker-1.example", "broker-1.example.evil", false},
        {"DNS:*.x.example", "a.x.example", true},
        {"DNS:*.x.example", "a.b.x.example", false},
        {"DNS:b*.example", "broker.example", false},
        {"IP:10.1.2.3", "10.1.2.3", true},
        {"IP:10.1.2.3", "10.1.2.4", false},
        {"DNS:10.1.2.3", "10.1.2.3", false},
        {"DNS:broker-1.example", "10.1.2.3", false},
        {"IP:10.1.2.3", "broker-1.example", false},
        {"IP:2001:db8::1", "2001:db8::1", true},
        {"email:broker-1.example@x.example", "broker-1.example", false},
        {"URI:https://broker-1.example/", "broker-1.example", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pki_options options = {.common_name = "x", .alt_name = cases[i].names};
        struct pki_cert made = pki_make(&options, &root);
        cr_expect_eq(show(false, &made, NULL, cases[i].host).good, cases[i].good, "%s for %s",
                     cases[i].names, cases[i].host);
        pki_free(&made);
    }
    struct pki_cert twin =
        pki_make(&(struct pki_options){.common_name = "Root", .authority = true}, NULL);
    const struct pki_options options = {.common_name = "x", .alt_name = "DNS:broker"};
    struct pki_cert made = pki_make(&options, &twin);
    cr_expect_not(show(false, &made, NULL, "broker").good, "an authority of the same name");
    pki_free(&made);
    pki_free(&twin);
}

/* T50: nothing in a configuration leads to a ctx that verifies nobody. */
Test(tls_attacks, t50_no_broker_goes_unverified)
{
    SSL_CTX *ctx = setu_as_client(pki_path("ca.pem"));
    cr_expect_eq(SSL_CTX_get_verify_mode(ctx), SSL_VERIFY_PEER);
    SSL_CTX_free(ctx);
    const struct conf_tls none = {
        .place = {1, 1, "setu.yaml"}, .present = true, .ca = "", .crl = ""};
    struct conf_errors errors;
    conf_errors_init(&errors);
    cr_expect_null(tls_client_ctx_new(NULL, NULL, &none, &errors));
    cr_expect_not_null(strstr(errors.items[0].text, "ca is missing"));
    conf_errors_deinit(&errors);
}

/* T56: without extended master secret TLS 1.2 is spoken, and it can be told; in FIPS mode the cause has a name. */
Test(tls_attacks, t56_a_peer_without_extended_master_secret_is_told)
{
    for (int lacks = 0; lacks < 2; lacks++) {
        SSL_CTX *peer = peer_showing(true, &broker, NULL);
        SSL_CTX *ours = setu_as_client(pki_path("ca.pem"));
        SSL *a = SSL_new(ours), *b = SSL_new(peer);
        BIO *left = NULL, *right = NULL;
        SSL_set_max_proto_version(b, TLS1_2_VERSION);
        if (lacks == 1) {
            SSL_set_options(b, SSL_OP_NO_EXTENDED_MASTER_SECRET);
        }
        cr_assert_eq(BIO_new_bio_pair(&left, 0, &right, 0), 1);
        SSL_set_bio(a, left, left);
        SSL_set_bio(b, right, right);
        SSL_set_connect_state(a);
        SSL_set_accept_state(b);
        for (int i = 0; i < 10; i++) {
            (void)SSL_do_handshake(a);
            (void)SSL_do_handshake(b);
        }
        cr_assert(SSL_is_init_finished(a));
        cr_expect_eq(SSL_get_extms_support(a), 1 - lacks);
        ERR_clear_error();
        SSL_free(a);
        SSL_free(b);
        SSL_CTX_free(ours);
        SSL_CTX_free(peer);
    }
}

static const char *told(unsigned long error)
{
    static char text[256];
    tls_error_text(error, text, sizeof(text));
    return text;
}

/* T56: RHEL's word for it, and the number that a fips provider newer than libcrypto was seen to give. */
Test(tls_attacks, t56_fips_mode_names_the_missing_extended_master_secret)
{
    const unsigned long unsupported = ERR_PACK(ERR_LIB_SSL, 0, ERR_R_UNSUPPORTED);
    const unsigned long numbered = ERR_PACK(ERR_LIB_PROV, 0, 233);
    const unsigned long other = ERR_PACK(ERR_LIB_SSL, 0, SSL_R_BAD_LENGTH);
    cr_assert_eq(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL), 1);
    cr_expect_str_eq(told(other), "bad length");
    cr_expect_str_eq(told(unsupported), "unsupported");
    cr_expect_null(strstr(told(numbered), "extended master secret"), "%s", told(numbered));
    cr_expect_not_null(strstr(told(ERR_PACK(ERR_LIB_PROV, 0, 3999)), "reason 3999"));
    cr_assert_eq(EVP_default_properties_enable_fips(NULL, 1), 1);
    cr_expect_str_eq(told(other), "bad length");
    cr_expect_not_null(strstr(told(unsupported), "extended master secret"));
    cr_expect_not_null(strstr(told(numbered), "extended master secret"));
}
