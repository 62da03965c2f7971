/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/audit_verify.h"
#include "proxy/ops/log.h"

enum { OPEN_TRIES = 3, SEQ_DIGITS = 12, MODE = 0640 };

static const char busy[] = "another process is writing it";

/* ---- names ---- */

static void folder_of(const char *path, char out[AUDIT_FILE_NAME_SIZE])
{
    char copy[AUDIT_FILE_NAME_SIZE];
    snprintf(copy, sizeof copy, "%s", path);
    snprintf(out, AUDIT_FILE_NAME_SIZE, "%s", dirname(copy));
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool digits(const char **at, uint64_t *number_r)
{
    const char *from = *at;
    for (*number_r = 0; **at >= '0' && **at <= '9' && *at - from < 19; ++*at) {
        *number_r = *number_r * 10 + (uint64_t)(**at - '0');
    }
    return *at - from >= SEQ_DIGITS;
}

bool audit_file_name(const char *name, size_t *stem_r, uint64_t *first_r, uint64_t *last_r)
{
    const char *dot = strrchr(name, '.');
    if (dot == NULL || dot == name) {
        return false;
    }
    const char *at = dot + 1;
    if (!digits(&at, first_r) || *at++ != '-' || !digits(&at, last_r) || *at != '\0') {
        return false;
    }
    if (*first_r == 0 || *first_r > *last_r) {
        return false;
    }
    *stem_r = (size_t)(dot - name);
    return true;
}

static int by_number(const void *a, const void *b)
{
    const struct audit_file_ended *one = a, *other = b;
    return one->first_seq < other->first_seq ? -1 : one->first_seq > other->first_seq ? 1 : 0;
}

static void list_add(struct audit_file_ended **list, size_t *count, const char *folder,
                     const char *name, uint64_t first_seq, uint64_t last_seq)
{
    struct audit_file_ended *grown = realloc(*list, (*count + 1) * sizeof *grown);
    char *path = NULL;
    if (grown == NULL || asprintf(&path, "%s/%s", folder, name) < 0) {
        abort();
    }
    grown[(*count)++] = (struct audit_file_ended){path, first_seq, last_seq};
    *list = grown;
}

size_t audit_file_list(const char *path, struct audit_file_ended **ended_r)
{
    char folder[AUDIT_FILE_NAME_SIZE];
    size_t count = 0;
    *ended_r = NULL;
    folder_of(path, folder);
    DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t stem = 0;
        uint64_t first_seq = 0, last_seq = 0;
        if (audit_file_name(entry->d_name, &stem, &first_seq, &last_seq) &&
            stem == strlen(name_of(path)) && memcmp(entry->d_name, name_of(path), stem) == 0) {
            list_add(ended_r, &count, folder, entry->d_name, first_seq, last_seq);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    if (count > 0) {
        qsort(*ended_r, count, sizeof **ended_r, by_number);
    }
    return count;
}

void audit_file_list_free(struct audit_file_ended *ended, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(ended[i].path);
    }
    free(ended);
}

/* The name of a file is durable only when its folder is. */
static bool sync_folder(const char *path)
{
    char folder[AUDIT_FILE_NAME_SIZE];
    folder_of(path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool good = fsync(fd) == 0;
    close(fd);
    return good;
}

/* ---- one descriptor ---- */

static const char *judge(int fd, bool lock)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return strerror(errno);
    }
    if (!S_ISREG(st.st_mode)) {
        return strerror(EINVAL);
    }
    /* Two writers would each continue the same chain and break it. */
    if (lock && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? busy : strerror(errno);
    }
    return NULL;
}

static bool same_file(const char *path, int fd)
{
    struct stat named, opened;
    return stat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino;
}

static int open_fd(const char *path, int flags)
{
    return open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, MODE);
}

const char *audit_file_could_open(const char *path)
{
    int fd = open_fd(path, O_CREAT);
    if (fd < 0) {
        return strerror(errno);
    }
    const char *wrong = judge(fd, false);
    close(fd);
    return wrong;
}

/* ---- what is there ---- */

/* The bytes of a file, from `from` on, mapped; empty when there are none. */
static struct view map_from(int fd, off_t from, off_t end)
{
    if (end <= from) {
        return view_of(NULL, 0);
    }
    size_t length = (size_t)(end - from);
    void *at = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, from);
    return at == MAP_FAILED ? view_of(NULL, 0) : view_of(at, length);
}

static void unmap(struct view mapped)
{
    if (mapped.length > 0) {
        munmap((void *)(uintptr_t)mapped.at, mapped.length);
    }
}

/* Keeps the bytes of a torn record beside the log: they may matter to whoever investigates. */
static void keep_torn(const char *path, struct view torn)
{
    char name[AUDIT_FILE_NAME_SIZE];
    if ((size_t)snprintf(name, sizeof name, "%s.torn", path) >= sizeof name) {
        return;
    }
    int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, MODE);
    if (fd < 0) {
        return;
    }
    if (write(fd, torn.at, torn.length) < 0) {
        struct log_field field = log_str("path", name);
        log_write(LOG_LEVEL_WARN, "audit_torn_not_kept", &field, 1);
    }
    close(fd);
}

/* The head of the chain at the end of a file that ended. */
static const char *read_ended(const char *path, struct audit_chain *chain)
{
    struct stat st;
    size_t good = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    const char *wrong =
        fd < 0 || fstat(fd, &st) != 0 ? "the file that ended before it cannot be read" : NULL;
    struct view all = wrong == NULL ? map_from(fd, 0, st.st_size) : view_of(NULL, 0);
    struct view tail =
        all.length > AUDIT_TAIL_BYTES ? view_from(all, all.length - AUDIT_TAIL_BYTES) : all;
    if (wrong == NULL && (all.length == 0 || audit_chain_resume(chain, tail, &good) != AUDIT_OK)) {
        wrong = "the file that ended before it is broken at its end (look at both with "
                "`setu audit verify`, then move them away)";
    }
    unmap(all);
    if (fd >= 0) {
        close(fd);
    }
    return wrong;
}

static uint64_t first_number(struct view log)
{
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, log);
    uint64_t seq = audit_read(&reader, &record) == AUDIT_OK ? record.seq : 0;
    audit_reader_end(&reader);
    return seq;
}

/* Continues the chain in `all`, what is in the file. *good_r: bytes that stay. chain->head is that of the file before,
 * and stays when this one has no whole record. */
static const char *resume(struct audit_chain *chain, struct view all, size_t *good_r)
{
    const struct audit_head before = chain->head;
    size_t skip = all.length > AUDIT_TAIL_BYTES ? all.length - AUDIT_TAIL_BYTES : 0;
    size_t good = 0;
    *good_r = 0;
    if (all.length == 0) {
        return NULL;
    }
    enum audit_status status = audit_chain_resume(chain, view_from(all, skip), &good);
    if (status != AUDIT_OK && status != AUDIT_TORN) {
        return "its chain is broken at the end (look at it with `setu audit verify`, then move it "
               "away)";
    }
    if (status == AUDIT_TORN && skip + good == 0) {
        chain->head = before;
        return audit_may_follow(&before, all)
                   ? NULL /* a crash in its first write */
                   : "it holds something, but no chain of audit records (name another file)";
    }
    *good_r = skip + good;
    return NULL;
}

/* ---- open ---- */

/* After a crash between the two names of one file: the second one goes. */
static void drop_second_name(const char *path, int fd, struct audit_file_ended *ended,
                             size_t *count)
{
    if (*count > 0 && same_file(ended[*count - 1].path, fd)) {
        (void)unlink(ended[*count - 1].path);
        (void)sync_folder(path);
        free(ended[--*count].path);
    }
}

static const char *settle(struct audit_file *file, struct audit_chain *chain,
                          struct audit_file_past *past)
{
    struct audit_file_ended *ended = NULL;
    struct stat st;
    size_t count = audit_file_list(file->path, &ended), good = 0;
    drop_second_name(file->path, file->fd, ended, &count);
    const char *wrong = fstat(file->fd, &st) != 0 ? strerror(errno) : NULL;
    struct view all = wrong == NULL ? map_from(file->fd, 0, st.st_size) : view_of(NULL, 0);
    if (wrong == NULL && all.length != (size_t)st.st_size) {
        wrong = "it cannot be read";
    }
    chain->head = (struct audit_head){0};
    file->first_seq = wrong == NULL ? first_number(all) : 0;
    if (wrong == NULL && file->first_seq == 0 && count > 0) {
        wrong = read_ended(ended[count - 1].path, chain);
        snprintf(past->before, sizeof past->before, "%s", name_of(ended[count - 1].path));
    }
    wrong = wrong == NULL ? resume(chain, all, &good) : wrong;
    if (wrong == NULL && good < all.length) {
        past->torn_bytes = all.length - good;
        keep_torn(file->path, view_from(all, good));
    }
    audit_last_checkpoint(view_of(all.at, good), past->key_id, &past->records_behind);
    unmap(all);
    if (wrong == NULL && past->torn_bytes > 0 && ftruncate(file->fd, (off_t)good) != 0) {
        wrong = "its torn last record cannot be cut off";
    }
    file->offset = (off_t)good;
    audit_file_list_free(ended, count);
    return wrong;
}

/* Opened and locked, and still the one of that name: another process may have begun the next meanwhile. */
static const char *open_locked(struct audit_file *file)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        file->fd = open_fd(file->path, O_CREAT);
        if (file->fd < 0) {
            return strerror(errno);
        }
        const char *wrong = judge(file->fd, true);
        if (wrong != NULL || same_file(file->path, file->fd)) {
            return wrong;
        }
        audit_file_close(file);
    }
    return busy;
}

const char *audit_file_open(struct audit_file *file, struct audit_chain *chain,
                            struct audit_file_past *past_r)
{
    *past_r = (struct audit_file_past){0};
    const char *wrong = open_locked(file);
    wrong = wrong == NULL ? settle(file, chain, past_r) : wrong;
    if (wrong != NULL) {
        audit_file_close(file);
        return wrong;
    }
    (void)sync_folder(file->path);
    return NULL;
}

void audit_file_close(struct audit_file *file)
{
    if (file->fd >= 0) {
        close(file->fd); /* and with it the lock */
    }
    file->fd = -1;
}

/* ---- writing ---- */

bool audit_file_append(struct audit_file *file, struct view bytes)
{
    size_t done = 0;
    while (done < bytes.length) {
        ssize_t n =
            pwrite(file->fd, bytes.at + done, bytes.length - done, file->offset + (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        done += (size_t)n;
    }
    if (fdatasync(file->fd) != 0) {
        return false;
    }
    file->offset += (off_t)bytes.length;
    return true;
}

/* A locked, empty file under a name of its own. */
static int make_next(const char *path, char name[AUDIT_FILE_NAME_SIZE])
{
    if ((size_t)snprintf(name, AUDIT_FILE_NAME_SIZE, "%s.next", path) >= AUDIT_FILE_NAME_SIZE) {
        errno = ENAMETOOLONG;
        return -1;
    }
    (void)unlink(name);
    int fd = open_fd(name, O_CREAT | O_EXCL);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        close(fd);
        (void)unlink(name);
        errno = error;
        return -1;
    }
    return fd;
}

bool audit_file_rotate(struct audit_file *file, uint64_t last_seq,
                       char ended_r[AUDIT_FILE_NAME_SIZE])
{
    char next[AUDIT_FILE_NAME_SIZE];
    int n = snprintf(ended_r, AUDIT_FILE_NAME_SIZE, "%s.%0*" PRIu64 "-%0*" PRIu64, file->path,
                     SEQ_DIGITS, file->first_seq, SEQ_DIGITS, last_seq);
    if (n < 0 || n >= AUDIT_FILE_NAME_SIZE) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = make_next(file->path, next);
    if (fd < 0) {
        return false;
    }
    if (link(file->path, ended_r) != 0 || rename(next, file->path) != 0) {
        int error = errno;
        (void)unlink(next);
        if (error != EEXIST && same_file(ended_r, file->fd)) {
            (void)unlink(ended_r);
        }
        close(fd);
        errno = error;
        return false;
    }
    (void)sync_folder(file->path);
    close(file->fd);
    *file = (struct audit_file){.path = file->path, .fd = fd};
    return true;
}

size_t audit_file_prune(const struct audit_file *file, size_t keep)
{
    struct audit_file_ended *ended = NULL;
    size_t count = keep > 0 ? audit_file_list(file->path, &ended) : 0, removed = 0;
    for (size_t i = 0; i + keep < count; i++) {
        removed += unlink(ended[i].path) == 0 ? 1 : 0;
    }
    audit_file_list_free(ended, count);
    return removed;
}
