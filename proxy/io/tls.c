/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/tls_context.h"

enum {
    TLS_WIRE_TURN_MAX = IO_BATCH_BYTES, /* a full scratch of full records fits */
    TLS_SILENT_TURN_MAX = 128,          /* records without data, such as key updates: dear */
    TLS_PROVOKED_MAX = 64 * 1024,
    TLS_BULK_BYTES = IO_RECORD_BYTES / 2,
    /* What OpenSSL may hold of a record already comes on top: the scratch has room for both. */
    TLS_STAGED_TURN_MAX = IO_SCRATCH_BYTES - IO_RECORD_BYTES,
};

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

/* recv with the answer in OpenSSL's terms. */
static int bio_recv(BIO *bio, struct leg *leg, void *into, size_t capacity)
{
    ssize_t n;
    do {
        n = recv(leg->fd, into, capacity, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        leg->bytes_in += (uint64_t)n;
        return (int)n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        leg->wire_left = 0;
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

/*
 * OpenSSL asks twice for every record, the second time for the rest: the socket is asked once for
 * many. While a bulk of them was decrypted more may have come: what leaves in one piece is cheaper.
 */
static int bio_fill_stage(BIO *bio, struct leg *leg)
{
    struct io *io = leg->io;
    size_t wanted = leg->wire_left < IO_STAGE_BYTES ? leg->wire_left : (size_t)IO_STAGE_BYTES;
    int n = bio_recv(bio, leg, io->stage, wanted);
    leg->wire_left -= n > 0 ? (size_t)n : 0;
    if (n < TLS_BULK_BYTES) {
        leg->wire_left = 0;
    }
    io->stage_at = 0;
    io->stage_length = n > 0 ? (size_t)n : 0;
    return n;
}

static int bio_read_staged(BIO *bio, struct leg *leg, char *into, size_t capacity)
{
    struct io *io = leg->io;
    if (io->stage_length == 0) {
        int n = bio_fill_stage(bio, leg);
        if (n <= 0) {
            return n;
        }
    }
    size_t take = capacity < io->stage_length ? capacity : io->stage_length;
    memcpy(into, io->stage + io->stage_at, take);
    io->stage_at += take;
    io->stage_length -= take;
    return (int)take;
}

static int bio_read(BIO *bio, char *into, int capacity)
{
    struct leg *leg = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (leg->wire_left == 0 && leg->io->stage_length == 0) {
        BIO_set_retry_read(bio); /* the poll handle reports the rest in the next turn */
        return -1;
    }
    if (leg->staged) {
        return bio_read_staged(bio, leg, into, (size_t)capacity);
    }
    size_t wanted = (size_t)capacity < leg->wire_left ? (size_t)capacity : leg->wire_left;
    int n = bio_recv(bio, leg, into, wanted);
    leg->wire_left -= n > 0 ? (size_t)n : 0;
    return n;
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
    /* Or SSL_read stays with records without data while there are any. */
    SSL_clear_mode(leg->ssl, SSL_MODE_AUTO_RETRY);
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
    case SSL_R_BAD_SIGNATURE: /* by the key that the certificate names */
    case SSL_R_INVALID_STATUS_RESPONSE: /* staple.h */
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

/* What the handshake made of it: where libcrypto failed (a forged signature), TLS says last what that means. */
static unsigned long tls_verdict(unsigned long first)
{
    return ERR_GET_LIB(first) == ERR_LIB_SSL ? first : ERR_peek_last_error();
}

static void tls_fail(struct leg *leg)
{
    const unsigned long code = ERR_peek_error(), verdict = tls_verdict(code);
    if (leg->error != LEG_ERROR_NONE) {
        return; /* the socket below has failed and said so */
    }
    leg->error = tls_classify(verdict);
    if (leg->error == LEG_ERROR_TLS_VERIFY) {
        snprintf(leg->error_text, sizeof leg->error_text, "peer certificate: %s",
                 tls_certificate_text(leg->ssl, verdict));
        return;
    }
    if (code == 0 || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        leg->error = LEG_ERROR_END;
        snprintf(leg->error_text, sizeof leg->error_text, "closed without close_notify");
        return;
    }
    tls_error_text(code, leg->error_text, sizeof leg->error_text);
    if (leg->error == LEG_ERROR_TLS_REJECTED) {
        size_t length = strlen(leg->error_text);
        snprintf(leg->error_text + length, sizeof leg->error_text - length,
                 " (%s, %s the handshake)", SSL_get_version(leg->ssl),
                 leg->state == LEG_UP ? "after" : "in");
    }
}

/* ---- steps ---- */

/* OpenSSL judges a call by what the thread's queue holds; looking is cheaper than clearing. */
static void tls_forget_errors(void)
{
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

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
    snprintf(leg->error_text, sizeof leg->error_text, "first byte 0x%02x is no TLS handshake",
             first);
    return false;
}

enum tls_handshake_status tls_handshake(struct leg *leg)
{
    if (!tls_first_byte_ok(leg)) {
        return TLS_HANDSHAKE_FAILED;
    }
    tls_forget_errors();
    leg->wire_left = TLS_WIRE_TURN_MAX;
    int rc = SSL_do_handshake(leg->ssl);
    int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(leg->ssl, rc);
    bool failed =
        error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
    if (failed) {
        tls_fail(leg);
    }
    /* After a failure too: the alert tells the peer the cause. */
    if (!leg_flush(leg) || failed) {
        return TLS_HANDSHAKE_FAILED;
    }
    return error == SSL_ERROR_NONE ? TLS_HANDSHAKE_DONE : TLS_HANDSHAKE_MORE;
}

/* Until into is full (SSL_ERROR_NONE), the socket is empty, or this turn's share is used up. */
static int tls_read_records(struct leg *leg, uint8_t *into, size_t capacity, size_t *length)
{
    for (int silent = 0; *length < capacity;) {
        size_t n = 0;
        int rc = SSL_read_ex(leg->ssl, into + *length, capacity - *length, &n);
        *length += n;
        int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(leg->ssl, rc);
        bool was_silent =
            error == SSL_ERROR_WANT_READ && (leg->wire_left > 0 || leg->io->stage_length > 0);
        if (error != SSL_ERROR_NONE && (!was_silent || ++silent == TLS_SILENT_TURN_MAX)) {
            return error;
        }
    }
    return SSL_ERROR_NONE;
}

/*
 * With room for all that can come of it the wire bytes are taken in large pieces; OpenSSL sees all
 * of them before this returns and keeps what is not a whole record yet.
 */
static int tls_read_turn(struct leg *leg, uint8_t *into, size_t capacity, size_t *length)
{
    struct io *io = leg->io;
    tls_forget_errors();
    leg->staged = capacity >= IO_SCRATCH_BYTES;
    leg->wire_left = leg->staged ? (size_t)TLS_STAGED_TURN_MAX : (size_t)TLS_WIRE_TURN_MAX;
    int error = tls_read_records(leg, into, capacity, length);
    leg->staged = false;
    if (io->stage_length > 0 && (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_NONE)) {
        io->stage_length = 0; /* what was taken cannot wait for the next turn */
        leg->error = LEG_ERROR_TLS;
        snprintf(leg->error_text, sizeof leg->error_text, "too many records without data");
        return SSL_ERROR_SYSCALL;
    }
    io->stage_length = 0;
    return error;
}

/*
 * Sends what reading has made OpenSSL say since `said` wire bytes were said: nobody else would. A
 * peer that makes it speak again and again and takes nothing of it is given up.
 */
static bool tls_send_provoked(struct leg *leg, uint64_t said)
{
    uint64_t says = leg->bytes_out + leg_backlog(leg);
    if (says == said) {
        return true;
    }
    if (!leg_flush(leg)) {
        return false;
    }
    leg->provoked = leg->spill_length == 0 ? 0 : leg->provoked + (size_t)(says - said);
    if (leg->provoked > TLS_PROVOKED_MAX) {
        leg->error = LEG_ERROR_TLS;
        snprintf(leg->error_text, sizeof leg->error_text,
                 "provokes answers and does not take them");
        return false;
    }
    return true;
}

static bool tls_ended(struct leg *leg, int error)
{
    switch (error) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return false;
    case SSL_ERROR_ZERO_RETURN:
        return true;
    default:
        tls_fail(leg);
        return true;
    }
}

enum leg_read_status tls_read(struct leg *leg, uint8_t *into, size_t capacity, size_t *length)
{
    uint64_t said = leg->bytes_out + leg_backlog(leg);
    int error = tls_read_turn(leg, into, capacity, length);
    bool ended = tls_ended(leg, error);
    ended = !tls_send_provoked(leg, said) || ended;
    if (*length > 0) {
        if (ended) {
            /* The next read tells; no poll event need come for what OpenSSL has taken already. */
            leg_again(leg);
        }
        return LEG_READ_SOME;
    }
    if (!ended) {
        return LEG_READ_BLOCKED;
    }
    /* Java closes without close_notify now and then: the frame length, not TLS, tells a cut-off
     * message. */
    return leg->error == LEG_ERROR_NONE || leg->error == LEG_ERROR_END ? LEG_READ_END
                                                                       : LEG_READ_FAILED;
}

bool tls_has_news(const struct leg *leg)
{
    return SSL_has_pending(leg->ssl) || SSL_get_shutdown(leg->ssl) != 0 ||
           leg->error != LEG_ERROR_NONE;
}

bool tls_write(struct leg *leg, const uint8_t *bytes, size_t length)
{
    tls_forget_errors();
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
    if ((SSL_get_shutdown(leg->ssl) & SSL_SENT_SHUTDOWN) != 0) {
        return;
    }
    tls_forget_errors();
    if (SSL_shutdown(leg->ssl) >= 0 || SSL_get_error(leg->ssl, -1) == SSL_ERROR_WANT_READ) {
        bool sent = leg_flush(leg);
        leg->error = sent ? leg->error : LEG_ERROR_RESET;
    }
    tls_forget_errors();
}
