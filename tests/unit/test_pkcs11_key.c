/* SPDX-License-Identifier: Apache-2.0 */
/* Keys on a token (SoftHSM), by whatever way this machine's OpenSSL has to one. */
#include "auth/pkcs11_key.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/certificates.h"
#include "auth/key_pair.h"
#include "auth/tls_context.h"
#include "conf/config.h"
#include "tests/unit/hsm_kit.h"
#include "tests/unit/pki_kit.h"

enum { PIN_TEST_BYTES = 400 };

static struct pki_cert root, ec, rsa, other;
static struct conf_pkcs11 pkcs11;
static char pin_path[128];

static const char ec_uri[] = "pkcs11:token=setu;object=ec;type=private";
static const char rsa_uri[] = "pkcs11:token=setu;id=%a2";

static void prepare(void)
{
    pki_open();
    hsm_open();
    const struct pki_options authority = {.common_name = "Root", .authority = true};
    root = pki_make(&authority, NULL);
    ec = pki_make(&(struct pki_options){.common_name = "ec"}, &root);
    other = pki_make(&(struct pki_options){.common_name = "other"}, &root);
    pki_write_cert("ca.pem", root.cert);
    pki_write_cert("ec.pem", ec.cert);
    pki_write_cert("other.pem", other.cert);
    hsm_import("ec", "a1", ec.key);
    pki_write_text("pin", 0400, HSM_PIN "\n");
    snprintf(pin_path, sizeof pin_path, "%s", pki_path("pin"));
    pkcs11 = (struct conf_pkcs11){
        .present = true, .module = HSM_MODULE, .pin_file = pin_path, .place = {2, 1, "setu.yaml"}};
}

/* Costs most of all, so only where it is wanted. */
static void add_rsa(void)
{
    rsa = pki_make(&(struct pki_options){.common_name = "rsa", .rsa_bits = 2048}, &root);
    pki_write_cert("rsa.pem", rsa.cert);
    hsm_import("rsa", "a2", rsa.key);
}

static void tidy(void)
{
    struct pki_cert *const all[] = {&root, &ec, &rsa, &other};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        pki_free(all[i]);
    }
    hsm_close();
    pki_close();
}

TestSuite(pkcs11_key, .init = prepare, .fini = tidy);

/* The fault of a load that has to fail; static. */
static const char *refusal(const char *uri)
{
    static struct pem_fault fault;
    fault.text[0] = '\0';
    EVP_PKEY *key = pkcs11_key_load(&pkcs11, uri, &fault);
    cr_assert_null(key, "%s", uri);
    cr_assert_eq(strncmp(fault.text, uri, strlen(uri)), 0, "%s", fault.text);
    cr_assert_null(strstr(fault.text, HSM_PIN), "%s", fault.text);
    cr_assert_eq(ERR_peek_error(), 0);
    return fault.text;
}

static void write_pin(const char *text, mode_t mode)
{
    unlink(pin_path);
    pki_write_text("pin", mode, text);
}

static void expect_refusal(const char *uri, const char *why)
{
    const char *said = refusal(uri);
    cr_expect_not_null(strstr(said, why), "wanted: %s; said: %s", why, said);
}

/* ---- certificates of which the key is on the token ---- */

static struct conf_errors errors;

static bool load_pair(const char *chain, const char *uri, enum key_pair_use use,
                      struct key_pair *pair)
{
    const struct key_pair_source source = {
        .chain = pki_path(chain),
        .key = uri,
        .pkcs11 = &pkcs11,
        .chain_place = {3, 4, "setu.yaml"},
        .key_place = {5, 6, "setu.yaml"},
        .use = use,
    };
    conf_errors_deinit(&errors);
    conf_errors_init(&errors);
    return key_pair_load(&source, (int64_t)time(NULL), &errors, pair);
}

static void expect_error(const char *why)
{
    cr_assert_eq(errors.errors, 1);
    cr_expect_eq(errors.items[0].line, 5);
    cr_expect_eq(errors.items[0].column, 6);
    cr_expect_not_null(strstr(errors.items[0].text, why), "%s", errors.items[0].text);
}

Test(pkcs11_key, a_key_on_a_token_makes_a_pair)
{
    add_rsa();
    struct key_pair pair;
    cr_assert(load_pair("ec.pem", ec_uri, KEY_PAIR_CLIENT, &pair));
    key_pair_free(&pair);
    cr_assert(load_pair("rsa.pem", rsa_uri, KEY_PAIR_SERVER, &pair));
    key_pair_free(&pair);
    cr_assert(load_pair("rsa.pem", rsa_uri, KEY_PAIR_CLIENT, &pair), "a second time");
    key_pair_free(&pair);
    conf_errors_deinit(&errors);
}

/* T52: a key that is not the certificate's. */
Test(pkcs11_key, t52_a_key_that_does_not_match_is_refused)
{
    add_rsa();
    struct key_pair pair;
    cr_assert_not(load_pair("other.pem", ec_uri, KEY_PAIR_CLIENT, &pair));
    expect_error("does not belong to the first certificate");
    cr_assert_not(load_pair("rsa.pem", ec_uri, KEY_PAIR_CLIENT, &pair), "another kind of key");
    expect_error("does not belong to the first certificate");
    conf_errors_deinit(&errors);
}

/* A token may say what it likes of the public half. */
Test(pkcs11_key, only_a_signature_proves_a_key)
{
    add_rsa();
    struct pem_fault fault;
    EVP_PKEY *key = pkcs11_key_load(&pkcs11, ec_uri, &fault);
    cr_assert_not_null(key, "%s", fault.text);
    cr_expect_eq(pkcs11_key_prove(key, ec.key, ec_uri, &fault), PKCS11_KEY_PROVED);
    cr_expect_eq(pkcs11_key_prove(key, other.key, ec_uri, &fault), PKCS11_KEY_OTHER);
    cr_expect_eq(pkcs11_key_prove(key, rsa.key, ec_uri, &fault), PKCS11_KEY_OTHER);
    unsigned char *der = NULL;
    const int length = i2d_PUBKEY(ec.key, &der);
    const unsigned char *at = der;
    EVP_PKEY *public = d2i_PUBKEY(NULL, &at, length);
    OPENSSL_free(der);
    cr_expect_eq(pkcs11_key_prove(public, public, ec_uri, &fault), PKCS11_KEY_SILENT);
    cr_expect_not_null(strstr(fault.text, "does not sign"), "%s", fault.text);
    EVP_PKEY_free(public);
    EVP_PKEY_free(key);
}

/* ---- handshakes ---- */

static const char config_text[] =
    "pkcs11: {module: %s, pin_file: %s}\n"
    "certificates: [{name: ec, chain: %s, key: '%s'}, {name: rsa, chain: %s, key: '%s'}]\n"
    "mapping: [{principal: ec, certificate: ec}, {principal: rsa, certificate: rsa}]\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:9092\"]\n"
    "    identity: {certificate: ec}\n"
    "    generations:\n"
    "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: %s}}\n"
    "listeners:\n"
    "  - {name: l, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
    "     advertised_host: localhost, node_base_port: 19100, mechanisms: [],\n"
    "     tls: {chain: %s, key: '%s', client_ca: %s, client_auth: required}}\n"
    "audit: {file: /a.log}\n";

static struct config *read_config(void)
{
    char text[4096];
    snprintf(text, sizeof text, config_text, HSM_MODULE, pin_path, pki_path("ec.pem"), ec_uri,
             pki_path("rsa.pem"), rsa_uri, pki_path("ca.pem"), pki_path("rsa.pem"), rsa_uri,
             pki_path("ca.pem"));
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(config);
    return config;
}

/* Returns the principal that the listener sees; "" when they do not agree. */
static void shake(SSL_CTX *client, SSL_CTX *server, int version, char principal[PRINCIPAL_SIZE])
{
    BIO *left = NULL, *right = NULL;
    struct tls_peer peer = {0};
    char byte;
    SSL *a = SSL_new(client), *b = SSL_new(server);
    SSL_set_max_proto_version(a, version);
    cr_assert_eq(BIO_new_bio_pair(&left, 0, &right, 0), 1);
    SSL_set_bio(a, left, left);
    SSL_set_bio(b, right, right);
    SSL_set_connect_state(a);
    SSL_set_accept_state(b);
    for (int i = 0; i < 10; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(a);
        ERR_clear_error();
        (void)SSL_do_handshake(b);
    }
    (void)SSL_read(a, &byte, 1);
    principal[0] = '\0';
    if (SSL_is_init_finished(a) && SSL_is_init_finished(b) &&
        tls_peer_principal(b, NULL, &peer) == TLS_PEER_OK) {
        memcpy(principal, peer.principal, PRINCIPAL_SIZE);
    }
    ERR_clear_error();
    SSL_free(a);
    SSL_free(b);
}

struct shaker {
    SSL_CTX *client, *server;
    const char *wanted;
    bool good;
};

static void *shake_often(void *argument)
{
    struct shaker *shaker = argument;
    char principal[PRINCIPAL_SIZE];
    shaker->good = true;
    for (int i = 0; i < 5; i++) {
        shake(shaker->client, shaker->server, i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION,
              principal);
        shaker->good = shaker->good && strcmp(principal, shaker->wanted) == 0;
    }
    return NULL;
}

/* Both ends' keys are on the token, and two workers use them at once. */
Test(pkcs11_key, both_legs_shake_hands_with_keys_on_a_token)
{
    add_rsa();
    struct config *config = read_config();
    struct certificates *certs = certificates_load(config, (int64_t)time(NULL), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(certs);
    struct shaker shakers[2] = {{.wanted = "CN=ec"}, {.wanted = "CN=rsa"}};
    pthread_t threads[2];
    const struct conf_generation *generation = &config->clusters[0].generations[0];
    for (size_t i = 0; i < 2; i++) {
        shakers[i].client =
            tls_client_ctx_new(certs, shakers[i].wanted + 3, &generation->tls, &errors);
        shakers[i].server =
            tls_server_ctx_new(&config->listeners[0], (int64_t)time(NULL), &errors);
        conf_errors_print(&errors, stderr);
        cr_assert(shakers[i].client != NULL && shakers[i].server != NULL);
    }
    certificates_unref(&certs);
    config_unref(&config);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, shake_often, &shakers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        cr_expect(shakers[i].good, "%s", shakers[i].wanted);
        SSL_CTX_free(shakers[i].client);
        SSL_CTX_free(shakers[i].server);
    }
    conf_errors_deinit(&errors);
}

/* ---- what goes wrong ---- */

Test(pkcs11_key, a_pin_that_was_refused_is_not_tried_again)
{
    write_pin("wrong-4242\n", 0400);
    expect_refusal(ec_uri, "does not take this PIN");
    expect_refusal(ec_uri, "has refused this PIN before");
    expect_refusal(rsa_uri, "has refused this PIN before");
    cr_expect_null(strstr(refusal(rsa_uri), "4242"));
    write_pin("wrong-4343\n", 0400);
    expect_refusal(ec_uri, "does not take this PIN");
    write_pin(HSM_PIN "\n", 0400);
    struct pem_fault fault;
    EVP_PKEY *key = pkcs11_key_load(&pkcs11, ec_uri, &fault);
    cr_expect_not_null(key, "%s", fault.text);
    EVP_PKEY_free(key);
}

Test(pkcs11_key, refused_pins_do_not_end_the_use_of_tokens)
{
    char pin[32];
    for (int i = 0; i < 20; i++) {
        snprintf(pin, sizeof pin, "wrong-%d\n", i);
        write_pin(pin, 0400);
        expect_refusal(ec_uri, "does not take this PIN");
    }
    expect_refusal(ec_uri, "has refused this PIN before");
    expect_refusal("pkcs11:token=other;object=ec", "no such key");
    write_pin(HSM_PIN "\n", 0400);
    struct pem_fault fault;
    EVP_PKEY *key = pkcs11_key_load(&pkcs11, ec_uri, &fault);
    cr_expect_not_null(key, "%s", fault.text);
    EVP_PKEY_free(key);
}

/* T52: a PIN's file has to be as safe as a key's. */
Test(pkcs11_key, t52_the_file_of_the_pin_has_to_be_safe)
{
    static const mode_t unsafe[] = {0644, 0604, 0660, 0420, 0401};
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
        write_pin(HSM_PIN "\n", unsafe[i]);
        expect_refusal(ec_uri, "is not safe");
    }
    write_pin(HSM_PIN "\n", 0400);
    cr_assert(mkdir(pki_path("dir"), 0700) == 0 && chmod(pki_path("dir"), 0777) == 0);
    cr_assert_eq(symlink(pin_path, pki_path("dir/link")), 0);
    pkcs11.pin_file = pki_path("dir/link"); /* anybody could have made it */
    expect_refusal(ec_uri, "is not safe");
    cr_assert_eq(unlink(pki_path("dir/link")), 0);
    pkcs11.pin_file = pki_path("nothing");
    expect_refusal(ec_uri, "No such file");
    pkcs11.pin_file = pin_path;
    write_pin("", 0400);
    expect_refusal(ec_uri, "is empty");
    write_pin("\n", 0400);
    expect_refusal(ec_uri, "is empty");
    char *text = malloc(PIN_TEST_BYTES);
    memset(text, '1', PIN_TEST_BYTES);
    text[PIN_TEST_BYTES - 1] = '\0';
    write_pin(text, 0400);
    free(text);
    expect_refusal(ec_uri, "holds no PIN");
}

Test(pkcs11_key, without_a_pin_nobody_is_asked)
{
    pkcs11.pin_file = "";
    expect_refusal(ec_uri, "no such key");
}

Test(pkcs11_key, what_is_not_there_is_said)
{
    expect_refusal("pkcs11:token=other;object=ec", "no such key");
    expect_refusal("pkcs11:token=setu;object=nothing", "no such key");
    expect_refusal("pkcs11:token=setu;id=%77", "no such key");
    struct key_pair pair;
    cr_assert_not(load_pair("ec.pem", "pkcs11:token=setu;object=nothing", KEY_PAIR_CLIENT, &pair));
    expect_error("no such key");
    conf_errors_deinit(&errors);
    pkcs11.module = "/usr/lib/softhsm/another.so";
    expect_refusal(ec_uri, "already uses the module " HSM_MODULE);
    pkcs11.present = false;
    expect_refusal(ec_uri, "nothing says how tokens are reached");
}

Test(pkcs11_key, a_module_that_is_none_can_be_mended)
{
    pkcs11.module = "/nonexistent/module.so";
    expect_refusal(ec_uri, "cannot be used");
    pkcs11.module = pin_path;
    expect_refusal(ec_uri, "cannot be used");
    pkcs11.module = "/lib/x86_64-linux-gnu/libc.so.6";
    expect_refusal(ec_uri, "cannot be used");
    pkcs11.module = HSM_MODULE;
    struct pem_fault fault;
    EVP_PKEY *key = pkcs11_key_load(&pkcs11, ec_uri, &fault);
    cr_expect_not_null(key, "%s", fault.text);
    EVP_PKEY_free(key);
}

/* A key that is replaced on the token under the same name is found by the next load. */
Test(pkcs11_key, a_reload_finds_a_new_key)
{
    struct key_pair pair;
    cr_assert(load_pair("ec.pem", "pkcs11:token=setu;object=ec", KEY_PAIR_CLIENT, &pair));
    key_pair_free(&pair);
    hsm_import("new", "b1", other.key);
    cr_assert(load_pair("other.pem", "pkcs11:token=setu;object=new", KEY_PAIR_CLIENT, &pair));
    key_pair_free(&pair);
    conf_errors_deinit(&errors);
}
