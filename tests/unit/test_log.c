/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/setu-log-XXXXXX";
static char path[64];

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
}

static void teardown(void)
{
    char other[80];
    snprintf(other, sizeof other, "%s.1", path);
    unlink(other);
    unlink(path);
    rmdir(folder);
}

TestSuite(log, .init = setup, .fini = teardown);

static void start(size_t ring_bytes)
{
    struct log_params params = {.level = LOG_LEVEL_INFO,
                                .format = LOG_FORMAT_LOGFMT,
                                .file = path,
                                .ring_bytes = ring_bytes};
    cr_assert_eq(log_init(&params), 0);
}

static uint64_t count_lines(const char *file, const char *holding)
{
    char line[LOG_LINE_MAX + 1];
    uint64_t count = 0;
    FILE *in = fopen(file, "r");
    cr_assert_not_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        cr_assert_eq(strncmp(line, "ts=", 3), 0, "torn line: %s", line);
        count += strstr(line, holding) != NULL;
    }
    fclose(in);
    return count;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

Test(log, levels)
{
    start(0);
    log_text(LOG_LEVEL_DEBUG, "hidden", "x");
    cr_assert_not(log_enabled(LOG_LEVEL_DEBUG));
    log_set_level(LOG_LEVEL_DEBUG);
    log_text(LOG_LEVEL_DEBUG, "shown", "x");
    log_shutdown();
    cr_assert_eq(count_lines(path, "event=hidden"), 0);
    cr_assert_eq(count_lines(path, "event=shown"), 1);
    struct stat st;
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
}

enum { THREADS = 4, LINES = 5000 };

static void *write_lines(void *context)
{
    for (int i = 0; i < LINES; i++) {
        struct log_field fields[] = {log_int("thread", *(int *)context), log_int("i", i)};
        log_write(LOG_LEVEL_INFO, "numbered", fields, 2);
    }
    return NULL;
}

Test(log, threads_lose_nothing_uncounted)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    start(64 * 1024);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, write_lines, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_shutdown();
    cr_assert_eq(count_lines(path, "event=numbered") + log_dropped(), THREADS * LINES);
}

/* Nobody reads the pipe: writers go on at once, and what was lost is told when somebody does. */
Test(log, a_stuck_sink_never_blocks)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    cr_assert_geq(reader, 0);
    start(16 * 1024);
    uint64_t begun = now_ms();
    for (int i = 0; i < 20000; i++) {
        log_text(LOG_LEVEL_INFO, "numbered", "some words to fill the line with");
    }
    cr_assert_lt(now_ms() - begun, 2000, "no call may wait for the sink");
    cr_assert_gt(log_dropped(), 10000);
    char block[4096];
    char tail[2 * sizeof block + 1] = "";
    int told = 0;
    for (int idle = 0; idle < 100 && !told;) {
        ssize_t n = read(reader, block, sizeof block);
        if (n <= 0) {
            idle++;
            usleep(10000);
            continue;
        }
        size_t kept = strlen(tail) > 512 ? 512 : strlen(tail);
        memmove(tail, tail + strlen(tail) - kept, kept);
        memcpy(tail + kept, block, (size_t)n);
        tail[kept + (size_t)n] = '\0';
        told = strstr(tail, "event=log_dropped lines=") != NULL;
    }
    cr_assert(told);
    log_shutdown();
    close(reader);
}

Test(log, reopen)
{
    char rotated[80];
    start(0);
    log_text(LOG_LEVEL_INFO, "before", "x");
    usleep(100000);
    snprintf(rotated, sizeof rotated, "%s.1", path);
    cr_assert_eq(rename(path, rotated), 0);
    cr_assert_eq(log_reopen(), 0);
    log_text(LOG_LEVEL_INFO, "after", "x");
    log_shutdown();
    cr_assert_eq(count_lines(rotated, "event=before"), 1);
    cr_assert_eq(count_lines(path, "event=after"), 1);
}

Test(log, cannot_open)
{
    struct log_params params = {.level = LOG_LEVEL_INFO, .file = "/nonexistent/log"};
    cr_assert_lt(log_init(&params), 0);
    log_text(LOG_LEVEL_ERROR, "still_heard", "on standard error");
    log_shutdown();
}
