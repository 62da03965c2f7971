/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gate/waste.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/session/session.h"

enum { WASTED_TURNS = 100 };

static leg_fn inner;

static void waste_heap(struct leg *leg, enum leg_event event)
{
    void *volatile block = malloc(64);
    free(block);
    inner(leg, event);
}

static void waste_syscall(struct leg *leg, enum leg_event event)
{
    char byte;
    (void)!recv(leg->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    inner(leg, event);
}

static void waste_instructions(struct leg *leg, enum leg_event event)
{
    for (volatile int i = 0; i < WASTED_TURNS; i++) {
    }
    inner(leg, event);
}

bool waste_in(struct session *s, const char *what)
{
    inner = s->client.on_event;
    if (strcmp(what, "heap") == 0) {
        s->client.on_event = waste_heap;
    } else if (strcmp(what, "syscalls") == 0) {
        s->client.on_event = waste_syscall;
    } else if (strcmp(what, "instructions") == 0) {
        s->client.on_event = waste_instructions;
    } else {
        return false;
    }
    return true;
}
