/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/passwords.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "conf/paths.h"
#include "proxy/control.h"
#include "proxy/ops/log.h"
#include "proxy/process_private.h"
#include "proxy/shared.h"
#include "proxy/written.h"

/* What libraries read of the machine, most of it at the first name that is looked up. */
static void add_machine(struct landlock *landlock)
{
    static const char *const read[] = {"/etc", "/usr", "/lib", "/lib32", "/lib64", "/proc", "/sys",
                                       /* where resolv.conf and the name service lead to */
                                       "/run/systemd/resolve", "/run/resolvconf",
                                       "/run/NetworkManager", "/run/nscd", "/run/systemd/userdb",
                                       "/var/lib/sss", "/var/cache/nscd", "/var/kerberos",
                                       "/dev/zero", "/dev/random", "/dev/urandom"};
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
        (void)landlock_add(landlock, read[i], false);
    }
    (void)landlock_add(landlock, "/dev/null", true);
}

/* Files that the environment names in place of the machine's; a list for Kerberos. */
static void add_environment(struct landlock *landlock)
{
    static const char *const names[] = {"OPENSSL_CONF", "KRB5_CONFIG", "SOFTHSM2_CONF"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *copy = getenv(names[i]) != NULL ? strdup(getenv(names[i])) : NULL;
        char *rest = NULL;
        for (char *file = copy != NULL ? strtok_r(copy, ":", &rest) : NULL; file != NULL;
             file = strtok_r(NULL, ":", &rest)) {
            (void)landlock_add_file(landlock, file, false);
        }
        free(copy);
    }
}

static void add_path(void *context, enum conf_path_kind kind, const char *path,
                     struct conf_place place)
{
    (void)place;
    if (kind == CONF_PATH_READ) {
        (void)landlock_add_file(context, path, false);
    } else if (kind == CONF_PATH_READ_FOLDER) {
        (void)landlock_add(context, path, false);
    } /* to connect to a socket is not to open */
}

static void add_written(void *context, const struct written *written)
{
    if (written->folder) {
        (void)landlock_add(context, written->path, true);
    } else {
        (void)landlock_add_file(context, written->path, true);
    }
}

static void add_credential(void *context, const char *path)
{
    (void)landlock_add_file(context, path, false);
}

static void add_all(struct process *process)
{
    const struct config *config = process->shared->config;
    struct landlock *landlock = &process->landlock;
    char control[CONTROL_PATH_SIZE];
    add_machine(landlock);
    add_environment(landlock);
    (void)landlock_add_file(landlock, process->options->config_file, false);
    config_paths(config, add_path, landlock);
    for (size_t i = 0; i < process->shared->secret_count; i++) {
        passwords_files(process->shared->secrets[i].passwords, add_credential, landlock);
    }
    /* Its folder may have to be made, which cannot be done later. */
    (void)!control_path(config->control.socket, process->options->config_file, control);
    written_each(config, process->options->config_file, process->options->stats_file, add_written,
                 landlock);
}

bool process_enter_landlock(struct process *process)
{
    const enum conf_landlock wanted = process->shared->config->security.landlock;
    if (wanted == CONF_LANDLOCK_OFF) {
        return true;
    }
    add_all(process);
    if (landlock_enter(&process->landlock)) {
        return true;
    }
    process->landlock_error = errno;
    if (wanted == CONF_LANDLOCK_REQUIRED) {
        fprintf(stderr,
                "setu: this kernel does not limit which files are opened (%s); security.landlock: "
                "best_effort starts all the same\n",
                strerror(errno));
        return false;
    }
    return true;
}

static void log_broad(void *context, const struct written *written)
{
    char folder[PATH_MAX];
    (void)context;
    if (landlock_is_broad(written->path, written->folder, folder)) {
        struct log_field fields[] = {
            log_str("folder", folder),
            log_str("path", written->path),
            log_str("text", "it is written there, and so everything there can be"),
            log_str("fix", written->elsewhere),
        };
        log_write(LOG_LEVEL_WARN, "landlock_broad", fields, 4);
    }
}

void process_log_landlock(const struct process *process)
{
    if (process->landlock.on) {
        struct log_field fields[] = {
            log_uint("folders", process->landlock.count),
            log_int("version", landlock_version()),
            log_str("text", "no file outside of these can be opened from here on"),
        };
        log_write(LOG_LEVEL_INFO, "landlock_on", fields, 3);
        written_each(process->shared->config, process->options->config_file,
                     process->options->stats_file, log_broad, NULL);
    } else if (process->landlock_error != 0) {
        struct log_field fields[] = {log_str("error", strerror(process->landlock_error))};
        log_write(LOG_LEVEL_WARN, "landlock_failed", fields, 1);
    }
}

struct reach_check {
    const struct landlock *landlock;
    struct conf_errors *errors;
};

static void check_path(void *context, enum conf_path_kind kind, const char *path,
                       struct conf_place place)
{
    const struct reach_check *check = context;
    /* What is written is opened once, and asks for a takeover anyway. */
    if ((kind == CONF_PATH_READ || kind == CONF_PATH_READ_FOLDER) &&
        !landlock_reaches(check->landlock, path)) {
        conf_errors_add(check->errors, place,
                        "%s lies outside of the folders that this process may open "
                        "(security.landlock; take over: send SIGUSR2, or `setu run --takeover`)",
                        path);
    }
}

void process_check_landlock(const struct process *process, struct conf_errors *errors)
{
    struct conf_errors ignored;
    struct reach_check check = {&process->landlock, errors};
    if (!process->landlock.on) {
        return;
    }
    conf_errors_init(&ignored);
    struct config *next = config_load(process->options->config_file, &ignored);
    if (next != NULL) {
        config_paths(next, check_path, &check);
    }
    config_unref(&next);
    conf_errors_deinit(&ignored);
}
