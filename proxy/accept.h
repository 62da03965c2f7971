/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept: who connects to the ports of a listener becomes a session, or is let go: while it is not open, and above the
 * limits of the visitors. A turn of the loop accepts so many, then the sessions get theirs. A full descriptor table is
 * met with a spare descriptor and a rest (T09).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct listener;
struct port;

/* From every port that may: those that listen, once the listener is open; before, those it turns clients away from. */
void accept_start(struct listener *listener);
void accept_stop(struct listener *listener);

/* Starts again in so many ms, and opens the listener anew if its port was refused. */
void accept_later(struct listener *listener, uint64_t ms);

/* From this port, whatever the others do. */
bool accept_poll(struct port *port);
