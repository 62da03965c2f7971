/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/leg.h"

#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0);
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
