/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ops/ledger_block.h"
#include "proxy/ops/ledger_lanes.h"
#include "proxy/ops/ledger_output.h"
#include "proxy/ops/log.h"

enum {
    ROTATE_BYTES = 64 << 20,
    ROTATE_PARTITIONS = 1 << 20, /* readers keep a table of those that a file defines */
    WRITE_BYTES = 64 << 10,      /* a block that has become this long is written */
    BUSY_MS = 25,
    IDLE_MS = 100,
    SYNC_MS = 1000,
    RETRY_MS = 1000,
    CLOSE_WAIT_S = 5,
};

struct ledger {
    /* Shared, under lock. */
    pthread_mutex_t lock;
    bool stopping, abandoned;
    /* Shared without it. */
    sem_t bell; /* there is something to do before the thread would look again */
    struct ledger_lanes lanes;
    atomic_uint_fast64_t written[LEDGER_KINDS];
    atomic_uint_fast64_t bytes, files, write_failures;
    atomic_bool failing;
    /* Of the thread alone, once it runs. */
    struct ledger_block block;
    struct view unwritten; /* of block, sealed; empty: nothing */
    bool unwritten_ends;   /* it is the last block of its file */
    uint64_t block_number;
    uint64_t in_block[LEDGER_KINDS], told[LEDGER_KINDS]; /* told: losses that gaps have told of */
    int64_t looked_ms, gap_logged_ms;                    /* wall clock, monotonic */
    uint64_t gap_untold;                                 /* lost, and not in the log yet */
    uint32_t next_id;
    struct ledger_output output;
    pthread_t thread;
    size_t rotate_bytes;
};

const char *ledger_kind_name(enum ledger_kind kind)
{
    static const char *const names[LEDGER_KINDS] = {
        [LEDGER_ACKNOWLEDGED] = "acknowledged",
        [LEDGER_FETCHED] = "fetched",
        [LEDGER_IN_DOUBT] = "in_doubt",
        [LEDGER_REFUSED] = "refused",
        [LEDGER_MARK] = "mark",
    };
    return kind < LEDGER_KINDS ? names[kind] : "unknown";
}

/* ---- the file ---- */

static bool failed(struct ledger *l)
{
    int error = errno;
    atomic_fetch_add(&l->write_failures, 1);
    if (!atomic_exchange(&l->failing, true)) {
        struct log_field fields[] = {log_str("path", l->output.path),
                                     log_str("error", strerror(error))};
        log_write(LOG_LEVEL_ERROR, "ledger_write_failed", fields, 2);
    }
    return false;
}

static void held(struct ledger *l)
{
    if (atomic_exchange(&l->failing, false)) {
        struct log_field field = log_str("path", l->output.path);
        log_write(LOG_LEVEL_WARN, "ledger_write_recovered", &field, 1);
    }
}

static bool begin_file(struct ledger *l)
{
    if (!ledger_output_begin(&l->output, &l->block)) {
        return false;
    }
    atomic_fetch_add(&l->bytes, (uint64_t)l->output.offset);
    atomic_fetch_add(&l->files, 1);
    l->next_id = 0;
    l->block_number = 1;
    return true;
}

static void sync_file(struct ledger *l)
{
    if (!ledger_output_sync(&l->output)) {
        (void)failed(l);
    }
}

static void count_written(struct ledger *l)
{
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        atomic_fetch_add(&l->written[kind], l->in_block[kind]);
        l->in_block[kind] = 0;
    }
}

/* Writes the sealed block, if there is one, and leaves its file if it was the last one there. */
static bool write_out(struct ledger *l)
{
    if (l->unwritten.length == 0) {
        return true;
    }
    if (!ledger_output_write(&l->output, l->unwritten)) {
        return failed(l);
    }
    atomic_fetch_add(&l->bytes, l->unwritten.length);
    l->unwritten.length = 0;
    count_written(l);
    held(l);
    if (l->unwritten_ends) {
        sync_file(l);
        ledger_output_end(&l->output);
        l->unwritten_ends = false;
    }
    return true;
}

/* ---- blocks ---- */

static void define(struct ledger *l, struct ledger_stream *stream)
{
    stream->file = l->output.file;
    stream->id = ++l->next_id;
    const struct ledger_partition partition = {
        .id = stream->id,
        .cluster = ledger_stream_cluster(stream),
        .topic = ledger_stream_topic(stream),
        .topic_id = stream->has_id ? stream->topic_id : NULL,
        .partition = stream->partition,
    };
    ledger_block_define(&l->block, &partition);
}

/* Moves what waits in a lane into the block. Returns how many; *full_r: there may be more. */
static size_t take(struct ledger *l, struct ledger_lane *lane, bool *full_r)
{
    size_t taken = 0;
    struct ledger_entry *entry = ledger_lane_front(lane);
    while (entry != NULL && l->block.bytes.length < WRITE_BYTES) {
        if (entry->stream->file != l->output.file) {
            define(l, entry->stream);
        }
        ledger_block_put(&l->block, entry->stream->id, &entry->record);
        l->in_block[entry->record.kind]++;
        ledger_lane_drop(lane);
        taken++;
        entry = ledger_lane_front(lane);
    }
    *full_r = *full_r || entry != NULL;
    return taken;
}

/* One a second, whatever is lost. */
static void log_gap(struct ledger *l, uint64_t lost)
{
    const int64_t now_ms = ledger_output_monotonic_ms();
    l->gap_untold += lost;
    if (l->gap_logged_ms != 0 && now_ms - l->gap_logged_ms < SYNC_MS) {
        return;
    }
    struct log_field fields[] = {log_str("path", l->output.path),
                                 log_uint("records", l->gap_untold)};
    log_write(LOG_LEVEL_ERROR, "ledger_gap", fields, 2);
    l->gap_logged_ms = now_ms;
    l->gap_untold = 0;
}

/* What was lost since the last look, lies between then and now. */
static bool tell_gap(struct ledger *l, int64_t now_ms)
{
    struct ledger_gap gap = {.from_ms = l->looked_ms, .to_ms = now_ms};
    uint64_t sum = 0, lost[LEDGER_KINDS];
    ledger_lanes_lost(&l->lanes, lost);
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        gap.lost[kind] = lost[kind] - l->told[kind];
        sum += gap.lost[kind];
        l->told[kind] = lost[kind];
    }
    l->looked_ms = now_ms;
    if (sum == 0) {
        return false;
    }
    ledger_block_gap(&l->block, &gap);
    log_gap(l, sum);
    return true;
}

static void seal(struct ledger *l, bool ends)
{
    if (ledger_block_seal(&l->block, &l->unwritten)) {
        l->unwritten_ends = ends;
        return;
    }
    /* Only lack of memory leads here. */
    for (enum ledger_kind kind = 0; kind < LEDGER_KINDS; kind++) {
        ledger_lanes_miss(&l->lanes, kind, l->in_block[kind]);
        l->in_block[kind] = 0;
    }
    l->unwritten.length = 0;
}

/* One block from all lanes. Returns how many records; *full_r: more wait. */
static size_t fill(struct ledger *l, bool *full_r)
{
    const int64_t now_ms = ledger_output_wall_ms();
    ledger_block_begin(&l->block, ++l->block_number, now_ms);
    bool gap = tell_gap(l, now_ms);
    size_t taken = 0;
    *full_r = false;
    const unsigned count = atomic_load(&l->lanes.count);
    for (unsigned i = 0; i < count; i++) {
        struct ledger_lane *lane = ledger_lanes_turn(&l->lanes, i);
        taken += lane != NULL ? take(l, lane, full_r) : 0;
    }
    ledger_lanes_next(&l->lanes);
    if (taken == 0 && !gap) {
        l->block_number--;
        return 0;
    }
    seal(l, false);
    return taken;
}

static void end_file(struct ledger *l, bool followed)
{
    ledger_block_begin(&l->block, ++l->block_number, ledger_output_wall_ms());
    ledger_block_end(&l->block);
    if (followed) {
        ledger_block_follow(&l->block);
    }
    seal(l, true);
}

/* ---- the thread ---- */

/* Writes what waits; more only while a block is full: what comes meanwhile is for the next look.
 * Returns how many records it found; *ok_r: all of it was written. */
static size_t look(struct ledger *l, bool *ok_r)
{
    size_t found = 0;
    bool more = true;
    *ok_r = false;
    while (more) {
        if (!write_out(l)) {
            return found;
        }
        if (l->output.fd < 0 && !begin_file(l)) {
            (void)failed(l);
            return found;
        }
        if ((size_t)l->output.offset >= l->rotate_bytes || l->next_id >= ROTATE_PARTITIONS) {
            end_file(l, true);
            continue;
        }
        found += fill(l, &more);
        if (!write_out(l)) {
            return found;
        }
        if (l->output.dirty && ledger_output_monotonic_ms() - l->output.synced_ms >= SYNC_MS) {
            sync_file(l);
        }
    }
    *ok_r = true;
    return found;
}

/* By the clock that nobody sets. Returns false when it is time to stop. */
static bool rest(struct ledger *l, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (until.tv_nsec + ms * 1000000) / 1000000000;
    until.tv_nsec = (until.tv_nsec + ms * 1000000) % 1000000000;
    while (sem_clockwait(&l->bell, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&l->lock);
    bool go_on = !l->stopping;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static bool is_abandoned(struct ledger *l)
{
    pthread_mutex_lock(&l->lock);
    bool abandoned = l->abandoned;
    pthread_mutex_unlock(&l->lock);
    return abandoned;
}

/* Nothing is put any more: the rest, and the end. */
static void finish(struct ledger *l)
{
    bool ok = false;
    (void)look(l, &ok);
    while (!ok && !is_abandoned(l)) {
        usleep(50 * 1000);
        (void)look(l, &ok);
    }
    if (ok) {
        end_file(l, false);
        (void)write_out(l);
    }
}

static void *ledger_run(void *context)
{
    struct ledger *l = context;
    long ms = BUSY_MS;
    while (rest(l, ms)) {
        bool ok = false;
        size_t found = look(l, &ok);
        long longer = ms * 2 < IDLE_MS ? ms * 2 : IDLE_MS;
        ms = !ok ? RETRY_MS : found > 0 ? BUSY_MS : longer;
    }
    finish(l);
    return NULL;
}

/* ---- the surface ---- */

static void ledger_free(struct ledger *l)
{
    ledger_lanes_free(&l->lanes);
    ledger_output_free(&l->output);
    ledger_block_free(&l->block);
    pthread_mutex_destroy(&l->lock);
    sem_destroy(&l->bell);
    free(l);
}

static struct ledger *ledger_new(const struct ledger_params *params)
{
    struct ledger *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    sem_init(&l->bell, 0, 0);
    ledger_lanes_init(&l->lanes, &l->bell);
    ledger_block_init(&l->block);
    l->rotate_bytes = params->rotate_bytes > 0 ? params->rotate_bytes : ROTATE_BYTES;
    if (!ledger_output_init(&l->output, params->directory)) {
        ledger_free(l);
        return NULL;
    }
    l->looked_ms = l->output.started_ms;
    return l;
}

static int start_thread(struct ledger *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&l->thread, NULL, ledger_run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct ledger *ledger_open(const struct ledger_params *params, char *error_r, size_t error_size)
{
    struct ledger *l = ledger_new(params);
    if (l == NULL) {
        snprintf(error_r, error_size, "no memory for the ledger");
        return NULL;
    }
    if (!begin_file(l)) {
        snprintf(error_r, error_size, "%s: %s", l->output.path, strerror(errno));
        ledger_free(l);
        return NULL;
    }
    int error = start_thread(l);
    if (error != 0) {
        snprintf(error_r, error_size, "no thread for the ledger: %s", strerror(error));
        ledger_free(l);
        return NULL;
    }
    return l;
}

static bool end_thread(struct ledger *l, bool *order, int seconds)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += seconds;
    pthread_mutex_lock(&l->lock);
    *order = true;
    pthread_mutex_unlock(&l->lock);
    (void)sem_post(&l->bell);
    return pthread_timedjoin_np(l->thread, NULL, &deadline) == 0;
}

void ledger_close(struct ledger **ledger)
{
    struct ledger *l = *ledger;
    *ledger = NULL;
    if (l == NULL) {
        return;
    }
    if (!end_thread(l, &l->stopping, CLOSE_WAIT_S)) {
        struct log_field field = log_str("path", l->output.path);
        log_write(LOG_LEVEL_ERROR, "ledger_lost_at_close", &field, 1);
        if (!end_thread(l, &l->abandoned, 1)) {
            /* It hangs in the kernel and will not come back; its memory stays with it. */
            pthread_detach(l->thread);
            return;
        }
    }
    ledger_free(l);
}

struct ledger_lane *ledger_join(struct ledger *l)
{
    return ledger_lanes_join(&l->lanes);
}

void ledger_leave(struct ledger *l, struct ledger_lane **lane)
{
    (void)l;
    if (*lane != NULL) {
        ledger_lane_end(*lane);
    }
    *lane = NULL;
}

void ledger_stats(struct ledger *l, struct ledger_stats *stats_r)
{
    *stats_r = (struct ledger_stats){
        .bytes = atomic_load(&l->bytes),
        .files = atomic_load(&l->files),
        .write_failures = atomic_load(&l->write_failures),
        .healthy = !atomic_load(&l->failing),
    };
    ledger_lanes_stats(&l->lanes, stats_r->lost, &stats_r->waiting);
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        stats_r->written[kind] = atomic_load(&l->written[kind]);
    }
}
