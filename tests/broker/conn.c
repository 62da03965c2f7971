/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/dn.h"
#include "tests/broker/broker.h"

enum {
    READ_BYTES = 256 * 1024,
    LINGER_MS = 2000,
    SLOW_TICK_MS = 1,
    FRAMES_A_TURN = 64,
    IO_BLOCKED = -1,
    IO_FAILED = -2
};

static void conn_on_poll(uv_poll_t *poll, int status, int events);
static void conn_on_timer(uv_timer_t *timer);

/* ---- bytes ---- */

static ssize_t io_result(const struct conn *conn, ssize_t n)
{
    if (conn->ssl != NULL) {
        int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, (int)n);
        bool blocked = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
        n = n > 0 ? n : error == SSL_ERROR_ZERO_RETURN ? 0 : blocked ? IO_BLOCKED : IO_FAILED;
        ERR_clear_error();
        return n;
    }
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? IO_BLOCKED : IO_FAILED;
    }
    return n;
}

static ssize_t io_read(struct conn *conn, uint8_t *at, size_t size)
{
    int piece = size > INT32_MAX ? INT32_MAX : (int)size;
    ssize_t n = conn->ssl != NULL ? SSL_read(conn->ssl, at, piece) : recv(conn->fd, at, size, 0);
    return io_result(conn, n);
}

static ssize_t io_write(struct conn *conn, const uint8_t *at, size_t size)
{
    int piece = size > INT32_MAX ? INT32_MAX : (int)size;
    ssize_t n = conn->ssl != NULL ? SSL_write(conn->ssl, at, piece)
                                  : send(conn->fd, at, size, MSG_NOSIGNAL);
    return io_result(conn, n);
}

/* ---- life ---- */

static void conn_watch(struct conn *conn, int events)
{
    int rc =
        events == 0 ? uv_poll_stop(&conn->poll) : uv_poll_start(&conn->poll, events, conn_on_poll);
    assert(rc == 0);
}

static void conn_on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    if (--conn->open_handles > 0) {
        return;
    }
    close(conn->fd);
    free(conn->in);
    writer_free(&conn->out);
    session_free(&conn->session);
    free(conn);
}

void conn_settled(struct conn *conn)
{
    if (conn->settling) {
        conn->settling = false;
        conn->broker->settling--;
    }
}

static void conn_begin_settling(struct conn *conn)
{
    struct broker *broker = conn->broker;
    conn->settling = true;
    broker->settling++;
    if (broker->settling > broker->settling_peak) {
        broker->settling_peak = broker->settling;
    }
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_CLOSED) {
        return;
    }
    conn_settled(conn);
    conn->state = CONN_CLOSED;
    *conn->link = conn->next;
    if (conn->next != NULL) {
        conn->next->link = conn->link;
    }
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    uv_close((uv_handle_t *)&conn->poll, conn_on_closed);
    uv_close((uv_handle_t *)&conn->timer, conn_on_closed);
}

void conn_reset(struct conn *conn)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    conn_close(conn);
}

/* Ends our stream and reads on for a moment: a close with bytes unread would be a reset, and would
 * take an alert or an answer with it. */
static void conn_linger(struct conn *conn)
{
    if (conn->ssl != NULL && conn->state == CONN_UP) {
        SSL_shutdown(conn->ssl);
        ERR_clear_error();
    }
    conn->state = CONN_LINGERING;
    shutdown(conn->fd, SHUT_WR);
    uv_timer_start(&conn->timer, conn_on_timer, LINGER_MS, 0);
    conn_watch(conn, UV_READABLE);
}

static void conn_drop_input(struct conn *conn)
{
    uint8_t waste[16384];
    for (;;) {
        ssize_t n = recv(conn->fd, waste, sizeof waste, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_close(conn);
            return;
        }
        if (n < 0) {
            return;
        }
    }
}

/* ---- output ---- */

static bool conn_has_output(const struct conn *conn)
{
    return conn->out_at < conn->out.length;
}

/* What may be sent now: everything, or the ration of a slow broker's tick. */
static size_t conn_ration(const struct conn *conn)
{
    size_t left = conn->out.length - conn->out_at;
    bool watched = conn->door->kind == DOOR_PLAIN; /* by the test itself, which is in a hurry */
    uint64_t rate = watched ? 0 : conn->broker->options->slow_bytes_per_s;
    size_t ration = rate == 0 ? left : (size_t)(rate * SLOW_TICK_MS / 1000);
    return ration < left ? ration : left;
}

/* False: not all has left, somebody will call again; or the connection is closed. */
static bool conn_flush(struct conn *conn)
{
    bool slow = conn->broker->options->slow_bytes_per_s > 0 && conn->door->kind != DOOR_PLAIN;
    if (conn->delay_ms > 0) {
        uv_timer_start(&conn->timer, conn_on_timer, conn->delay_ms, 0);
        conn->delayed = true;
        conn->delay_ms = 0;
    }
    if (conn->delayed) {
        conn_watch(conn, 0);
        return false;
    }
    while (conn_has_output(conn)) {
        ssize_t n = io_write(conn, conn->out.at + conn->out_at, conn_ration(conn));
        if (n == IO_BLOCKED) {
            conn_watch(conn, UV_WRITABLE);
            return false;
        }
        if (n <= 0) {
            conn_close(conn);
            return false;
        }
        conn->out_at += (size_t)n;
        if (slow && conn_has_output(conn)) {
            uv_timer_start(&conn->timer, conn_on_timer, SLOW_TICK_MS, 0);
            conn->delayed = true;
            conn_watch(conn, 0);
            return false;
        }
    }
    conn->out_at = 0;
    if (conn->out.capacity > READ_BYTES) {
        writer_free(&conn->out);
    } else {
        writer_reset(&conn->out);
    }
    return true;
}

/* All output has left. True: go on with the next frame. */
static bool conn_after(struct conn *conn)
{
    switch (conn->after) {
    case CONN_GO_ON:
        return true;
    case CONN_END:
        conn_linger(conn);
        return false;
    case CONN_RESET:
        conn_reset(conn);
        return false;
    case CONN_STALL:
        conn_watch(conn, 0);
        return false;
    }
    return false;
}

/* ---- input ---- */

static void conn_make_room(struct conn *conn)
{
    if (conn->in_at > 0) {
        conn->in_length -= conn->in_at;
        memmove(conn->in, conn->in + conn->in_at, conn->in_length);
        conn->in_at = 0;
    }
    if (conn->in_capacity - conn->in_length >= READ_BYTES / 2) {
        return;
    }
    conn->in_capacity = conn->in_capacity == 0 ? READ_BYTES : conn->in_capacity * 2;
    conn->in = realloc(conn->in, conn->in_capacity);
    if (conn->in == NULL) {
        abort();
    }
}

/* False: nothing came, or the connection is closed. */
static bool conn_fill(struct conn *conn)
{
    conn_make_room(conn);
    ssize_t n = io_read(conn, conn->in + conn->in_length, conn->in_capacity - conn->in_length);
    if (n == IO_BLOCKED) {
        conn_watch(conn, UV_READABLE);
        return false;
    }
    if (n <= 0) {
        conn_close(conn);
        return false;
    }
    conn->in_length += (size_t)n;
    return true;
}

/* The next whole frame without its size. False: not there yet, or closed for its size. */
static bool conn_frame(struct conn *conn, struct view *payload_r)
{
    size_t have = conn->in_length - conn->in_at;
    const uint8_t *at = conn->in + conn->in_at;
    if (have < 4) {
        return false;
    }
    size_t size = bytes_load_u32(at);
    if (size > CONN_FRAME_BYTES_MAX) {
        conn_close(conn);
        return false;
    }
    *payload_r = view_of(at + 4, size);
    return have - 4 >= size;
}

/* ---- the pump ---- */

static bool conn_answer(struct conn *conn, struct view payload)
{
    uint64_t wait_ms = 0;
    bool waited = conn->waiting;
    switch (session_frame(conn, payload, &wait_ms)) {
    case SESSION_NEXT:
        conn->in_at += payload.length + 4;
        conn->waiting = conn->timed_out = false;
        if (waited) {
            uv_timer_stop(&conn->timer);
        }
        return true;
    case SESSION_WAIT:
        if (!waited) {
            conn->waiting = true;
            uv_timer_start(&conn->timer, conn_on_timer, wait_ms, 0);
        }
        conn_watch(conn, 0);
        return false;
    case SESSION_CLOSE:
        break;
    }
    conn->after = CONN_END;
    return true;
}

static void conn_pump(struct conn *conn)
{
    for (int turn = 0; turn < FRAMES_A_TURN; turn++) {
        struct view payload;
        if (!conn_flush(conn) || !conn_after(conn)) {
            return;
        }
        while (!conn_frame(conn, &payload)) {
            if (conn->state == CONN_CLOSED || !conn_fill(conn)) {
                return;
            }
        }
        if (!conn_answer(conn, payload)) {
            return;
        }
    }
    conn_watch(conn, UV_READABLE | UV_WRITABLE); /* the others have their turn, then we go on */
}

void conn_wake(struct conn *conn)
{
    if (conn->waiting && conn->state == CONN_UP) {
        conn_pump(conn);
    }
}

/* ---- TLS ---- */

static void conn_refuse(struct conn *conn)
{
    char text[160] = "";
    long verify = SSL_get_verify_result(conn->ssl);
    ERR_error_string_n(ERR_peek_error(), text, sizeof text);
    printf("tls-refused node=%d peer=%s verify=%s error=%s\n", conn->broker->options->node_id,
           conn->peer, X509_verify_cert_error_string(verify), text);
    ERR_clear_error();
    const struct fault *fault =
        faults_take(&conn->broker->options->faults, FAULT_REFUSAL, "", false);
    if (fault != NULL && fault->action == FAULT_RST) {
        conn_reset(conn); /* right behind the alert */
        return;
    }
    conn_linger(conn);
}

static void conn_secured(struct conn *conn)
{
    char name[512] = "";
    X509 *certificate = SSL_get1_peer_certificate(conn->ssl);
    conn->state = CONN_UP;
    if (certificate != NULL &&
        dn_print(X509_get_subject_name(certificate), name, sizeof name, NULL) == DN_OK &&
        conn->door->kind == DOOR_SSL) {
        session_logged_in(conn, name, "SSL");
    }
    X509_free(certificate);
    conn_pump(conn);
}

static void conn_secure(struct conn *conn)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(conn->ssl);
    int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, rc);
    if (error == SSL_ERROR_NONE) {
        conn_secured(conn);
    } else if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        conn_watch(conn, error == SSL_ERROR_WANT_READ ? UV_READABLE : UV_WRITABLE);
    } else {
        conn_refuse(conn);
    }
}

/* ---- events ---- */

static void conn_on_timer(uv_timer_t *timer)
{
    struct conn *conn = timer->data;
    if (conn->state == CONN_LINGERING) {
        conn_close(conn);
        return;
    }
    conn->delayed = false;
    conn->timed_out = conn->waiting;
    conn_pump(conn);
}

static void conn_on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *conn = poll->data;
    (void)events;
    if (status < 0) {
        conn_close(conn);
    } else if (conn->state == CONN_LINGERING) {
        conn_drop_input(conn);
    } else if (conn->state == CONN_SECURING) {
        conn_secure(conn);
    } else if (conn->state == CONN_UP) {
        conn_pump(conn);
    }
}

static void conn_name_peer(struct conn *conn)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char port[16] = "";
    char host[46] = "";
    if (getpeername(conn->fd, (struct sockaddr *)&address, &size) == 0 &&
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        snprintf(conn->peer, sizeof conn->peer, "%s:%s", host, port);
    }
}

void conn_start(struct door *door, int fd, SSL *ssl)
{
    struct conn *conn = calloc(1, sizeof *conn);
    int one = 1;
    if (conn == NULL || uv_timer_init(&door->broker->loop, &conn->timer) != 0 ||
        uv_poll_init(&door->broker->loop, &conn->poll, fd) != 0) {
        abort();
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->broker = door->broker;
    conn->door = door;
    conn->fd = fd;
    conn->ssl = ssl;
    conn->open_handles = 2;
    conn->poll.data = conn->timer.data = conn;
    conn->link = &door->broker->conns;
    conn->next = door->broker->conns;
    if (conn->next != NULL) {
        conn->next->link = &conn->next;
    }
    door->broker->conns = conn;
    writer_init_growing(&conn->out, CONN_OUT_BYTES_MAX);
    session_init(&conn->session);
    conn_name_peer(conn);
    conn_begin_settling(conn);
    conn->state = ssl != NULL ? CONN_SECURING : CONN_UP;
    if (door->kind == DOOR_PLAIN) {
        session_logged_in(conn, "ANONYMOUS", "none");
    }
    conn_watch(conn, UV_READABLE);
}
