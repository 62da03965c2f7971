/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared: the configuration and every file it names, loaded and checked as one: what `setu run` serves with and what
 * `setu check` judges. Both use this, so a configuration that passes the check also starts.
 */
#pragma once

#include "proxy/session/world.h"

struct conf_errors;

/**
 * Loads everything but what is the process's own (audit, visitors, session_ids), which the caller sets. One reference,
 * the caller's. NULL when anything is wrong: every problem found is in errors. Blocking reads:
 * start-up, checks, and reloads off the workers.
 */
struct shared *shared_load(const char *config_file, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/** Any thread. The last one wipes and frees. shared_unref nulls, and accepts NULL. */
struct shared *shared_ref(struct shared *shared);
void shared_unref(struct shared **shared);
