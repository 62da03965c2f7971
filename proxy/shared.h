/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared: the configuration and every file it names, loaded and checked as one: what `setu run` serves with and what
 * `setu check` judges. Both use this, so a configuration that passes the check also starts.
 */
#pragma once

#include "proxy/session/world.h"

struct conf_errors;

/**
 * Loads everything but the audit log. NULL when anything is wrong: every problem found is in errors. Blocking reads:
 * start-up and checks only.
 */
struct shared *shared_load(const char *config_file, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/** Wipes and frees; the workers must have ended. *shared = NULL; NULL is fine. */
void shared_free(struct shared **shared);
