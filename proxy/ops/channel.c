/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    SEND_WAIT_MS = 2000,
    CHANNEL_FDS_MAX = 2 * HANDOVER_DESCRIPTORS_MAX, /* received, of messages not yet complete */
    CHANNEL_BYTES = HANDOVER_HEAD_BYTES + HANDOVER_PAYLOAD_MAX,
};

struct channel {
    uv_poll_t poll;
    channel_fn on_message;
    void *owner;
    int fd;
    bool ended; /* the end has been told, or must not be told any more */
    int fds[CHANNEL_FDS_MAX];
    size_t fd_count;
    size_t length;
    uint8_t bytes[CHANNEL_BYTES];
};

int channel_dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int error = 0;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        error = errno;
    } else if (!channel_peer_is(fd, geteuid()) && geteuid() != 0) {
        error = EPERM;
    }
    if (error != 0) {
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool channel_peer_is(int fd, uid_t uid)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == uid || peer.uid == 0);
}

pid_t channel_peer(const struct channel *channel)
{
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    bool known = getsockopt(channel->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
    return known && peer.pid > 0 ? peer.pid : 0;
}

/* ---- sending ---- */

static bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = events};
    int n = 0;
    do {
        n = poll(&wait, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static ssize_t send_some(int fd, struct view bytes, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * HANDOVER_DESCRIPTORS_MAX)];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes.at, bytes.length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool send_all(int fd, struct view bytes, const int *fds, size_t fd_count)
{
    while (bytes.length > 0) {
        ssize_t n = send_some(fd, bytes, fds, fd_count);
        if (n > 0) {
            bytes = view_from(bytes, (size_t)n);
            fd_count = 0; /* they went with the first byte */
        } else if (errno == EAGAIN ? !wait_for(fd, POLLOUT, SEND_WAIT_MS) : errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool channel_send_to(int fd, enum handover_kind kind, struct view payload, const int *fds,
                     size_t fd_count)
{
    struct writer out;
    writer_init_growing(&out, CHANNEL_BYTES);
    handover_write(&out, kind, (uint16_t)fd_count, payload);
    bool sent = writer_ok(&out) && send_all(fd, writer_view(&out), fds, fd_count);
    writer_free(&out);
    return sent;
}

bool channel_send(struct channel *channel, enum handover_kind kind, struct view payload,
                  const int *fds, size_t fd_count)
{
    if (channel_send_to(channel->fd, kind, payload, fds, fd_count)) {
        return true;
    }
    (void)shutdown(channel->fd, SHUT_RDWR); /* so that the loop tells the end */
    return false;
}

/* ---- receiving ---- */

static void keep_descriptors(struct channel *channel, struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            if (channel->fd_count < CHANNEL_FDS_MAX) {
                channel->fds[channel->fd_count++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

/* > 0: bytes came; 0: none now; < 0: the end. */
static int channel_read(struct channel *channel)
{
    char room[CMSG_SPACE(sizeof(int) * 253)]
        __attribute__((aligned(__alignof__(struct cmsghdr))));
    struct iovec iov = {channel->bytes + channel->length, CHANNEL_BYTES - channel->length};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = room,
                             .msg_controllen = sizeof room};
    ssize_t n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    keep_descriptors(channel, &message);
    if (n == 0 || (message.msg_flags & MSG_CTRUNC) != 0) {
        return -1;
    }
    channel->length += (size_t)n;
    return 1;
}

static void channel_end(struct channel *channel)
{
    if (!channel->ended) {
        channel->ended = true;
        uv_poll_stop(&channel->poll);
        channel->on_message(channel, 0, view_of(NULL, 0), NULL, 0);
    }
}

static void channel_drop(struct channel *channel, size_t bytes, size_t fds)
{
    channel->length -= bytes;
    memmove(channel->bytes, channel->bytes + bytes, channel->length);
    channel->fd_count -= fds;
    memmove(channel->fds, channel->fds + fds, channel->fd_count * sizeof channel->fds[0]);
}

/* The next whole message, told. False: none is there. */
static bool channel_tell(struct channel *channel)
{
    struct handover_head head;
    enum handover_status status = handover_head(view_of(channel->bytes, channel->length), &head);
    if (status == HANDOVER_BAD) {
        channel_end(channel);
        return false;
    }
    if (status == HANDOVER_MORE || channel->length < HANDOVER_HEAD_BYTES + (size_t)head.length) {
        return false;
    }
    if (channel->fd_count < head.descriptors) {
        channel_end(channel);
        return false;
    }
    int fds[HANDOVER_DESCRIPTORS_MAX];
    memcpy(fds, channel->fds, head.descriptors * sizeof fds[0]);
    struct view payload = view_of(channel->bytes + HANDOVER_HEAD_BYTES, head.length);
    uint8_t *copy = NULL;
    if (payload.length > 0) {
        copy = malloc(payload.length);
        if (copy == NULL) {
            channel_end(channel);
            return false;
        }
        memcpy(copy, payload.at, payload.length);
        payload.at = copy;
    }
    channel_drop(channel, HANDOVER_HEAD_BYTES + payload.length, head.descriptors);
    channel->on_message(channel, (int)head.kind, payload, fds, head.descriptors);
    free(copy);
    return !channel->ended;
}

static void channel_on_poll(uv_poll_t *poll, int status, int events)
{
    struct channel *channel = poll->data;
    (void)events;
    int read = status == 0 ? channel_read(channel) : -1;
    while (read >= 0 && channel_tell(channel)) {
    }
    if (read < 0) {
        channel_end(channel);
    }
}

struct channel *channel_new(uv_loop_t *loop, int fd, channel_fn on_message, void *owner)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL || uv_poll_init(loop, &channel->poll, fd) != 0) {
        free(channel);
        close(fd);
        return NULL;
    }
    channel->fd = fd;
    channel->on_message = on_message;
    channel->owner = owner;
    channel->poll.data = channel;
    (void)uv_poll_start(&channel->poll, UV_READABLE, channel_on_poll);
    return channel;
}

void *channel_owner(const struct channel *channel)
{
    return channel->owner;
}

static void channel_on_closed(uv_handle_t *handle)
{
    struct channel *channel = handle->data;
    for (size_t i = 0; i < channel->fd_count; i++) {
        close(channel->fds[i]);
    }
    close(channel->fd);
    free(channel);
}

void channel_close(struct channel **channel_p)
{
    struct channel *channel = *channel_p;
    *channel_p = NULL;
    if (channel != NULL) {
        channel->ended = true;
        uv_close((uv_handle_t *)&channel->poll, channel_on_closed);
    }
}

/* ---- without a loop ---- */

static bool receive_exactly(int fd, int timeout_ms, uint8_t *into, size_t length)
{
    size_t have = 0;
    while (have < length) {
        if (!wait_for(fd, POLLIN, timeout_ms)) {
            return false;
        }
        ssize_t n = recv(fd, into + have, length - have, 0);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
            return false;
        }
        have += n > 0 ? (size_t)n : 0;
    }
    return true;
}

char *channel_receive_from(int fd, int timeout_ms, enum handover_kind *kind_r)
{
    uint8_t bytes[HANDOVER_HEAD_BYTES];
    struct handover_head head;
    if (!receive_exactly(fd, timeout_ms, bytes, sizeof bytes) ||
        handover_head(view_of(bytes, sizeof bytes), &head) != HANDOVER_OK) {
        return NULL;
    }
    char *text = malloc(head.length + 1);
    if (text == NULL || !receive_exactly(fd, timeout_ms, (uint8_t *)text, head.length)) {
        free(text);
        return NULL;
    }
    text[head.length] = '\0';
    *kind_r = head.kind;
    return text;
}
