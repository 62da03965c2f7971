/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/safe_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER = O_PATH | O_DIRECTORY | O_CLOEXEC,
    /* O_NONBLOCK: a FIFO put in the place of the file must not stop us before fstat refuses it. */
    FILE_TO_READ = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
};

static void close_quietly(int fd)
{
    const int number = errno;
    close(fd);
    errno = number;
}

static bool is_ours(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

/* Could anybody else have made this link, or exchange it? */
static bool is_safe(int folder, const struct stat *link)
{
    struct stat st;
    const bool known = fstat(folder, &st) == 0;
    const bool alone = known && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    const bool sticky = known && (st.st_mode & S_ISVTX) != 0;
    return known && is_ours(link) && is_ours(&st) && (alone || sticky);
}

static int open_path(int folder, const char *path, int flags, int *links);

static int follow(int folder, const char *name, const struct stat *link, int flags, int *links)
{
    char target[PATH_MAX];
    if (--*links < 0 || !is_safe(folder, link)) {
        errno = ELOOP;
        return -1;
    }
    const ssize_t length = readlinkat(folder, name, target, sizeof(target));
    if (length <= 0 || (size_t)length >= sizeof(target)) {
        errno = length < 0 ? errno : ENAMETOOLONG;
        return -1;
    }
    target[length] = '\0';
    return open_path(folder, target, flags, links);
}

static int open_name(int folder, const char *name, int flags, int *links)
{
    struct stat st;
    const int fd = openat(folder, name, flags | O_NOFOLLOW);
    if (fd >= 0) {
        return fd;
    }
    const int number = errno;
    const bool link = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
    errno = number;
    return link ? follow(folder, name, &st, flags, links) : -1;
}

/* What a link says, step by step. */
static int open_path(int folder, const char *path, int flags, int *links)
{
    int at = path[0] == '/' ? open("/", FOLDER) : openat(folder, ".", FOLDER);
    const char *next = path + strspn(path, "/");
    while (at >= 0 && next != NULL) {
        char name[NAME_MAX + 1];
        const size_t length = strcspn(next, "/");
        const char *rest = next + length + strspn(next + length, "/");
        if (length == 0 || length >= sizeof(name)) {
            errno = length == 0 ? EISDIR : ENAMETOOLONG;
            close_quietly(at);
            return -1;
        }
        memcpy(name, next, length);
        name[length] = '\0';
        next = rest[0] != '\0' ? rest : NULL;
        const int fd = open_name(at, name, next != NULL ? FOLDER : flags, links);
        close_quietly(at);
        at = fd;
    }
    return at;
}

int safe_file_open(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t length = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    const char *name = path + length;
    int links = SAFE_FILE_LINKS_MAX;
    if (name[0] == '\0' || length + 2 > sizeof(folder)) {
        errno = name[0] == '\0' ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, length);
    memcpy(folder + length, ".", 2);
    const int at = open(folder, FOLDER);
    if (at < 0) {
        return -1;
    }
    const int fd = open_name(at, name, FILE_TO_READ, &links);
    close_quietly(at);
    return fd;
}
