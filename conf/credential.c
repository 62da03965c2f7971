/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/credential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "conf/paths.h"

static const char prefix[] = "credential:";

enum { PREFIX_BYTES = sizeof prefix - 1 };

bool credential_named(const char *text)
{
    return strncmp(text, prefix, PREFIX_BYTES) == 0;
}

const char *credential_problem(const char *text)
{
    const char *name = text + PREFIX_BYTES;
    const size_t length = strlen(name);
    if (length == 0) {
        return "names no credential (write for example credential:orders.key)";
    }
    if (strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return "is no name of a credential (one without '/', as LoadCredential= has it)";
    }
    return length > NAME_MAX ? "is too long for a credential (255 bytes at most)" : NULL;
}

const char *credential_resolve(const char *text, char path_r[PATH_MAX])
{
    const bool named = credential_named(text);
    const char *folder = named ? getenv("CREDENTIALS_DIRECTORY") : "";
    const char *problem = named ? credential_problem(text) : NULL;
    if (problem == NULL && (folder == NULL || (named && folder[0] != '/'))) {
        problem = "is a credential, but CREDENTIALS_DIRECTORY names no folder (the service manager "
                  "sets it for a unit with LoadCredential=; by hand, set it to "
                  "/run/credentials/setu.service)";
    }
    const bool path = named && problem == NULL;
    const int length = snprintf(path_r, PATH_MAX, "%s%s%s", path ? folder : "", path ? "/" : "",
                                path ? text + PREFIX_BYTES : text);
    return problem == NULL && length >= PATH_MAX ? "is too long for a path" : problem;
}

struct check {
    struct conf_errors *errors;
    bool good;
};

static void check_path(void *context, enum conf_path_kind kind, const char *path,
                       struct conf_place place)
{
    struct check *check = context;
    char whole[PATH_MAX];
    const char *problem = kind == CONF_PATH_READ ? credential_resolve(path, whole) : NULL;
    if (problem != NULL) {
        conf_errors_add(check->errors, place, "'%.300s' %s", path, problem);
        check->good = false;
    }
}

bool credential_check(const struct config *config, struct conf_errors *errors)
{
    struct check check = {.errors = errors, .good = true};
    config_paths(config, check_path, &check);
    return check.good;
}
