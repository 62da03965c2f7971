/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the BIO ---- */

static int bio_write(BIO *bio, const char *bytes, int length)
{
    struct leg *leg = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (length <= 0) {
        return 0;
    }
    return leg_put_wire(leg, (const uint8_t *)bytes, (size_t)length) ? length : -1;
}

static int bio_read(BIO *bio, char *into, int capacity)
{
    struct leg *leg = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n;
    do {
        n = recv(leg->fd, into, (size_t)capacity, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        leg->bytes_in += (uint64_t)n;
        return (int)n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (n == 0) {
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
        return 0;
    }
    leg->error = LEG_ERROR_RESET;
    snprintf(leg->error_text, sizeof leg->error_text, "%s", strerror(errno));
    return -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_make(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "setu leg");
    if (bio_method == NULL || BIO_meth_set_write(bio_method, bio_write) != 1 ||
        BIO_meth_set_read(bio_method, bio_read) != 1 ||
        BIO_meth_set_ctrl(bio_method, bio_ctrl) != 1) {
        abort();
    }
}

void tls_attach(struct leg *leg)
{
    pthread_once(&bio_once, bio_make);
    BIO *bio = BIO_new(bio_method);
    if (bio == NULL) {
        abort();
    }
    BIO_set_data(bio, leg);
    BIO_set_init(bio, 1);
    SSL_set_bio(leg->ssl, bio, bio);
}

/* ---- errors ---- */

static enum leg_error tls_classify(unsigned long code)
{
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
        return LEG_ERROR_TLS;
    }
    switch (ERR_GET_REASON(code)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return LEG_ERROR_TLS_VERIFY;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return LEG_ERROR_TLS_REJECTED;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return LEG_ERROR_NOT_TLS;
    default:
        return LEG_ERROR_TLS;
    }
}

static void tls_fail(struct leg *leg)
{
    unsigned long code = ERR_peek_error();
    if (leg->error != LEG_ERROR_NONE) {
        return; /* the socket below has failed and said so */
    }
    leg->error = tls_classify(code);
    if (leg->error == LEG_ERROR_TLS_VERIFY) {
        snprintf(leg->error_text, sizeof leg->error_text, "peer certificate: %s",
                 X509_verify_cert_error_string(SSL_get_verify_result(leg->ssl)));
        return;
    }
    if (code == 0 || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        leg->error = LEG_ERROR_END;
        snprintf(leg->error_text, sizeof leg->error_text, "closed without close_notify");
        return;
    }
    const char *reason = ERR_reason_error_string(code);
    snprintf(leg->error_text, sizeof leg->error_text, "%s", reason != NULL ? reason : "unknown");
}

/* ---- steps ---- */

/* A plaintext peer gets no TLS alert: its first byte is looked at before OpenSSL sees it (T11). */
static bool tls_first_byte_ok(struct leg *leg)
{
    uint8_t first;
    if (!SSL_is_server(leg->ssl) || leg->bytes_in > 0) {
        return true;
    }
    if (recv(leg->fd, &first, 1, MSG_PEEK) != 1 || first == 0x16) {
        return true;
    }
    leg->error = LEG_ERROR_NOT_TLS;
    snprintf(leg->error_text, sizeof leg->error_text, "first byte 0x%02x is no TLS handshake", first);
    return false;
}

enum tls_handshake_status tls_handshake(struct leg *leg)
{
    if (!tls_first_byte_ok(leg)) {
        return TLS_HANDSHAKE_FAILED;
    }
    ERR_clear_error();
    int rc = SSL_do_handshake(leg->ssl);
    int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(leg->ssl, rc);
    if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        tls_fail(leg);
        /* Let the alert go out: the peer learns the cause. The result no longer matters. */
        enum leg_error kept = leg->error;
        bool alert_sent = leg_flush(leg);
        leg->error = alert_sent ? leg->error : kept;
        return TLS_HANDSHAKE_FAILED;
    }
    if (!leg_flush(leg)) {
        return TLS_HANDSHAKE_FAILED;
    }
    return error == SSL_ERROR_NONE ? TLS_HANDSHAKE_DONE : TLS_HANDSHAKE_MORE;
}

enum leg_read_status tls_read(struct leg *leg, uint8_t *into, size_t capacity, size_t *length)
{
    size_t total = 0;
    int error = SSL_ERROR_NONE;
    ERR_clear_error();
    while (total < capacity) {
        size_t n = 0;
        int rc = SSL_read_ex(leg->ssl, into + total, capacity - total, &n);
        if (rc != 1) {
            error = SSL_get_error(leg->ssl, rc);
            break;
        }
        total += n;
    }
    *length = total;
    if (total > 0) {
        /* An end or an error behind these bytes comes back with the next read. */
        ERR_clear_error();
        return LEG_READ_SOME;
    }
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return leg_flush(leg) ? LEG_READ_BLOCKED : LEG_READ_FAILED;
    }
    if (error == SSL_ERROR_ZERO_RETURN) {
        return LEG_READ_END;
    }
    tls_fail(leg);
    /* Java closes without close_notify now and then: the frame length, not TLS, tells a cut-off message. */
    return leg->error == LEG_ERROR_END ? LEG_READ_END : LEG_READ_FAILED;
}

bool tls_write(struct leg *leg, const uint8_t *bytes, size_t length)
{
    ERR_clear_error();
    while (length > 0) {
        size_t piece = length < IO_RECORD_BYTES ? length : IO_RECORD_BYTES;
        size_t written = 0;
        if (SSL_write_ex(leg->ssl, bytes, piece, &written) != 1) {
            /* The BIO takes everything: what is left is a real failure. */
            tls_fail(leg);
            return false;
        }
        bytes += written;
        length -= written;
    }
    return true;
}

void tls_shutdown(struct leg *leg)
{
    ERR_clear_error();
    if (SSL_shutdown(leg->ssl) >= 0 || SSL_get_error(leg->ssl, -1) == SSL_ERROR_WANT_READ) {
        bool sent = leg_flush(leg);
        leg->error = sent ? leg->error : LEG_ERROR_RESET;
    }
    ERR_clear_error();
}
