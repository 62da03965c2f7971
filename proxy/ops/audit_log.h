/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log on disk: events in, chained records appended and made durable, off the loop.
 *
 * One thread owns the file: it takes what is queued, encodes it with auth/audit.h (sequence number,
 * hash chain), appends it and calls fdatasync once for the batch; after a sync it gathers for up to
 * 10 ms, so that a storm of logins does not become a storm of syncs. At open the chain is continued
 * from the last record of the file; a torn last record (power loss) is cut off, and that is logged.
 * A file whose end is not a sound chain, or that holds no sound record at all, is left as it is:
 * open fails. One process writes one file. At rotate_bytes it ends and the chain goes on in the next
 * (audit_file.h).
 *
 * With a key every checkpoint_records records, checkpoint_interval_ms after the first that no
 * checkpoint covers, and before the file ends or changes hands, a checkpoint is written, and its
 * number and hash go to the ordinary log.
 *
 * Unhealthy means: what is decided now may not be provable later. It is so while a write or sync
 * has failed (the writer tries again every second, keeping the records it has), while the oldest
 * event has waited for unsynced_max_ms to be durable (not counting a handover), and while less than
 * a quarter of the queue is free, which is kept for those who are in already: refused logins, which
 * any stranger can have, find the queue full then. Events that found it full are lost; each is
 * counted, and a record that says how many follows as soon as there is room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_event;
struct audit_key;
struct audit_log;

enum audit_log_policy { AUDIT_LOG_DENY, AUDIT_LOG_CONTINUE };

/* file: created 0640 when missing, never opened through a symbolic link. Empty: audit is off. */
struct audit_log_params {
    const char *file;
    enum audit_log_policy on_failure;
    size_t queue_max; /* events waiting; 0: 8192 */
    bool held;        /* another process has the file: look whether it could be opened, and queue */
    struct audit_key *key; /* signs checkpoints; NULL: there are none. The log makes a reference */
    uint64_t checkpoint_records, checkpoint_interval_ms; /* 0: 1000 records, one minute */
    uint64_t unsynced_max_ms; /* 0: 5 seconds */
    uint64_t rotate_bytes; /* the size at which a file ends; 0: never */
    size_t keep;           /* how many files that ended stay; 0: all */
    const char *mapping_hash, *config_hash; /* in use at first; NULL: not known yet */
};

struct audit_log_stats {
    uint64_t written, lost, write_failures, queued;
    uint64_t last_sync_ns; /* wall clock; 0: never */
    bool signing;
    uint64_t checkpoints, unsigned_records;
    uint64_t last_checkpoint_ns; /* wall clock; 0: none by this process */
    uint64_t rotations;
    uint64_t head_seq; /* number of the last durable record; 0: unknown here */
};

/* Opens the file, resumes the chain, starts the thread. With an empty file name a log that drops
 * everything and is always healthy. NULL with a text of one line in error_r[0..error_size) on
 * failure. */
struct audit_log *audit_log_open(const struct audit_log_params *params, char *error_r,
                                 size_t error_size) __attribute__((warn_unused_result));

/* Writes and syncs what is queued (at most about five seconds), stops the thread, closes. *log =
 * NULL; NULL is fine. */
void audit_log_close(struct audit_log **log);

/* The rules that are in use from now on: for events that do not bring their own, and for the records
 * that the log writes about itself. Any thread. */
void audit_log_use(struct audit_log *log, const char *mapping_hash, const char *config_hash);

/* Queues a copy of the event; any thread; never blocks on the disk. False: the queue was full and
 * the event is lost. */
bool audit_log_append(struct audit_log *log, const struct audit_event *event);

/* Any thread. */
bool audit_log_healthy(const struct audit_log *log);

/* May a new login be let in now? healthy, or the policy is to continue. Any thread. */
bool audit_log_admits(struct audit_log *log);

/*
 * Handing the file from one process to the next. One chain, one writer at a time:
 *
 *   release   what was queued before is made durable, the file is closed; later events wait in the queue. False: not
 *             within five seconds, and nothing has changed
 *   take      the other process: opens the file, continues the chain. Blocking. False with a text; it stays held
 *   forward   events go to fd, a socket whose other end is an audit_inlet of the process that has the file; fd is
 *             the log's. When that process goes, what it has not confirmed goes to the file after all
 *   return    the file is opened again, as soon as the other process has let go of it
 */
bool audit_log_release(struct audit_log *log) __attribute__((warn_unused_result));
bool audit_log_take(struct audit_log *log, char *error_r, size_t error_size)
    __attribute__((warn_unused_result));
void audit_log_forward(struct audit_log *log, int fd);
void audit_log_return(struct audit_log *log);

void audit_log_stats(const struct audit_log *log, struct audit_log_stats *stats_r);
