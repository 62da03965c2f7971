/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/common.h"
#include "tests/bench/gen.h"
#include "tests/bench/payload.h"

enum {
    SCRATCH_BYTES = 256 * 1024,
    EVENTS = 64,
    LOOK_MAX = PAYLOAD_ANSWER_LOOK + 256,
    DRAIN_S = 30
};
static const uint64_t second_ns = 1000000000u;

struct load;

struct conn {
    struct load *load;
    struct gen_link link;
    size_t frame_at;         /* of the frame under way; 0: none is */
    uint64_t sent, answered; /* whole frames */
    uint64_t sent_before;    /* this measurement */
    uint64_t *due_ns;        /* of the last `inflight` frames */
    uint8_t look[LOOK_MAX];  /* start of the answer under way */
    size_t look_have;
    size_t skip; /* of the rest of it */
    size_t index;
    bool blocked;
};

struct load {
    const struct gen_options *options;
    struct payload request;
    struct payload answer; /* what one looks like, where that matters: Fetch */
    size_t topic_length;
    struct conn *conns;
    int epoll;
    uint64_t began_ns;
    uint64_t frame_ps;   /* with a rate: picoseconds between frames; else 0 */
    uint64_t next_frame; /* with a rate: the first of all frames whose time has not come */
    uint64_t under_way;  /* frames without an answer */
    bool measuring;
    bool ending; /* nothing new is begun */
    struct gen_result *result;
    uint8_t scratch[SCRATCH_BYTES];
};

/* ---- when ---- */

/* Frames are due one after the other, each on the next connection. */
static uint64_t frame_due(const struct load *load, uint64_t frame)
{
    return load->began_ns + (uint64_t)((__uint128_t)frame * load->frame_ps / 1000);
}

/* The moment a connection's nth frame is due. */
static uint64_t due_at(const struct conn *conn, uint64_t nth)
{
    const struct load *load = conn->load;
    return frame_due(load, (nth - conn->sent_before) * load->options->conns + conn->index);
}

static bool may_start(const struct conn *conn, uint64_t now)
{
    const struct load *load = conn->load;
    return !load->ending && conn->sent - conn->answered < load->options->inflight &&
           (load->frame_ps == 0 || due_at(conn, conn->sent) <= now);
}

/* ---- out ---- */

static void conn_watch(struct conn *conn, bool blocked)
{
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0u), .data.ptr = conn};
    if (conn->blocked != blocked &&
        epoll_ctl(conn->load->epoll, EPOLL_CTL_MOD, conn->link.fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    conn->blocked = blocked;
}

/* Bytes moved, 0 when it would block; dies when the connection ended. */
static size_t moved(const struct conn *conn, ssize_t n)
{
    if (n > 0) {
        return (size_t)n;
    }
    if (conn->link.ssl != NULL) {
        int error = SSL_get_error(conn->link.ssl, (int)n);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
            ERR_clear_error();
            return 0;
        }
        die_tls("connection ended");
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        die("connection ended after %llu answers: %s", (unsigned long long)conn->answered,
            n == 0 ? "closed" : strerror(errno));
    }
    return 0;
}

static size_t link_write(const struct conn *conn, const uint8_t *at, size_t size)
{
    return moved(conn, conn->link.ssl != NULL ? SSL_write(conn->link.ssl, at, (int)size)
                                              : send(conn->link.fd, at, size, MSG_NOSIGNAL));
}

/* All connections send from one frame: its id is the sender's whenever its start is sent. */
static size_t conn_send(struct conn *conn)
{
    const struct writer *frame = &conn->load->request.frame;
    if (conn->frame_at < PAYLOAD_ID_AT + sizeof(uint32_t)) {
        bytes_store_u32(frame->at + PAYLOAD_ID_AT, (uint32_t)conn->sent);
    }
    return link_write(conn, frame->at + conn->frame_at, frame->length - conn->frame_at);
}

/* A frame of which nothing has left yet is not under way: it is counted once something has. */
static void conn_begun(struct conn *conn, uint64_t now)
{
    struct load *load = conn->load;
    conn->due_ns[conn->sent % load->options->inflight] =
        load->frame_ps > 0 ? due_at(conn, conn->sent) : now;
    if (load->measuring && load->under_way > 0) {
        load->result->overlapped++;
    }
    load->under_way++;
}

static void conn_pump(struct conn *conn, uint64_t now)
{
    size_t size = conn->load->request.frame.length;
    while (conn->frame_at > 0 || may_start(conn, now)) {
        size_t n = conn_send(conn);
        if (n == 0) {
            conn_watch(conn, true);
            return;
        }
        if (conn->frame_at == 0) {
            conn_begun(conn, now);
        }
        conn->frame_at += n;
        if (conn->frame_at == size) {
            conn->frame_at = 0;
            conn->sent++;
        }
    }
    conn_watch(conn, false);
}

/* ---- in ---- */

static size_t frame_bytes(const uint8_t *at)
{
    return (size_t)bytes_load_u32(at) + 4;
}

static void answer_done(struct conn *conn)
{
    struct load *load = conn->load;
    const struct payload *payload = load->options->fetch ? &load->answer : &load->request;
    uint64_t due = conn->due_ns[conn->answered++ % load->options->inflight];
    conn->look_have = 0;
    load->under_way--;
    if (load->measuring) {
        load->result->batches++;
        load->result->records += (uint64_t)payload->records;
        load->result->bytes += payload->bytes;
        uint64_t now = clock_now_ns();
        histogram_add(&load->result->latency, now > due ? now - due : 0);
    }
}

/* The start of an answer is here: it must be the one that is next, and without error. */
static void answer_judge(struct conn *conn, size_t look)
{
    const struct load *load = conn->load;
    size_t whole = frame_bytes(conn->look);
    uint32_t id = bytes_load_u32(conn->look + PAYLOAD_ANSWER_ID_AT);
    if (conn->answered == conn->sent || id != (uint32_t)conn->answered) {
        die("answer %u where %u is due", id, (uint32_t)conn->answered);
    }
    int16_t error = load->options->fetch ? payload_fetch_error(conn->look, load->topic_length)
                                         : payload_produce_error(conn->look, load->topic_length);
    if (error != 0) {
        die("answered with error %d", error);
    }
    if (load->options->fetch && whole != load->answer.frame.length) {
        die("a Fetch answer of %zu bytes: --batch-bytes must be that of the sink", whole);
    }
    conn->skip = whole - look;
}

static void conn_take(struct conn *conn, const uint8_t *at, size_t n)
{
    size_t look = PAYLOAD_ANSWER_LOOK + conn->load->topic_length;
    while (n > 0) {
        size_t piece = conn->look_have < look ? look - conn->look_have : conn->skip;
        piece = piece < n ? piece : n;
        if (conn->look_have < look) {
            memcpy(conn->look + conn->look_have, at, piece);
            conn->look_have += piece;
            if (conn->look_have >= 4 && frame_bytes(conn->look) < look) {
                die("an answer of only %zu bytes", frame_bytes(conn->look));
            }
            if (conn->look_have == look) {
                answer_judge(conn, look);
            }
        } else {
            conn->skip -= piece;
        }
        if (conn->look_have == look && conn->skip == 0) {
            answer_done(conn);
        }
        at += piece;
        n -= piece;
    }
}

/* Ends by itself: what can come is limited by what was asked. */
static void conn_read(struct conn *conn)
{
    struct load *load = conn->load;
    for (;;) {
        ssize_t n = conn->link.ssl != NULL ? SSL_read(conn->link.ssl, load->scratch, SCRATCH_BYTES)
                                           : recv(conn->link.fd, load->scratch, SCRATCH_BYTES, 0);
        size_t got = moved(conn, n);
        if (got == 0) {
            return;
        }
        conn_take(conn, load->scratch, got);
        if (conn->link.ssl == NULL && got < SCRATCH_BYTES) {
            return; /* epoll will say when there is more */
        }
    }
}

/* ---- the loop ---- */

/* With a rate: every frame whose time has come. One that finds too many in flight on its connection
 * is sent when an answer makes room. */
static void load_send_due(struct load *load, uint64_t now)
{
    for (; frame_due(load, load->next_frame) <= now; load->next_frame++) {
        conn_pump(&load->conns[load->next_frame % load->options->conns], now);
    }
}

static void load_wait(struct load *load, uint64_t until)
{
    struct epoll_event events[EVENTS];
    uint64_t now = clock_now_ns();
    if (load->frame_ps > 0) {
        uint64_t due = frame_due(load, load->next_frame);
        until = due < until ? due : until;
    }
    uint64_t wait = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / second_ns),
                               .tv_nsec = (long)(wait % second_ns)};
    int count = epoll_pwait2(load->epoll, events, EVENTS, &timeout, NULL);
    if (count < 0 && errno != EINTR) {
        die("epoll: %s", strerror(errno));
    }
    now = clock_now_ns();
    for (int i = 0; i < count; i++) {
        struct conn *conn = events[i].data.ptr;
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
            conn_read(conn);
        }
        conn_pump(conn, load->frame_ps > 0 ? now : clock_now_ns());
    }
    if (load->frame_ps > 0) {
        load_send_due(load, now);
    }
}

static void load_measure(struct load *load)
{
    const struct gen_options *options = load->options;
    struct gen_result *r = load->result;
    uint64_t start = load->began_ns + (uint64_t)(options->warmup_s * 1e9);
    while (clock_now_ns() < start) {
        load_wait(load, start);
    }
    start = clock_now_ns();
    uint64_t end = start + (uint64_t)(options->duration_s * 1e9);
    uint64_t own = clock_cpu_ns();
    uint64_t watched = options->watch > 0 ? clock_cpu_of_ns(options->watch) : 0;
    load->measuring = true;
    while (clock_now_ns() < end) {
        load_wait(load, end);
    }
    load->measuring = false;
    uint64_t watched_after = options->watch > 0 ? clock_cpu_of_ns(options->watch) : 0;
    r->watched_cpu_s = ((double)watched_after - (double)watched) / 1e9;
    r->cpu_s = (double)(clock_cpu_ns() - own) / 1e9;
    r->seconds = (double)(clock_now_ns() - start) / 1e9;
    if (options->watch > 0 && (watched == 0 || watched_after < watched)) {
        die("--watch %d: no such process, or it ended", (int)options->watch);
    }
    if (r->batches == 0) {
        die("nothing was acknowledged");
    }
}

static void conn_start(struct load *load, size_t index, struct gen_link link)
{
    struct conn *conn = &load->conns[index];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    *conn = (struct conn){.load = load, .link = link, .index = index};
    conn->due_ns = allocate(load->options->inflight * sizeof *conn->due_ns);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, link.fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

struct load *gen_load_open(const struct gen_options *options, const struct gen_link *links)
{
    struct load *load = allocate(sizeof *load);
    load->options = options;
    load->topic_length = strlen(options->topic);
    if (PAYLOAD_ANSWER_LOOK + load->topic_length > LOOK_MAX) {
        die("a topic of that length does not exist");
    }
    load->answer = payload_fetch_answer(options->topic, options->batch_bytes);
    load->request = options->fetch ? payload_fetch(options->topic, options->batch_bytes)
                                   : payload_produce(options->topic, options->batch_bytes);
    if (options->rate > 0) {
        int32_t records = options->fetch ? load->answer.records : load->request.records;
        load->frame_ps = (uint64_t)(1e12 * records / options->rate) + 1;
    }
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->conns = allocate(options->conns * sizeof *load->conns);
    for (size_t i = 0; i < options->conns; i++) {
        conn_start(load, i, links[i]);
    }
    prctl(PR_SET_TIMERSLACK, 1); /* or every wait is 50 us late */
    return load;
}

void gen_load_once(struct load *load, struct gen_result *result_r)
{
    *result_r = (struct gen_result){0};
    load->result = result_r;
    load->ending = false;
    load->next_frame = 0;
    load->began_ns = clock_now_ns();
    for (size_t i = 0; i < load->options->conns; i++) {
        load->conns[i].sent_before = load->conns[i].sent;
    }
    for (size_t i = 0; i < load->options->conns; i++) {
        conn_pump(&load->conns[i], load->began_ns);
    }
    load_measure(load);
}

void gen_load_drain(struct load *load)
{
    uint64_t end = clock_now_ns() + DRAIN_S * second_ns;
    load->ending = true;
    while (load->under_way > 0) {
        if (clock_now_ns() >= end) {
            die("no answer to %llu requests", (unsigned long long)load->under_way);
        }
        load_wait(load, end);
    }
}

void gen_load_close(struct load **load)
{
    for (size_t i = 0; i < (*load)->options->conns; i++) {
        free((*load)->conns[i].due_ns);
    }
    free((*load)->conns);
    writer_free(&(*load)->request.frame);
    writer_free(&(*load)->answer.frame);
    close((*load)->epoll);
    free(*load);
    *load = NULL;
}
