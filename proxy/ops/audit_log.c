/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/audit.h"
#include "proxy/ops/log.h"

enum {
    QUEUE_MAX = 8192,
    BATCH_EVENTS = 256,
    GATHER_NS = 10 * 1000000,
    RETRY_S = 1,
    CLOSE_WAIT_S = 5,
    FORWARD_WAIT_S = 5,
    RELEASE_WAIT_S = 5,
    REOPEN_NS = 100 * 1000000,
    REOPENS_QUIET = 20, /* the process that has the file may be ending */
};

/* Where events go. */
enum mode { MODE_FILE, MODE_HELD, MODE_FORWARD };

struct entry {
    struct entry *next;
    struct audit_event *event; /* owned */
};

struct audit_log {
    /* Shared, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry *head, **tail;
    size_t queued, queue_max;
    uint64_t lost_to_report;
    bool stopping, abandoned;
    bool gathering; /* the writer sleeps for a fixed time and need not be told of each event */
    enum mode mode, wanted; /* the writer makes the one the other */
    bool taking;            /* audit_log_take waits: one try counts */
    const char *take_error; /* what came of it */
    int next_forward;       /* for the writer, when FORWARD is wanted */
    /* Read without the lock. */
    atomic_bool failing;
    atomic_bool full;
    atomic_uint_fast64_t written, lost, write_failures, queued_now, last_sync_ns;
    /* Of the writer thread alone, once it runs. */
    struct audit_chain chain;
    struct writer bytes; /* encoded, not yet durable */
    size_t bytes_records;
    off_t offset; /* of the first byte of `bytes` in the file */
    int fd;
    int forward; /* a socket; -1: none */
    unsigned reopens; /* tries that failed in a row */
    pthread_t thread;
    bool on; /* constant: there is a file */
    enum audit_log_policy on_failure;
    char *file;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the file at start ---- */

static int open_file(const char *path, bool alone)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
    if (fd < 0) {
        return -errno;
    }
    struct stat st;
    int error = fstat(fd, &st) != 0 ? errno : !S_ISREG(st.st_mode) ? EINVAL : 0;
    /* Two writers would each continue the same chain and break it. */
    if (error == 0 && alone && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        error = errno == EWOULDBLOCK ? EBUSY : errno;
    }
    if (error != 0) {
        close(fd);
        return -error;
    }
    return fd;
}

/* The name of a new file is durable only when its folder is. */
static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        return;
    }
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

static bool read_tail(int fd, off_t from, uint8_t *into, size_t length)
{
    size_t have = 0;
    while (have < length) {
        ssize_t n = pread(fd, into + have, length - have, from + (off_t)have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

/* Keeps the bytes of a torn record beside the log: they may matter to whoever investigates. */
static void keep_torn(const char *path, struct view torn)
{
    char name[4096];
    if ((size_t)snprintf(name, sizeof name, "%s.torn", path) >= sizeof name) {
        return;
    }
    int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        return;
    }
    if (write(fd, torn.at, torn.length) < 0) {
        struct log_field field = log_str("path", name);
        log_write(LOG_LEVEL_WARN, "audit_torn_not_kept", &field, 1);
    }
    close(fd);
}

/* Continues the chain. Returns NULL, or what is wrong. *torn_r: bytes that were cut off. */
static const char *resume(struct audit_log *log, uint64_t *torn_r)
{
    struct stat st;
    if (fstat(log->fd, &st) != 0) {
        return strerror(errno);
    }
    size_t length = st.st_size < AUDIT_TAIL_BYTES ? (size_t)st.st_size : AUDIT_TAIL_BYTES;
    uint8_t *tail = malloc(length > 0 ? length : 1);
    if (tail == NULL) {
        return "no memory";
    }
    const char *wrong = NULL;
    off_t from = st.st_size - (off_t)length;
    size_t good = 0;
    enum audit_status status = AUDIT_BROKEN;
    if (!read_tail(log->fd, from, tail, length)) {
        wrong = "it cannot be read";
    } else {
        status = audit_chain_resume(&log->chain, view_of(tail, length), &good);
    }
    if (wrong == NULL && status != AUDIT_OK && status != AUDIT_TORN) {
        wrong = "its chain is broken at the end (look at it with `setu audit verify`, then move "
                "it away)";
    }
    if (wrong == NULL && status == AUDIT_TORN && good == 0 && from == 0) {
        /* Whatever this is, it was never ours to cut. */
        wrong = "it holds something, but no chain of audit records (name another file)";
    }
    if (wrong == NULL && status == AUDIT_TORN) {
        *torn_r = length - good;
        keep_torn(log->file, view_of(tail + good, length - good));
        if (ftruncate(log->fd, from + (off_t)good) != 0) {
            wrong = "its torn last record cannot be cut off";
        }
    }
    log->offset = from + (off_t)good;
    free(tail);
    return wrong;
}

/* ---- the writer thread ---- */

static bool write_all(struct audit_log *log)
{
    struct view bytes = writer_view(&log->bytes);
    size_t done = 0;
    /* Always from the same offset: a retry overwrites what an earlier try left half done. */
    while (done < bytes.length) {
        ssize_t n =
            pwrite(log->fd, bytes.at + done, bytes.length - done, log->offset + (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return fdatasync(log->fd) == 0;
}

/* One batch to another process, and its word that it has it. */
static bool deliver(struct audit_log *log)
{
    struct view bytes = writer_view(&log->bytes);
    const uint32_t length = (uint32_t)bytes.length;
    struct iovec parts[] = {{(void *)(uintptr_t)&length, sizeof length},
                            {(void *)(uintptr_t)bytes.at, bytes.length}};
    size_t part = 0;
    while (part < 2) {
        struct msghdr message = {.msg_iov = parts + part, .msg_iovlen = 2 - part};
        ssize_t n = sendmsg(log->forward, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        size_t sent = (size_t)n;
        for (; part < 2 && sent >= parts[part].iov_len; part++) {
            sent -= parts[part].iov_len;
        }
        if (part < 2) {
            parts[part].iov_base = (uint8_t *)parts[part].iov_base + sent;
            parts[part].iov_len -= sent;
        }
    }
    char had = 0;
    ssize_t n = 0;
    do {
        n = recv(log->forward, &had, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

static void note_failure(struct audit_log *log)
{
    int error = errno;
    atomic_fetch_add(&log->write_failures, 1);
    if (!atomic_exchange(&log->failing, true)) {
        struct log_field fields[] = {log_str("path", log->file), log_str("error", strerror(error))};
        log_write(LOG_LEVEL_ERROR, "audit_write_failed", fields, 2);
    }
}

static struct entry *entry_new(const struct audit_event *event);

/* The process that took the events has gone: they are queued again, before all others, for the file. */
static void forward_failed(struct audit_log *log)
{
    struct audit_reader reader;
    struct audit_record record;
    struct entry *first = NULL, **tail = &first;
    size_t count = 0;
    audit_reader_init(&reader, writer_view(&log->bytes));
    while (audit_read(&reader, &record) == AUDIT_OK) {
        struct entry *entry = entry_new(&record.event);
        if (entry != NULL) {
            *tail = entry;
            tail = &entry->next;
            count++;
        }
    }
    audit_reader_end(&reader);
    writer_reset(&log->bytes);
    log->bytes_records = 0;
    close(log->forward);
    log->forward = -1;
    pthread_mutex_lock(&log->lock);
    if (first != NULL) {
        *tail = log->head;
        log->tail = log->head == NULL ? tail : log->tail;
        log->head = first;
    }
    log->queued += count;
    log->mode = MODE_HELD;
    log->wanted = log->wanted == MODE_FORWARD ? MODE_FILE : log->wanted;
    pthread_mutex_unlock(&log->lock);
    log_text(LOG_LEVEL_WARN, "audit_forward_failed", "the events go to our own file again");
}

/* Makes `bytes` durable. */
static bool flush(struct audit_log *log)
{
    if (log->bytes.length == 0) {
        return true;
    }
    if (log->forward >= 0) {
        if (!deliver(log)) {
            forward_failed(log);
            return true;
        }
    } else if (!write_all(log)) {
        note_failure(log);
        return false;
    }
    log->offset += (off_t)log->bytes.length;
    atomic_fetch_add(&log->written, log->bytes_records);
    atomic_store(&log->last_sync_ns, (uint64_t)now_ns());
    log->bytes_records = 0;
    writer_reset(&log->bytes);
    if (atomic_exchange(&log->failing, false)) {
        struct log_field field = log_str("path", log->file);
        log_write(LOG_LEVEL_WARN, "audit_write_recovered", &field, 1);
    }
    return true;
}

static void encode(struct audit_log *log, const struct audit_event *event)
{
    size_t before = log->bytes.length;
    if (audit_encode(&log->chain, event, now_ns(), &log->bytes)) {
        log->bytes_records++;
        return;
    }
    /* Only lack of memory leads here: the chain has not moved, what was there before still counts.
     */
    log->bytes.length = before;
    log->bytes.failed = false;
    atomic_fetch_add(&log->lost, 1);
    errno = ENOMEM;
    note_failure(log);
    pthread_mutex_lock(&log->lock);
    log->lost_to_report++;
    pthread_mutex_unlock(&log->lock);
}

/* Takes up to BATCH_EVENTS from the queue; call with the lock held. */
static struct entry *take(struct audit_log *log, uint64_t *lost_r)
{
    struct entry *first = log->head, **link = &log->head;
    size_t n = 0;
    for (; *link != NULL && n < BATCH_EVENTS; n++) {
        link = &(*link)->next;
    }
    log->head = *link;
    if (log->head == NULL) {
        log->tail = &log->head;
    }
    *link = NULL;
    log->queued -= n;
    atomic_store(&log->queued_now, log->queued);
    atomic_store(&log->full, log->queued >= log->queue_max);
    *lost_r = log->lost_to_report;
    log->lost_to_report = 0;
    return n > 0 ? first : NULL;
}

static void encode_batch(struct audit_log *log, struct entry *entry, uint64_t lost)
{
    while (entry != NULL) {
        struct entry *next = entry->next;
        encode(log, entry->event);
        audit_event_free(&entry->event);
        free(entry);
        entry = next;
    }
    if (lost > 0) {
        struct audit_event event = audit_event_init(AUDIT_RECORDS_LOST);
        event.count = lost;
        event.outcome = AUDIT_FAILED;
        encode(log, &event);
    }
}

/* From the clock that nobody sets. */
static struct timespec moment_in(long nanoseconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (at.tv_nsec + nanoseconds) / 1000000000;
    at.tv_nsec = (at.tv_nsec + nanoseconds) % 1000000000;
    return at;
}

static void wait_to_retry(struct audit_log *log)
{
    const struct timespec until = moment_in(RETRY_S * 1000000000L);
    pthread_mutex_lock(&log->lock);
    while (!log->abandoned &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&log->lock);
}

static bool is_abandoned(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool abandoned = log->abandoned;
    pthread_mutex_unlock(&log->lock);
    return abandoned;
}

/* A storm of logins would sync for each of them: one sync every so often covers all. */
static void gather(struct audit_log *log)
{
    const struct timespec until = moment_in(GATHER_NS);
    pthread_mutex_lock(&log->lock);
    log->gathering = true;
    while (!log->stopping && log->queued < BATCH_EVENTS &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT) {
    }
    log->gathering = false;
    pthread_mutex_unlock(&log->lock);
}

/* Opens the file and continues its chain. Returns NULL, or what is wrong. */
static const char *reopen(struct audit_log *log)
{
    uint64_t torn = 0;
    log->fd = open_file(log->file, true);
    if (log->fd == -EBUSY) {
        return "another process is writing it";
    }
    if (log->fd < 0) {
        return strerror(-log->fd);
    }
    const char *wrong = resume(log, &torn);
    if (wrong != NULL) {
        close(log->fd);
        log->fd = -1;
        return wrong;
    }
    sync_folder(log->file);
    if (torn > 0) {
        struct log_field fields[] = {log_str("path", log->file), log_uint("bytes", torn)};
        log_write(LOG_LEVEL_WARN, "audit_torn_record_cut", fields, 2);
        struct audit_event event = audit_event_init(AUDIT_CHAIN_TORN);
        event.count = torn;
        encode(log, &event);
    }
    return NULL;
}

static void set_mode(struct audit_log *log, enum mode mode, const char *wrong)
{
    pthread_mutex_lock(&log->lock);
    log->mode = mode;
    if (log->taking) {
        log->wanted = mode;
        log->take_error = wrong;
        log->taking = false;
    }
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

/* The file is somebody else's for now, or for longer than it should be. */
static void reopen_later(struct audit_log *log, const char *wrong)
{
    const struct timespec until = moment_in(REOPEN_NS);
    if (++log->reopens == REOPENS_QUIET) {
        struct log_field fields[] = {log_str("path", log->file), log_str("error", wrong)};
        log_write(LOG_LEVEL_ERROR, "audit_write_failed", fields, 2);
        atomic_store(&log->failing, true);
    }
    pthread_mutex_lock(&log->lock);
    while (!log->abandoned &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&log->lock);
}

static void change_to_file(struct audit_log *log)
{
    if (log->forward >= 0) {
        close(log->forward);
        log->forward = -1;
    }
    const char *wrong = reopen(log);
    pthread_mutex_lock(&log->lock);
    bool once = log->taking;
    pthread_mutex_unlock(&log->lock);
    if (wrong == NULL && once && !flush(log)) {
        /* Known at start rather than later. */
        wrong = "it cannot be written";
    }
    if (wrong == NULL) {
        log->reopens = 0;
        atomic_store(&log->failing, false);
        set_mode(log, MODE_FILE, NULL);
    } else if (once) {
        if (log->fd >= 0) {
            close(log->fd);
        }
        log->fd = -1;
        set_mode(log, MODE_HELD, wrong);
    } else {
        reopen_later(log, wrong);
    }
}

/* Called with nothing left to write in the present mode. */
static void change_mode(struct audit_log *log, enum mode wanted)
{
    if (wanted == MODE_FILE) {
        change_to_file(log);
        return;
    }
    if (log->fd >= 0) {
        close(log->fd); /* and with it the lock */
    }
    log->fd = -1;
    if (wanted == MODE_FORWARD) {
        pthread_mutex_lock(&log->lock);
        log->forward = log->next_forward;
        log->next_forward = -1;
        pthread_mutex_unlock(&log->lock);
    }
    set_mode(log, wanted, NULL);
}

static bool nothing_to_do(const struct audit_log *log)
{
    bool idle = log->mode == MODE_HELD || (log->head == NULL && log->lost_to_report == 0);
    return idle && log->mode == log->wanted && !log->stopping;
}

static void *log_run(void *context)
{
    struct audit_log *log = context;
    bool more = true;
    while (more) {
        pthread_mutex_lock(&log->lock);
        while (nothing_to_do(log)) {
            pthread_cond_wait(&log->changed, &log->lock);
        }
        const enum mode wanted = log->wanted;
        const bool held = log->mode == MODE_HELD;
        const bool abandoned = log->abandoned;
        if (log->mode != wanted && (held || log->head == NULL) && !abandoned) {
            pthread_mutex_unlock(&log->lock);
            change_mode(log, wanted);
            continue;
        }
        uint64_t lost = 0;
        struct entry *batch = held ? NULL : take(log, &lost);
        more = batch != NULL || lost > 0;
        pthread_mutex_unlock(&log->lock);
        encode_batch(log, batch, lost);
        while (more && !flush(log)) {
            wait_to_retry(log);
            more = !is_abandoned(log);
        }
        gather(log);
    }
    return NULL;
}

/* ---- the surface ---- */

static void log_free(struct audit_log *log)
{
    while (log->head != NULL) {
        struct entry *next = log->head->next;
        audit_event_free(&log->head->event);
        free(log->head);
        log->head = next;
    }
    if (log->fd >= 0) {
        close(log->fd);
    }
    if (log->forward >= 0) {
        close(log->forward);
    }
    if (log->next_forward >= 0) {
        close(log->next_forward);
    }
    writer_free(&log->bytes);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->changed);
    free(log->file);
    free(log);
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
    log->tail = &log->head;
    log->queue_max = params->queue_max > 0 ? params->queue_max : QUEUE_MAX;
    log->on_failure = params->on_failure;
    log->on = params->file != NULL && params->file[0] != '\0';
    log->fd = log->forward = log->next_forward = -1;
    log->file = strdup(log->on ? params->file : "");
    writer_init_growing(&log->bytes, (size_t)(BATCH_EVENTS + 2) * AUDIT_RECORD_BYTES_MAX);
    char host[128] = "";
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    audit_chain_init(&log->chain, host);
    if (log->file == NULL) {
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
    int error = pthread_create(&log->thread, NULL, log_run, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* Could it be opened, were it ours? */
static const char *start_held(struct audit_log *log)
{
    int fd = open_file(log->file, false);
    if (fd < 0) {
        return strerror(-fd);
    }
    close(fd);
    log->mode = log->wanted = MODE_HELD;
    int error = start_thread(log);
    return error != 0 ? strerror(error) : NULL;
}

/* Opens, resumes, starts. Returns NULL, or what is wrong. */
static const char *start(struct audit_log *log)
{
    const char *wrong = reopen(log);
    if (wrong != NULL) {
        return wrong;
    }
    /* The first write is made here, so that a file that cannot be written is known at start. */
    if (!flush(log)) {
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
        snprintf(error_r, error_size, "audit log %s: %s", log->file, wrong);
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
        struct log_field fields[] = {log_str("path", log->file), log_uint("events", queued)};
        log_write(LOG_LEVEL_ERROR, "audit_lost_at_close", fields, 2);
        if (!end_thread(log, &log->abandoned, RETRY_S)) {
            /* It hangs in the kernel and will not come back; its memory stays with it. */
            pthread_detach(log->thread);
            return;
        }
    }
    log_free(log);
}

/* Asks the writer for a mode. Call with the lock held. */
static void want(struct audit_log *log, enum mode mode)
{
    log->wanted = mode;
    pthread_cond_broadcast(&log->changed);
}

bool audit_log_release(struct audit_log *log)
{
    if (!log->on) {
        return true;
    }
    const struct timespec until = moment_in(RELEASE_WAIT_S * 1000000000L);
    pthread_mutex_lock(&log->lock);
    want(log, MODE_HELD);
    while (log->mode != MODE_HELD &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT) {
    }
    bool released = log->mode == MODE_HELD;
    if (!released) {
        want(log, log->mode);
    }
    pthread_mutex_unlock(&log->lock);
    return released;
}

void audit_log_forward(struct audit_log *log, int fd)
{
    const struct timeval wait = {.tv_sec = FORWARD_WAIT_S};
    if (!log->on) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    pthread_mutex_lock(&log->lock);
    if (log->next_forward >= 0) {
        close(log->next_forward);
    }
    log->next_forward = fd;
    want(log, MODE_FORWARD);
    pthread_mutex_unlock(&log->lock);
}

void audit_log_return(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    if (log->on && log->wanted != MODE_FILE) {
        want(log, MODE_FILE);
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
    want(log, MODE_FILE);
    while (log->taking) {
        pthread_cond_wait(&log->changed, &log->lock);
    }
    const char *wrong = log->take_error;
    pthread_mutex_unlock(&log->lock);
    if (wrong != NULL) {
        snprintf(error_r, error_size, "audit log %s: %s", log->file, wrong);
    }
    return wrong == NULL;
}

static struct entry *entry_new(const struct audit_event *event)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    entry->event = audit_event_clone(event);
    if (entry->event == NULL) {
        free(entry);
        return NULL;
    }
    if (entry->event->time_ns == 0) {
        entry->event->time_ns = now_ns();
    }
    return entry;
}

bool audit_log_append(struct audit_log *log, const struct audit_event *event)
{
    if (!log->on) {
        return true;
    }
    struct entry *entry = entry_new(event);
    pthread_mutex_lock(&log->lock);
    bool taken = entry != NULL && log->queued < log->queue_max;
    if (taken) {
        *log->tail = entry;
        log->tail = &entry->next;
        log->queued++;
    } else {
        log->lost_to_report++;
        atomic_fetch_add(&log->lost, 1);
    }
    atomic_store(&log->queued_now, log->queued);
    atomic_store(&log->full, log->queued >= log->queue_max);
    if (!log->gathering || log->queued >= BATCH_EVENTS) {
        pthread_cond_broadcast(&log->changed);
    }
    pthread_mutex_unlock(&log->lock);
    if (!taken && entry != NULL) {
        audit_event_free(&entry->event);
        free(entry);
    }
    return taken;
}

bool audit_log_healthy(const struct audit_log *log)
{
    return !atomic_load(&log->failing) && !atomic_load(&log->full);
}

bool audit_log_admits(const struct audit_log *log)
{
    return log->on_failure == AUDIT_LOG_CONTINUE || audit_log_healthy(log);
}

void audit_log_stats(const struct audit_log *log, struct audit_log_stats *stats_r)
{
    stats_r->written = atomic_load(&log->written);
    stats_r->lost = atomic_load(&log->lost);
    stats_r->write_failures = atomic_load(&log->write_failures);
    stats_r->queued = atomic_load(&log->queued_now);
    stats_r->last_sync_ns = atomic_load(&log->last_sync_ns);
}
