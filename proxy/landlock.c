/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface as of linux/landlock.h, which older systems do not have. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum { CREATE_VERSION = 1, RULE_BENEATH = 1 };

enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_FOLDER = 1 << 3,
    REMOVE_FOLDER = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_CHAR = 1 << 6,
    MAKE_FOLDER = 1 << 7,
    MAKE_FILE = 1 << 8,
    MAKE_SOCKET = 1 << 9,
    MAKE_FIFO = 1 << 10,
    MAKE_BLOCK = 1 << 11,
    MAKE_LINK = 1 << 12,
    TRUNCATE = 1 << 14, /* version 3 */
};

enum {
    OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE,
    READING = READ_FILE | READ_FOLDER,
    WRITING = WRITE_FILE | REMOVE_FILE | MAKE_FOLDER | MAKE_FILE | MAKE_SOCKET | TRUNCATE,
};

struct ruleset {
    uint64_t handled_files;
};

struct __attribute__((packed)) rule {
    uint64_t allowed;
    int32_t parent;
};

/* Never to be opened up as the folder of a file: with one of these everything would be open. */
static bool is_too_much(const char *folder)
{
    static const char *const all[] = {"/",    "/home", "/mnt", "/opt",     "/root",   "/run",
                                      "/srv", "/tmp",  "/var", "/var/lib", "/var/tmp"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(folder, all[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Where much else lies: for a warning only, since many a Setu that runs well writes there. */
static bool is_others(const char *folder)
{
    static const char *const all[] = {
        "/boot",  "/dev",         "/dev/shm", "/etc",       "/etc/*",      "/home/*",
        "/media", "/proc",        "/sys",     "/var/cache", "/run/user/*", "/usr",
        "/usr/*", "/usr/local/*", "/var/log", "/var/mail",  "/var/spool",  "/var/spool/*"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (fnmatch(all[i], folder, FNM_PATHNAME) == 0) {
            return true;
        }
    }
    return is_too_much(folder);
}

int landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, CREATE_VERSION);
    return version > 0 ? (int)version : 0;
}

/* A name has its mode in front of it. */
static bool note(struct landlock *landlock, const char *path, bool written)
{
    for (size_t i = 0; i < landlock->count; i++) {
        char *known = landlock->folders[i];
        if (strcmp(known + 1, path) == 0) {
            known[0] = written ? 'w' : known[0];
            return true;
        }
    }
    size_t length = strlen(path);
    char *copy = landlock->count < LANDLOCK_ROOM ? malloc(length + 2) : NULL;
    if (copy == NULL) {
        return false;
    }
    copy[0] = written ? 'w' : 'r';
    memcpy(copy + 1, path, length + 1);
    landlock->folders[landlock->count++] = copy;
    return true;
}

bool landlock_add(struct landlock *landlock, const char *folder, bool written)
{
    char whole[PATH_MAX];
    return realpath(folder, whole) != NULL && note(landlock, whole, written);
}

/* "a/b" is in "a", "b" in ".", "/b" in "/". */
static void folder_of(const char *file, char folder_r[PATH_MAX])
{
    const char *slash = strrchr(file, '/');
    size_t length = slash == NULL ? 0 : slash == file ? 1 : (size_t)(slash - file);
    if (length == 0 || length >= PATH_MAX) {
        folder_r[0] = '.';
        folder_r[1] = '\0';
        return;
    }
    memcpy(folder_r, file, length);
    folder_r[length] = '\0';
}

/* A file in a folder that holds too much is opened up alone. */
static bool add_place(struct landlock *landlock, const char *file, bool written)
{
    char folder[PATH_MAX], whole[PATH_MAX];
    folder_of(file, folder);
    if (realpath(folder, whole) == NULL) {
        return false;
    }
    return note(landlock, !written && is_too_much(whole) ? file : whole, written);
}

bool landlock_add_file(struct landlock *landlock, const char *file, bool written)
{
    char target[PATH_MAX];
    bool good = add_place(landlock, file, written);
    return (realpath(file, target) == NULL || add_place(landlock, target, written)) && good;
}

static bool lies_among_others(const char *file, char folder_r[PATH_MAX])
{
    char folder[PATH_MAX];
    folder_of(file, folder);
    return realpath(folder, folder_r) != NULL && is_others(folder_r);
}

bool landlock_is_broad(const char *path, bool folder, char broad_r[PATH_MAX])
{
    char target[PATH_MAX];
    if (folder) {
        return realpath(path, broad_r) != NULL && is_others(broad_r);
    }
    return lies_among_others(path, broad_r) ||
           (realpath(path, target) != NULL && lies_among_others(target, broad_r));
}

static bool add_rule(int ruleset, const char *name, uint64_t handled)
{
    struct stat st;
    struct rule rule = {.allowed = READING | (name[0] == 'w' ? WRITING : 0)};
    rule.parent = open(name + 1, O_PATH | O_CLOEXEC);
    if (rule.parent < 0 || fstat(rule.parent, &st) != 0) {
        return false;
    }
    rule.allowed &= handled & (S_ISDIR(st.st_mode) ? UINT64_MAX : OF_FILES);
    bool good = syscall(SYS_landlock_add_rule, ruleset, RULE_BENEATH, &rule, 0) == 0;
    int error = errno;
    close(rule.parent);
    errno = error;
    return good;
}

bool landlock_enter(struct landlock *landlock)
{
    const int version = landlock_version();
    const struct ruleset handled = {
        .handled_files = EXECUTE | WRITE_FILE | READ_FILE | READ_FOLDER | REMOVE_FOLDER |
                         REMOVE_FILE | MAKE_CHAR | MAKE_FOLDER | MAKE_FILE | MAKE_SOCKET |
                         MAKE_FIFO | MAKE_BLOCK | MAKE_LINK | (version >= 3 ? TRUNCATE : 0)};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    bool good = ruleset >= 0;
    for (size_t i = 0; good && i < landlock->count; i++) {
        /* What has gone since it was noted cannot be opened anyway. */
        good = add_rule(ruleset, landlock->folders[i], handled.handled_files) || errno == ENOENT ||
               errno == EACCES;
    }
    good = good && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int error = errno;
    if (ruleset >= 0) {
        close(ruleset);
    }
    errno = error;
    landlock->on = good;
    return good;
}

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 &&
           (path[length] == '\0' || path[length] == '/' || folder[length - 1] == '/');
}

bool landlock_reaches(const struct landlock *landlock, const char *file)
{
    char folder[PATH_MAX], whole[PATH_MAX];
    if (!landlock->on) {
        return true;
    }
    if (realpath(file, whole) == NULL) { /* not there, or not to be seen: its folder counts */
        folder_of(file, folder);
        if (realpath(folder, whole) == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < landlock->count; i++) {
        if (lies_in(whole, landlock->folders[i] + 1)) {
            return true;
        }
    }
    return false;
}

void landlock_free(struct landlock *landlock)
{
    for (size_t i = 0; i < landlock->count; i++) {
        free(landlock->folders[i]);
    }
    landlock->count = 0;
}
