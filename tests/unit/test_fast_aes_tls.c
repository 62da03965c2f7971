/* SPDX-License-Identifier: Apache-2.0 */
/* Whole TLS connections over BIO pairs: our AES-GCM on one end, OpenSSL's on the other. */
#include "auth/fast_aes.h"

#include <criterion/criterion.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/fast_aes_provider.h"
#include "tests/unit/pki_kit.h"

enum { PIPE_BYTES = 1 << 16, RECORD_MAX = 16384 };

struct setting {
    int version;
    const char *suite;
    bool client_ours, server_ours;
};

static const struct setting settings[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", true, false},
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", false, true},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", true, false},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", false, true},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", true, true},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true, false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", false, true},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", true, false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", false, true},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", true, true},
    /* A suite that is not ours still works, with OpenSSL's code on both ends. */
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", true, true},
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true, true},
};

enum { SETTINGS = sizeof settings / sizeof settings[0] };

struct ends {
    SSL_CTX *contexts[2];
    SSL *client, *server;
    BIO *client_pipe, *server_pipe; /* the far ends: what is on the wire */
};

static struct pki_cert self;
static uint8_t sent[4 * RECORD_MAX], got[4 * RECORD_MAX];

static void want_ours(void)
{
    char why[192];
    if (!fast_aes_provider_load(why, sizeof why)) {
        /* Criterion says nothing of skips; this line is what tests/counts.py counts. */
        fprintf(stderr, "SKIPPED: no fast AES here: %s\n", why);
        cr_skip("%s", why);
    }
    const struct pki_options options = {.common_name = "self"};
    self = pki_make(&options, NULL);
    RAND_bytes(sent, sizeof sent);
}

static SSL_CTX *context(const struct setting *setting, bool server)
{
    const bool ours = server ? setting->server_ours : setting->client_ours;
    SSL_CTX *ctx = SSL_CTX_new_ex(NULL, ours ? "?provider=setu-fast-aes" : NULL,
                                  server ? TLS_server_method() : TLS_client_method());
    cr_assert_not_null(ctx);
    SSL_CTX_set_min_proto_version(ctx, setting->version);
    SSL_CTX_set_max_proto_version(ctx, setting->version);
    cr_assert_eq(setting->version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(ctx, setting->suite)
                                                    : SSL_CTX_set_cipher_list(ctx, setting->suite),
                 1);
    if (server) {
        SSL_CTX_set_options(ctx, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
        cr_assert_eq(SSL_CTX_use_cert_and_key(ctx, self.cert, self.key, NULL, 1), 1);
    }
    return ctx;
}

/* Each SSL has a BIO of its own; what one writes is carried over by carry(). */
static struct ends connect_ends(const struct setting *setting)
{
    struct ends ends = {.contexts = {context(setting, false), context(setting, true)}};
    BIO *near_client = NULL, *near_server = NULL;
    BIO_new_bio_pair(&near_client, PIPE_BYTES, &ends.client_pipe, PIPE_BYTES);
    BIO_new_bio_pair(&near_server, PIPE_BYTES, &ends.server_pipe, PIPE_BYTES);
    ends.client = SSL_new(ends.contexts[0]);
    ends.server = SSL_new(ends.contexts[1]);
    SSL_set_bio(ends.client, near_client, near_client);
    SSL_set_bio(ends.server, near_server, near_server);
    SSL_set_connect_state(ends.client);
    SSL_set_accept_state(ends.server);
    return ends;
}

static void carry(BIO *from, BIO *to)
{
    static uint8_t wire[PIPE_BYTES];
    while (BIO_ctrl_pending(from) > 0) {
        int n = BIO_read(from, wire, (int)BIO_ctrl_get_write_guarantee(to));
        if (n <= 0) {
            return;
        }
        cr_assert_eq(BIO_write(to, wire, n), n);
    }
}

static void carry_both(struct ends *ends)
{
    carry(ends->client_pipe, ends->server_pipe);
    carry(ends->server_pipe, ends->client_pipe);
}

static void shake_hands(struct ends *ends)
{
    bool client_done = false, server_done = false;
    for (int i = 0; i < 20 && !(client_done && server_done); i++) {
        client_done = SSL_do_handshake(ends->client) == 1;
        carry_both(ends);
        server_done = SSL_do_handshake(ends->server) == 1;
        carry_both(ends);
    }
    cr_assert(client_done && server_done, "%s", ERR_error_string(ERR_peek_error(), NULL));
}

static void close_ends(struct ends *ends)
{
    SSL_free(ends->client);
    SSL_free(ends->server);
    BIO_free(ends->client_pipe);
    BIO_free(ends->server_pipe);
    SSL_CTX_free(ends->contexts[0]);
    SSL_CTX_free(ends->contexts[1]);
}

/* Until all has come. */
static void send_one(struct ends *ends, bool to_server, size_t length)
{
    SSL *from = to_server ? ends->client : ends->server;
    SSL *to = to_server ? ends->server : ends->client;
    size_t have = 0;
    cr_assert_eq(SSL_write(from, sent, (int)length), (int)length);
    while (have < length) {
        carry_both(ends);
        int n = SSL_read(to, got + have, (int)(length - have));
        cr_assert_gt(n, 0, "%zu of %zu: %s", have, length,
                     ERR_error_string(ERR_peek_error(), NULL));
        have += (size_t)n;
    }
    cr_assert_arr_eq(got, sent, length);
}

static void send_many(struct ends *ends)
{
    static const size_t lengths[] = {1, 15, 16, 17, 100, 1000, 4096, 16383, 16384, 16385, 40000, 2};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        send_one(ends, true, lengths[i]);
        send_one(ends, false, lengths[i]);
    }
}

Test(fast_aes_tls, speaks_with_openssl)
{
    want_ours();
    for (size_t i = 0; i < SETTINGS; i++) {
        struct ends ends = connect_ends(&settings[i]);
        shake_hands(&ends);
        cr_assert_str_eq(SSL_get_cipher_name(ends.client), settings[i].suite);
        send_many(&ends);
        for (size_t n = 0; n < 300; n++) {
            send_one(&ends, n % 2 == 0, 1 + n);
        }
        close_ends(&ends);
    }
    pki_free(&self);
}

Test(fast_aes_tls, key_updates)
{
    want_ours();
    for (size_t i = 0; i < SETTINGS; i++) {
        if (settings[i].version != TLS1_3_VERSION) {
            continue;
        }
        struct ends ends = connect_ends(&settings[i]);
        shake_hands(&ends);
        for (size_t turn = 0; turn < 6; turn++) {
            cr_assert_eq(
                SSL_key_update(turn % 2 == 0 ? ends.client : ends.server,
                               turn < 4 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED),
                1);
            send_many(&ends);
        }
        close_ends(&ends);
    }
    pki_free(&self);
}

/* TLS 1.2's way to new keys; Setu refuses it, the provider must not care. */
Test(fast_aes_tls, renegotiation)
{
    want_ours();
    for (size_t i = 0; i < SETTINGS; i++) {
        if (settings[i].version != TLS1_2_VERSION) {
            continue;
        }
        struct ends ends = connect_ends(&settings[i]);
        shake_hands(&ends);
        send_many(&ends);
        cr_assert_eq(SSL_renegotiate(ends.client), 1);
        for (int turn = 0; turn < 10; turn++) {
            (void)SSL_do_handshake(ends.client);
            carry_both(&ends);
            (void)SSL_read(ends.server, got, 1);
            carry_both(&ends);
        }
        cr_assert_eq(SSL_renegotiate_pending(ends.client), 0);
        send_many(&ends);
        close_ends(&ends);
    }
    pki_free(&self);
}

/* One bit of a record on the wire, at each place of interest: bad_record_mac, no data. */
static void forge(const struct setting *setting, size_t at)
{
    uint8_t wire[2048];
    struct ends ends = connect_ends(setting);
    shake_hands(&ends);
    send_one(&ends, true, 100);
    send_one(&ends, false, 100);
    cr_assert_eq(SSL_write(ends.client, sent, 1000), 1000);
    int n = BIO_read(ends.client_pipe, wire, sizeof wire);
    cr_assert_gt(n, 1000);
    wire[at < (size_t)n ? at : (size_t)n - 1] ^= 0x40;
    cr_assert_eq(BIO_write(ends.server_pipe, wire, n), n);
    ERR_clear_error();
    cr_assert_leq(SSL_read(ends.server, got, sizeof got), 0, "%s at %zu", setting->suite, at);
    cr_assert_eq(SSL_get_error(ends.server, -1), SSL_ERROR_SSL);
    cr_assert_eq(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
                 "%s", ERR_error_string(ERR_peek_last_error(), NULL));
    ERR_clear_error();
    close_ends(&ends);
}

Test(fast_aes_tls, forged_records_end_the_connection)
{
    want_ours();
    for (size_t i = 0; i < SETTINGS; i++) {
        static const size_t places[] = {5, 12, 13, 500, 1012, 1020, 4000};
        for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
            forge(&settings[i], places[k]);
        }
    }
    pki_free(&self);
}
