/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line an event, logfmt or JSON, to standard error or a file.
 *
 * A line is made on the caller's stack and copied into a bounded ring under a short lock; a writer
 * thread does the I/O. So no call blocks on a disk or a pipe: when the ring is full the line is
 * dropped and counted, and the next line that gets through is followed by one that says how many
 * were lost. Before log_init and after log_shutdown lines go straight to standard error. Every
 * function but log_init and log_shutdown may be called from any thread.
 *
 * Whatever a peer sent may be given as a value: see log_line.h for how it is made harmless.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/ops/log_line.h"

struct log_params {
    enum log_level level;
    enum log_format format;
    const char *file;  /* "-", empty or NULL: standard error. Opened for append, mode 0640. */
    size_t ring_bytes; /* 0: 1 MiB */
};

/* Starts the writer thread. On failure (the file cannot be opened, no thread) returns a negative
 * errno; the log then keeps going to standard error. Call once, before other threads exist. */
int log_init(const struct log_params *params) __attribute__((warn_unused_result));

/* Writes out what is queued, stops the thread, closes the file. Waits at most about two seconds for
 * a stuck sink. */
void log_shutdown(void);

/* Opens the file again under its name (after it was rotated away). On failure the old one stays:
 * negative errno. */
int log_reopen(void) __attribute__((warn_unused_result));

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Lines lost since start: ring full, or the sink refused them. */
uint64_t log_dropped(void);

/* Writes one line. `event` is a short constant such as "session_closed"; fields with a NULL string
 * are left out. */
void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t count);

/* The same for a line without fields but one text: config errors, system errors. */
void log_text(enum log_level level, const char *event, const char *text);
