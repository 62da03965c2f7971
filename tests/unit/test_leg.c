/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/leg.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/io/tls.h"
#include "tests/unit/pair.h"

enum { BIG = 3 * 1000 * 1000 };

static bool both_open(const struct pair *pair)
{
    return pair->a.opened == 1 && pair->b.opened == 1;
}

static bool big_arrived(const struct pair *pair)
{
    return pair->b.got_length == BIG;
}

static bool b_ended(const struct pair *pair)
{
    return pair->b.ended > 0;
}

static bool b_failed(const struct pair *pair)
{
    return pair->b.failed > 0;
}

static bool a_failed(const struct pair *pair)
{
    return pair->a.failed > 0;
}

static uint8_t *pattern(size_t length)
{
    uint8_t *bytes = malloc(length);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    return bytes;
}

/* ---- a throwaway identity ---- */

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const uint8_t *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    return cert;
}

static SSL_CTX *context(bool server)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (server) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *cert = self_signed(key);
        cr_assert_eq(SSL_CTX_use_certificate(ctx, cert), 1);
        cr_assert_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    return ctx;
}

/* ---- tests ---- */

static void send_big(struct pair *pair)
{
    uint8_t *bytes = pattern(BIG);
    cr_assert(pair_run(pair, both_open));
    for (size_t at = 0; at < BIG; at += 100000) {
        cr_assert(leg_write(&pair->a.leg, bytes + at, BIG - at < 100000 ? BIG - at : 100000));
    }
    cr_assert(leg_flush(&pair->a.leg));
    cr_assert_gt(leg_backlog(&pair->a.leg), 0u, "three megabytes do not fit a socket pair");
    cr_assert(pair_run(pair, big_arrived));
    cr_assert_arr_eq(pair->b.got, bytes, BIG);
    cr_assert_eq(leg_backlog(&pair->a.leg), 0u);
    cr_assert_geq(pair->a.drained, 1);
    free(bytes);
}

Test(leg, plaintext_bytes_arrive_in_order_and_the_backlog_drains)
{
    struct pair pair;
    pair_start(&pair, NULL, NULL);
    send_big(&pair);
    pair_stop(&pair);
    cr_assert_eq(pair.a.closed, 1);
}

static bool backlog_drained(const struct pair *pair)
{
    return pair->a.drained > 0;
}

/* T76: a password that the socket did not take at once. The spill is one of those that are kept. */
Test(leg, t76_a_password_in_the_backlog_is_wiped)
{
    static const char password[] = "a-password-that-had-to-wait";
    struct pair pair;
    uint8_t *bytes = pattern(BIG);
    pair_start(&pair, NULL, NULL);
    cr_assert(pair_run(&pair, both_open));
    leg_pause(&pair.b.leg);
    for (size_t at = 0; leg_backlog(&pair.a.leg) == 0; at += 100000) {
        cr_assert_lt(at, (size_t)BIG);
        cr_assert(leg_write(&pair.a.leg, bytes + at, 100000));
    }
    cr_assert(leg_write_secret(&pair.a.leg, (const uint8_t *)password, sizeof password));
    cr_assert(leg_write(&pair.a.leg, bytes, IO_SPARE_BYTES / 2)); /* it moves to a larger one */
    const uint8_t *spill = pair.a.leg.spill;
    cr_assert_eq(pair.a.leg.spill_capacity, (size_t)IO_SPARE_BYTES);
    cr_assert_not_null(memmem(spill, IO_SPARE_BYTES, password, sizeof password));
    leg_resume(&pair.b.leg);
    cr_assert(pair_run(&pair, backlog_drained));
    cr_assert_eq(pair.a.leg.io->spares[pair.a.leg.io->spares_count - 1], spill, "it is kept");
    cr_assert_null(memmem(spill, IO_SPARE_BYTES, password, sizeof password));
    cr_assert_not(pair.a.leg.spill_secret);
    pair_stop(&pair);
    free(bytes);
}

Test(leg, tls_bytes_arrive_in_order_and_the_backlog_drains)
{
    struct pair pair;
    SSL_CTX *client = context(false), *server = context(true);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    send_big(&pair);
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, a_tls_close_is_an_end)
{
    struct pair pair;
    SSL_CTX *client = context(false), *server = context(true);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    cr_assert(pair_run(&pair, both_open));
    leg_close(&pair.a.leg);
    cr_assert(pair_run(&pair, b_ended));
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, a_tls_end_right_behind_data_is_told)
{
    struct pair pair;
    SSL_CTX *client = context(false), *server = context(true);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    cr_assert(pair_run(&pair, both_open));
    cr_assert(leg_write(&pair.a.leg, (const uint8_t *)"x", 1));
    SSL_shutdown(pair.a.leg.ssl); /* the socket stays open: no poll event follows */
    cr_assert(leg_flush(&pair.a.leg));
    cr_assert(pair_run(&pair, b_ended));
    cr_assert_eq(pair.b.got_length, 1u);
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, a_tls_error_right_behind_data_is_told_as_what_it_is)
{
    struct pair pair;
    const uint8_t no_record[] = {0x17, 3,  3,  0,  20, 1,  2,  3,  4,  5,  6,  7, 8,
                                 9,    10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    SSL_CTX *client = context(false), *server = context(true);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    cr_assert(pair_run(&pair, both_open));
    cr_assert(leg_write(&pair.a.leg, (const uint8_t *)"x", 1));
    cr_assert(leg_put_wire(&pair.a.leg, no_record, sizeof no_record));
    cr_assert(leg_flush(&pair.a.leg));
    cr_assert(pair_run(&pair, b_failed));
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_TLS);
    cr_assert_eq(pair.b.got_length, 1u);
    cr_assert_eq(pair.b.ended, 0);
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

/* ---- a peer whose certificate, or whose proof, is forged ---- */

static X509 *authority_of(EVP_PKEY *key)
{
    X509 *cert = self_signed(key);
    X509_EXTENSION *is_ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");
    cr_assert_eq(X509_add_ext(cert, is_ca, -1), 1);
    cr_assert_gt(X509_sign(cert, key, EVP_sha256()), 0);
    X509_EXTENSION_free(is_ca);
    return cert;
}

static X509 *signed_as_test(EVP_PKEY *of, EVP_PKEY *by)
{
    X509 *cert = self_signed(of); /* its issuer is called as the authority is */
    X509_NAME *own = X509_NAME_new();
    X509_NAME_add_entry_by_txt(own, "CN", MBSTRING_ASC, (const uint8_t *)"orders", -1, -1, 0);
    cr_assert_eq(X509_set_subject_name(cert, own), 1);
    cr_assert_gt(X509_sign(cert, by, EVP_sha256()), 0);
    X509_NAME_free(own);
    return cert;
}

/* The public key of one, the private one of another: who found a certificate has no better. */
static EVP_PKEY *rsa_without_its_key(EVP_PKEY *of, EVP_PKEY *other)
{
    BIGNUM *n = NULL, *e = NULL, *d = NULL;
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    cr_assert_eq(EVP_PKEY_get_bn_param(of, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    cr_assert_eq(EVP_PKEY_get_bn_param(of, OSSL_PKEY_PARAM_RSA_E, &e), 1);
    cr_assert_eq(EVP_PKEY_get_bn_param(other, OSSL_PKEY_PARAM_RSA_D, &d), 1);
    cr_assert_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n), 1);
    cr_assert_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e), 1);
    cr_assert_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_D, d), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    cr_assert_eq(EVP_PKEY_fromdata_init(ctx), 1);
    cr_assert_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    BN_clear_free(d);
    return key;
}

/* Who shows `cert` and signs with `key` to somebody who believes `authority`. */
static void refused_for(X509 *cert, EVP_PKEY *key, X509 *authority, int version,
                        bool shown_by_server)
{
    struct pair pair;
    SSL_CTX *client = context(false);
    SSL_CTX *server = shown_by_server ? SSL_CTX_new(TLS_server_method()) : context(true);
    SSL_CTX *peer = shown_by_server ? server : client, *ours = shown_by_server ? client : server;
    cr_assert_eq(SSL_CTX_set_max_proto_version(client, version), 1);
    cr_assert_eq(SSL_CTX_use_certificate(peer, cert), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey(peer, key), 1);
    cr_assert_eq(X509_STORE_add_cert(SSL_CTX_get_cert_store(ours), authority), 1);
    SSL_CTX_set_verify(ours, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    cr_assert(pair_run(&pair, shown_by_server ? a_failed : b_failed));
    const struct leg *judge = shown_by_server ? &pair.a.leg : &pair.b.leg;
    cr_expect_eq(judge->error, LEG_ERROR_TLS_VERIFY, "%s", judge->error_text);
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

/* T47: libcrypto's own error stands before TLS's then; what it means is that this peer is not believed. */
Test(leg, forged_certificates_and_proofs_are_the_peers_fault)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    EVP_PKEY *authority_key = EVP_RSA_gen(2048), *own = EVP_RSA_gen(2048),
             *other = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
    EVP_PKEY *stolen = rsa_without_its_key(own, other);
    X509 *authority = authority_of(authority_key), *good = signed_as_test(own, authority_key);
    X509 *forged = signed_as_test(own, other), *forged_ec = signed_as_test(ec, other);
    for (size_t i = 0; i < 2; i++) {
        for (int by_server = 0; by_server < 2; by_server++) {
            refused_for(forged, own, authority, versions[i], by_server == 1);
            refused_for(forged_ec, ec, authority, versions[i], by_server == 1);
            refused_for(good, stolen, authority, versions[i], by_server == 1);
        }
    }
    X509_free(authority);
    X509_free(good);
    X509_free(forged);
    X509_free(forged_ec);
    EVP_PKEY_free(authority_key);
    EVP_PKEY_free(own);
    EVP_PKEY_free(other);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(stolen);
}

/* ---- the first byte tells ---- */

static bool b_has_some(const struct pair *pair)
{
    return pair->b.got_length > 0;
}

static void say(struct pair *pair, const char *bytes, size_t length)
{
    for (int i = 0; i < 5; i++) {
        uv_run(&pair->loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(pair->b.opened, 0, "nothing is known before the first byte");
    cr_assert(leg_write(&pair->a.leg, (const uint8_t *)bytes, length));
    cr_assert(leg_flush(&pair->a.leg));
}

Test(leg, a_peer_that_begins_in_plaintext_is_taken_so_with_its_first_byte)
{
    struct pair pair;
    SSL_CTX *server = context(true);
    pair_start_either(&pair, NULL, SSL_new(server));
    say(&pair, "\0", 1);
    cr_assert(pair_run(&pair, b_has_some));
    cr_assert_eq(pair.b.opened, 1);
    cr_assert_null(pair.b.leg.ssl);
    cr_assert_eq(pair.b.got_length, 1u);
    cr_assert_eq(pair.b.got[0], 0);
    pair_stop(&pair);
    SSL_CTX_free(server);
}

Test(leg, a_peer_that_begins_with_tls_is_shaken_hands_with)
{
    struct pair pair;
    SSL_CTX *client = context(false), *server = context(true);
    pair_start_either(&pair, SSL_new(client), SSL_new(server));
    cr_assert(pair_run(&pair, both_open));
    cr_assert_not_null(pair.b.leg.ssl);
    cr_assert(leg_write(&pair.a.leg, (const uint8_t *)"x", 1));
    cr_assert(leg_flush(&pair.a.leg));
    cr_assert(pair_run(&pair, b_has_some));
    cr_assert_eq(pair.b.got[0], 'x');
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, who_begins_like_tls_has_to_go_on_with_it)
{
    struct pair pair;
    SSL_CTX *server = context(true);
    pair_start_either(&pair, NULL, SSL_new(server));
    say(&pair, "\x16 and no handshake", 19);
    cr_assert(pair_run(&pair, b_failed));
    cr_assert_eq(pair.b.opened, 0);
    pair_stop(&pair);
    SSL_CTX_free(server);
}

Test(leg, who_goes_without_a_byte_has_gone)
{
    struct pair pair;
    SSL_CTX *server = context(true);
    pair_start_either(&pair, NULL, SSL_new(server));
    leg_close(&pair.a.leg);
    cr_assert(pair_run(&pair, b_failed));
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_END);
    cr_assert_eq(pair.b.opened, 0);
    pair_stop(&pair);
    SSL_CTX_free(server);
}

/* ---- TLS records that carry no data ---- */

static void update_key(struct pair *pair)
{
    cr_assert_eq(SSL_key_update(pair->a.leg.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    cr_assert_eq(SSL_do_handshake(pair->a.leg.ssl), 1);
}

static void start_updates(struct pair *pair, SSL_CTX **client_r, SSL_CTX **server_r)
{
    *client_r = context(false);
    *server_r = context(true);
    SSL_CTX_set_num_tickets(*server_r, 0);
    pair_start(pair, SSL_new(*client_r), SSL_new(*server_r));
    cr_assert(pair_run(pair, both_open));
    leg_pause(&pair->a.leg);
}

Test(leg, answers_to_key_updates_leave_though_data_came_with_them)
{
    struct pair pair;
    SSL_CTX *client, *server;
    start_updates(&pair, &client, &server);
    update_key(&pair);
    update_key(&pair);
    cr_assert(leg_write(&pair.a.leg, (const uint8_t *)"x", 1));
    cr_assert(leg_flush(&pair.a.leg));
    uint64_t before = pair.b.leg.bytes_out;
    for (int i = 0; i < 10; i++) {
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(pair.b.got_length, 1u);
    cr_assert_eq(leg_backlog(&pair.b.leg), 0u,
                 "whoever waits for the leg to drain would wait for ever");
    cr_assert_gt(pair.b.leg.bytes_out, before);
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, a_peer_that_only_updates_keys_is_given_up)
{
    struct pair pair;
    SSL_CTX *client, *server;
    start_updates(&pair, &client, &server);
    for (int i = 0; i < 1000; i++) {
        update_key(&pair);
    }
    cr_assert(leg_flush(&pair.a.leg));
    cr_assert(pair_run(&pair, b_failed));
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_TLS);
    cr_assert_lt(pair.b.leg.bytes_out, 128u * 100, "the others wait meanwhile");
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

/* A record is never read past: what lies behind the last whole one must not be lost between reads. */
Test(leg, records_of_every_size_arrive_whole_however_they_are_cut)
{
    struct pair pair;
    SSL_CTX *client = context(false), *server = context(true);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    cr_assert(pair_run(&pair, both_open));
    size_t sent = 0;
    static uint8_t bytes[3 * IO_SCRATCH_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    }
    for (size_t piece = 1; sent < sizeof bytes; piece = piece * 3 % 40009) {
        size_t take = piece < sizeof bytes - sent ? piece : sizeof bytes - sent;
        cr_assert(leg_write(&pair.a.leg, bytes + sent, take));
        cr_assert(piece % 2 == 0 || leg_flush(&pair.a.leg));
        sent += take;
        if (piece % 5 == 0) {
            uv_run(&pair.loop, UV_RUN_NOWAIT);
        }
    }
    cr_assert(leg_flush(&pair.a.leg));
    for (int i = 0; i < 1000 && pair.b.got_length < sent; i++) {
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(pair.b.got_length, sent);
    cr_assert_eq(memcmp(pair.b.got, bytes, sent), 0);
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, a_peer_that_provokes_answers_and_takes_none_is_given_up)
{
    struct pair pair;
    SSL_CTX *client, *server;
    int least = 1;
    start_updates(&pair, &client, &server);
    cr_assert_eq(setsockopt(pair.b.leg.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    for (int i = 0; i < 20000 && pair.b.failed == 0; i++) {
        update_key(&pair);
        cr_assert(i % 100 != 0 || leg_flush(&pair.a.leg));
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(pair.b.failed, 1);
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_TLS);
    cr_assert_leq(pair.b.leg.spill_capacity, 128u * 1024);
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

/* ---- handshakes that fail ---- */

/* A client's first flight, without a leg. */
static size_t client_hello(uint8_t *into, size_t capacity)
{
    SSL_CTX *ctx = context(false);
    SSL *ssl = SSL_new(ctx);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_connect_state(ssl);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    cr_assert_eq(SSL_do_handshake(ssl), -1);
    int n = BIO_read(out, into, (int)capacity);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    cr_assert_gt(n, 0);
    return (size_t)n;
}

static bool b_has_said_something(const struct pair *pair)
{
    return pair->b.leg.bytes_out > 0;
}

Test(leg, an_alert_before_a_reset_is_heard)
{
    struct pair pair;
    uint8_t hello[2048];
    const uint8_t unknown_ca[] = {0x15, 3, 3, 0, 2, 2, 48};
    size_t length = client_hello(hello, sizeof hello);
    SSL_CTX *server = context(true);
    pair_start(&pair, NULL, SSL_new(server));
    int raw = dup(pair.a.leg.fd);
    leg_close(&pair.a.leg);
    cr_assert_eq(write(raw, hello, length), (ssize_t)length);
    cr_assert(pair_run(&pair, b_has_said_something));
    cr_assert_eq(write(raw, unknown_ca, sizeof unknown_ca), (ssize_t)sizeof unknown_ca);
    close(raw); /* with unread bytes: a reset */
    cr_assert(pair_run(&pair, b_failed));
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_TLS_REJECTED, "%s", leg_error_name(pair.b.leg.error));
    pair_stop(&pair);
    SSL_CTX_free(server);
}

static void turns(struct pair *pair)
{
    for (int i = 0; i < 50; i++) {
        uv_run(&pair->loop, UV_RUN_NOWAIT);
    }
}

/* A denied login by certificate keeps its place for a while (denial.h). */
static void fail_handshake(bool heeding)
{
    struct pair pair;
    SSL_CTX *client = context(false), *server = context(true);
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    cr_assert(pair_run(&pair, b_failed));
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_TLS_VERIFY, "%s", leg_error_name(pair.b.leg.error));
    (heeding ? leg_pause_heeding : leg_pause)(&pair.b.leg);
    cr_assert_eq(send(pair.a.leg.fd, "unread", 6, MSG_NOSIGNAL), 6);
    turns(&pair);
    cr_assert_eq(pair.b.failed, 1, "who still speaks is there");
    leg_close(&pair.a.leg);
    turns(&pair);
    cr_assert_eq(pair.b.failed, heeding ? 2 : 1);
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_TLS_VERIFY, "the first failure is the cause");
    pair_stop(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, a_failed_handshake_that_is_paused_wakes_nobody)
{
    fail_handshake(false);
}

Test(leg, a_failed_handshake_that_heeds_hears_once_that_the_peer_is_gone)
{
    fail_handshake(true);
}

/* T11 */
Test(leg, a_plaintext_peer_on_a_tls_leg_is_named_and_gets_no_alert)
{
    struct pair pair;
    SSL_CTX *server = context(true);
    pair_start(&pair, NULL, SSL_new(server));
    while (pair.a.opened == 0) {
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    const uint8_t api_versions[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
    cr_assert(leg_write(&pair.a.leg, api_versions, sizeof api_versions));
    cr_assert(pair_run(&pair, b_failed));
    cr_assert_eq(pair.b.leg.error, LEG_ERROR_NOT_TLS);
    cr_assert_eq(pair.b.leg.bytes_out, 0u);
    pair_stop(&pair);
    SSL_CTX_free(server);
}

Test(leg, a_paused_leg_reads_nothing_until_resumed)
{
    struct pair pair;
    pair_start(&pair, NULL, NULL);
    cr_assert(pair_run(&pair, both_open));
    leg_pause(&pair.b.leg);
    cr_assert(leg_write(&pair.a.leg, (const uint8_t *)"x", 1));
    for (int i = 0; i < 100; i++) {
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(pair.b.got_length, 0u);
    leg_resume(&pair.b.leg);
    uv_run(&pair.loop, UV_RUN_NOWAIT);
    uv_run(&pair.loop, UV_RUN_NOWAIT);
    cr_assert_eq(pair.b.got_length, 1u);
    pair_stop(&pair);
}

/* A peer over TCP, for what a socket pair does not know. */
struct far {
    uv_loop_t loop;
    struct io io;
    struct leg leg;
    int fd, events, failed, turns;
};

static void far_event(struct leg *leg, enum leg_event event)
{
    struct far *far = leg->owner;
    far->events++;
    far->failed += event == LEG_FAILED;
}

static void far_turn(uv_check_t *check)
{
    ((struct far *)check->data)->turns++;
}

static void far_start(struct far *far)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    memset(far, 0, sizeof *far);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    far->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(door, (const struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(door, 1), 0);
    cr_assert_eq(getsockname(door, (struct sockaddr *)&at, &size), 0);
    cr_assert_eq(connect(far->fd, (const struct sockaddr *)&at, sizeof at), 0);
    int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_geq(fd, 0);
    close(door);
    cr_assert_eq(uv_loop_init(&far->loop), 0);
    io_init(&far->io, &far->loop);
    leg_init(&far->leg, &far->io, far_event, far);
    cr_assert(leg_accept(&far->leg, fd, NULL));
    for (int i = 0; i < 5; i++) {
        uv_run(&far->loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(far->leg.state, LEG_UP);
    leg_pause_heeding(&far->leg);
    far->events = 0;
}

static void far_wake(uv_timer_t *timer)
{
    (void)timer;
}

/* As many turns as the loop makes of its own in that time. */
static void far_rest(struct far *far, uint64_t ms)
{
    uv_timer_t timer;
    uv_check_t check;
    uv_timer_init(&far->loop, &timer);
    uv_check_init(&far->loop, &check);
    check.data = far;
    far->turns = 0;
    uv_check_start(&check, far_turn);
    uv_timer_start(&timer, far_wake, ms, 0);
    while (uv_is_active((uv_handle_t *)&timer)) {
        uv_run(&far->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_close((uv_handle_t *)&check, NULL);
    uv_run(&far->loop, UV_RUN_NOWAIT);
}

static void far_stop(struct far *far)
{
    leg_close(&far->leg);
    io_stop(&far->io);
    uv_run(&far->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&far->loop), 0);
    io_free(&far->io);
}

static void far_reset(struct far *far)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    cr_assert_eq(setsockopt(far->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(far->fd);
}

Test(leg, a_paused_leg_that_heeds_hears_of_a_reset)
{
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        struct far far;
        far_start(&far);
        cr_assert(with_bytes == 0 || send(far.fd, "unread", 6, 0) == 6);
        far_rest(&far, 20);
        cr_assert_eq(far.events, 0);
        far_reset(&far);
        far_rest(&far, 20);
        cr_assert_eq(far.failed, 1);
        cr_assert_eq(far.leg.error, LEG_ERROR_RESET);
        far_stop(&far);
    }
}

Test(leg, a_paused_leg_that_heeds_hears_of_nothing_else_and_does_not_spin)
{
    struct far far;
    far_start(&far);
    cr_assert_eq(send(far.fd, "unread", 6, 0), 6);
    cr_assert_eq(send(far.fd, "!", 1, MSG_OOB), 1);
    far_rest(&far, 50);
    cr_assert_lt(far.turns, 20, "%d", far.turns);
    cr_assert_eq(shutdown(far.fd, SHUT_WR), 0);
    far_rest(&far, 50);
    cr_assert_lt(far.turns, 20, "%d", far.turns);
    cr_assert_eq(far.events, 0);
    leg_resume(&far.leg);
    far_rest(&far, 5);
    cr_assert_geq(far.events, 1, "what came is there");
    close(far.fd);
    far_stop(&far);
}

Test(leg, writing_after_close_is_refused)
{
    struct pair pair;
    pair_start(&pair, NULL, NULL);
    cr_assert(pair_run(&pair, both_open));
    leg_close(&pair.a.leg);
    leg_close(&pair.a.leg);
    cr_assert_not(leg_write(&pair.a.leg, (const uint8_t *)"x", 1));
    pair_stop(&pair);
}

/* ---- the end told, the peer still heard ---- */

static bool a_got(const struct pair *pair)
{
    return pair->a.got_length >= 4;
}

static void finish_and_listen(struct pair *pair)
{
    cr_assert(pair_run(pair, both_open));
    cr_assert(leg_write(&pair->a.leg, (const uint8_t *)"last", 4));
    cr_assert(leg_finish(&pair->a.leg));
    cr_assert(pair_run(pair, b_ended));
    cr_assert_eq(pair->b.got_length, 4u);
    cr_assert(leg_write(&pair->b.leg, (const uint8_t *)"late", 4));
    cr_assert(leg_flush(&pair->b.leg));
    cr_assert(pair_run(pair, a_got));
    cr_assert_eq(pair->a.failed + pair->b.failed, 0);
    pair_stop(pair);
}

Test(leg, what_the_peer_sends_after_our_end_is_still_read)
{
    struct pair pair;
    pair_start(&pair, NULL, NULL);
    finish_and_listen(&pair);
}

Test(leg, what_the_peer_sends_after_our_end_is_still_read_over_tls)
{
    struct pair pair;
    SSL_CTX *client = context(false), *server = context(true);
    pair_start(&pair, SSL_new(client), SSL_new(server));
    finish_and_listen(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

Test(leg, a_peer_that_vanished_is_asked_for)
{
    struct pair pair;
    int on = 0;
    socklen_t size = sizeof on;
    pair_start(&pair, NULL, NULL);
    cr_assert_eq(getsockopt(pair.a.leg.fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
    cr_assert_eq(on, 1);
    pair_stop(&pair);
}

Test(leg, addresses_are_told_in_both_families)
{
    char text[64];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4711)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in6.sin6_addr = in6addr_loopback;
    leg_address_text((const struct sockaddr *)&in, text, sizeof text);
    cr_assert_str_eq(text, "127.0.0.1:4711");
    leg_address_text((const struct sockaddr *)&in6, text, sizeof text);
    cr_assert_str_eq(text, "[::1]:80");
}

/* ---- whose fault it is ---- */

static void no_event(struct leg *leg, enum leg_event event)
{
    (void)leg;
    cr_assert_fail("event %d", event);
}

Test(leg, a_peer_is_not_to_blame_for_descriptors_that_are_missing_here)
{
    struct pair pair;
    struct leg leg;
    struct rlimit all, none;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(9)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pair_start(&pair, NULL, NULL);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 0;
    leg_init(&leg, &pair.io, no_event, NULL);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    cr_assert_not(leg_connect(&leg, (const struct sockaddr *)&peer, NULL));
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
    cr_assert_eq(leg.error, LEG_ERROR_LOCAL);
    cr_assert_neq(leg.error_text[0], '\0');
    cr_assert(leg_is_gone(&leg));
    pair_stop(&pair);
}
