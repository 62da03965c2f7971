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

/**
 * The same configuration, users, mapping and so on, with certificates, keys, authorities and revocation lists read
 * anew, if they differ and may follow the ones in use with nobody looking (tls_material.h). NULL: they do not differ,
 * and errors are as they were; or what is wrong is in errors. The process's own are taken over. Blocking reads: off
 * every loop; `before` is held by the caller.
 */
struct shared *shared_rotate(const struct shared *before, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/** Any thread. The last one wipes and frees. shared_unref nulls, and accepts NULL. */
struct shared *shared_ref(struct shared *shared);
void shared_unref(struct shared **shared);
