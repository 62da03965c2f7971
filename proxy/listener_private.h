/* SPDX-License-Identifier: Apache-2.0 */
/* listener_private: the inside of struct listener, for listener.c and those who do parts of its work: port, accept,
 * door. Of one loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "proxy/door.h"
#include "proxy/listener.h"
#include "proxy/port.h"

struct listener {
    struct world *world;
    struct door *door; /* for those who come now */
    struct port *ports;
    uv_timer_t rest; /* then ports are polled again, and a refused bootstrap port is tried again */
    uv_timer_t unready; /* then who waits in sockets that came listening has waited enough */
    size_t open_handles;
    size_t sessions; /* of all its doors */
    int spare_fd;
    unsigned life;   /* grows with each door: where nodes are may have changed */
    bool open;       /* its cluster can be served: until then nothing is accepted */
    bool turns_away; /* while it is not open: who connects all the same is let go at once */
    bool refused;    /* the bootstrap port was somebody else's when it was to be opened */
    bool held;       /* a predecessor still accepts */
    bool suspended;  /* a successor accepts */
    bool stopped;
};

/* As the newest edition has it. */
static inline const struct conf_listener *listener_conf(const struct listener *listener)
{
    return listener->door->gate.conf;
}
