/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/** send(2) of Setu, with the faults planted into it. */
ssize_t fake_os_mutate(int fd, const void *bytes, size_t length);

/** The clocks are the real ones: for who runs the simulator again and again and looks at a clock in between. */
extern bool fake_os_between_runs;

/** Frees what is kept between runs. */
void fake_os_forget(void);
