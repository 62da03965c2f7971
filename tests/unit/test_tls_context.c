/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_context.h"

#include "auth/certificates.h"
#include "auth/rules.h"
#include "conf/config.h"
#include "tests/unit/pki_kit.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static struct pki_cert root, middle, broker, orders, stranger_root, stranger;
static struct config *config;
static struct certificates *certs;

static const char config_text[] =
    "certificates: [{name: orders, chain: %s, key: %s}]\n"
    "mapping: [{principal: orders, certificate: orders}]\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:9092\"]\n"
    "    identity: {certificate: orders}\n"
    "    generations:\n"
    "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n"
    "listeners:\n"
    "  - {name: l, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
    "     advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512]}\n"
    "users: {file: /u.yaml}\n"
    "audit: {file: /a.log}\n";

static int64_t now(void)
{
    return (int64_t)time(NULL);
}

static void load_identities(void)
{
    char text[2048];
    snprintf(text, sizeof(text), config_text, pki_path("orders.pem"), pki_path("orders.key"));
    struct conf_errors errors;
    conf_errors_init(&errors);
    config = config_parse(text, strlen(text), "setu.yaml", &errors);
    cr_assert_not_null(config);
    certs = certificates_load(config, now(), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(certs);
    conf_errors_deinit(&errors);
}

static void prepare(void)
{
    pki_open();
    const char *const ca_usage = "keyCertSign,cRLSign";
    const struct pki_options authority = {
        .common_name = "Root", .authority = true, .usage = ca_usage};
    const struct pki_options below = {
        .common_name = "Middle", .authority = true, .usage = ca_usage};
    root = pki_make(&authority, NULL);
    stranger_root = pki_make(&authority, NULL); /* the same name, another key */
    middle = pki_make(&below, &root);
    const struct pki_options server = {
        .common_name = "broker",
        .ext_usage = "serverAuth",
        .alt_name = "DNS:broker-1.example.com,DNS:*.wild.example.com,IP:127.0.0.1,IP:::1"};
    broker = pki_make(&server, &root);
    const struct pki_options client = {.common_name = "orders", .organization = "Example"};
    orders = pki_make(&client, &middle);
    stranger = pki_make(&client, &stranger_root);
    X509 *const chain[] = {orders.cert, middle.cert, NULL};
    pki_write_certs("orders.pem", 0644, chain);
    pki_write_key("orders.key", 0400, orders.key, NULL);
    pki_write_cert("broker.pem", broker.cert);
    pki_write_key("broker.key", 0400, broker.key, NULL);
    pki_write_cert("ca.pem", root.cert);
    load_identities();
}

static void tidy(void)
{
    certificates_unref(&certs);
    config_unref(&config);
    struct pki_cert *const all[] = {&root, &middle, &broker, &orders, &stranger_root, &stranger};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        pki_free(all[i]);
    }
    pki_close();
}

TestSuite(tls_context, .init = prepare, .fini = tidy);

static SSL_CTX *client_ctx(const char *identity, const char *ca, const char *crl,
                           enum conf_tls_version version)
{
    const struct conf_tls tls = {.place = {3, 4, "setu.yaml"},
                                 .present = true,
                                 .ca = ca,
                                 .crl = crl,
                                 .min_version = version};
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx = tls_client_ctx_new(certs, identity, &tls, &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_eq(ctx == NULL, errors.errors != 0);
    conf_errors_deinit(&errors);
    return ctx;
}

static SSL_CTX *plain_client(const char *identity)
{
    return client_ctx(identity, pki_path("ca.pem"), "", CONF_TLS_1_2);
}

static struct conf_listener listener_of(enum conf_client_auth client_auth)
{
    return (struct conf_listener){.name = "clients",
                                  .tls = {.place = {7, 8, "setu.yaml"},
                                          .present = true,
                                          .chain = pki_path("broker.pem"),
                                          .key = pki_path("broker.key"),
                                          .client_ca = pki_path("ca.pem"),
                                          .client_auth = client_auth}};
}

static SSL_CTX *server_ctx(enum conf_client_auth client_auth)
{
    const struct conf_listener listener = listener_of(client_auth);
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx = tls_server_ctx_new(&listener, now(), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(ctx);
    conf_errors_deinit(&errors);
    return ctx;
}

/* Two ends joined in memory. */
struct joint {
    SSL *client, *server;
    char client_fault[128], server_fault[128];
};

static struct joint join(SSL_CTX *client, SSL_CTX *server, const char *host)
{
    struct joint joint = {.client = SSL_new(client), .server = SSL_new(server)};
    BIO *left = NULL, *right = NULL;
    cr_assert_eq(BIO_new_bio_pair(&left, 0, &right, 0), 1);
    SSL_set_bio(joint.client, left, left);
    SSL_set_bio(joint.server, right, right);
    SSL_set_connect_state(joint.client);
    SSL_set_accept_state(joint.server);
    if (host != NULL) {
        cr_assert(tls_expect_host(joint.client, host));
    }
    return joint;
}

/* One turn of one end: true as long as it may go on. */
static bool turn(SSL *ssl, char fault[128])
{
    ERR_clear_error();
    if (fault[0] != '\0') {
        return false;
    }
    const int result = SSL_do_handshake(ssl);
    if (result == 1) {
        return true;
    }
    const int error = SSL_get_error(ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return true;
    }
    snprintf(fault, 128, "%s", tls_certificate_text(ssl, ERR_peek_error()));
    return false;
}

/* With TLS 1.3 a refused client certificate shows at the first read. */
static bool shake(struct joint *joint)
{
    for (int i = 0; i < 20; i++) {
        (void)turn(joint->client, joint->client_fault);
        (void)turn(joint->server, joint->server_fault);
    }
    char byte;
    (void)SSL_read(joint->client, &byte, 1);
    ERR_clear_error();
    return SSL_is_init_finished(joint->client) && SSL_is_init_finished(joint->server) &&
           joint->client_fault[0] == '\0' && joint->server_fault[0] == '\0';
}

static void part(struct joint *joint)
{
    SSL_free(joint->client);
    SSL_free(joint->server);
}

static bool try_host(SSL_CTX *client, SSL_CTX *server, const char *host, char fault[128])
{
    struct joint joint = join(client, server, host);
    const bool good = shake(&joint);
    memcpy(fault, joint.client_fault, sizeof(joint.client_fault));
    part(&joint);
    return good;
}

Test(tls_context, the_broker_has_to_be_who_was_dialled)
{
    SSL_CTX *client = plain_client(NULL), *server = server_ctx(CONF_CLIENT_AUTH_NONE);
    static const char *const good[] = {"broker-1.example.com",
                                       "BROKER-1.example.com",
                                       "broker-1.example.com.",
                                       "a.wild.example.com",
                                       "127.0.0.1",
                                       "::1",
                                       "0:0:0:0:0:0:0:1"};
    static const char *const bad[] = {"broker-2.example.com",
                                      "example.com",
                                      "broker",
                                      "127.0.0.2",
                                      "::2",
                                      "a.b.wild.example.com",
                                      "wild.example.com",
                                      "127.0.0.1.example.com"};
    char fault[128];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(try_host(client, server, good[i], fault), "%s: %s", good[i], fault);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(try_host(client, server, bad[i], fault), "%s", bad[i]);
        cr_assert_not_null(strstr(fault, "mismatch"), "%s: %s", bad[i], fault);
    }
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(tls_context, hosts_that_cannot_be_checked_are_not_dialled)
{
    SSL_CTX *client = plain_client(NULL);
    SSL *ssl = SSL_new(client);
    char long_name[400];
    memset(long_name, 'a', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    cr_assert_not(tls_expect_host(ssl, ""));
    cr_assert_not(tls_expect_host(ssl, long_name));
    cr_assert(tls_expect_host(ssl, "broker"));
    cr_assert_str_eq(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), "broker");
    SSL_free(ssl);
    ssl = SSL_new(client);
    cr_assert(tls_expect_host(ssl, "::1"));
    cr_assert_null(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), "no SNI for an address");
    SSL_free(ssl);
    SSL_CTX_free(client);
}

Test(tls_context, the_right_name_by_another_authority_is_nobody)
{
    SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_NONE);
    pki_write_cert("other-ca.pem", stranger_root.cert);
    SSL_CTX *client = client_ctx(NULL, pki_path("other-ca.pem"), "", CONF_TLS_1_2);
    struct joint joint = join(client, server, "127.0.0.1");
    cr_assert_not(shake(&joint));
    cr_assert_gt(strlen(joint.client_fault), 0);
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

static enum tls_peer_status peer_of(const char *rules_text, struct tls_peer *peer)
{
    SSL_CTX *client = plain_client("orders"), *server = server_ctx(CONF_CLIENT_AUTH_REQUIRED);
    struct joint joint = join(client, server, "127.0.0.1");
    cr_assert(shake(&joint), "%s / %s", joint.client_fault, joint.server_fault);
    struct rule_fault error;
    struct rules *rules =
        rules_text == NULL ? NULL : rules_parse(view_from_string(rules_text), &error);
    const enum tls_peer_status status = tls_peer_principal(joint.server, rules, peer);
    rules_free(&rules);
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return status;
}

Test(tls_context, a_verified_peer_has_a_principal)
{
    struct tls_peer peer;
    cr_assert_eq(peer_of(NULL, &peer), TLS_PEER_OK);
    cr_assert_str_eq(peer.principal, "CN=orders,O=Example");
    cr_assert_str_eq(peer.subject, "CN=orders,O=Example");
    cr_assert_str_eq(peer.fingerprint, certificates_find(certs, "orders")->fingerprint);
    cr_assert_eq(peer_of("RULE:^CN=([^,]+),.*$/$1/U,DEFAULT", &peer), TLS_PEER_OK);
    cr_assert_str_eq(peer.principal, "ORDERS");
    cr_assert_eq(peer.rule, 0);
    cr_assert_eq(peer_of("RULE:^CN=other$/x/", &peer), TLS_PEER_NO_RULE);
    cr_assert_str_eq(peer.principal, "");
    cr_assert_str_eq(peer.subject, "CN=orders,O=Example");
    cr_assert_eq(peer_of("RULE:^.*$/ /", &peer), TLS_PEER_BAD_NAME);
    cr_assert_eq(peer_of("RULE:^.*$//", &peer), TLS_PEER_BAD_NAME);
    cr_assert_eq(peer_of("RULE:^((([^,]|,)+)+)+;$|(.*.*)*,O=Exampl.x/x/,DEFAULT", &peer),
                 TLS_PEER_LIMIT);
}

Test(tls_context, without_a_certificate_there_is_no_principal)
{
    SSL_CTX *client = plain_client("orders"), *server = server_ctx(CONF_CLIENT_AUTH_NONE);
    struct joint joint = join(client, server, "127.0.0.1");
    cr_assert(shake(&joint));
    struct tls_peer peer;
    cr_assert_eq(tls_peer_principal(joint.server, NULL, &peer), TLS_PEER_NONE);
    part(&joint);
    SSL_CTX_free(client);
    client = plain_client(NULL);
    SSL_CTX_free(server);
    server = server_ctx(CONF_CLIENT_AUTH_REQUIRED);
    joint = join(client, server, "127.0.0.1");
    cr_assert_not(shake(&joint));
    cr_assert_eq(tls_peer_principal(joint.server, NULL, &peer), TLS_PEER_NONE);
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

static enum tls_peer_status shows_if_asked(const struct pki_cert *leaf, bool *good_r)
{
    struct tls_peer peer;
    SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_REQUESTED);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    if (leaf != NULL) {
        cr_assert_eq(SSL_CTX_use_cert_and_key(client, leaf->cert, leaf->key, NULL, 1), 1);
    }
    struct joint joint = join(client, server, NULL);
    *good_r = shake(&joint);
    const enum tls_peer_status status = tls_peer_principal(joint.server, NULL, &peer);
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return status;
}

Test(tls_context, a_requested_certificate_may_be_missing_but_not_wrong)
{
    bool good = false;
    const struct pki_options options = {.common_name = "node3"};
    struct pki_cert direct = pki_make(&options, &root);
    cr_expect_eq(shows_if_asked(&direct, &good), TLS_PEER_OK);
    cr_expect(good);
    cr_expect_eq(shows_if_asked(NULL, &good), TLS_PEER_NONE);
    cr_expect(good);
    cr_expect_eq(shows_if_asked(&stranger, &good), TLS_PEER_NONE);
    cr_expect_not(good);
    pki_free(&direct);
}

/* T47, T49: a client that shows `leaf` and, behind it, `extra`. */
static bool client_shows(const struct pki_cert *leaf, X509 *extra, struct tls_peer *peer)
{
    SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_REQUIRED);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(client, 0);
    SSL_CTX_set_mode(client, SSL_MODE_NO_AUTO_CHAIN);
    STACK_OF(X509) *chain = sk_X509_new_null();
    if (extra != NULL) {
        sk_X509_push(chain, extra);
    }
    cr_assert_eq(SSL_CTX_use_cert_and_key(client, leaf->cert, leaf->key, chain, 1), 1);
    sk_X509_free(chain);
    struct joint joint = join(client, server, NULL);
    const bool good = shake(&joint);
    const enum tls_peer_status status = tls_peer_principal(joint.server, NULL, peer);
    cr_assert_eq(good, status == TLS_PEER_OK);
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return good;
}

static bool client_made(struct pki_options options, const struct pki_cert *issuer, X509 *extra)
{
    options.common_name = "x";
    struct tls_peer peer;
    struct pki_cert made = pki_make(&options, issuer);
    const bool good = client_shows(&made, extra, &peer);
    pki_free(&made);
    return good;
}

Test(tls_context, bad_client_certificates_are_refused)
{
    struct tls_peer peer;
    const struct pki_options plain = {0};
    cr_assert(client_made(plain, &root, NULL));
    cr_assert(client_made(plain, &middle, middle.cert));
    cr_assert_not(client_made(plain, &middle, NULL), "an issuer is missing");
    cr_assert_not(client_made(plain, NULL, NULL), "self-signed");
    cr_assert_not(client_made((struct pki_options){.to_s = now() - 10}, &root, NULL), "expired");
    cr_assert_not(client_made((struct pki_options){.from_s = now() + 86400}, &root, NULL),
                  "not yet valid");
    cr_assert_not(client_made((struct pki_options){.ext_usage = "serverAuth"}, &root, NULL),
                  "wrong use");
    cr_assert_not(client_made(plain, &orders, orders.cert), "the issuer is no authority");
    cr_assert_not(client_made((struct pki_options){.rsa_bits = 1024}, &root, NULL), "weak key");
    cr_assert_not(client_made((struct pki_options){.digest = "SHA1"}, &root, NULL), "weak digest");
    cr_assert_not(client_shows(&stranger, orders.cert, &peer),
                  "somebody else's certificate behind one's own");
    cr_assert_str_eq(peer.principal, "");
}

Test(tls_context, only_the_leaf_names_the_peer)
{
    const struct pki_options options = {.common_name = "attacker"};
    struct pki_cert attacker = pki_make(&options, &root);
    struct tls_peer peer;
    cr_assert(client_shows(&attacker, orders.cert, &peer));
    cr_assert_str_eq(peer.principal, "CN=attacker");
    pki_free(&attacker);
}

/* T48: does the listener take a client `depth` authorities below the root? */
static bool takes_depth(size_t depth)
{
    struct pki_cert chain[9];
    for (size_t i = 0; i < depth; i++) {
        char name[32];
        snprintf(name, sizeof(name), "Level %zu", i);
        const struct pki_options authority = {.common_name = name, .authority = true};
        chain[i] = pki_make(&authority, i == 0 ? &root : &chain[i - 1]);
    }
    const struct pki_options options = {.common_name = "deep"};
    struct pki_cert leaf = pki_make(&options, depth == 0 ? &root : &chain[depth - 1]);
    SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_REQUIRED);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    STACK_OF(X509) *stack = sk_X509_new_null();
    for (size_t i = depth; i-- > 0;) {
        sk_X509_push(stack, chain[i].cert);
    }
    cr_assert_eq(SSL_CTX_use_cert_and_key(client, leaf.cert, leaf.key, stack, 1), 1);
    struct joint joint = join(client, server, NULL);
    const bool good = shake(&joint);
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    sk_X509_free(stack);
    pki_free(&leaf);
    for (size_t i = 0; i < depth; i++) {
        pki_free(&chain[i]);
    }
    return good;
}

Test(tls_context, long_chains_and_large_certificates_are_refused)
{
    cr_assert(takes_depth(0));
    cr_assert(takes_depth(TLS_VERIFY_DEPTH_MAX));
    cr_assert_not(takes_depth(TLS_VERIFY_DEPTH_MAX + 1));
    char *names = malloc(200000);
    size_t used = 0;
    for (int i = 0; used < 100000; i++) {
        used += (size_t)snprintf(names + used, 200000 - used, "%sDNS:host-%d.example.com",
                                 i == 0 ? "" : ",", i);
    }
    cr_assert_not(client_made((struct pki_options){.alt_name = names}, &root, NULL));
    free(names);
}

static void write_lists(X509 *revoked_by_root, X509 *revoked_by_middle, int64_t to_s)
{
    X509_CRL *first = pki_crl(&root, revoked_by_root, to_s);
    X509_CRL *second = pki_crl(&middle, revoked_by_middle, 0);
    FILE *file = fopen(pki_path("crl.pem"), "w");
    pki_write_crl("a.pem", first);
    pki_write_crl("b.pem", second);
    static const char *const parts[] = {"a.pem", "b.pem"};
    for (size_t i = 0; i < 2; i++) {
        FILE *in = fopen(pki_path(parts[i]), "r");
        for (int byte = fgetc(in); byte != EOF; byte = fgetc(in)) {
            fputc(byte, file);
        }
        fclose(in);
    }
    fclose(file);
    chmod(pki_path("crl.pem"), 0644);
    X509_CRL_free(first);
    X509_CRL_free(second);
}

/* Does a client with the list take the broker, whose issuer is `middle`? */
static bool takes_broker(const struct pki_cert *leaf)
{
    X509 *const chain[] = {leaf->cert, middle.cert, NULL};
    pki_write_certs("broker.pem", 0644, chain);
    remove(pki_path("broker.key"));
    pki_write_key("broker.key", 0400, leaf->key, NULL);
    SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_NONE);
    SSL_CTX *client = client_ctx(NULL, pki_path("ca.pem"), pki_path("crl.pem"), CONF_TLS_1_2);
    struct joint joint = join(client, server, NULL);
    const bool good = shake(&joint);
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return good;
}

/* T54 */
Test(tls_context, revocation_fails_closed)
{
    const struct pki_options options = {.common_name = "broker"};
    struct pki_cert leaf = pki_make(&options, &middle);
    write_lists(NULL, NULL, 0);
    cr_assert(takes_broker(&leaf));
    write_lists(NULL, leaf.cert, 0);
    cr_assert_not(takes_broker(&leaf), "revoked leaf");
    write_lists(middle.cert, NULL, 0);
    cr_assert_not(takes_broker(&leaf), "revoked issuer");
    write_lists(NULL, NULL, now() - 10);
    cr_assert_not(takes_broker(&leaf), "expired list");
    X509_CRL *only_root = pki_crl(&root, NULL, 0);
    pki_write_crl("crl.pem", only_root);
    X509_CRL_free(only_root);
    cr_assert_not(takes_broker(&leaf), "no list of the issuer");
    pki_free(&leaf);
    cr_assert_null(client_ctx(NULL, pki_path("ca.pem"), pki_path("missing"), CONF_TLS_1_2));
    cr_assert_null(client_ctx(NULL, pki_path("ca.pem"), pki_path("ca.pem"), CONF_TLS_1_2));
}

Test(tls_context, old_versions_and_weak_suites_are_refused)
{
    static const struct {
        int min, max;
        enum conf_tls_version wanted;
        bool good;
    } cases[] = {
        {TLS1_VERSION, TLS1_1_VERSION, CONF_TLS_1_2, false},
        {TLS1_2_VERSION, TLS1_2_VERSION, CONF_TLS_1_2, true},
        {TLS1_2_VERSION, TLS1_2_VERSION, CONF_TLS_1_3, false},
        {TLS1_3_VERSION, TLS1_3_VERSION, CONF_TLS_1_3, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conf_listener listener = listener_of(CONF_CLIENT_AUTH_NONE);
        listener.tls.min_version = cases[i].wanted;
        struct conf_errors errors;
        conf_errors_init(&errors);
        SSL_CTX *server = tls_server_ctx_new(&listener, now(), &errors);
        SSL_CTX *client = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_security_level(client, 0);
        SSL_CTX_set_min_proto_version(client, cases[i].min);
        SSL_CTX_set_max_proto_version(client, cases[i].max);
        struct joint joint = join(client, server, NULL);
        cr_assert_eq(shake(&joint), cases[i].good, "case %zu", i);
        part(&joint);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
        conf_errors_deinit(&errors);
    }
    static const char *const weak[] = {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA",
                                       "ECDHE-ECDSA-NULL-SHA", "AECDH-AES128-SHA"};
    SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_NONE);
    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
        SSL_CTX *client = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_security_level(client, 0);
        SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
        cr_assert_eq(SSL_CTX_set_cipher_list(client, weak[i]), 1, "%s", weak[i]);
        struct joint joint = join(client, server, NULL);
        cr_assert_not(shake(&joint), "%s", weak[i]);
        part(&joint);
        SSL_CTX_free(client);
    }
    SSL_CTX_free(server);
}

Test(tls_context, what_is_set_stays_set)
{
    SSL_CTX *const both[] = {plain_client("orders"), server_ctx(CONF_CLIENT_AUTH_REQUIRED)};
    for (size_t i = 0; i < 2; i++) {
        const uint64_t options = SSL_CTX_get_options(both[i]);
        cr_assert_neq(options & SSL_OP_NO_RENEGOTIATION, 0);
        cr_assert_neq(options & SSL_OP_NO_COMPRESSION, 0);
        cr_assert_neq(options & SSL_OP_NO_TICKET, 0);
        const long mode = SSL_CTX_get_mode(both[i]);
        cr_assert_neq(mode & SSL_MODE_ENABLE_PARTIAL_WRITE, 0);
        cr_assert_neq(mode & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, 0);
        cr_assert_neq(mode & SSL_MODE_RELEASE_BUFFERS, 0);
        cr_assert_eq(SSL_CTX_get_session_cache_mode(both[i]), SSL_SESS_CACHE_OFF);
        cr_assert_neq(SSL_CTX_get_verify_mode(both[i]) & SSL_VERIFY_PEER, 0);
        SSL_CTX_free(both[i]);
    }
}

/* T45: whatever a client keeps, the next handshake is a whole one. */
Test(tls_context, no_session_is_ever_resumed)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_NONE);
        SSL_CTX *client = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(client, versions[i]);
        SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT);
        struct joint joint = join(client, server, NULL);
        cr_assert(shake(&joint));
        SSL_SESSION *session = SSL_get1_session(joint.client);
        cr_assert_not(SSL_SESSION_has_ticket(session));
        part(&joint);
        joint = join(client, server, NULL);
        if (SSL_SESSION_is_resumable(session)) {
            SSL_set_session(joint.client, session);
        }
        cr_assert(shake(&joint));
        cr_assert_not(SSL_session_reused(joint.server));
        cr_assert_not(SSL_session_reused(joint.client));
        part(&joint);
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
        SSL_CTX_free(server);
    }
}

/* T42 */
Test(tls_context, renegotiation_is_refused)
{
    SSL_CTX *server = server_ctx(CONF_CLIENT_AUTH_NONE);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
    struct joint joint = join(client, server, NULL);
    cr_assert(shake(&joint));
    cr_assert_eq(SSL_renegotiate(joint.client), 1);
    char byte;
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(joint.client);
        (void)SSL_read(joint.server, &byte, 1);
        (void)SSL_read(joint.client, &byte, 1);
    }
    cr_assert_not(SSL_is_init_finished(joint.client));
    cr_assert_eq(SSL_renegotiate(joint.server), 0);
    ERR_clear_error();
    part(&joint);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

static void listener_refused(const struct conf_listener *listener, const char *path,
                             const char *why)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    cr_assert_null(tls_server_ctx_new(listener, now(), &errors));
    cr_assert_eq(errors.errors, 1);
    cr_assert_str_eq(errors.items[0].file, "setu.yaml");
    cr_assert_eq(errors.items[0].line, 7);
    cr_assert_not_null(strstr(errors.items[0].text, path), "%s", errors.items[0].text);
    cr_assert_not_null(strstr(errors.items[0].text, why), "%s", errors.items[0].text);
    conf_errors_deinit(&errors);
}

Test(tls_context, bad_listeners_are_refused_with_their_place)
{
    struct conf_listener listener = listener_of(CONF_CLIENT_AUTH_REQUIRED);
    listener.tls.client_ca = "";
    listener_refused(&listener, "", "client_ca is missing");
    listener = listener_of(CONF_CLIENT_AUTH_REQUIRED);
    listener.tls.client_ca = pki_path("nothing");
    listener_refused(&listener, pki_path("nothing"), "No such file");
    listener = listener_of(CONF_CLIENT_AUTH_NONE);
    listener.tls.key = pki_path("orders.key");
    listener_refused(&listener, pki_path("orders.key"), "does not belong");
    const struct pki_options options = {.common_name = "x", .ext_usage = "clientAuth"};
    struct pki_cert made = pki_make(&options, &root);
    pki_write_cert("made.pem", made.cert);
    pki_write_key("made.key", 0400, made.key, NULL);
    listener.tls.chain = pki_path("made.pem");
    listener.tls.key = pki_path("made.key");
    listener_refused(&listener, pki_path("made.pem"), "lacks serverAuth");
    pki_free(&made);
}

Test(tls_context, bad_trust_and_identities_are_refused)
{
    cr_assert_null(client_ctx(NULL, "", "", CONF_TLS_1_2), "no authorities");
    cr_assert_null(client_ctx(NULL, pki_path("nothing"), "", CONF_TLS_1_2));
    cr_assert_null(client_ctx("nobody", pki_path("ca.pem"), "", CONF_TLS_1_2));
    cr_assert_eq(chmod(pki_path("ca.pem"), 0666), 0);
    cr_assert_null(plain_client(NULL), "others may write the trust");
}

Test(tls_context, error_texts_always_end)
{
    char text[8];
    cr_assert_eq(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL), 1);
    tls_error_text(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_NO_SHARED_CIPHER), text, sizeof(text));
    cr_assert_str_eq(text, "no shar");
}
