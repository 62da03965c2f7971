/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/stats_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ops/log.h"

struct stats_file {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
    bool failing; /* told already */
    unsigned interval_ms;
    struct stats_names names;
    stats_collect_fn collect;
    void *context;
    struct stats sum; /* too large for a small thread stack to be sure */
    char *path;
    char *temporary;
};

static bool write_page(struct stats_file *file)
{
    int fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return false;
    }
    FILE *out = fdopen(fd, "w");
    if (out == NULL) {
        close(fd);
        return false;
    }
    file->collect(file->context, &file->sum);
    bool good = stats_prometheus(&file->sum, &file->names, out);
    good = fclose(out) == 0 && good;
    return good && rename(file->temporary, file->path) == 0;
}

static void rewrite(struct stats_file *file)
{
    bool good = write_page(file);
    int error = errno;
    if (!good && !file->failing) {
        struct log_field fields[] = {log_str("path", file->path),
                                     log_str("error", strerror(error))};
        log_write(LOG_LEVEL_WARN, "stats_file_failed", fields, 2);
    }
    file->failing = !good;
}

static void *file_run(void *context)
{
    struct stats_file *file = context;
    pthread_mutex_lock(&file->lock);
    while (!file->stopping) {
        pthread_mutex_unlock(&file->lock);
        rewrite(file);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(file->interval_ms / 1000);
        until.tv_nsec += (long)(file->interval_ms % 1000) * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000L;
        }
        pthread_mutex_lock(&file->lock);
        while (!file->stopping &&
               pthread_cond_timedwait(&file->stop, &file->lock, &until) != ETIMEDOUT) {
        }
    }
    pthread_mutex_unlock(&file->lock);
    rewrite(file);
    return NULL;
}

static void file_free(struct stats_file *file)
{
    pthread_mutex_destroy(&file->lock);
    pthread_cond_destroy(&file->stop);
    free(file->path);
    free(file->temporary);
    free(file);
}

static struct stats_file *file_new(const char *path)
{
    struct stats_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&file->lock, NULL);
    pthread_cond_init(&file->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    size_t size = strlen(path) + sizeof ".new";
    file->path = strdup(path);
    file->temporary = malloc(size);
    if (file->path == NULL || file->temporary == NULL) {
        file_free(file);
        return NULL;
    }
    snprintf(file->temporary, size, "%s.new", path);
    return file;
}

struct stats_file *stats_file_start(const char *path, unsigned interval_ms,
                                    const struct stats_names *names, stats_collect_fn collect,
                                    void *context)
{
    struct stats_file *file = file_new(path);
    if (file == NULL) {
        return NULL;
    }
    file->interval_ms = interval_ms > 0 ? interval_ms : 1000;
    file->names = *names;
    file->collect = collect;
    file->context = context;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&file->thread, NULL, file_run, file);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        file_free(file);
        return NULL;
    }
    return file;
}

void stats_file_stop(struct stats_file **file)
{
    if (*file == NULL) {
        return;
    }
    pthread_mutex_lock(&(*file)->lock);
    (*file)->stopping = true;
    pthread_cond_signal(&(*file)->stop);
    pthread_mutex_unlock(&(*file)->lock);
    pthread_join((*file)->thread, NULL);
    file_free(*file);
    *file = NULL;
}
