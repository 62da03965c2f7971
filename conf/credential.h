/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "credential:NAME": the file NAME of the folder that $CREDENTIALS_DIRECTORY names, where systemd puts what
 * LoadCredential= gives a unit (systemd.exec(5)). Any file that Setu only reads may be named so, in the
 * configuration and in a credentials file. From there on it is a path like another: the rules for keys and
 * passwords hold for it too (systemd makes such files 0400 of the unit's user, or 0440 of root with an access
 * list for that user).
 */
#pragma once

#include <linux/limits.h>
#include <stdbool.h>

#include "conf/errors.h"

struct config;

/* Whether a text is meant so, good or not. */
bool credential_named(const char *text);

/* For such a text: what is wrong with NAME (how to fix it), or NULL. */
const char *credential_problem(const char *text);

/*
 * What to open for a good one. On a problem, which is told as by a form, it is the text itself; a text that is not
 * meant so is never a problem. Reads the environment, which nobody writes once there are threads.
 */
const char *credential_resolve(const char *text, char path_r[PATH_MAX])
    __attribute__((warn_unused_result));

/*
 * A configuration is loaded without that folder too, for whoever only wants to know what it says. Before its files are
 * opened: true when each credential has its path; the others are reported.
 */
bool credential_check(const struct config *config, struct conf_errors *errors)
    __attribute__((warn_unused_result));
