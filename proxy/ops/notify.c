/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_SOCKET = 3, SOCKETS_MAX = 4096 };

static void send_text(const char *text, size_t length)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t size = path != NULL ? strlen(path) : 0;
    /* A path, or "@name": the abstract kind. */
    if (size < 2 || size >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(to.sun_path, path, size);
    if (path[0] == '@') {
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)sendto(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
        close(fd);
    }
}

void notify_send(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < sizeof text) {
        send_text(text, (size_t)length);
    }
}

void notify_reloading(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static bool number_is(const char *text, long *number_r)
{
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    *number_r = strtol(text, &end, 10);
    return *end == '\0';
}

size_t notify_sockets(int *first_r)
{
    long pid = 0, count = 0;
    bool ours = number_is(getenv("LISTEN_PID"), &pid) && pid == (long)getpid() &&
                number_is(getenv("LISTEN_FDS"), &count) && count > 0 && count <= SOCKETS_MAX;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    *first_r = FIRST_SOCKET;
    for (long i = 0; ours && i < count; i++) {
        (void)fcntl(FIRST_SOCKET + (int)i, F_SETFD, FD_CLOEXEC);
    }
    return ours ? (size_t)count : 0;
}

uint64_t notify_watchdog_ms(void)
{
    const char *named = getenv("WATCHDOG_PID");
    long pid = 0, interval_us = 0;
    bool ours = named == NULL || (number_is(named, &pid) && pid == (long)getpid());
    if (!ours || !number_is(getenv("WATCHDOG_USEC"), &interval_us) || interval_us <= 0) {
        return 0;
    }
    unsetenv("WATCHDOG_PID");
    return (uint64_t)interval_us / 1000 > 0 ? (uint64_t)interval_us / 1000 : 1;
}
