/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/leg.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/io/tls.h"

enum { LEG_TLS_HANDSHAKE = 22 /* the type of the first record of a TLS peer (RFC 8446, 5.1) */ };

static void leg_on_poll(uv_poll_t *poll, int status, int events);

/* The first failure is the cause, what fails after it a consequence. */
static void leg_fail_errno(struct leg *leg, enum leg_error error, int number)
{
    if (leg->error != LEG_ERROR_NONE) {
        return;
    }
    leg->error = error;
    snprintf(leg->error_text, sizeof leg->error_text, "%s", strerror(number));
}

/* The only place that touches the poll mask; every change is an epoll_ctl, so only real changes pass. */
static void leg_update(struct leg *leg)
{
    int wanted = 0;
    switch (leg->state) {
    case LEG_CONNECTING:
        wanted = UV_WRITABLE;
        break;
    case LEG_SNIFFING:
        wanted = UV_READABLE;
        break;
    case LEG_SECURING:
        wanted = UV_READABLE | (leg->spill_length > 0 ? UV_WRITABLE : 0);
        if (leg->error != LEG_ERROR_NONE) {
            wanted = leg->heeding ? UV_DISCONNECT : 0;
        }
        break;
    case LEG_UP:
        wanted = (leg->reading ? UV_READABLE : 0) | (leg->spill_length > 0 ? UV_WRITABLE : 0);
        /* Urgent data, which nobody sends: with any mask at all the kernel tells of errors as well. */
        wanted = wanted == 0 && leg->heeding ? UV_PRIORITIZED : wanted;
        break;
    case LEG_IDLE:
    case LEG_CLOSING:
    case LEG_GONE:
        return;
    }
    if (wanted == leg->events) {
        return;
    }
    int rc =
        wanted == 0 ? uv_poll_stop(&leg->poll) : uv_poll_start(&leg->poll, wanted, leg_on_poll);
    assert(rc == 0);
    leg->events = wanted;
}

void leg_init(struct leg *leg, struct io *io, leg_fn on_event, void *owner)
{
    memset(leg, 0, sizeof *leg);
    leg->io = io;
    leg->on_event = on_event;
    leg->owner = owner;
    leg->fd = -1;
}

/* ---- output ---- */

static void spill_free(struct leg *leg)
{
    struct io *io = leg->io;
    io->spill_bytes -= leg->spill_capacity;
    if (leg->spill_secret) {
        OPENSSL_cleanse(leg->spill, leg->spill_capacity);
    }
    if (leg->spill_capacity == IO_SPARE_BYTES) {
        io->spares[io->spares_count++] = leg->spill;
    } else {
        free(leg->spill);
    }
    leg->spill = NULL;
    leg->spill_at = leg->spill_length = leg->spill_capacity = 0;
    leg->spill_secret = false;
}

/*
 * A spill of some size is about to become a large one: it takes the large size at once, as long as
 * there are few. Many at once, of many slow peers, take what they need.
 */
static size_t spill_round(const struct io *io, size_t needed)
{
    size_t capacity = 4096;
    bool spare = io->spares_count > 0 || io->spares_made < IO_SPARES;
    if (spare && needed > IO_SPARE_BYTES / 16 && needed <= IO_SPARE_BYTES) {
        return IO_SPARE_BYTES;
    }
    while (capacity < needed) {
        capacity *= 2;
    }
    return capacity;
}

static uint8_t *spill_new(struct io *io, size_t capacity)
{
    if (capacity == IO_SPARE_BYTES && io->spares_count > 0) {
        return io->spares[--io->spares_count];
    }
    uint8_t *spill = malloc(capacity);
    if (spill == NULL) {
        abort();
    }
    io->spares_made += capacity == IO_SPARE_BYTES ? 1 : 0;
    return spill;
}

static void spill_grow(struct leg *leg, size_t needed)
{
    size_t capacity = spill_round(leg->io, needed), kept = leg->spill_length;
    const bool secret = leg->spill_secret;
    uint8_t *grown = spill_new(leg->io, capacity);
    if (kept > 0) {
        memcpy(grown, leg->spill + leg->spill_at, kept);
    }
    spill_free(leg);
    leg->io->spill_bytes += capacity;
    leg->spill = grown;
    leg->spill_capacity = capacity;
    leg->spill_length = kept;
    leg->spill_secret = secret;
}

static void spill_append(struct leg *leg, const uint8_t *bytes, size_t length)
{
    size_t needed = leg->spill_length + length;
    if (needed > leg->spill_capacity) {
        spill_grow(leg, needed);
    } else if (leg->spill_at + needed > leg->spill_capacity) {
        memmove(leg->spill, leg->spill + leg->spill_at, leg->spill_length);
        leg->spill_at = 0;
    }
    memcpy(leg->spill + leg->spill_at + leg->spill_length, bytes, length);
    leg->spill_length += length;
}

/* Sends as much as the socket takes; returns the number of bytes taken, or -1 with leg->error set. */
static ssize_t leg_send(struct leg *leg, const uint8_t *bytes, size_t length)
{
    size_t sent = 0;
    while (sent < length) {
        ssize_t n = send(leg->fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            leg->bytes_out += (uint64_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            leg_fail_errno(leg, LEG_ERROR_RESET, errno);
            return -1;
        }
        break;
    }
    return (ssize_t)sent;
}

static bool leg_put(struct leg *leg, const uint8_t *bytes, size_t length)
{
    size_t sent = 0;
    if (leg->spill_length == 0) {
        ssize_t n = leg_send(leg, bytes, length);
        if (n < 0) {
            return false;
        }
        sent = (size_t)n;
    }
    if (sent < length) {
        spill_append(leg, bytes + sent, length - sent);
        leg_update(leg);
    }
    return true;
}

static bool batch_send(struct io *io)
{
    struct leg *leg = io->batch_leg;
    size_t length = io->batch_length;
    io->batch_leg = NULL;
    io->batch_length = 0;
    return leg == NULL || length == 0 || leg_put(leg, io->batch, length);
}

bool leg_put_wire(struct leg *leg, const uint8_t *bytes, size_t length)
{
    struct io *io = leg->io;
    if (io->batch_leg != leg || io->batch_length + length > IO_BATCH_BYTES) {
        /* A failure of another leg's batch is kept in that leg and found by its next operation. */
        struct leg *other = io->batch_leg;
        if (!batch_send(io) && other == leg) {
            return false;
        }
    }
    if (length > IO_BATCH_BYTES) {
        return leg_put(leg, bytes, length);
    }
    io->batch_leg = leg;
    memcpy(io->batch + io->batch_length, bytes, length);
    io->batch_length += length;
    return true;
}

bool leg_write(struct leg *leg, const uint8_t *bytes, size_t length)
{
    if (leg->state != LEG_UP || leg->error != LEG_ERROR_NONE) {
        return false;
    }
    return leg->ssl == NULL ? leg_put(leg, bytes, length) : tls_write(leg, bytes, length);
}

bool leg_write_secret(struct leg *leg, const uint8_t *bytes, size_t length)
{
    const bool good = leg_write(leg, bytes, length);
    leg->spill_secret = leg->spill_secret || (leg->spill_length > 0 && leg->ssl == NULL);
    return good;
}

bool leg_flush(struct leg *leg)
{
    if (leg->io->batch_leg != leg) {
        return leg->error == LEG_ERROR_NONE;
    }
    return batch_send(leg->io);
}

size_t leg_backlog(const struct leg *leg)
{
    return leg->spill_length + (leg->io->batch_leg == leg ? leg->io->batch_length : 0);
}

static bool leg_send_spill(struct leg *leg)
{
    ssize_t n = leg_send(leg, leg->spill + leg->spill_at, leg->spill_length);
    if (n < 0) {
        return false;
    }
    leg->spill_at += (size_t)n;
    leg->spill_length -= (size_t)n;
    if (leg->spill_length == 0) {
        spill_free(leg);
    }
    return true;
}

/* ---- input ---- */

static enum leg_read_status leg_recv(struct leg *leg, uint8_t *into, size_t capacity,
                                     size_t *length)
{
    for (;;) {
        ssize_t n = recv(leg->fd, into, capacity, 0);
        if (n > 0) {
            leg->bytes_in += (uint64_t)n;
            *length = (size_t)n;
            return LEG_READ_SOME;
        }
        if (n == 0) {
            return LEG_READ_END;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return LEG_READ_BLOCKED;
        }
        leg_fail_errno(leg, LEG_ERROR_RESET, errno);
        return LEG_READ_FAILED;
    }
}

enum leg_read_status leg_read(struct leg *leg, uint8_t *into, size_t capacity, size_t *length)
{
    *length = 0;
    if (leg->error != LEG_ERROR_NONE || leg->state != LEG_UP) {
        return leg->error == LEG_ERROR_END ? LEG_READ_END : LEG_READ_FAILED;
    }
    return leg->ssl == NULL ? leg_recv(leg, into, capacity, length)
                            : tls_read(leg, into, capacity, length);
}

void leg_pause(struct leg *leg)
{
    leg->reading = leg->heeding = false;
    leg_update(leg);
}

void leg_pause_heeding(struct leg *leg)
{
    leg->reading = false;
    leg->heeding = true;
    leg_update(leg);
}

void leg_resume(struct leg *leg)
{
    if (leg->reading) {
        return;
    }
    leg->reading = true;
    leg_update(leg);
    if (leg->ssl != NULL && tls_has_news(leg)) {
        leg_again(leg);
    }
}

void leg_again(struct leg *leg)
{
    if (leg->again || leg->state != LEG_UP) {
        return;
    }
    leg->again = true;
    leg->again_next = leg->io->again_head;
    leg->io->again_head = leg;
    uv_idle_start(&leg->io->again, leg->io->again_run);
}

static void leg_forget_again(struct leg *leg)
{
    for (struct leg **at = &leg->io->again_head; *at != NULL; at = &(*at)->again_next) {
        if (*at == leg) {
            *at = leg->again_next;
            break;
        }
    }
}

/* ---- life ---- */

static void leg_secure(struct leg *leg)
{
    switch (tls_handshake(leg)) {
    case TLS_HANDSHAKE_MORE:
        leg_update(leg);
        return;
    case TLS_HANDSHAKE_FAILED:
        leg->on_event(leg, LEG_FAILED);
        return;
    case TLS_HANDSHAKE_DONE:
        break;
    }
    leg->state = LEG_UP;
    leg_update(leg);
    leg->on_event(leg, LEG_OPEN);
    if (leg->state == LEG_UP && leg->reading && tls_has_news(leg)) {
        leg_again(leg);
    }
}

static void leg_open_plain(struct leg *leg)
{
    leg->state = LEG_UP;
    leg_update(leg);
    leg->on_event(leg, LEG_OPEN);
}

static void leg_sniff_failed(struct leg *leg, ssize_t n)
{
    if (n == 0) {
        leg->error = LEG_ERROR_END;
        snprintf(leg->error_text, sizeof leg->error_text, "closed before the first byte");
    } else {
        leg_fail_errno(leg, LEG_ERROR_RESET, errno);
    }
    leg->on_event(leg, LEG_FAILED);
}

static void leg_sniff(struct leg *leg)
{
    uint8_t first = 0;
    ssize_t n;
    do {
        n = recv(leg->fd, &first, 1, MSG_PEEK);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        leg_update(leg);
        return;
    }
    if (n <= 0) {
        leg_sniff_failed(leg, n);
    } else if (first == LEG_TLS_HANDSHAKE) {
        leg->state = LEG_SECURING;
        tls_attach(leg);
        leg_secure(leg);
    } else {
        SSL_free(leg->ssl);
        leg->ssl = NULL;
        leg_open_plain(leg);
    }
}

static void leg_connected(struct leg *leg)
{
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(leg->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0) {
        number = errno;
    }
    if (number != 0) {
        leg_fail_errno(leg, LEG_ERROR_CONNECT, number);
        leg->on_event(leg, LEG_FAILED);
        return;
    }
    if (leg->ssl != NULL) {
        leg->state = LEG_SECURING;
        leg_secure(leg);
        return;
    }
    leg_open_plain(leg);
}

/* libuv stops a poll handle by itself on a socket error: the mask in force is then empty. */
static void leg_on_error(struct leg *leg)
{
    uv_poll_stop(&leg->poll);
    leg->events = 0;
    if (leg->state == LEG_SECURING) {
        leg_secure(leg); /* the alert that says why may lie before the error */
        return;
    }
    if (leg->state == LEG_UP && leg->reading) {
        leg->on_event(leg, LEG_READABLE); /* bytes before the error are still to be read */
        leg_update(leg);
        return;
    }
    int number = 0;
    socklen_t size = sizeof number;
    getsockopt(leg->fd, SOL_SOCKET, SO_ERROR, &number, &size);
    leg_fail_errno(leg, LEG_ERROR_RESET, number != 0 ? number : ECONNRESET);
    leg->on_event(leg, LEG_FAILED);
}

static void leg_on_up(struct leg *leg, int events)
{
    if ((events & UV_PRIORITIZED) != 0) {
        leg->heeding = false; /* urgent data would wake us for ever */
        leg_update(leg);
        return;
    }
    if ((events & UV_WRITABLE) != 0 && leg->spill_length > 0) {
        if (!leg_send_spill(leg)) {
            leg->on_event(leg, LEG_FAILED);
            return;
        }
        leg_update(leg);
        if (leg->spill_length == 0) {
            leg->on_event(leg, LEG_DRAINED);
        }
    }
    if (leg->state == LEG_UP && (events & UV_READABLE) != 0 && leg->reading) {
        leg->on_event(leg, LEG_READABLE);
    }
}

/* The handshake has failed, and nothing but this is waited for. */
static void leg_on_hang_up(struct leg *leg)
{
    uv_poll_stop(&leg->poll);
    leg->events = 0;
    leg->heeding = false;
    leg->on_event(leg, LEG_FAILED);
}

static void leg_on_poll(uv_poll_t *poll, int status, int events)
{
    struct leg *leg = poll->data;
    if (leg->state == LEG_SECURING && leg->error != LEG_ERROR_NONE) {
        leg_on_hang_up(leg);
        return;
    }
    if (leg->state == LEG_CONNECTING) {
        leg_connected(leg);
        return;
    }
    if (leg->state == LEG_SNIFFING) {
        if (status < 0) {
            uv_poll_stop(poll);
            leg->events = 0;
        }
        leg_sniff(leg); /* it finds the error too */
        return;
    }
    if (status < 0) {
        leg_on_error(leg);
        return;
    }
    if (leg->state == LEG_UP) {
        leg_on_up(leg, events);
        return;
    }
    if (leg->state == LEG_SECURING) {
        if (leg->spill_length > 0 && !leg_send_spill(leg)) {
            leg->on_event(leg, LEG_FAILED);
            return;
        }
        leg_secure(leg);
    }
}

static bool leg_open(struct leg *leg, int fd, SSL *ssl, enum leg_state state)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* A peer that vanished ends the session some time: the other peer's own probes end at Setu. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (uv_poll_init(leg->io->loop, &leg->poll, fd) != 0) {
        leg_fail_errno(leg, LEG_ERROR_CONNECT, EBADF);
        close(fd);
        SSL_free(ssl);
        return false;
    }
    leg->poll.data = leg;
    leg->fd = fd;
    leg->ssl = ssl;
    leg->state = state;
    leg->reading = true;
    if (ssl != NULL && state != LEG_SNIFFING) {
        tls_attach(leg);
    }
    leg_update(leg);
    return true;
}

bool leg_accept(struct leg *leg, int fd, SSL *ssl)
{
    assert(leg->state == LEG_IDLE);
    if (ssl != NULL) {
        SSL_set_accept_state(ssl);
    }
    /* A fresh plaintext socket is writable: the next loop turn reports LEG_OPEN. */
    return leg_open(leg, fd, ssl, ssl != NULL ? LEG_SECURING : LEG_CONNECTING);
}

bool leg_accept_either(struct leg *leg, int fd, SSL *ssl)
{
    assert(leg->state == LEG_IDLE && ssl != NULL);
    SSL_set_accept_state(ssl);
    return leg_open(leg, fd, ssl, LEG_SNIFFING);
}

/* EADDRNOTAVAIL: every local port towards that peer is taken. */
static bool is_local(int number)
{
    return number == EADDRNOTAVAIL || number == ENOBUFS || number == ENOMEM || number == EAGAIN;
}

bool leg_connect(struct leg *leg, const struct sockaddr *address, SSL *ssl)
{
    assert(leg->state == LEG_IDLE);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        leg_fail_errno(leg, LEG_ERROR_LOCAL, errno);
        SSL_free(ssl);
        return false;
    }
    socklen_t size = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                    : sizeof(struct sockaddr_in);
    if (connect(fd, address, size) != 0 && errno != EINPROGRESS) {
        leg_fail_errno(leg, is_local(errno) ? LEG_ERROR_LOCAL : LEG_ERROR_CONNECT, errno);
        close(fd);
        SSL_free(ssl);
        return false;
    }
    if (ssl != NULL) {
        SSL_set_connect_state(ssl);
    }
    return leg_open(leg, fd, ssl, LEG_CONNECTING);
}

static void leg_on_closed(uv_handle_t *handle)
{
    struct leg *leg = handle->data;
    close(leg->fd);
    leg->fd = -1;
    leg->state = LEG_GONE;
    leg->on_event(leg, LEG_CLOSED);
}

bool leg_finish(struct leg *leg)
{
    if (leg->state != LEG_UP || leg->error != LEG_ERROR_NONE) {
        return false;
    }
    if (leg->ssl != NULL) {
        tls_shutdown(leg);
    }
    if (leg->error == LEG_ERROR_NONE && shutdown(leg->fd, SHUT_WR) != 0) {
        leg_fail_errno(leg, LEG_ERROR_RESET, errno);
    }
    return leg->error == LEG_ERROR_NONE;
}

void leg_close(struct leg *leg)
{
    if (leg->state == LEG_IDLE || leg->state == LEG_CLOSING || leg->state == LEG_GONE) {
        return;
    }
    if (leg->ssl != NULL && leg->state == LEG_UP && leg->error == LEG_ERROR_NONE) {
        tls_shutdown(leg);
    }
    if (leg->io->batch_leg == leg) {
        leg->io->batch_leg = NULL;
        leg->io->batch_length = 0;
    }
    leg->state = LEG_CLOSING;
    leg->reading = false;
    if (leg->again) {
        leg_forget_again(leg);
    }
    spill_free(leg);
    SSL_free(leg->ssl);
    leg->ssl = NULL;
    uv_close((uv_handle_t *)&leg->poll, leg_on_closed);
}

bool leg_is_gone(const struct leg *leg)
{
    return leg->state == LEG_IDLE || leg->state == LEG_GONE;
}

void leg_address_text(const struct sockaddr *address, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
        snprintf(text, size, "[%s]:%d", ip, ntohs(in6->sin6_port));
        return;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
    snprintf(text, size, "%s:%d", ip, ntohs(in->sin_port));
}

const char *leg_error_name(enum leg_error error)
{
    static const char *const names[] = {
        [LEG_ERROR_NONE] = "none",
        [LEG_ERROR_CONNECT] = "connect_failed",
        [LEG_ERROR_LOCAL] = "no_socket",
        [LEG_ERROR_RESET] = "reset",
        [LEG_ERROR_END] = "closed_by_peer",
        [LEG_ERROR_TLS] = "tls_failed",
        [LEG_ERROR_TLS_VERIFY] = "tls_peer_not_trusted",
        [LEG_ERROR_TLS_REJECTED] = "tls_certificate_rejected",
        [LEG_ERROR_NOT_TLS] = "not_tls",
    };
    return names[error];
}
