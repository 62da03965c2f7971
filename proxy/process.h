/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: a running Setu: a thread for each worker, signals, logs, counters, and the order in which all of it ends.
 *
 *   main thread: signals ──▶ worker 0   worker 1  …   each: loop, clusters, listeners, sessions, SSL_CTXs, counters
 */
#pragma once

struct run_options {
    const char *config_file;
    const char *stats_file; /* NULL: none; else rewritten every second, Prometheus text */
};

/**
 * Loads the configuration and all it names, starts the workers, and stays until told to stop (TERM, INT: drain, again:
 * at once; QUIT: at once; USR1: counters to the log and the log file opened anew). Returns the process's exit status:
 * 0 ok, 1 a worker could not start, 78 bad configuration (all problems have been printed to standard error).
 */
int process_run(const struct run_options *options);
