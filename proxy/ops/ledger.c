/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ops/ledger_block.h"
#include "proxy/ops/ledger_lane.h"
#include "proxy/ops/log.h"

enum {
    ROTATE_BYTES = 64 << 20,
    WRITE_BYTES = 64 << 10, /* a block that has become this long is written */
    BUSY_MS = 25,
    IDLE_MS = 100,
    SYNC_MS = 1000,
    RETRY_MS = 1000,
    CLOSE_WAIT_S = 5,
    PATH_BYTES = 4096,
};

struct ledger {
    /* Shared, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping, abandoned;
    /* Shared without it. */
    struct ledger_lane *_Atomic lanes[LEDGER_LANES_MAX]; /* set and freed under lock; NULL: free */
    atomic_uint lane_count;                              /* of them, that have ever been used */
    atomic_uint_fast64_t written[LEDGER_KINDS], lost_late[LEDGER_KINDS];
    atomic_uint_fast64_t bytes, files, write_failures;
    atomic_bool failing;
    /* Of the thread alone, once it runs. */
    struct ledger_block block;
    struct view unwritten; /* of block, sealed; empty: nothing */
    bool unwritten_ends;   /* it is the last block of its file */
    uint64_t block_number;
    uint64_t in_block[LEDGER_KINDS], told[LEDGER_KINDS]; /* told: losses that gaps have told of */
    int64_t looked_ms, synced_ms, gap_logged_ms;         /* wall clock, monotonic twice */
    uint64_t gap_untold;                                 /* lost, and not in the log yet */
    uint32_t file, next_id;
    unsigned first_lane; /* of the next block: each comes first in its turn */
    off_t offset;
    bool dirty;    /* written, not synced */
    int fd;        /* -1: the next file is to be made */
    int ended_fd;  /* the file before, locked until then; or -1 */
    uint32_t name; /* of the file, beside `file`: names may be taken */
    pthread_t thread;
    int64_t started_ms;
    size_t rotate_bytes;
    char host[256];
    char *directory;
    char path[PATH_BYTES];
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

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the file ---- */

static bool failed(struct ledger *l)
{
    int error = errno;
    atomic_fetch_add(&l->write_failures, 1);
    if (!atomic_exchange(&l->failing, true)) {
        struct log_field fields[] = {log_str("path", l->path), log_str("error", strerror(error))};
        log_write(LOG_LEVEL_ERROR, "ledger_write_failed", fields, 2);
    }
    return false;
}

static void held(struct ledger *l)
{
    if (atomic_exchange(&l->failing, false)) {
        struct log_field field = log_str("path", l->path);
        log_write(LOG_LEVEL_WARN, "ledger_write_recovered", &field, 1);
    }
}

/* Always from the same offset: a retry overwrites what an earlier try left half done. */
static bool write_at(struct ledger *l, struct view bytes, off_t offset)
{
    size_t done = 0;
    while (done < bytes.length) {
        ssize_t n = pwrite(l->fd, bytes.at + done, bytes.length - done, offset + (off_t)done);
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

static void name_file(struct ledger *l)
{
    char when[32];
    struct tm tm;
    const time_t started_s = (time_t)(l->started_ms / 1000);
    gmtime_r(&started_s, &tm);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(l->path, sizeof l->path, "%s/%s-%ld-%u.ledger", l->directory, when, (long)getpid(),
             l->name + 1);
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

static bool begin_file(struct ledger *l)
{
    struct view block;
    do {
        name_file(l);
        l->name++;
        l->fd = open(l->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    } while (l->fd < 0 && errno == EEXIST); /* a process of this number began in this second, too */
    if (l->fd < 0) {
        l->name--;
        return false;
    }
    l->file++;
    const struct ledger_start start = {l->host, (uint32_t)getpid(), l->file, l->started_ms};
    (void)flock(l->fd, LOCK_EX | LOCK_NB); /* says to readers that its writer lives */
    ledger_block_begin(&l->block, 1, clock_ms(CLOCK_REALTIME));
    ledger_block_start(&l->block, &start);
    if (!ledger_block_seal(&l->block, &block) ||
        !write_at(l, view_of(ledger_magic, sizeof ledger_magic), 0) ||
        !write_at(l, block, sizeof ledger_magic)) {
        int error = errno;
        close(l->fd);
        unlink(l->path);
        l->fd = -1;
        l->file--;
        l->name--;
        errno = error;
        return false;
    }
    l->offset = (off_t)(sizeof ledger_magic + block.length);
    atomic_fetch_add(&l->bytes, (uint64_t)l->offset);
    atomic_fetch_add(&l->files, 1);
    l->next_id = 0;
    l->block_number = 1;
    l->dirty = true;
    sync_folder(l->directory);
    if (l->ended_fd >= 0) {
        close(l->ended_fd);
        l->ended_fd = -1;
    }
    return true;
}

static void sync_file(struct ledger *l)
{
    l->synced_ms = clock_ms(CLOCK_MONOTONIC);
    if (l->dirty && fdatasync(l->fd) != 0) {
        (void)failed(l);
        return;
    }
    l->dirty = false;
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
    if (!write_at(l, l->unwritten, l->offset)) {
        return failed(l);
    }
    l->offset += (off_t)l->unwritten.length;
    l->dirty = true;
    atomic_fetch_add(&l->bytes, l->unwritten.length);
    l->unwritten.length = 0;
    count_written(l);
    held(l);
    if (l->unwritten_ends) {
        sync_file(l);
        l->ended_fd = l->fd;
        l->fd = -1;
        l->unwritten_ends = false;
    }
    return true;
}

/* ---- blocks ---- */

static void define(struct ledger *l, struct ledger_stream *stream)
{
    stream->file = l->file;
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
        if (entry->stream->file != l->file) {
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

static void lost_so_far(const struct ledger *l, uint64_t lost[LEDGER_KINDS])
{
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        lost[kind] = atomic_load(&l->lost_late[kind]);
    }
    const unsigned count = atomic_load(&l->lane_count);
    for (unsigned i = 0; i < count; i++) {
        const struct ledger_lane *lane = atomic_load(&l->lanes[i]);
        if (lane != NULL) {
            ledger_lane_lost(lane, lost);
        }
    }
}

/* A lane whose worker has ended is freed; what it had lost is kept. */
static void forget(struct ledger *l, unsigned at)
{
    struct ledger_lane *lane = atomic_load(&l->lanes[at]);
    uint64_t lost[LEDGER_KINDS] = {0};
    ledger_lane_lost(lane, lost);
    pthread_mutex_lock(&l->lock);
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        atomic_fetch_add(&l->lost_late[kind], lost[kind]);
    }
    atomic_store(&l->lanes[at], NULL);
    pthread_mutex_unlock(&l->lock);
    ledger_lane_free(&lane);
}

/* One a second, whatever is lost. */
static void log_gap(struct ledger *l, uint64_t lost)
{
    const int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    l->gap_untold += lost;
    if (l->gap_logged_ms != 0 && now_ms - l->gap_logged_ms < SYNC_MS) {
        return;
    }
    struct log_field fields[] = {log_str("path", l->path), log_uint("records", l->gap_untold)};
    log_write(LOG_LEVEL_ERROR, "ledger_gap", fields, 2);
    l->gap_logged_ms = now_ms;
    l->gap_untold = 0;
}

/* What was lost since the last look, lies between then and now. */
static bool tell_gap(struct ledger *l, int64_t now_ms)
{
    struct ledger_gap gap = {.from_ms = l->looked_ms, .to_ms = now_ms};
    uint64_t sum = 0, lost[LEDGER_KINDS];
    lost_so_far(l, lost);
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
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        atomic_fetch_add(&l->lost_late[kind], l->in_block[kind]);
        l->in_block[kind] = 0;
    }
    l->unwritten.length = 0;
}

/* One block from all lanes. Returns how many records; *full_r: more wait. */
static size_t fill(struct ledger *l, bool *full_r)
{
    const int64_t now_ms = clock_ms(CLOCK_REALTIME);
    ledger_block_begin(&l->block, ++l->block_number, now_ms);
    bool gap = tell_gap(l, now_ms);
    size_t taken = 0;
    *full_r = false;
    const unsigned count = atomic_load(&l->lane_count);
    for (unsigned i = 0; i < count; i++) {
        const unsigned at = (l->first_lane + i) % count;
        struct ledger_lane *lane = atomic_load(&l->lanes[at]);
        if (lane != NULL && ledger_lane_is_done(lane)) {
            forget(l, at);
        } else if (lane != NULL) {
            taken += take(l, lane, full_r);
        }
    }
    l->first_lane = count > 0 ? (l->first_lane + 1) % count : 0;
    if (taken == 0 && !gap) {
        l->block_number--;
        return 0;
    }
    seal(l, false);
    return taken;
}

static void end_file(struct ledger *l, bool followed)
{
    ledger_block_begin(&l->block, ++l->block_number, clock_ms(CLOCK_REALTIME));
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
        if (l->fd < 0 && !begin_file(l)) {
            (void)failed(l);
            return found;
        }
        if ((size_t)l->offset >= l->rotate_bytes) {
            end_file(l, true);
            continue;
        }
        found += fill(l, &more);
        if (!write_out(l)) {
            return found;
        }
        if (l->dirty && clock_ms(CLOCK_MONOTONIC) - l->synced_ms >= SYNC_MS) {
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
    pthread_mutex_lock(&l->lock);
    while (!l->stopping && pthread_cond_timedwait(&l->changed, &l->lock, &until) != ETIMEDOUT) {
    }
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
    const unsigned count = atomic_load(&l->lane_count);
    for (unsigned i = 0; i < count; i++) {
        struct ledger_lane *lane = atomic_load(&l->lanes[i]);
        ledger_lane_free(&lane);
    }
    if (l->fd >= 0) {
        close(l->fd);
    }
    if (l->ended_fd >= 0) {
        close(l->ended_fd);
    }
    ledger_block_free(&l->block);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    free(l->directory);
    free(l);
}

static struct ledger *ledger_new(const struct ledger_params *params)
{
    struct ledger *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    ledger_block_init(&l->block);
    l->fd = -1;
    l->ended_fd = -1;
    l->rotate_bytes = params->rotate_bytes > 0 ? params->rotate_bytes : ROTATE_BYTES;
    l->started_ms = clock_ms(CLOCK_REALTIME);
    l->looked_ms = l->started_ms;
    l->directory = strdup(params->directory);
    if (gethostname(l->host, sizeof l->host - 1) != 0) {
        l->host[0] = '\0';
    }
    if (l->directory == NULL) {
        ledger_free(l);
        return NULL;
    }
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
        snprintf(error_r, error_size, "%s: %s", l->path, strerror(errno));
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
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
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
        struct log_field field = log_str("path", l->path);
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
    struct ledger_lane *lane = NULL;
    uint8_t key[SIPHASH_KEY_BYTES];
    unsigned at = 0;
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key) {
        return NULL;
    }
    pthread_mutex_lock(&l->lock);
    const unsigned count = atomic_load(&l->lane_count);
    while (at < count && atomic_load(&l->lanes[at]) != NULL) {
        at++;
    }
    if (at < LEDGER_LANES_MAX) {
        lane = ledger_lane_new(key);
    }
    if (lane != NULL) {
        atomic_store(&l->lanes[at], lane);
        atomic_store(&l->lane_count, at < count ? count : at + 1);
    }
    pthread_mutex_unlock(&l->lock);
    return lane;
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
    pthread_mutex_lock(&l->lock);
    *stats_r = (struct ledger_stats){
        .bytes = atomic_load(&l->bytes),
        .files = atomic_load(&l->files),
        .write_failures = atomic_load(&l->write_failures),
        .healthy = !atomic_load(&l->failing),
    };
    lost_so_far(l, stats_r->lost);
    const unsigned count = atomic_load(&l->lane_count);
    for (unsigned i = 0; i < count; i++) {
        const struct ledger_lane *lane = atomic_load(&l->lanes[i]);
        stats_r->waiting += lane != NULL ? ledger_lane_waiting(lane) : 0;
    }
    pthread_mutex_unlock(&l->lock);
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        stats_r->written[kind] = atomic_load(&l->written[kind]);
    }
}
