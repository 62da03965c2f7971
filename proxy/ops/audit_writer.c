/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/audit_key.h"
#include "proxy/ops/audit_forward.h"
#include "proxy/ops/audit_log_private.h"
#include "proxy/ops/log.h"

enum {
    GATHER_NS = 10 * 1000000,
    REOPEN_NS = 100 * 1000000,
    REOPENS_QUIET = 20, /* the process that has the file may be ending */
    ROTATE_RETRY_S = 60,
    HEX_SIZE = 2 * AUDIT_HASH_BYTES + 1,
};

static const int64_t second_ns = 1000000000;

int64_t audit_log_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * second_ns + now.tv_nsec;
}

struct timespec audit_log_moment_in(int64_t nanoseconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    nanoseconds += at.tv_nsec;
    at.tv_sec += nanoseconds / second_ns;
    at.tv_nsec = nanoseconds % second_ns;
    return at;
}

int64_t audit_log_monotonic_ns(void)
{
    const struct timespec now = audit_log_moment_in(0);
    return (int64_t)now.tv_sec * second_ns + now.tv_nsec;
}

static bool is_abandoned(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool abandoned = log->abandoned;
    pthread_mutex_unlock(&log->lock);
    return abandoned;
}

/* ---- what the log says about itself ---- */

struct own {
    struct audit_event event;
    char mapping_hash[AUDIT_RULES_SIZE], config_hash[AUDIT_RULES_SIZE];
};

/* With the rules in use, as all that others say. The event borrows from *own. */
static void own_begin(struct audit_log *log, enum audit_code code, struct own *own)
{
    own->event = audit_event_init(code);
    pthread_mutex_lock(&log->lock);
    memcpy(own->mapping_hash, log->mapping_hash, sizeof own->mapping_hash);
    memcpy(own->config_hash, log->config_hash, sizeof own->config_hash);
    pthread_mutex_unlock(&log->lock);
    own->event.mapping_hash = own->mapping_hash;
    own->event.config_hash = own->config_hash;
}

/* ---- encoding ---- */

static void note_failure(struct audit_log *log)
{
    int error = errno;
    atomic_fetch_add(&log->write_failures, 1);
    if (!atomic_exchange(&log->failing, true)) {
        struct log_field fields[] = {log_str("path", log->path), log_str("error", strerror(error))};
        log_write(LOG_LEVEL_ERROR, "audit_write_failed", fields, 2);
    }
}

/* Only lack of memory leads here: the chain has not moved, what was there before still counts. */
static void encode_failed(struct audit_log *log, size_t before)
{
    log->bytes.length = before;
    log->bytes.failed = false;
    errno = ENOMEM;
    note_failure(log);
}

static void encode(struct audit_log *log, const struct audit_event *event)
{
    size_t before = log->bytes.length;
    if (audit_encode(&log->chain, event, audit_log_now_ns(), &log->bytes)) {
        log->bytes_records++;
        if (log->key != NULL && log->unsigned_records++ == 0) {
            log->sign_at = audit_log_moment_in((int64_t)log->checkpoint_interval_ms * 1000000);
        }
        return;
    }
    encode_failed(log, before);
    atomic_fetch_add(&log->lost, 1);
    pthread_mutex_lock(&log->lock);
    log->lost_to_report++;
    pthread_mutex_unlock(&log->lock);
}

static const char *head_hash(const struct audit_head *head, char hex[HEX_SIZE])
{
    for (size_t i = 0; i < AUDIT_HASH_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", head->hash[i]);
    }
    return hex;
}

/* Whoever is given the log takes its head from here to where nobody of this machine can change it. */
static void tell_checkpoint(const struct audit_log *log)
{
    char hex[HEX_SIZE];
    struct log_field fields[] = {
        log_uint("seq", log->chain.head.seq),
        log_str("hash", head_hash(&log->chain.head, hex)),
        log_str("key", audit_key_id(log->key)),
    };
    log_write(LOG_LEVEL_INFO, "audit_checkpoint", fields, 3);
}

static void encode_checkpoint(struct audit_log *log)
{
    size_t before = log->bytes.length;
    if (log->key == NULL || log->unsigned_records == 0 || log->forward >= 0) {
        return;
    }
    struct own own;
    own_begin(log, AUDIT_CHECKPOINT, &own);
    if (!audit_encode_checkpoint(&log->chain, log->key, own.mapping_hash, own.config_hash,
                                 audit_log_now_ns(), &log->bytes)) {
        encode_failed(log, before);
        return;
    }
    log->bytes_records++;
    log->bytes_checkpoints++;
    log->unsigned_records = 0;
}

static void encode_batch(struct audit_log *log, struct audit_entry *entry, uint64_t lost)
{
    while (entry != NULL) {
        struct audit_entry *next = entry->next;
        encode(log, entry->event);
        audit_entry_free(&entry);
        entry = next;
    }
    if (lost > 0) {
        struct own own;
        own_begin(log, AUDIT_RECORDS_LOST, &own);
        own.event.count = lost;
        own.event.outcome = AUDIT_FAILED;
        encode(log, &own.event);
    }
    if (log->unsigned_records >= log->checkpoint_records) {
        encode_checkpoint(log);
    }
}

/* ---- durable ---- */

/* The process that took the events has gone: they are queued again, before all others, for the file. */
static void forward_failed(struct audit_log *log)
{
    struct audit_reader reader;
    struct audit_record record;
    struct audit_queue again;
    audit_queue_init(&again, SIZE_MAX);
    audit_reader_init(&reader, writer_view(&log->bytes));
    while (audit_read(&reader, &record) == AUDIT_OK) {
        struct audit_entry *entry = audit_entry_new(&record.event, audit_log_now_ns());
        if (entry == NULL) {
            continue;
        }
        entry->queued_ns = audit_log_monotonic_ns();
        if (!audit_queue_push(&again, entry)) {
            audit_entry_free(&entry);
        }
    }
    audit_reader_end(&reader);
    writer_reset(&log->bytes);
    log->bytes_records = log->bytes_checkpoints = 0;
    close(log->forward);
    log->forward = -1;
    pthread_mutex_lock(&log->lock);
    audit_queue_put_back(&log->queue, again.head);
    log->writing_ns = 0;
    log->mode = AUDIT_MODE_HELD;
    audit_log_settle(log);
    log->wanted = log->wanted == AUDIT_MODE_FORWARD ? AUDIT_MODE_FILE : log->wanted;
    pthread_mutex_unlock(&log->lock);
    log_text(LOG_LEVEL_WARN, "audit_forward_failed", "the events go to our own file again");
}

static void count_durable(struct audit_log *log)
{
    const uint64_t now = (uint64_t)audit_log_now_ns();
    atomic_fetch_add(&log->written, log->bytes_records);
    atomic_store(&log->last_sync_ns, now);
    if (log->bytes_checkpoints > 0) {
        atomic_fetch_add(&log->checkpoints, log->bytes_checkpoints);
        atomic_store(&log->last_checkpoint_ns, now);
    }
    if (log->bytes_checkpoints > 0 && log->unsigned_records == 0) {
        tell_checkpoint(log);
    }
    atomic_store(&log->unsigned_now, log->unsigned_records);
    atomic_store(&log->head_seq, log->forward >= 0 ? 0 : log->chain.head.seq);
    log->bytes_records = log->bytes_checkpoints = 0;
    writer_reset(&log->bytes);
    pthread_mutex_lock(&log->lock);
    log->writing_ns = 0;
    audit_log_settle(log);
    pthread_mutex_unlock(&log->lock);
    const bool failed = atomic_exchange(&log->failing, false);
    if (atomic_exchange(&log->hanging, false) || failed) {
        struct log_field field = log_str("path", log->path);
        log_write(LOG_LEVEL_WARN, "audit_write_recovered", &field, 1);
    }
}

/* Makes `bytes` durable. */
bool audit_writer_flush(struct audit_log *log)
{
    if (log->bytes.length == 0) {
        return true;
    }
    if (log->forward >= 0) {
        if (!audit_forward_send(log->forward, writer_view(&log->bytes))) {
            forward_failed(log);
            return true;
        }
    } else if (!audit_file_append(&log->file, writer_view(&log->bytes))) {
        note_failure(log);
        return false;
    }
    if (log->forward < 0 && log->file.first_seq == 0) {
        log->file.first_seq = log->chain.head.seq - log->bytes_records + 1;
    }
    count_durable(log);
    return true;
}

static void wait_to_retry(struct audit_log *log)
{
    const struct timespec until = audit_log_moment_in(AUDIT_RETRY_S * second_ns);
    pthread_mutex_lock(&log->lock);
    while (!log->abandoned &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&log->lock);
}

/* Until it holds, or nobody waits for it any more. */
static bool flush_at_last(struct audit_log *log)
{
    while (!audit_writer_flush(log)) {
        wait_to_retry(log);
        if (is_abandoned(log)) {
            return false;
        }
    }
    return true;
}

/* ---- the next file ---- */

/* With its head, which vouches for the beginning of what is left once that file is moved away or removed. */
static void tell_rotated(const char *ended, const struct audit_head *head, size_t removed)
{
    char hex[HEX_SIZE];
    struct log_field fields[] = {
        log_str("ended", ended),
        log_uint("seq", head->seq),
        log_str("hash", head_hash(head, hex)),
        log_uint("removed", removed),
    };
    log_write(LOG_LEVEL_INFO, "audit_rotated", fields, 4);
}

static void encode_rotated(struct audit_log *log, const char *before, const struct audit_head *head,
                           size_t removed)
{
    char detail[AUDIT_TEXT_BYTES_MAX], hex[HEX_SIZE];
    const char *slash = strrchr(before, '/');
    struct own own;
    own_begin(log, AUDIT_ROTATED, &own);
    snprintf(detail, sizeof detail, "after %.800s, head %" PRIu64 ":%s",
             slash != NULL ? slash + 1 : before, head->seq, head_hash(head, hex));
    own.event.detail = detail;
    own.event.count = removed;
    encode(log, &own.event);
    encode_checkpoint(log); /* so that each file tells by itself whose it is */
}

/* The file ends with a checkpoint; the next begins with the record that names it. */
static void rotate(struct audit_log *log)
{
    char ended[AUDIT_FILE_NAME_SIZE];
    if (audit_log_monotonic_ns() < log->rotate_after_ns) {
        return;
    }
    encode_checkpoint(log);
    if (!flush_at_last(log)) {
        return;
    }
    if (!audit_file_rotate(&log->file, log->chain.head.seq, ended)) {
        struct log_field fields[] = {log_str("path", log->path), log_str("error", strerror(errno))};
        log_write(LOG_LEVEL_ERROR, "audit_rotate_failed", fields, 2);
        log->rotate_after_ns = audit_log_monotonic_ns() + ROTATE_RETRY_S * second_ns;
        return;
    }
    const size_t removed = audit_file_prune(&log->file, log->keep);
    const struct audit_head head = log->chain.head;
    tell_rotated(ended, &head, removed);
    atomic_fetch_add(&log->rotations, 1);
    encode_rotated(log, ended, &head, removed);
    (void)flush_at_last(log);
}

/* ---- opening ---- */

/* Who signs from here on, when that is somebody else than before. */
static void encode_signer(struct audit_log *log, const char *before)
{
    char detail[AUDIT_KEY_ID_SIZE * 2 + 32];
    const char *now = log->key != NULL ? audit_key_id(log->key) : "";
    if (strcmp(before, now) == 0) {
        return;
    }
    struct own own;
    own_begin(log, log->key != NULL ? AUDIT_SIGNING_KEY : AUDIT_SIGNING_OFF, &own);
    snprintf(detail, sizeof detail, "key %s, before %s", now[0] != '\0' ? now : "none",
             before[0] != '\0' ? before : "none in this file");
    own.event.detail = detail;
    encode(log, &own.event);
    encode_checkpoint(log); /* from its first moment on somebody vouches for the log */
}

/* Opens the file and continues its chain. Returns NULL, or what is wrong. */
const char *audit_writer_open(struct audit_log *log)
{
    struct audit_file_past past;
    const char *wrong = audit_file_open(&log->file, &log->chain, &past);
    if (wrong != NULL) {
        return wrong;
    }
    const struct audit_head head = log->chain.head;
    log->unsigned_records = 0;
    if (past.torn_bytes > 0) {
        struct log_field fields[] = {log_str("path", log->path),
                                     log_uint("bytes", past.torn_bytes)};
        log_write(LOG_LEVEL_WARN, "audit_torn_record_cut", fields, 2);
        struct own own;
        own_begin(log, AUDIT_CHAIN_TORN, &own);
        own.event.count = past.torn_bytes;
        encode(log, &own.event);
    }
    if (past.before[0] != '\0') {
        tell_rotated(past.before, &head, 0);
        encode_rotated(log, past.before, &head, 0);
    }
    encode_signer(log, past.key_id);
    if (log->key != NULL && log->unsigned_records == 0 && past.records_behind > 0) {
        log->unsigned_records = past.records_behind;
        log->sign_at = audit_log_moment_in((int64_t)log->checkpoint_interval_ms * 1000000);
    }
    return NULL;
}

/* ---- from one mode to another ---- */

static void set_mode(struct audit_log *log, enum audit_mode mode, const char *wrong)
{
    pthread_mutex_lock(&log->lock);
    log->held_ns = log->mode == AUDIT_MODE_HELD ? audit_log_monotonic_ns() : log->held_ns;
    log->mode = mode;
    audit_log_settle(log);
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
    const struct timespec until = audit_log_moment_in(REOPEN_NS);
    if (++log->reopens == REOPENS_QUIET) {
        struct log_field fields[] = {log_str("path", log->path), log_str("error", wrong)};
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
    const char *wrong = audit_writer_open(log);
    pthread_mutex_lock(&log->lock);
    bool once = log->taking;
    pthread_mutex_unlock(&log->lock);
    if (wrong == NULL && once && !audit_writer_flush(log)) {
        /* Known at start rather than later. */
        wrong = "it cannot be written";
    }
    if (wrong == NULL) {
        log->reopens = 0;
        atomic_store(&log->failing, false);
        set_mode(log, AUDIT_MODE_FILE, NULL);
    } else if (once) {
        audit_file_close(&log->file);
        writer_reset(&log->bytes);
        log->bytes_records = log->bytes_checkpoints = 0;
        set_mode(log, AUDIT_MODE_HELD, wrong);
    } else {
        reopen_later(log, wrong);
    }
}

/* Called with nothing queued in the present mode. What we have written ends with our signature. */
static void change_mode(struct audit_log *log, enum audit_mode wanted)
{
    if (wanted == AUDIT_MODE_FILE) {
        change_to_file(log);
        return;
    }
    if (log->file.fd >= 0) {
        encode_checkpoint(log);
        if (!audit_writer_flush(log)) {
            wait_to_retry(log);
            return;
        }
    }
    audit_file_close(&log->file);
    if (wanted == AUDIT_MODE_FORWARD) {
        pthread_mutex_lock(&log->lock);
        log->forward = log->next_forward;
        log->next_forward = -1;
        pthread_mutex_unlock(&log->lock);
    }
    set_mode(log, wanted, NULL);
}

/* ---- the thread ---- */

/* A storm of logins would sync for each of them: one sync every so often covers all. */
static void gather(struct audit_log *log)
{
    const struct timespec until = audit_log_moment_in(GATHER_NS);
    pthread_mutex_lock(&log->lock);
    log->gathering = true;
    while (!log->stopping && log->queue.count < AUDIT_BATCH_EVENTS &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT) {
    }
    log->gathering = false;
    pthread_mutex_unlock(&log->lock);
}

static bool nothing_to_do(const struct audit_log *log)
{
    bool idle =
        log->mode == AUDIT_MODE_HELD || (log->queue.head == NULL && log->lost_to_report == 0);
    return idle && log->mode == log->wanted && !log->stopping;
}

/* Waits for something to do, with the lock held. True: a checkpoint is due. */
static bool wait_for_work(struct audit_log *log)
{
    while (nothing_to_do(log)) {
        if (log->mode != AUDIT_MODE_FILE || log->unsigned_records == 0 || log->key == NULL) {
            pthread_cond_wait(&log->changed, &log->lock);
        } else if (pthread_cond_timedwait(&log->changed, &log->lock, &log->sign_at) == ETIMEDOUT) {
            return true;
        }
    }
    const struct timespec now = audit_log_moment_in(0);
    return log->mode == AUDIT_MODE_FILE && log->unsigned_records > 0 && log->key != NULL &&
           (now.tv_sec > log->sign_at.tv_sec ||
            (now.tv_sec == log->sign_at.tv_sec && now.tv_nsec >= log->sign_at.tv_nsec));
}

/* Up to a batch from the queue; call with the lock held. */
static struct audit_entry *take(struct audit_log *log, uint64_t *lost_r)
{
    struct audit_entry *first = audit_queue_take(&log->queue, AUDIT_BATCH_EVENTS);
    log->writing_ns = first != NULL && log->writing_ns == 0 ? first->queued_ns : log->writing_ns;
    audit_log_settle(log);
    *lost_r = log->lost_to_report;
    log->lost_to_report = 0;
    return first;
}

/* One round. False: it was the last. */
static bool step(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    const bool due = wait_for_work(log);
    const enum audit_mode wanted = log->wanted;
    const bool held = log->mode == AUDIT_MODE_HELD;
    if (log->mode != wanted && (held || log->queue.head == NULL) && !log->abandoned) {
        pthread_mutex_unlock(&log->lock);
        change_mode(log, wanted);
        return true;
    }
    uint64_t lost = 0;
    struct audit_entry *batch = held ? NULL : take(log, &lost);
    const bool last = batch == NULL && lost == 0 && log->stopping;
    pthread_mutex_unlock(&log->lock);
    encode_batch(log, batch, lost);
    if (!held && (due || last)) {
        encode_checkpoint(log);
    }
    if (!flush_at_last(log) || last) {
        return false;
    }
    if (log->file.fd >= 0 && log->rotate_bytes > 0 &&
        log->file.offset >= (off_t)log->rotate_bytes) {
        rotate(log);
    }
    gather(log);
    return true;
}

void *audit_writer_run(void *log)
{
    while (step(log)) {
    }
    return NULL;
}
