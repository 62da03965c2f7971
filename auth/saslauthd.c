/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/saslauthd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/secret.h"

enum { QUERY_MAX = 4 * (2 + SASLAUTHD_FIELD_BYTES_MAX), ANSWER_MIN = 2, ANSWER_MAX = 1024 };

static int dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = SASLAUTHD_TIMEOUT_S};
    if (strlen(path) >= sizeof address.sun_path) {
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) {
        return -1;
    }
    if (setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        connect(file, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(file);
        return -1;
    }
    return file;
}

static void put_field(struct writer *query, struct view field)
{
    if (field.length > SASLAUTHD_FIELD_BYTES_MAX) {
        query->failed = true;
        return;
    }
    writer_i16(query, (int16_t)field.length);
    writer_put(query, field);
}

static bool send_all(int file, struct view bytes)
{
    while (bytes.length > 0) {
        ssize_t n = send(file, bytes.at, bytes.length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes = view_from(bytes, (size_t)n);
    }
    return true;
}

static bool take(int file, uint8_t *into, size_t length)
{
    while (length > 0) {
        ssize_t n = recv(file, into, length, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        into += n;
        length -= (size_t)n;
    }
    return true;
}

enum saslauthd_verdict saslauthd_answer(int file)
{
    uint8_t head[2], text[ANSWER_MIN];
    if (!take(file, head, sizeof head)) {
        return SASLAUTHD_UNKNOWN;
    }
    size_t length = (size_t)head[0] << 8 | head[1];
    if (length < ANSWER_MIN || length > ANSWER_MAX || !take(file, text, sizeof text)) {
        return SASLAUTHD_UNKNOWN;
    }
    struct view word = view_of(text, sizeof text);
    return view_is(word, "OK")   ? SASLAUTHD_YES
           : view_is(word, "NO") ? SASLAUTHD_NO
                                 : SASLAUTHD_UNKNOWN;
}

enum saslauthd_verdict saslauthd_ask(const char *path, struct view user, struct view password,
                                     const char *service)
{
    uint8_t memory[QUERY_MAX];
    struct writer query;
    enum saslauthd_verdict verdict = SASLAUTHD_UNKNOWN;
    writer_init_fixed(&query, memory, sizeof memory);
    put_field(&query, user);
    put_field(&query, password);
    put_field(&query, view_from_string(service));
    put_field(&query, view_of(NULL, 0)); /* no realm */
    int file = writer_ok(&query) ? dial(path) : -1;
    if (file >= 0) {
        if (send_all(file, writer_view(&query))) {
            verdict = saslauthd_answer(file);
        }
        close(file);
    }
    secret_cleanse(memory, sizeof memory);
    return verdict;
}
