/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/world.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

bool world_random(void *context, uint8_t *at, size_t length)
{
    (void)context;
    while (length > 0) {
        ssize_t n = getrandom(at, length, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        length -= (size_t)n;
    }
    return true;
}

int64_t world_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
