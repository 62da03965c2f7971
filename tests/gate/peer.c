/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gate/peer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/bench/common.h"

enum { BLOCK_BYTES = 64 * 1024, BUFFER_BYTES = 4 * 1024 * 1024 /* cut to what the host allows */ };

static void widen(int fd)
{
    int bytes = BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) != 0) {
        die("SO_SNDBUF: %s", strerror(errno));
    }
}

int peer_open(struct peer *peer, SSL *ssl)
{
    int fds[2];
    memset(peer, 0, sizeof *peer);
    /* Not TCP: its deliveries wait for the kernel's own threads now and then, these never do. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        die("socketpair: %s", strerror(errno));
    }
    widen(fds[0]);
    widen(fds[1]);
    peer->fd = fds[0];
    peer->ssl = ssl;
    if (ssl != NULL) {
        peer->in = BIO_new(BIO_s_mem());
        peer->out = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl, peer->in, peer->out);
    }
    return fds[1];
}

static void send_all(struct peer *peer, const uint8_t *at, size_t length)
{
    while (length > 0) {
        ssize_t n = send(peer->fd, at, length, MSG_NOSIGNAL);
        if (n <= 0) {
            die("a burst does not fit into a socket of this host (net.core.wmem_max?): %s",
                strerror(errno));
        }
        at += n;
        length -= (size_t)n;
    }
}

static void send_records(struct peer *peer)
{
    char *at = NULL;
    long length = BIO_get_mem_data(peer->out, &at);
    if (length > 0) {
        send_all(peer, (const uint8_t *)at, (size_t)length);
        (void)BIO_reset(peer->out);
    }
}

void peer_send(struct peer *peer, const uint8_t *frame, size_t length, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (peer->ssl == NULL) {
            send_all(peer, frame + i * length, length);
        } else if (SSL_write(peer->ssl, frame + i * length, (int)length) != (int)length) {
            die_tls("SSL_write");
        }
    }
    if (peer->ssl != NULL) {
        send_records(peer);
    }
}

static void take_records(struct peer *peer)
{
    static uint8_t plain[BLOCK_BYTES];
    int n = 1;
    while (SSL_is_init_finished(peer->ssl) && n > 0) {
        n = SSL_read(peer->ssl, plain, sizeof plain);
        peer->taken += n > 0 ? (size_t)n : 0;
    }
    if (!SSL_is_init_finished(peer->ssl)) {
        n = SSL_do_handshake(peer->ssl);
    }
    if (n <= 0 && SSL_get_error(peer->ssl, n) != SSL_ERROR_WANT_READ) {
        die_tls("TLS");
    }
    send_records(peer);
}

void peer_take(struct peer *peer, size_t wire_bytes)
{
    static uint8_t block[BLOCK_BYTES];
    ssize_t n = 1;
    while (n > 0 && wire_bytes > 0) {
        n = recv(peer->fd, block, wire_bytes < sizeof block ? wire_bytes : sizeof block, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            die("Setu closed a connection");
        }
        if (n > 0) {
            wire_bytes -= (size_t)n;
            if (peer->ssl == NULL) {
                peer->taken += (size_t)n;
            } else if (BIO_write(peer->in, block, (int)n) != (int)n) {
                die_tls("memory BIO");
            }
        }
    }
    if (peer->ssl != NULL) {
        take_records(peer);
    }
}
