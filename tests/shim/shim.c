/* SPDX-License-Identifier: Apache-2.0 */
/* See README.md. Everything here runs in somebody else's process, from its first instruction on. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

typedef int (*clock_gettime_fn)(clockid_t, struct timespec *);
typedef int (*fdatasync_fn)(int);
typedef int (*flock_fn)(int, int);
typedef int (*setrlimit_fn)(__rlimit_resource_t, const struct rlimit *);
typedef ssize_t (*recvmsg_fn)(int, struct msghdr *, int);

static const _Atomic int64_t *offset_s;   /* NULL: the clock is right */
static const _Atomic int64_t *disk_hangs; /* NULL: it never does */
static const char *stop = "";
static bool keep_core;
static atomic_bool stopped;

/* The function that ours hides. ISO C has no conversion between the two kinds of pointers. */
static void find(const char *name, void *function_r)
{
    void *at = dlsym(RTLD_NEXT, name);
    if (at == NULL) {
        abort();
    }
    memcpy(function_r, &at, sizeof at);
}

/* The number in the file that a variable names, as it is at any time; NULL: there is none. */
static const _Atomic int64_t *number(const char *variable)
{
    const char *path = getenv(variable);
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return NULL;
    }
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return at != MAP_FAILED ? at : NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *where = getenv("SETU_SHIM_STOP");
    stop = where != NULL ? where : "";
    keep_core = getenv("SETU_SHIM_CORE") != NULL;
    offset_s = number("SETU_SHIM_CLOCK");
    disk_hangs = number("SETU_SHIM_SYNC");
}

/* ---- the clock ---- */

static int64_t offset(void)
{
    return offset_s != NULL ? atomic_load(offset_s) : 0;
}

SHOWN int clock_gettime(clockid_t clock, struct timespec *time_r)
{
    static clock_gettime_fn real;
    if (real == NULL) {
        find("clock_gettime", &real);
    }
    int status = real(clock, time_r);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        time_r->tv_sec += offset();
    }
    return status;
}

SHOWN int gettimeofday(struct timeval *restrict time_r, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    *time_r = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return status;
}

SHOWN time_t time(time_t *time_r)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (time_r != NULL) {
        *time_r = now.tv_sec;
    }
    return now.tv_sec;
}

/* ---- the disk ---- */

SHOWN int fdatasync(int fd)
{
    static fdatasync_fn real;
    if (real == NULL) {
        find("fdatasync", &real);
    }
    while (disk_hangs != NULL && atomic_load(disk_hangs) != 0) {
        (void)usleep(1000);
    }
    return real(fd);
}

/* ---- stops ---- */

static void stop_at(const char *where)
{
    if (strcmp(stop, where) == 0 && !atomic_exchange(&stopped, true)) {
        kill(getpid(), SIGSTOP);
    }
}

SHOWN int flock(int fd, int operation)
{
    static flock_fn real;
    if (real == NULL) {
        find("flock", &real);
    }
    int status = real(fd, operation);
    if (status == 0 && (operation & LOCK_EX) != 0) {
        stop_at("lock");
    }
    return status;
}

static size_t descriptors(struct msghdr *message)
{
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            count += (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        }
    }
    return count;
}

SHOWN ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    static recvmsg_fn real;
    if (real == NULL) {
        find("recvmsg", &real);
    }
    ssize_t n = real(fd, message, flags);
    if (n >= 0 && descriptors(message) >= 2) {
        stop_at("sockets");
    }
    return n;
}

/* ---- cores ---- */

SHOWN int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    static setrlimit_fn real;
    if (real == NULL) {
        find("setrlimit", &real);
    }
    return keep_core && resource == RLIMIT_CORE ? 0 : real(resource, limit);
}
