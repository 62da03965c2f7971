/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waste: makes a session do something superfluous at every event of its client leg, counted as if Setu did it. With
 * this the gate shows that it can fail.
 */
#pragma once

#include <stdbool.h>

struct session;

/* what: "heap", "syscalls" or "instructions"; false: none of these. Every session gets the same. */
bool waste_in(struct session *s, const char *what);
