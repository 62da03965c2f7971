/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

/** send(2) of Setu, with the faults planted into it. */
ssize_t fake_os_mutate(int fd, const void *bytes, size_t length);

/** Frees what is kept between runs. */
void fake_os_forget(void);
