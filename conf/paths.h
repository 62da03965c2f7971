/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paths: every file, folder and socket that a configuration names, from the key table, so that none is forgotten.
 */
#pragma once

#include <stdbool.h>

struct conf_place;
struct config;

enum conf_path_kind {
    CONF_PATH_READ,    /* a file that is read, at the start and at every reload */
    CONF_PATH_WRITTEN, /* a file that is made and written, and others beside it */
    CONF_PATH_FOLDER,  /* a folder in which files are made and written */
    CONF_PATH_READ_FOLDER,
    CONF_PATH_SOCKET,  /* of others, which is connected to */
};

typedef void (*config_path_fn)(void *context, enum conf_path_kind kind, const char *path,
                               struct conf_place place);

/** In the order of the key table; what is not given, and what is no path ("-", a URI), is passed over. */
void config_paths(const struct config *config, config_path_fn fn, void *context);
