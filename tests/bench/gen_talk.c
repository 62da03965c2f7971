/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/gen_talk.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/api.h"
#include "tests/bench/common.h"

enum { ANSWER_BYTES_MAX = 16 * 1024 * 1024, READ_BYTES = 4096 };

/* ---- the connection ---- */

void talk_dial(struct talk *talk, const struct gen_options *options)
{
    int one = 1;
    const struct sockaddr *target = (const struct sockaddr *)&options->target;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, target, sizeof options->target) != 0 && errno != EINPROGRESS)) {
        die("connect: %s", strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    talk->link.fd = fd;
    talk->events = EPOLLOUT;
    writer_init_growing(&talk->out, ANSWER_BYTES_MAX);
    frame_collector_init(&talk->in, ANSWER_BYTES_MAX);
}

/* True: it would block; dies of anything else. */
static bool must_wait(struct talk *talk, int rc, const char *what)
{
    int error = SSL_get_error(talk->link.ssl, rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        talk->events = error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT;
        ERR_clear_error();
        return true;
    }
    die_tls(what);
}

bool talk_secure(struct talk *talk, SSL_CTX *tls)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (talk->link.ssl == NULL) {
        if (getsockopt(talk->link.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
            die("connect: %s", strerror(error));
        }
        if (tls == NULL) {
            return true;
        }
        talk->link.ssl = SSL_new(tls);
        if (talk->link.ssl == NULL || SSL_set_fd(talk->link.ssl, talk->link.fd) != 1) {
            die_tls("TLS");
        }
    }
    int rc = SSL_connect(talk->link.ssl);
    return rc == 1 || !must_wait(talk, rc, "TLS handshake");
}

void talk_free(struct talk *talk)
{
    writer_free(&talk->out);
    frame_collector_free(&talk->in);
}

/* ---- the question ---- */

static void talk_flush(struct talk *talk)
{
    talk->events = EPOLLIN;
    while (talk->out_at < talk->out.length) {
        const uint8_t *bytes = talk->out.at + talk->out_at;
        size_t left = talk->out.length - talk->out_at;
        ssize_t n = talk->link.ssl != NULL ? SSL_write(talk->link.ssl, bytes, (int)left)
                                           : send(talk->link.fd, bytes, left, MSG_NOSIGNAL);
        if (n > 0) {
            talk->out_at += (size_t)n;
        } else if (talk->link.ssl != NULL && must_wait(talk, (int)n, "login")) {
            return;
        } else if (errno == EAGAIN) {
            talk->events = EPOLLOUT;
            return;
        } else {
            die("login: the peer takes nothing: %s", strerror(errno));
        }
    }
}

void talk_ask(struct talk *talk, int16_t key, int16_t version)
{
    if (!writer_ok(&talk->out)) {
        die("a request of the login cannot be made");
    }
    talk->key = key;
    talk->version = version;
    talk->out_at = 0;
    frame_collector_next(&talk->in);
    talk_flush(talk);
}

/* ---- the answer ---- */

/* 0: nothing yet. */
static size_t talk_read(struct talk *talk, uint8_t *at, size_t size)
{
    ssize_t n = talk->link.ssl != NULL ? SSL_read(talk->link.ssl, at, (int)size)
                                       : recv(talk->link.fd, at, size, 0);
    if (n > 0) {
        return (size_t)n;
    }
    if (talk->link.ssl != NULL && must_wait(talk, (int)n, "login: no answer")) {
        return 0;
    }
    if (n == 0 || errno != EAGAIN) {
        die("login: no answer to %s: %s", api_name(talk->key), n == 0 ? "closed" : strerror(errno));
    }
    return 0;
}

bool talk_listen(struct talk *talk, struct view *body_r)
{
    uint8_t bytes[READ_BYTES];
    enum frame_status status = FRAME_MORE;
    int32_t id = 0;
    size_t header = 0;
    if (talk->out_at < talk->out.length) {
        talk_flush(talk);
    }
    while (status == FRAME_MORE) {
        size_t used = 0;
        size_t n = talk_read(talk, bytes, sizeof bytes);
        if (n == 0) {
            return false;
        }
        status = frame_collector_feed(&talk->in, view_of(bytes, n), &used);
    }
    struct view payload = frame_collector_payload(&talk->in);
    if (status != FRAME_OK ||
        response_header_decode(payload, talk->key, talk->version, &id, &header) != FRAME_OK ||
        id != talk->id) {
        die("login: the answer to %s makes no sense", api_name(talk->key));
    }
    talk->id++;
    writer_reset(&talk->out);
    *body_r = view_from(payload, header);
    return true;
}
