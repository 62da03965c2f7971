/* SPDX-License-Identifier: Apache-2.0 */
/* The server's TLS contexts: plain OpenSSL, so that Setu is not tested against itself. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

struct options;

/* mutual: a certificate that --ca has issued is demanded. NULL after a message. */
SSL_CTX *tls_ctx_new(const struct options *options, bool mutual)
    __attribute__((warn_unused_result));
