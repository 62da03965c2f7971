/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_os: the system calls of a worker, put in place of the real ones by the linker (--wrap). Descriptors below
 * NET_FD_FIRST are real: configuration and keys are read from real files.
 */
#include "tests/sim/fake_os.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ops/log.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"

/* The linker's names: nobody includes a prototype of them. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int __real_close(int fd);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __real_PKCS5_PBKDF2_HMAC(const char *password, int password_length, const unsigned char *salt,
                             int salt_length, int iterations, const EVP_MD *digest, int length,
                             unsigned char *out);

/* ---- sockets ---- */

int __wrap_socket(int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    return net_socket();
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)length;
    return net_bind(fd, ntohs(((const struct sockaddr_in *)address)->sin_port));
}

/* Waits end by the made-up clock alone. */
int __wrap_timerfd_create(int clock, int flags)
{
    (void)clock, (void)flags;
    errno = ENOSYS;
    return -1;
}

int __wrap_listen(int fd, int backlog)
{
    (void)backlog;
    return net_listen(fd);
}

int __wrap_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return net_accept(fd, address, length);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    (void)flags;
    return net_accept(fd, address, length);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)length;
    return net_connect(fd, address);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    (void)fd, (void)level, (void)name, (void)value, (void)length;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    int number = level == SOL_SOCKET && name == SO_ERROR ? net_take_error(fd) : 0;
    memcpy(value, &number, *length < sizeof number ? *length : sizeof number);
    return 0;
}

int __wrap_shutdown(int fd, int how)
{
    (void)how;
    return net_shutdown(fd);
}

int __wrap_close(int fd)
{
    if (!net_is_ours(fd)) {
        return __real_close(fd);
    }
    if (net_is_stream(fd) && sim_mutates(MUTATION_LOSE_DESCRIPTOR, 100)) {
        return 0;
    }
    return net_close_fd(fd);
}

ssize_t __wrap_recv(int fd, void *into, size_t capacity, int flags)
{
    (void)flags;
    return net_recv(fd, into, capacity);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags)
{
    (void)flags;
    return fake_os_mutate(fd, bytes, length);
}

/* ---- time and chance ---- */

bool fake_os_between_runs;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (fake_os_between_runs) {
        return __real_clock_gettime(clock, now);
    }
    int64_t at = (int64_t)sim.now_ns + (clock == CLOCK_REALTIME ? sim.wall_ns : 0);
    now->tv_sec = at / 1000000000;
    now->tv_nsec = at % 1000000000;
    return 0;
}

ssize_t __wrap_getrandom(void *at, size_t length, unsigned int flags)
{
    (void)flags;
    rng_fill(&sim.os, at, length);
    return (ssize_t)length;
}

int __wrap_RAND_bytes(unsigned char *at, int length)
{
    rng_fill(&sim.os, at, (size_t)length);
    return 1;
}

/* ---- what would be slow ---- */

struct kept {
    struct kept *next;
    char text[64];
    unsigned char salt[64], out[64];
    size_t text_length, salt_length;
    int iterations, length;
};

static struct kept *kept_keys;

void fake_os_forget(void)
{
    while (kept_keys != NULL) {
        struct kept *gone = kept_keys;
        kept_keys = gone->next;
        free(gone);
    }
}

/* The same few passwords again and again: each is hashed once a process. */
int __wrap_PKCS5_PBKDF2_HMAC(const char *password, int password_length, const unsigned char *salt,
                             int salt_length, int iterations, const EVP_MD *digest, int length,
                             unsigned char *out)
{
    struct kept key = {.text_length = (size_t)password_length,
                       .salt_length = (size_t)salt_length,
                       .iterations = iterations,
                       .length = length};
    if (key.text_length > sizeof key.text || key.salt_length > sizeof key.salt ||
        length > (int)sizeof key.out) {
        return __real_PKCS5_PBKDF2_HMAC(password, password_length, salt, salt_length, iterations,
                                        digest, length, out);
    }
    memcpy(key.text, password, key.text_length);
    memcpy(key.salt, salt, key.salt_length);
    struct kept *kept = kept_keys;
    while (kept != NULL &&
           (kept->text_length != key.text_length || kept->salt_length != key.salt_length ||
            kept->iterations != iterations || kept->length != length ||
            memcmp(kept->text, key.text, sizeof key.text) != 0 ||
            memcmp(kept->salt, key.salt, sizeof key.salt) != 0)) {
        kept = kept->next;
    }
    if (kept == NULL) {
        kept = malloc(sizeof *kept);
        if (kept == NULL || __real_PKCS5_PBKDF2_HMAC(password, password_length, salt, salt_length,
                                                     iterations, digest, length, key.out) != 1) {
            abort();
        }
        *kept = key;
        kept->next = kept_keys;
        kept_keys = kept;
    }
    memcpy(out, kept->out, (size_t)length);
    return 1;
}

/* ---- the log ---- */

bool __wrap_log_enabled(enum log_level level)
{
    (void)level;
    return sim.trace;
}

void __wrap_log_write(enum log_level level, const char *event, const struct log_field *fields,
                      size_t count)
{
    char line[LOG_LINE_MAX];
    if (!sim.trace) {
        return;
    }
    size_t length =
        log_line(line, sizeof line, LOG_FORMAT_LOGFMT, level, sim.now_ns, event, fields, count);
    printf("%*s", 14, "");
    fwrite(line, 1, length, stdout);
}

void __wrap_log_text(enum log_level level, const char *event, const char *text)
{
    struct log_field field = log_str("text", text);
    __wrap_log_write(level, event, &field, 1);
}
