/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/tls.h"

#include <openssl/err.h>
#include <stdio.h>

#include "tests/broker/options.h"

static bool tls_load(SSL_CTX *ctx, const struct options *options, bool mutual)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, options->chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM) != 1) {
        return false;
    }
    if (!mutual) {
        return true;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return SSL_CTX_load_verify_locations(ctx, options->ca, NULL) == 1;
}

SSL_CTX *tls_ctx_new(const struct options *options, bool mutual)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || !tls_load(ctx, options, mutual)) {
        char text[160];
        ERR_error_string_n(ERR_get_error(), text, sizeof text);
        fprintf(stderr, "setu-test-broker: TLS: %s (check --ca, --chain and --key)\n", text);
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"setu-test-broker", 16);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}
