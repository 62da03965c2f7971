/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    RING_BYTES = 1024 * 1024,
    RING_BYTES_MIN = 2 * LOG_LINE_MAX,
    SINK_WAIT_MS = 1000,
    SHUTDOWN_WAIT_S = 2,
};

/* The ring is two halves: callers fill one while the writer empties the other; they change places
 * under the lock, which is never held over I/O. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    pthread_t writer;
    char *halves[2];
    size_t capacity; /* of a half */
    size_t length;   /* of the half being filled */
    int filling;
    int fd;
    bool running, stopping, writer_waits;
    char *file;
    atomic_int level;
    atomic_int format;
    atomic_uint_fast64_t dropped;
} state = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .filled = PTHREAD_COND_INITIALIZER,
    .fd = STDERR_FILENO,
    .level = LOG_LEVEL_INFO,
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void count_lost_lines(const char *text, size_t length)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < length; i++) {
        lines += text[i] == '\n';
    }
    atomic_fetch_add_explicit(&state.dropped, lines, memory_order_relaxed);
}

/* Gives the text to the sink. What it refuses for longer than SINK_WAIT_MS is lost and counted. */
static void sink_write(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n > 0) {
            text += n;
            length -= (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (n < 0 && errno == EAGAIN && poll(&wait, 1, SINK_WAIT_MS) > 0 &&
            (wait.revents & POLLOUT) != 0) {
            continue;
        }
        count_lost_lines(text, length);
        return;
    }
}

static void report_dropped(int fd, uint64_t *reported)
{
    uint64_t dropped = atomic_load_explicit(&state.dropped, memory_order_relaxed);
    if (dropped == *reported) {
        return;
    }
    char line[512];
    struct log_field fields[] = {log_uint("lines", dropped - *reported),
                                 log_uint("lines_since_start", dropped)};
    size_t length =
        log_line(line, sizeof line, (enum log_format)atomic_load(&state.format), LOG_LEVEL_WARN,
                 now_ns(), "log_dropped", fields, sizeof fields / sizeof fields[0]);
    *reported = dropped;
    sink_write(fd, line, length);
}

/* Waits for lines and swaps the halves. Returns false when all is written and the log stops. */
static bool take_half(const char **text_r, size_t *length_r)
{
    pthread_mutex_lock(&state.lock);
    while (state.length == 0 && !state.stopping) {
        state.writer_waits = true;
        pthread_cond_wait(&state.filled, &state.lock);
        state.writer_waits = false;
    }
    *text_r = state.halves[state.filling];
    *length_r = state.length;
    state.filling = 1 - state.filling;
    state.length = 0;
    pthread_mutex_unlock(&state.lock);
    return *length_r > 0;
}

static void *writer_run(void *unused)
{
    (void)unused;
    uint64_t reported = atomic_load(&state.dropped);
    const char *text = NULL;
    size_t length = 0;
    while (take_half(&text, &length)) {
        sink_write(state.fd, text, length);
        report_dropped(state.fd, &reported);
    }
    report_dropped(state.fd, &reported);
    return NULL;
}

static int open_sink(const char *file)
{
    if (file == NULL || file[0] == '\0' || strcmp(file, "-") == 0) {
        return STDERR_FILENO;
    }
    /* A pipe that nobody reads is refused, not waited for. */
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0) {
        return -errno;
    }
    (void)fcntl(fd, F_SETFL, O_APPEND); /* without O_NONBLOCK: the writer is a thread of its own */
    return fd;
}

/* Signals belong to the thread with the loop. */
static int start_writer(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&state.writer, NULL, writer_run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

static void release(void)
{
    if (state.fd != STDERR_FILENO) {
        close(state.fd);
    }
    state.fd = STDERR_FILENO;
    for (int i = 0; i < 2; i++) {
        free(state.halves[i]);
        state.halves[i] = NULL;
    }
    free(state.file);
    state.file = NULL;
}

int log_init(const struct log_params *params)
{
    atomic_store(&state.level, (int)params->level);
    atomic_store(&state.format, (int)params->format);
    int fd = open_sink(params->file);
    if (fd < 0) {
        return fd;
    }
    state.fd = fd;
    state.capacity = (params->ring_bytes > 0 ? params->ring_bytes : RING_BYTES) / 2;
    if (state.capacity < RING_BYTES_MIN) {
        state.capacity = RING_BYTES_MIN;
    }
    state.halves[0] = malloc(state.capacity);
    state.halves[1] = malloc(state.capacity);
    state.file = strdup(params->file != NULL ? params->file : "");
    state.length = 0;
    state.stopping = false;
    if (state.halves[0] == NULL || state.halves[1] == NULL || state.file == NULL) {
        release();
        return -ENOMEM;
    }
    int error = start_writer();
    if (error != 0) {
        release();
        return error;
    }
    pthread_mutex_lock(&state.lock);
    state.running = true;
    pthread_mutex_unlock(&state.lock);
    return 0;
}

void log_shutdown(void)
{
    pthread_mutex_lock(&state.lock);
    bool was_running = state.running;
    state.running = false;
    state.stopping = true;
    pthread_cond_signal(&state.filled);
    pthread_mutex_unlock(&state.lock);
    if (!was_running) {
        return;
    }
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += SHUTDOWN_WAIT_S;
    if (pthread_timedjoin_np(state.writer, NULL, &deadline) == 0) {
        release();
        return;
    }
    /* The sink hangs. The thread keeps its memory; the process is about to end anyway. */
    pthread_detach(state.writer);
}

int log_reopen(void)
{
    if (state.fd == STDERR_FILENO) {
        return 0;
    }
    int fd = open_sink(state.file);
    if (fd < 0) {
        return fd;
    }
    /* dup3 puts the new file under the number the writer uses, at once and for good. */
    int result = dup3(fd, state.fd, O_CLOEXEC) < 0 ? -errno : 0;
    close(fd);
    return result;
}

void log_set_level(enum log_level level)
{
    atomic_store(&state.level, (int)level);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&state.level, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&state.dropped, memory_order_relaxed);
}

/* False: the log does not run, and the caller writes by itself. */
static bool enqueue(const char *line, size_t length)
{
    pthread_mutex_lock(&state.lock);
    bool running = state.running;
    if (running && length <= state.capacity - state.length) {
        memcpy(state.halves[state.filling] + state.length, line, length);
        state.length += length;
        if (state.writer_waits) {
            pthread_cond_signal(&state.filled);
        }
    } else if (running) {
        atomic_fetch_add_explicit(&state.dropped, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&state.lock);
    return running;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t count)
{
    if (!log_enabled(level)) {
        return;
    }
    char line[LOG_LINE_MAX];
    size_t length = log_line(line, sizeof line, (enum log_format)atomic_load(&state.format), level,
                             now_ns(), event, fields, count);
    if (!enqueue(line, length)) {
        sink_write(STDERR_FILENO, line, length);
    }
}

void log_text(enum log_level level, const char *event, const char *text)
{
    struct log_field field = log_str("text", text);
    log_write(level, event, &field, 1);
}
