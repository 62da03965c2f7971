/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats_file: a thread that rewrites a file with the counters, for whoever scrapes files.
 */
#pragma once

#include "proxy/ops/stats.h"

struct stats_file;

/* Fills *sum_r with a fresh sum; called on the thread of the file. */
typedef void (*stats_collect_fn)(void *context, struct stats *sum_r);

/* Rewrites `path` now and every interval_ms: a temporary file beside it, then rename, so that a
 * reader never sees half a page. The first failure to write of a row is logged. NULL when there is
 * no memory or no thread. *names is copied. */
struct stats_file *stats_file_start(const char *path, unsigned interval_ms,
                                    const struct stats_names *names, stats_collect_fn collect,
                                    void *context) __attribute__((warn_unused_result));

/* Writes a last time and ends the thread. *file = NULL; NULL is fine. */
void stats_file_stop(struct stats_file **file);
