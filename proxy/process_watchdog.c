/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager's watchdog (WatchdogSec=, sd_watchdog_enabled(3)): it is fed from the main thread's loop, four
 * times in its interval, if every worker's loop has answered since the last time. So a loop that is stuck, anyone's,
 * ends the process, and the manager starts it anew. Of two processes the one that serves new connections feeds it.
 */
#include <inttypes.h>

#include "proxy/ops/log.h"
#include "proxy/ops/notify.h"
#include "proxy/process_private.h"

enum { LOAD_MS = 600000 };

static void beat_run(struct worker *worker, struct worker_task *task)
{
    struct process_worker *of =
        (struct process_worker *)((char *)task - offsetof(struct process_worker, beat));
    (void)worker;
    atomic_store(&of->asked, false);
}

/* Asks it again; false: it has not answered the last time. */
static bool is_alive(struct process_worker *of)
{
    if (atomic_exchange(&of->asked, true)) {
        return false;
    }
    of->beat.run = beat_run;
    worker_post(of->worker, &of->beat);
    return true;
}

/* Workers that drain answer nothing, and end by limits.drain_timeout_ms. */
static bool all_alive(struct process *process)
{
    size_t stuck = 0;
    for (size_t i = 0; i < process->worker_count && process->order == WORKER_GO_ON; i++) {
        stuck += is_alive(&process->workers[i]) ? 0 : 1;
    }
    if (stuck > 0 && !process->watchdog_stuck) {
        struct log_field fields[] = {
            log_uint("workers", stuck),
            log_str("text", "no answer for a quarter of WatchdogSec=: the watchdog is not fed")};
        log_write(LOG_LEVEL_ERROR, "worker_stuck", fields, 2);
    }
    process->watchdog_stuck = stuck > 0;
    return stuck == 0;
}

static void on_watchdog(uv_timer_t *timer)
{
    if (all_alive(timer->data)) {
        notify_send("WATCHDOG=1");
    }
}

/* The manager may have been told to wait for nothing: by a predecessor, or by us before a successor failed. */
void process_watchdog_start(struct process *process)
{
    if (process->watchdog_ms > 0) {
        notify_send("WATCHDOG_USEC=%" PRIu64, process->watchdog_ms * 1000);
        const uint64_t part_ms = process->watchdog_ms / 4 > 0 ? process->watchdog_ms / 4 : 1;
        uv_timer_start(&process->watchdog, on_watchdog, 0, part_ms);
    }
}

/* Whoever serves from here on may know of no watchdog: an older Setu, or one that was started by hand. */
void process_watchdog_stop(struct process *process)
{
    if (process->watchdog_ms > 0) {
        uv_timer_stop(&process->watchdog);
        notify_send("WATCHDOG_USEC=0");
    }
}

void process_watchdog_extend(struct process *process, bool on)
{
    const uint64_t usual_ms = process->watchdog_ms;
    const uint64_t ms = on && usual_ms < LOAD_MS ? LOAD_MS : usual_ms;
    if (usual_ms > 0) {
        notify_send("WATCHDOG=1\nWATCHDOG_USEC=%" PRIu64, ms * 1000);
    }
}
