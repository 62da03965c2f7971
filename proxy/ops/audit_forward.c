/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_forward.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { WAIT_S = 5 };

void audit_forward_prepare(int fd)
{
    const struct timeval wait = {.tv_sec = WAIT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

bool audit_forward_send(int fd, struct view records)
{
    const uint32_t length = (uint32_t)records.length;
    struct iovec parts[] = {{(void *)(uintptr_t)&length, sizeof length},
                            {(void *)(uintptr_t)records.at, records.length}};
    size_t part = 0;
    while (part < 2) {
        struct msghdr message = {.msg_iov = parts + part, .msg_iovlen = 2 - part};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        size_t sent = (size_t)n;
        for (; part < 2 && sent >= parts[part].iov_len; part++) {
            sent -= parts[part].iov_len;
        }
        if (part < 2) {
            parts[part].iov_base = (uint8_t *)parts[part].iov_base + sent;
            parts[part].iov_len -= sent;
        }
    }
    char had = 0;
    ssize_t n = 0;
    do {
        n = recv(fd, &had, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}
