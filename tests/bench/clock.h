/* SPDX-License-Identifier: Apache-2.0 */
/* Time and CPU time, all in nanoseconds. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

uint64_t clock_now_ns(void);
/* CPU time of this process. */
uint64_t clock_cpu_ns(void);
/* CPU time of all threads of another process, /proc/PID/task/<each>/schedstat: counted by the
 * scheduler, not sampled by the tick as /proc/PID/stat is. 0: no such process. */
uint64_t clock_cpu_of_ns(pid_t pid);
