/* SPDX-License-Identifier: Apache-2.0 */
/*
 * written: every place where a Setu that runs makes or writes files: by its configuration, its options, and the
 * libraries' environment. What Landlock opens for writing, the log warns of and `setu doctor` judges goes by this.
 * Not looked at: default_rcache_name of krb5.conf, whose folder security.writable has to name.
 */
#pragma once

#include <stdbool.h>

struct config;

struct written {
    const char *path; /* a file, beside which others may be made, or a folder; it may be to come */
    bool folder;
    const char *elsewhere; /* how to have it in another folder; for the process's life */
};

typedef void (*written_fn)(void *context, const struct written *written);

/** Nothing is made. stats_file NULL: none. Reads the environment, as of this process and its user. */
void written_each(const struct config *config, const char *config_file, const char *stats_file,
                  written_fn fn, void *context);
