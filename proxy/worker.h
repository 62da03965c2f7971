/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: one thread, one loop, and everything that serves clients on it. Workers share only what is immutable
 * (configuration, certificates, mapping, users) and what locks itself (log, audit log).
 *
 *   main thread: signals ──▶ worker 0   worker 1  …   each: loop, clusters, listeners, sessions, SSL_CTXs, counters
 */
#pragma once

#include <stddef.h>

struct run_options {
    const char *config_file;
    const char *stats_file; /* NULL: none; else rewritten every second, Prometheus text */
};

/**
 * Loads the configuration and all it names, starts the workers, and stays until told to stop (TERM, INT: drain, again:
 * at once; QUIT: at once; USR1: counters to the log and the log file opened anew). Returns the process's exit status:
 * 0 ok, 1 a worker could not start, 78 bad configuration (all problems have been printed to standard error).
 */
int worker_run_all(const struct run_options *options);
