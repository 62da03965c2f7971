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

/* Can it be opened for writing, or made? What is in the way, or NULL. Nothing is created. */
static const char *obstacle(const char *path, bool replaced)
{
    struct stat file;
    char parent[PATH_SIZE];
    parent_of(path, parent);
    if (lstat(path, &file) == 0 && !replaced) {
        return !S_ISREG(file.st_mode)    ? "it is no regular file"
               : access(path, W_OK) != 0 ? strerror(errno)
                                         : NULL;
    }
    return access(parent, W_OK | X_OK) != 0 ? strerror(errno) : NULL;
}

static void judge_space(struct doctor *doctor, const char *check, const char *path)
{
    struct statvfs disk;
    char parent[PATH_SIZE];
    parent_of(path, parent);
    if (statvfs(parent, &disk) == 0) {
        const uint64_t free_mib = ((uint64_t)disk.f_bavail * disk.f_frsize) >> 20;
        doctor_add(doctor, check, free_mib < SPACE_MIB ? DOCTOR_WARN : DOCTOR_OK,
                   "with `audit.on_failure: deny` a full disk refuses every login",
                   "make room, or put the file elsewhere", "%" PRIu64 " MiB free under %s",
                   free_mib, parent);
    }
}

static void judge_file(struct doctor *doctor, const char *check, const char *path, bool replaced,
                       const char *why)
{
    const char *in_the_way = obstacle(path, replaced);
    doctor_add(doctor, check, in_the_way != NULL ? DOCTOR_FAIL : DOCTOR_OK, why,
               "create the directory and give it to the user Setu runs as", "%s: %s", path,
               in_the_way != NULL ? in_the_way : "can be written");
}

void doctor_judge_files(struct doctor *doctor, const struct config *config, const char *stats_file)
{
    if (config->audit.file[0] != '\0') {
        judge_file(doctor, "audit", config->audit.file, false,
                   "Setu does not start when it cannot write the audit log");
        judge_space(doctor, "audit_space", config->audit.file);
    } else {
        doctor_add(doctor, "audit", DOCTOR_WARN, "nobody can prove later who was let in as whom",
                   "set audit.file", "there is no audit log");
    }
    if (strcmp(config->log.file, "-") != 0) {
        judge_file(doctor, "log", config->log.file, false,
                   "Setu does not start when it cannot write its log");
    }
    if (stats_file != NULL) {
        judge_file(doctor, "stats", stats_file, true,
                   "the counters are written to a file beside it, which then takes its place");
    }
}
