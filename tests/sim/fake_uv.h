/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_uv: the functions of libuv that a worker uses, over the simulator's clock and sockets, under libuv's own names:
 * the program's take the place of the library's. What libuv promises is kept (order of timers, close callbacks last
 * and in their own part of a turn, a poll handle stopped by a socket error, work that cannot be cancelled once begun);
 * what it leaves open, such as the order of ready sockets, is drawn.
 *
 * A function of libuv that is not here and touches a loop or a handle would meet memory that libuv did not fill: add
 * it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/** Called after each turn of the loop; may look at Setu, not change it. */
extern void (*fake_uv_after_turn)(void);

/** Loop time as Setu sees it. */
uint64_t fake_uv_now_ms(void);

/** Handles and requests that live; 0 once a worker has been freed. */
size_t fake_uv_alive(void);

/** Forgets everything, without a callback: after a run that is over anyhow. */
void fake_uv_reset(void);
