/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: what the kernel does for us from here on, and no more (seccomp, by libseccomp).
 *
 *   on the list          done
 *   not on the list      ENOSYS: libraries fall back, as on an old kernel
 *   never needed by us,  the process ends at once with SIGSYS: starting programs, reading other processes, mounting,
 *   and a break-in       loading code into the kernel, raw sockets, turning back the clock
 *
 * New processes and memory that can be written and executed are refused with EPERM. Which files may be opened is not
 * looked at here: that is the service manager's part (deploy/systemd).
 */
#pragma once

#include <stdbool.h>

/**
 * For all threads of this process, those to come included; for good. False: nothing was done, errno says why (EINVAL,
 * ENOSYS: the kernel has no seccomp).
 */
bool sandbox_enter(void) __attribute__((warn_unused_result));
