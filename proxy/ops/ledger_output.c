/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t ledger_output_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t ledger_output_monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

bool ledger_output_init(struct ledger_output *o, const char *directory)
{
    *o = (struct ledger_output){.fd = -1, .ended_fd = -1, .started_ms = ledger_output_wall_ms()};
    o->directory = strdup(directory);
    if (gethostname(o->host, sizeof o->host - 1) != 0) {
        o->host[0] = '\0';
    }
    return o->directory != NULL;
}

static void close_one(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void ledger_output_free(struct ledger_output *o)
{
    close_one(&o->fd);
    close_one(&o->ended_fd);
    free(o->directory);
    o->directory = NULL;
}

static bool write_at(const struct ledger_output *o, struct view bytes, off_t offset)
{
    size_t done = 0;
    while (done < bytes.length) {
        ssize_t n = pwrite(o->fd, bytes.at + done, bytes.length - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static void name_file(struct ledger_output *o)
{
    char when[32];
    struct tm tm;
    const time_t started_s = (time_t)(o->started_ms / 1000);
    gmtime_r(&started_s, &tm);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(o->path, sizeof o->path, "%s/%s-%ld-%u.ledger", o->directory, when, (long)getpid(),
             o->name + 1);
}

/* The name of a new file is durable only when its folder is. */
static void sync_folder(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static bool write_start(struct ledger_output *o, struct ledger_block *block)
{
    struct view bytes;
    const struct ledger_start start = {o->host, (uint32_t)getpid(), o->file + 1, o->started_ms};
    ledger_block_begin(block, 1, ledger_output_wall_ms());
    ledger_block_start(block, &start);
    if (!ledger_block_seal(block, &bytes)) {
        errno = ENOMEM;
        return false;
    }
    o->offset = (off_t)(LEDGER_MAGIC_BYTES + bytes.length);
    return write_at(o, view_of(ledger_magic, LEDGER_MAGIC_BYTES), 0) &&
           write_at(o, bytes, LEDGER_MAGIC_BYTES);
}

bool ledger_output_begin(struct ledger_output *o, struct ledger_block *block)
{
    do {
        name_file(o);
        o->name++;
        o->fd = open(o->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    } while (o->fd < 0 && errno == EEXIST); /* a process of this number began in this second, too */
    if (o->fd < 0) {
        o->name--;
        return false;
    }
    (void)flock(o->fd, LOCK_EX | LOCK_NB); /* says to readers that its writer lives */
    if (!write_start(o, block)) {
        int error = errno;
        close_one(&o->fd);
        unlink(o->path);
        o->name--;
        errno = error;
        return false;
    }
    o->file++;
    o->dirty = true;
    sync_folder(o->directory);
    close_one(&o->ended_fd);
    return true;
}

bool ledger_output_write(struct ledger_output *o, struct view bytes)
{
    if (!write_at(o, bytes, o->offset)) {
        return false;
    }
    o->offset += (off_t)bytes.length;
    o->dirty = true;
    return true;
}

bool ledger_output_sync(struct ledger_output *o)
{
    o->synced_ms = ledger_output_monotonic_ms();
    if (o->dirty && fdatasync(o->fd) != 0) {
        return false;
    }
    o->dirty = false;
    return true;
}

void ledger_output_end(struct ledger_output *o)
{
    o->ended_fd = o->fd;
    o->fd = -1;
}
