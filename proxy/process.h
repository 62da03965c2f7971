/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: a running Setu: a thread for each worker, signals, logs, counters, and the order in which all of it ends.
 *
 *   main thread: signals, control socket ──▶ worker 0   worker 1  …   each: loop, clusters, listeners, sessions
 *
 *   process.c              start, signals, end
 *   process_round.c        one thing done by every worker, and then by us
 *   process_control.c      what comes by the control socket
 *   process_reload.c       HUP, `setu reload`: a new snapshot beside the old one, then a swap in every worker
 *   process_predecessor.c  USR2: another process takes over while we serve, and what if it does not
 *   process_successor.c    `setu run --takeover`: we take over
 *   process_watchdog.c     the service manager hears that every loop turns
 */
#pragma once

#include <stdbool.h>

struct conf_errors;

struct run_options {
    const char *config_file;
    const char *stats_file; /* NULL: none; else rewritten every second, Prometheus text */
    bool takeover;          /* from the process that runs with config_file, if there is one */
    void (*problems)(const struct conf_errors *errors); /* prints what is wrong with config_file */
};

/**
 * Loads the configuration and all it names, starts the workers, and stays until told to stop (TERM, INT: drain, again:
 * at once; QUIT: at once; USR1: counters to the log and the log file opened anew; HUP: reload; USR2: start our own
 * command again, to take over) or until another process has taken over and the last session has ended. Returns the
 * process's exit status: 0 ok, 1 a worker could not start or the takeover failed, 78 bad configuration (all problems
 * have been told by options->problems).
 */
int process_run(const struct run_options *options);
