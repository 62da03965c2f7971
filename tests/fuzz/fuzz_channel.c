/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what comes by the control socket: requests of the command line, words of a successor, descriptors.
 *
 *   byte 0   the size of the pieces      byte 1   how many descriptors come with the first piece, of 8
 *
 * The messages told are those that handover_head finds in the bytes, one after the other, until one is bad or lacks its
 * descriptors; then the end is told, once. No descriptor is left open.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "proxy/ops/channel.h"

enum { DESCRIPTORS = 8, STREAM_MAX = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    struct view rest;   /* of the stream, not yet told */
    size_t descriptors; /* given, and not yet told */
    bool ended;
};

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* The next message of what is left, as it must be told; false: the end. */
static bool next(struct told *told, struct handover_head *head, struct view *payload)
{
    if (handover_head(told->rest, head) != HANDOVER_OK ||
        told->rest.length < HANDOVER_HEAD_BYTES + (size_t)head->length ||
        head->descriptors > told->descriptors) {
        return false;
    }
    *payload = view_of(told->rest.at + HANDOVER_HEAD_BYTES, head->length);
    told->rest = view_from(told->rest, HANDOVER_HEAD_BYTES + (size_t)head->length);
    told->descriptors -= head->descriptors;
    return true;
}

static void on_message(struct channel *channel, int kind, struct view payload, const int *fds,
                       size_t fd_count)
{
    struct told *told = channel_owner(channel);
    struct handover_head head;
    struct view expected;
    must(!told->ended);
    if (kind == 0) {
        told->ended = true;
        must(fd_count == 0 && payload.length == 0 && !next(told, &head, &expected));
        return;
    }
    must(next(told, &head, &expected));
    must((int)head.kind == kind && head.descriptors == fd_count && view_equal(payload, expected));
    for (size_t i = 0; i < fd_count; i++) {
        must(close(fds[i]) == 0);
    }
}

static void send_piece(int fd, struct view piece, size_t descriptors)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * DESCRIPTORS)];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)piece.at, piece.length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (descriptors > 0) {
        int fds[DESCRIPTORS];
        for (size_t i = 0; i < descriptors; i++) {
            fds[i] = STDERR_FILENO;
        }
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * descriptors);
    }
    must(sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)piece.length);
}

static void play(uv_loop_t *loop, struct told *told, size_t piece, size_t descriptors)
{
    int pair[2];
    struct view stream = told->rest;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    struct channel *channel = channel_new(loop, pair[0], on_message, told);
    must(channel != NULL);
    while (stream.length > 0 && !told->ended) {
        size_t n = piece < stream.length ? piece : stream.length;
        send_piece(pair[1], view_of(stream.at, n), descriptors);
        descriptors = 0;
        stream = view_from(stream, n);
        uv_run(loop, UV_RUN_NOWAIT);
    }
    close(pair[1]);
    while (!told->ended) {
        uv_run(loop, UV_RUN_NOWAIT);
    }
    channel_close(&channel);
    uv_run(loop, UV_RUN_DEFAULT);
}

static int lowest_free(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uv_loop_t loop;
    static bool made;
    if (size < 2 || size > STREAM_MAX) {
        return 0;
    }
    if (!made) {
        must(uv_loop_init(&loop) == 0);
        uv_run(&loop, UV_RUN_NOWAIT);
        made = true;
    }
    int before = lowest_free();
    /* Many small pieces of a long stream say nothing new. */
    size_t piece = (size_t)data[0] + 1 + size / 64;
    size_t descriptors = size > 2 ? data[1] % DESCRIPTORS : 0;
    struct told told = {.rest = view_of(data + 2, size - 2), .descriptors = descriptors};
    play(&loop, &told, piece, descriptors);
    must(lowest_free() == before);
    return 0;
}
