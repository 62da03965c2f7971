/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify: what the service manager is told and gives us: sd_notify(3) and sd_listen_fds(3), without their library.
 * Nothing happens where there is no such manager.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Lines as sd_notify(3) has them: "READY=1\nSTATUS=…". Never blocks; a failure is not told. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** "RELOADING=1" with the moment that Type=notify-reload wants. */
void notify_reloading(void);

/**
 * Descriptors that were passed to this process: *first_r and the ones after it, close-on-exec from here on. Returns how
 * many; the environment no longer speaks of them. Once, before threads.
 */
size_t notify_sockets(int *first_r);

/**
 * The interval in which the manager wants to hear "WATCHDOG=1" from this process, ms; 0: it does not. A successor,
 * which inherits the environment of whom it takes over from, is meant as well: WATCHDOG_PID no longer names its
 * predecessor. Once, before threads and children.
 */
uint64_t notify_watchdog_ms(void);
