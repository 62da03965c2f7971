/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "auth/certificates.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/landlock.h"
#include "proxy/written.h"

enum { DAY_S = 86400, SPACE_MIB = 256, PATH_SIZE = 4096 };

void doctor_judge_config(struct doctor *doctor, const struct conf_errors *errors, bool good)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct conf_error *error = &errors->items[i];
        const bool fatal = error->severity == CONF_ERROR;
        doctor_add(doctor, "configuration", fatal ? DOCTOR_FAIL : DOCTOR_WARN,
                   fatal ? "Setu does not start with it"
                         : "Setu starts with it, yet it is probably not what was meant",
                   "change the place named; `setu check` looks again", "%s:%d:%d: %s", error->file,
                   error->line, error->column, error->text);
    }
    if (good) {
        doctor_add(doctor, "configuration", DOCTOR_OK,
                   "keys, certificates and every other file were read as `setu run` reads them", "",
                   "Setu would start with it");
    }
}

void doctor_judge_certificates(struct doctor *doctor, const struct certificates *certificates,
                               int64_t now_s)
{
    for (size_t i = 0; i < certificates_count(certificates); i++) {
        const struct certificate *cert = certificates_at(certificates, i);
        const int64_t days = (cert->not_after_s - now_s) / DAY_S;
        const enum doctor_status status = !certificates_valid_at(cert, now_s) ? DOCTOR_FAIL
                                          : days < CERTIFICATES_WARN_DAYS     ? DOCTOR_WARN
                                                                              : DOCTOR_OK;
        struct doctor_finding *finding =
            doctor_add(doctor, "certificate", status,
                       "outside of its time brokers refuse whoever is shown with it", "renew it",
                       "%s: %" PRId64 " days left (%s)", cert->name, days, cert->subject);
        finding->values = json_pack("{s:s,s:I}", "name", cert->name, "days", (json_int_t)days);
    }
}

/* Files written to -------------------------------------------------------------------------- */

static void parent_of(const char *path, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s", path);
    char *slash = strrchr(out, '/');
    if (slash == NULL) {
        snprintf(out, PATH_SIZE, ".");
    } else {
        slash[slash == out ? 1 : 0] = '\0';
    }
}

/* What is in the way of opening a file as its writer will, or NULL. Nothing is created. */

static const char *making_obstacle(const char *path)
{
    char parent[PATH_SIZE];
    parent_of(path, parent);
    return access(parent, W_OK | X_OK) != 0 ? strerror(errno) : NULL;
}

/* audit_log.c reads the end before it writes, and follows no link. */
static const char *audit_obstacle(const char *path)
{
    struct stat file;
    if (lstat(path, &file) != 0) {
        return errno == ENOENT ? making_obstacle(path) : strerror(errno);
    }
    return S_ISLNK(file.st_mode)            ? "it is a symbolic link: name the file itself"
           : !S_ISREG(file.st_mode)         ? "it is no regular file"
           : access(path, R_OK | W_OK) != 0 ? strerror(errno)
                                            : NULL;
}

/* One link further; false: `path` is no link. */
static bool follow(char path[PATH_SIZE])
{
    char target[PATH_SIZE], parent[PATH_SIZE];
    const ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0) {
        return false;
    }
    target[length] = '\0';
    parent_of(path, parent);
    const int size = target[0] == '/' ? snprintf(path, PATH_SIZE, "%s", target)
                                      : snprintf(path, PATH_SIZE, "%s/%s", parent, target);
    return size < PATH_SIZE;
}

/* log.c appends to whatever it is: a file, a terminal, a pipe, and by links to any of them. */
static const char *log_obstacle(const char *path)
{
    struct stat file;
    char at[PATH_SIZE];
    snprintf(at, sizeof at, "%s", path);
    int error = stat(at, &file) != 0 ? errno : 0;
    while (error == ENOENT && follow(at)) { /* a link to nothing: that would be made */
        error = stat(at, &file) != 0 ? errno : 0;
    }
    if (error != 0) {
        return error == ENOENT ? making_obstacle(at) : strerror(error);
    }
    return S_ISDIR(file.st_mode)    ? "it is a directory"
           : S_ISSOCK(file.st_mode) ? "it is a socket"
           : access(at, W_OK) != 0  ? strerror(errno)
                                    : NULL;
}

static void judge_space(struct doctor *doctor, const char *check, const char *folder,
                        const char *why)
{
    struct statvfs disk;
    if (statvfs(folder, &disk) == 0) {
        const uint64_t free_mib = ((uint64_t)disk.f_bavail * disk.f_frsize) >> 20;
        doctor_add(doctor, check, free_mib < SPACE_MIB ? DOCTOR_WARN : DOCTOR_OK, why,
                   "make room, or put the file elsewhere", "%" PRIu64 " MiB free under %s",
                   free_mib, folder);
    }
}

static void judge_file(struct doctor *doctor, const char *check, const char *path,
                       const char *in_the_way, const char *why)
{
    doctor_add(doctor, check, in_the_way != NULL ? DOCTOR_FAIL : DOCTOR_OK, why,
               "create the directory and give it, and what is in it, to the user Setu runs as",
               "%s: %s", path, in_the_way != NULL ? in_the_way : "can be written");
}

static void judge_signing(struct doctor *doctor, const char *key)
{
    if (key == NULL || key[0] == '\0') {
        doctor_add(doctor, "audit_signing", DOCTOR_WARN,
                   "whoever may write the audit log can change it and hash it anew",
                   "make a key with `setu audit keygen` and set audit.signing_key",
                   "the audit log has no signed checkpoints");
    } else {
        doctor_add(doctor, "audit_signing", DOCTOR_OK,
                   "who may write the audit log cannot change what is signed", "",
                   "signed with the key in %s", key);
    }
}

static void judge_audit(struct doctor *doctor, const char *path, const char *key)
{
    char parent[PATH_SIZE];
    if (path[0] == '\0') {
        doctor_add(doctor, "audit", DOCTOR_WARN, "nobody can prove later who was let in as whom",
                   "set audit.file", "there is no audit log");
        return;
    }
    judge_file(doctor, "audit", path, audit_obstacle(path),
               "Setu does not start when it cannot write the audit log");
    parent_of(path, parent);
    judge_space(doctor, "audit_space", parent,
                "with `audit.on_failure: deny` a full disk refuses every login");
    judge_signing(doctor, key);
}

/* ledger.c makes files of its own names there. */
static void judge_ledger(struct doctor *doctor, const char *folder)
{
    struct stat st;
    if (folder[0] == '\0') {
        return;
    }
    const char *in_the_way = stat(folder, &st) != 0             ? strerror(errno)
                             : !S_ISDIR(st.st_mode)             ? "it is no directory"
                             : access(folder, W_OK | X_OK) != 0 ? strerror(errno)
                                                                : NULL;
    judge_file(doctor, "ledger", folder, in_the_way,
               "Setu does not start when it cannot write the ledger");
    judge_space(doctor, "ledger_space", folder, "what finds no room is missing in the ledger");
}

void doctor_judge_files(struct doctor *doctor, const struct config *config, const char *stats_file)
{
    judge_audit(doctor, config->audit.file, config->audit.signing_key);
    judge_ledger(doctor, config->ledger.directory);
    if (strcmp(config->log.file, "-") != 0) {
        judge_file(doctor, "log", config->log.file, log_obstacle(config->log.file),
                   "Setu does not start when it cannot write its log");
    }
    if (stats_file != NULL) {
        judge_file(doctor, "stats", stats_file, making_obstacle(stats_file),
                   "the counters are written to a file beside it, which then takes its place");
    }
}

static void judge_written(void *context, const struct written *written)
{
    char folder[PATH_MAX];
    if (landlock_is_broad(written->path, written->folder, folder)) {
        doctor_add(context, "landlock_folder", DOCTOR_WARN,
                   "with security.landlock on, the whole folder of what is written can be written",
                   written->elsewhere, "%s: all of %s is opened for it", written->path, folder);
    }
}

void doctor_judge_landlock(struct doctor *doctor, const struct config *config,
                           const char *config_file, const char *stats_file)
{
    if (config->security.landlock != CONF_LANDLOCK_OFF) {
        written_each(config, config_file, stats_file, judge_written, doctor);
    }
}
