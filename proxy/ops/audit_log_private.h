/* SPDX-License-Identifier: Apache-2.0 */
/* audit_log_private: the inside of struct audit_log, for audit_log.c (any thread) and audit_writer.c (its thread). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "auth/audit.h"
#include "proxy/ops/audit_file.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/audit_queue.h"

enum { AUDIT_BATCH_EVENTS = 256, AUDIT_RETRY_S = 1, AUDIT_RULES_SIZE = 72 };

/* Where events go. */
enum audit_mode { AUDIT_MODE_FILE, AUDIT_MODE_HELD, AUDIT_MODE_FORWARD };

struct audit_log {
    /* Shared, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct audit_queue queue;
    uint64_t lost_to_report;
    char mapping_hash[AUDIT_RULES_SIZE], config_hash[AUDIT_RULES_SIZE]; /* in use; "" not said */
    int64_t writing_ns; /* when the oldest of what is taken, not yet durable, was queued; 0: none */
    int64_t held_ns;    /* when the file was had again: what was queued before counts from here */
    bool stopping, abandoned;
    bool gathering; /* the writer sleeps for a fixed time and need not be told of each event */
    enum audit_mode mode, wanted; /* the writer makes the one the other */
    bool taking;            /* audit_log_take waits: one try counts */
    const char *take_error; /* what came of it */
    int next_forward;       /* for the writer, when FORWARD is wanted */
    /* Read without the lock. */
    atomic_bool failing;
    atomic_bool full;    /* but for what is kept for those who are in */
    atomic_bool hanging; /* it has been told that events wait too long */
    atomic_int_fast64_t waiting_ns; /* since when an event waits to be durable; 0: none does */
    atomic_uint_fast64_t written, lost, write_failures, queued_now, last_sync_ns;
    atomic_uint_fast64_t checkpoints, last_checkpoint_ns, unsigned_now, rotations, head_seq;
    /* Of the writer thread alone, once it runs. */
    struct audit_chain chain;
    struct writer bytes; /* encoded, not yet durable */
    size_t bytes_records, bytes_checkpoints;
    struct audit_file file;
    uint64_t unsigned_records; /* encoded since the last checkpoint */
    struct timespec sign_at;   /* CLOCK_MONOTONIC; only with unsigned_records */
    int64_t rotate_after_ns;   /* CLOCK_MONOTONIC: not before, because it failed */
    int forward; /* a socket; -1: none */
    unsigned reopens; /* tries that failed in a row */
    pthread_t thread;
    /* Constant. */
    bool on; /* there is a file */
    enum audit_log_policy on_failure;
    struct audit_key *key; /* NULL: checkpoints are not signed, so there are none */
    uint64_t checkpoint_records, checkpoint_interval_ms, unsynced_max_ms;
    uint64_t rotate_bytes; /* 0: never */
    size_t keep;
    char *path;
};

int64_t audit_log_now_ns(void);

/* From the clock that nobody sets. */
struct timespec audit_log_moment_in(int64_t nanoseconds);

int64_t audit_log_monotonic_ns(void);

/* After whatever changes what waits; call with the lock held. */
void audit_log_settle(struct audit_log *log);

/* audit_writer.c: what the thread runs, and the first steps that are made before it starts. */
void *audit_writer_run(void *log);
const char *audit_writer_open(struct audit_log *log) __attribute__((warn_unused_result));
bool audit_writer_flush(struct audit_log *log) __attribute__((warn_unused_result));
