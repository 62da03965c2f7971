/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the answer of saslauthd, which then hangs up. Only a whole answer that begins with OK lets anybody in,
 * and only one that begins with NO is a refusal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/saslauthd.h"

enum { SENT_MAX = 4096, ANSWER_MIN = 2, ANSWER_MAX = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum saslauthd_verdict expected(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return SASLAUTHD_UNKNOWN;
    }
    unsigned length = (unsigned)data[0] << 8 | data[1];
    if (length < ANSWER_MIN || length > ANSWER_MAX) {
        return SASLAUTHD_UNKNOWN;
    }
    return memcmp(data + 2, "OK", 2) == 0   ? SASLAUTHD_YES
           : memcmp(data + 2, "NO", 2) == 0 ? SASLAUTHD_NO
                                            : SASLAUTHD_UNKNOWN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    if (size > SENT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return 0;
    }
    if (size > 0 && send(pair[1], data, size, MSG_NOSIGNAL) != (ssize_t)size) {
        abort();
    }
    close(pair[1]);
    if (saslauthd_answer(pair[0]) != expected(data, size)) {
        abort();
    }
    close(pair[0]);
    return 0;
}
