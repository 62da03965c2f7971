/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/audit_key.h"
#include "proxy/ops/audit_forward.h"
#include "proxy/ops/audit_log_private.h"
#include "proxy/ops/log.h"

enum {
    QUEUE_MAX = 8192,
    CHECKPOINT_RECORDS = 1000,
    CHECKPOINT_INTERVAL_MS = 60000,
    UNSYNCED_MAX_MS = 5000,
    KEPT_PART = 4, /* of the queue, one is for those who are in */
    CLOSE_WAIT_S = 5,
    RELEASE_WAIT_S = 5,
};

static const int64_t second_ns = 1000000000;

/* ---- beginning and end ---- */

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void log_free(struct audit_log *log)
{
    audit_queue_free(&log->queue);
    audit_file_close(&log->file);
    close_fd(log->forward);
    close_fd(log->next_forward);
    writer_free(&log->bytes);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->changed);
    audit_key_unref(&log->key);
    free(log->path);
    free(log);
}

static void take_rules(struct audit_log *log, const char *mapping_hash, const char *config_hash)
{
    const char *mapping = mapping_hash != NULL ? mapping_hash : "";
    const char *config = config_hash != NULL ? config_hash : "";
    snprintf(log->mapping_hash, sizeof log->mapping_hash, "%s", mapping);
    snprintf(log->config_hash, sizeof log->config_hash, "%s", config);
}

static void take_params(struct audit_log *log, const struct audit_log_params *params)
{
    audit_queue_init(&log->queue, params->queue_max > 0 ? params->queue_max : QUEUE_MAX);
    log->on_failure = params->on_failure;
    log->on = params->file != NULL && params->file[0] != '\0';
    log->key = params->key != NULL ? audit_key_ref(params->key) : NULL;
    log->checkpoint_records =
        params->checkpoint_records > 0 ? params->checkpoint_records : CHECKPOINT_RECORDS;
    log->checkpoint_interval_ms = params->checkpoint_interval_ms > 0
                                      ? params->checkpoint_interval_ms
                                      : CHECKPOINT_INTERVAL_MS;
    log->unsynced_max_ms = params->unsynced_max_ms > 0 ? params->unsynced_max_ms : UNSYNCED_MAX_MS;
    log->rotate_bytes = params->rotate_bytes;
    log->keep = params->keep;
    take_rules(log, params->mapping_hash, params->config_hash);
}

static struct audit_log *log_new(const struct audit_log_params *params)
{
    struct audit_log *log = calloc(1, sizeof *log);
    if (log == NULL) {
        return NULL;
    }
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    take_params(log, params);
    log->file.fd = log->forward = log->next_forward = -1;
    log->path = strdup(log->on ? params->file : "");
    log->file.path = log->path;
    writer_init_growing(&log->bytes, (size_t)(AUDIT_BATCH_EVENTS + 4) * AUDIT_RECORD_BYTES_MAX);
    char host[128] = "";
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    audit_chain_init(&log->chain, host);
    if (log->path == NULL) {
        log_free(log);
        return NULL;
    }
    return log;
}

static int start_thread(struct audit_log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&log->thread, NULL, audit_writer_run, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* Could it be opened, were it ours? */
static const char *start_held(struct audit_log *log)
{
    const char *wrong = audit_file_could_open(log->path);
    if (wrong != NULL) {
        return wrong;
    }
    log->mode = log->wanted = AUDIT_MODE_HELD;
    int error = start_thread(log);
    return error != 0 ? strerror(error) : NULL;
}

/* Opens, resumes, starts. Returns NULL, or what is wrong. */
static const char *start(struct audit_log *log)
{
    const char *wrong = audit_writer_open(log);
    if (wrong != NULL) {
        return wrong;
    }
    /* The first write is made here, so that a file that cannot be written is known at start. */
    if (!audit_writer_flush(log)) {
        return "it cannot be written";
    }
    int error = start_thread(log);
    return error != 0 ? strerror(error) : NULL;
}

struct audit_log *audit_log_open(const struct audit_log_params *params, char *error_r,
                                 size_t error_size)
{
    struct audit_log *log = log_new(params);
    if (log == NULL) {
        snprintf(error_r, error_size, "no memory for the audit log");
        return NULL;
    }
    const char *wrong = !log->on ? NULL : params->held ? start_held(log) : start(log);
    if (wrong != NULL) {
        snprintf(error_r, error_size, "audit log %s: %s", log->path, wrong);
        log_free(log);
        return NULL;
    }
    return log;
}

/* Raises one of the flags under the lock and waits for the thread to end. */
static bool end_thread(struct audit_log *log, bool *flag, int wait_s)
{
    struct timespec deadline;
    pthread_mutex_lock(&log->lock);
    *flag = true;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += wait_s;
    return pthread_timedjoin_np(log->thread, NULL, &deadline) == 0;
}

void audit_log_close(struct audit_log **log_p)
{
    struct audit_log *log = *log_p;
    *log_p = NULL;
    if (log == NULL) {
        return;
    }
    if (log->on && !end_thread(log, &log->stopping, CLOSE_WAIT_S)) {
        uint64_t queued = atomic_load(&log->queued_now);
        struct log_field fields[] = {log_str("path", log->path), log_uint("events", queued)};
        log_write(LOG_LEVEL_ERROR, "audit_lost_at_close", fields, 2);
        if (!end_thread(log, &log->abandoned, AUDIT_RETRY_S)) {
            /* It hangs in the kernel and will not come back; its memory stays with it. */
            pthread_detach(log->thread);
            return;
        }
    }
    log_free(log);
}

/* Asks the writer for a mode. Call with the lock held. */
static void want(struct audit_log *log, enum audit_mode mode)
{
    log->wanted = mode;
    pthread_cond_broadcast(&log->changed);
}

bool audit_log_release(struct audit_log *log)
{
    if (!log->on) {
        return true;
    }
    const struct timespec until = audit_log_moment_in(RELEASE_WAIT_S * second_ns);
    pthread_mutex_lock(&log->lock);
    want(log, AUDIT_MODE_HELD);
    while (log->mode != AUDIT_MODE_HELD &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT) {
    }
    bool released = log->mode == AUDIT_MODE_HELD;
    if (!released) {
        want(log, log->mode);
    }
    pthread_mutex_unlock(&log->lock);
    return released;
}

void audit_log_forward(struct audit_log *log, int fd)
{
    if (!log->on) {
        close(fd);
        return;
    }
    audit_forward_prepare(fd);
    pthread_mutex_lock(&log->lock);
    if (log->next_forward >= 0) {
        close(log->next_forward);
    }
    log->next_forward = fd;
    want(log, AUDIT_MODE_FORWARD);
    pthread_mutex_unlock(&log->lock);
}

void audit_log_return(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    if (log->on && log->wanted != AUDIT_MODE_FILE) {
        want(log, AUDIT_MODE_FILE);
    }
    pthread_mutex_unlock(&log->lock);
}

bool audit_log_take(struct audit_log *log, char *error_r, size_t error_size)
{
    if (!log->on) {
        return true;
    }
    pthread_mutex_lock(&log->lock);
    log->taking = true;
    want(log, AUDIT_MODE_FILE);
    while (log->taking) {
        pthread_cond_wait(&log->changed, &log->lock);
    }
    const char *wrong = log->take_error;
    pthread_mutex_unlock(&log->lock);
    if (wrong != NULL) {
        snprintf(error_r, error_size, "audit log %s: %s", log->path, wrong);
    }
    return wrong == NULL;
}

void audit_log_use(struct audit_log *log, const char *mapping_hash, const char *config_hash)
{
    pthread_mutex_lock(&log->lock);
    take_rules(log, mapping_hash, config_hash);
    pthread_mutex_unlock(&log->lock);
}

/* A takeover's time, when nobody has the file, has its own end. */
static int64_t waiting_ns(const struct audit_log *log)
{
    const int64_t queued_ns = log->queue.head != NULL ? log->queue.head->queued_ns : 0;
    const int64_t oldest_ns = log->writing_ns != 0 ? log->writing_ns : queued_ns;
    if (oldest_ns == 0 || log->mode == AUDIT_MODE_HELD) {
        return 0;
    }
    return oldest_ns > log->held_ns ? oldest_ns : log->held_ns;
}

/* But for what is kept for those who are in. */
static bool is_full(const struct audit_queue *queue)
{
    return queue->count >= queue->max - queue->max / KEPT_PART;
}

void audit_log_settle(struct audit_log *log)
{
    const struct audit_queue *queue = &log->queue;
    atomic_store(&log->queued_now, queue->count);
    atomic_store(&log->full, is_full(queue));
    atomic_store(&log->waiting_ns, waiting_ns(log));
}

/* Whoever can connect brings this one about, as often as he likes; the others want a name that was proved. */
static bool is_a_strangers(const struct audit_event *event)
{
    return event->code == AUDIT_LOGIN_DENIED;
}

/* False: there is no place for it, and it stays the caller's. */
static bool enqueue(struct audit_queue *queue, struct audit_entry *entry)
{
    return entry != NULL && !(is_a_strangers(entry->event) && is_full(queue)) &&
           audit_queue_push(queue, entry);
}

bool audit_log_append(struct audit_log *log, const struct audit_event *event)
{
    char mapping_hash[sizeof log->mapping_hash], config_hash[sizeof log->config_hash];
    struct audit_event whole = *event;
    if (!log->on) {
        return true;
    }
    if (event->mapping_hash == NULL) {
        pthread_mutex_lock(&log->lock);
        memcpy(mapping_hash, log->mapping_hash, sizeof mapping_hash);
        memcpy(config_hash, log->config_hash, sizeof config_hash);
        pthread_mutex_unlock(&log->lock);
        whole.mapping_hash = mapping_hash;
        whole.config_hash = event->config_hash != NULL ? event->config_hash : config_hash;
    }
    struct audit_entry *entry = audit_entry_new(&whole, audit_log_now_ns());
    pthread_mutex_lock(&log->lock);
    if (entry != NULL) {
        entry->queued_ns = audit_log_monotonic_ns();
    }
    bool taken = enqueue(&log->queue, entry);
    if (!taken) {
        log->lost_to_report++;
        atomic_fetch_add(&log->lost, 1);
    }
    audit_log_settle(log);
    if (!log->gathering || log->queue.count >= AUDIT_BATCH_EVENTS) {
        pthread_cond_broadcast(&log->changed);
    }
    pthread_mutex_unlock(&log->lock);
    if (!taken) {
        audit_entry_free(&entry);
    }
    return taken;
}

/* A disk that hangs fails nothing: it shows only in how long the oldest event waits. */
static bool hangs(const struct audit_log *log)
{
    const int64_t since_ns = atomic_load(&log->waiting_ns);
    return since_ns != 0 &&
           audit_log_monotonic_ns() - since_ns > (int64_t)log->unsynced_max_ms * 1000000;
}

bool audit_log_healthy(const struct audit_log *log)
{
    return !atomic_load(&log->failing) && !atomic_load(&log->full) && !hangs(log);
}

bool audit_log_admits(struct audit_log *log)
{
    if (hangs(log) && !atomic_exchange(&log->hanging, true)) {
        struct log_field fields[] = {log_str("path", log->path),
                                     log_uint("unsynced_max_ms", log->unsynced_max_ms)};
        log_write(LOG_LEVEL_ERROR, "audit_write_hangs", fields, 2);
    }
    return log->on_failure == AUDIT_LOG_CONTINUE || audit_log_healthy(log);
}

void audit_log_stats(const struct audit_log *log, struct audit_log_stats *stats_r)
{
    stats_r->written = atomic_load(&log->written);
    stats_r->lost = atomic_load(&log->lost);
    stats_r->write_failures = atomic_load(&log->write_failures);
    stats_r->queued = atomic_load(&log->queued_now);
    stats_r->last_sync_ns = atomic_load(&log->last_sync_ns);
    stats_r->signing = log->key != NULL;
    stats_r->checkpoints = atomic_load(&log->checkpoints);
    stats_r->last_checkpoint_ns = atomic_load(&log->last_checkpoint_ns);
    stats_r->unsigned_records = atomic_load(&log->unsigned_now);
    stats_r->rotations = atomic_load(&log->rotations);
    stats_r->head_seq = atomic_load(&log->head_seq);
}
