/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/common.h"
#include "tests/bench/sink.h"

enum { READS_A_TURN = 16, RECORD_DATA = 23, RECORD_OVERHEAD = 17 /* content type and tag */ };

/* ---- in ---- */

static void tls_fail(struct sink_conn *conn, const char *what)
{
    char text[200];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    fprintf(stderr, "setu-sink: %s: %s\n", what, text);
    ERR_clear_error();
    conn->broken = true;
}

/* All whole records that SSL has been given. */
static void tls_drain(struct sink_conn *conn)
{
    if (!SSL_is_init_finished(conn->ssl)) {
        int rc = SSL_do_handshake(conn->ssl);
        if (rc != 1 && SSL_get_error(conn->ssl, rc) != SSL_ERROR_WANT_READ) {
            tls_fail(conn, "TLS handshake");
        }
        if (rc != 1) {
            return;
        }
        if (SSL_session_reused(conn->ssl)) {
            conn->sink->handshakes_resumed++;
        } else {
            conn->sink->handshakes_full++;
        }
    }
    for (;;) {
        int n = SSL_read(conn->ssl, conn->sink->plain, sizeof conn->sink->plain);
        if (n <= 0) {
            int error = SSL_get_error(conn->ssl, n);
            if (error == SSL_ERROR_ZERO_RETURN) {
                conn->broken = true;
            } else if (error != SSL_ERROR_WANT_READ) {
                tls_fail(conn, "TLS");
            }
            return;
        }
        sink_frames_take(conn, conn->sink->plain, (size_t)n);
    }
}

static void record_end(struct sink_conn *conn, bool skipped)
{
    conn->record_have = 0;
    if (!skipped) {
        tls_drain(conn);
        conn->blind = sink_frames_may_skip(conn);
        return;
    }
    size_t length = bytes_load_u16(conn->record_head + 3);
    sink_frames_skip(conn, length > RECORD_OVERHEAD ? length - RECORD_OVERHEAD : 0);
}

/* Ciphertext: to SSL, or past it. */
static void tls_take(struct sink_conn *conn, const uint8_t *at, size_t n)
{
    while (n > 0 && !conn->broken) {
        bool in_head = conn->record_have < SINK_RECORD_HEAD_BYTES;
        size_t wanted = in_head ? SINK_RECORD_HEAD_BYTES - conn->record_have : conn->record_left;
        size_t piece = wanted < n ? wanted : n;
        if (in_head) {
            memcpy(conn->record_head + conn->record_have, at, piece);
            conn->record_have += piece;
            conn->record_left = bytes_load_u16(conn->record_head + 3);
        } else {
            conn->record_left -= piece;
        }
        bool skipped = conn->blind && conn->record_head[0] == RECORD_DATA;
        if (!skipped && BIO_write(conn->records, at, (int)piece) != (int)piece) {
            die_tls("memory BIO");
        }
        if (conn->record_have == SINK_RECORD_HEAD_BYTES && conn->record_left == 0) {
            record_end(conn, skipped);
        }
        at += piece;
        n -= piece;
    }
}

static void conn_read(struct sink_conn *conn)
{
    uint8_t *scratch = conn->sink->scratch;
    for (int turn = 0; turn < READS_A_TURN && !conn->broken; turn++) {
        ssize_t n = recv(conn->fd, scratch, SINK_SCRATCH_BYTES, 0);
        if (n <= 0) {
            conn->broken = n == 0 || (errno != EAGAIN && errno != EINTR);
            return;
        }
        if (conn->ssl != NULL) {
            tls_take(conn, scratch, (size_t)n);
        } else {
            sink_frames_take(conn, scratch, (size_t)n);
        }
        if (n < SINK_SCRATCH_BYTES) {
            return;
        }
    }
}

/* ---- out ---- */

/* 0: it would block, or the connection broke. */
static size_t conn_write(struct sink_conn *conn, const uint8_t *at, size_t size)
{
    ssize_t n = conn->ssl != NULL ? SSL_write(conn->ssl, at, (int)size)
                                  : send(conn->fd, at, size, MSG_NOSIGNAL);
    if (n > 0) {
        return (size_t)n;
    }
    if (conn->ssl != NULL) {
        conn->broken = SSL_get_error(conn->ssl, (int)n) != SSL_ERROR_WANT_WRITE;
        ERR_clear_error();
    } else {
        conn->broken = errno != EAGAIN && errno != EINTR;
    }
    return 0;
}

/* False: not all has left. */
static bool conn_flush_out(struct sink_conn *conn)
{
    while (conn->out_at < conn->out.length) {
        size_t n = conn_write(conn, conn->out.at + conn->out_at, conn->out.length - conn->out_at);
        if (n == 0) {
            return false;
        }
        conn->out_at += n;
    }
    conn->out_at = 0;
    writer_reset(&conn->out);
    return true;
}

static bool conn_flush_fetches(struct sink_conn *conn)
{
    const struct writer *answer = &conn->sink->fetch_answer.frame;
    size_t size = answer->length;
    while (conn->waiting_count > 0) {
        /* One answer for all connections: its id is the sender's whenever its start is sent. */
        if (conn->fetch_at < PAYLOAD_ANSWER_ID_AT + sizeof(uint32_t)) {
            uint32_t id = (uint32_t)conn->waiting[conn->waiting_first];
            bytes_store_u32(answer->at + PAYLOAD_ANSWER_ID_AT, id);
        }
        size_t n = conn_write(conn, answer->at + conn->fetch_at, size - conn->fetch_at);
        if (n == 0) {
            return false;
        }
        conn->fetch_at += n;
        if (conn->fetch_at == size) {
            conn->fetch_at = 0;
            conn->waiting_first = (conn->waiting_first + 1) % SINK_INFLIGHT_MAX;
            conn->waiting_count--;
        }
    }
    return true;
}

static void conn_watch(struct sink_conn *conn, bool blocked)
{
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0u), .data.ptr = conn};
    if (conn->blocked != blocked) {
        epoll_ctl(conn->sink->epoll, EPOLL_CTL_MOD, conn->fd, &event);
    }
    conn->blocked = blocked;
}

/* ---- life ---- */

static void conn_free(struct sink_conn *conn)
{
    *conn->from = conn->next;
    if (conn->next != NULL) {
        conn->next->from = conn->from;
    }
    close(conn->fd);
    SSL_free(conn->ssl);
    writer_free(&conn->small);
    writer_free(&conn->out);
    free(conn);
}

static void conn_secure(struct sink_conn *conn, SSL_CTX *ctx)
{
    conn->ssl = SSL_new(ctx);
    conn->records = BIO_new(BIO_s_mem());
    BIO *out = BIO_new_socket(conn->fd, BIO_NOCLOSE);
    if (conn->ssl == NULL || conn->records == NULL || out == NULL) {
        die_tls("TLS");
    }
    SSL_set_bio(conn->ssl, conn->records, out);
    SSL_set_accept_state(conn->ssl);
}

void sink_conn_start(struct sink_door *door, int fd)
{
    int one = 1;
    struct sink_conn *conn = allocate(sizeof *conn);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->kind = SINK_CONN;
    conn->sink = door->sink;
    conn->door = door;
    conn->fd = fd;
    conn->sink->connections++;
    conn->next = door->sink->conns;
    conn->from = &door->sink->conns;
    if (conn->next != NULL) {
        conn->next->from = &conn->next;
    }
    door->sink->conns = conn;
    writer_init_growing(&conn->small, SINK_FRAME_BYTES_MAX + FRAME_HEAD_BYTES);
    writer_init_growing(&conn->out, SINK_OUT_BYTES_MAX);
    if (door->tls != NULL) {
        conn_secure(conn, door->tls);
    }
    if (epoll_ctl(door->sink->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

void sink_conn_turn(struct sink_conn *conn)
{
    conn_read(conn);
    bool all = !conn->broken && conn_flush_out(conn) && conn_flush_fetches(conn);
    if (conn->broken) {
        conn_free(conn);
        return;
    }
    conn_watch(conn, !all);
}

void sink_conn_end_all(struct sink *sink)
{
    while (sink->conns != NULL) {
        conn_free(sink->conns);
    }
}
