/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/audit.h"

static char folder[] = "/tmp/setu-audit-XXXXXX";
static char path[64];

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/audit.log", folder);
}

static void teardown(void)
{
    char torn[80];
    snprintf(torn, sizeof torn, "%s.torn", path);
    unlink(torn);
    unlink(path);
    rmdir(folder);
}

TestSuite(audit_log, .init = setup, .fini = teardown);

static struct audit_log *open_log(size_t queue_max)
{
    struct audit_log_params params = {
        .file = path, .on_failure = AUDIT_LOG_DENY, .queue_max = queue_max};
    char error[256] = "";
    struct audit_log *log = audit_log_open(&params, error, sizeof error);
    cr_assert_not_null(log, "%s", error);
    return log;
}

static void append(struct audit_log *log, int n)
{
    char principal[32];
    snprintf(principal, sizeof principal, "user-%d", n);
    struct audit_event event = audit_event_init(AUDIT_LOGIN_ACCEPTED);
    event.principal = principal;
    event.outcome = AUDIT_ALLOWED;
    cr_assert(audit_log_append(log, &event));
}

static uint8_t *read_file(size_t *length_r)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    cr_assert_eq(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *length_r = (size_t)st.st_size;
    return bytes;
}

static struct audit_verdict verify(void)
{
    struct audit_verdict verdict;
    size_t length = 0;
    uint8_t *bytes = read_file(&length);
    audit_verify(view_of(bytes, length), NULL, NULL, &verdict);
    free(bytes);
    return verdict;
}

/* How many records of a code are there, and the sum of their counts. */
static uint64_t find(enum audit_code code, uint64_t *count_r)
{
    size_t length = 0;
    uint8_t *bytes = read_file(&length);
    struct audit_reader reader;
    struct audit_record record;
    uint64_t found = 0;
    *count_r = 0;
    audit_reader_init(&reader, view_of(bytes, length));
    while (audit_read(&reader, &record) == AUDIT_OK) {
        if (record.event.code == code) {
            found++;
            *count_r += record.event.count;
        }
    }
    audit_reader_end(&reader);
    free(bytes);
    return found;
}

Test(audit_log, writes_a_chain_and_resumes_it)
{
    for (int run = 0; run < 3; run++) {
        struct audit_log *log = open_log(0);
        for (int i = 0; i < 1000; i++) {
            append(log, i);
        }
        cr_assert(audit_log_healthy(log) && audit_log_admits(log));
        audit_log_close(&log);
        cr_assert_null(log);
        struct audit_verdict verdict = verify();
        cr_assert_eq(verdict.status, AUDIT_OK, "%s", verdict.why);
        cr_assert_eq(verdict.records, (uint64_t)(run + 1) * 1000);
        cr_assert_eq(verdict.head.seq, (uint64_t)(run + 1) * 1000);
    }
    struct stat st;
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
}

Test(audit_log, cuts_a_torn_record_and_says_so)
{
    struct audit_log *log = open_log(0);
    append(log, 1);
    append(log, 2);
    audit_log_close(&log);
    size_t length = 0;
    free(read_file(&length));
    cr_assert_eq(truncate(path, (off_t)length - 5), 0);
    log = open_log(0);
    append(log, 3);
    audit_log_close(&log);
    struct audit_verdict verdict = verify();
    cr_assert_eq(verdict.status, AUDIT_OK, "%s", verdict.why);
    cr_assert_eq(verdict.records, 3);
    uint64_t bytes = 0;
    cr_assert_eq(find(AUDIT_CHAIN_TORN, &bytes), 1);
    char torn[80];
    struct stat st;
    snprintf(torn, sizeof torn, "%s.torn", path);
    cr_assert(stat(torn, &st) == 0 && (uint64_t)st.st_size == bytes);
}

static void expect_refusal(const char *file, const char *word)
{
    struct audit_log_params params = {.file = file};
    char error[256] = "";
    cr_assert_null(audit_log_open(&params, error, sizeof error));
    cr_assert_not_null(strstr(error, word), "%s", error);
}

Test(audit_log, refuses_what_it_cannot_continue)
{
    char link[80];
    FILE *file = fopen(path, "w");
    fputs("this is not an audit log, and it is long enough not to be taken for a torn one\n", file);
    fclose(file);
    expect_refusal(path, "chain");
    unlink(path);
    expect_refusal("/nonexistent/audit.log", "No such file");
    expect_refusal(folder, "directory");
    snprintf(link, sizeof link, "%s/link", folder);
    cr_assert_eq(symlink(path, link), 0);
    expect_refusal(link, "symbolic");
    unlink(link);
    struct audit_log *log = open_log(0);
    expect_refusal(path, "another process");
    audit_log_close(&log);
}

Test(audit_log, off)
{
    struct audit_log_params params = {.file = ""};
    char error[64];
    struct audit_log *log = audit_log_open(&params, error, sizeof error);
    struct audit_event event = audit_event_init(AUDIT_START);
    cr_assert_not_null(log);
    cr_assert(audit_log_append(log, &event) && audit_log_healthy(log));
    audit_log_close(&log);
}

static bool wait_for(const struct audit_log *log, bool healthy)
{
    for (int i = 0; i < 500 && audit_log_healthy(log) != healthy; i++) {
        usleep(10000);
    }
    return audit_log_healthy(log) == healthy;
}

static void limit_file(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A full disk, as RLIMIT_FSIZE plays it: nothing is lost, nothing is written twice, logins stop. */
Test(audit_log, a_full_disk_denies_until_it_is_over)
{
    signal(SIGXFSZ, SIG_IGN);
    struct audit_log *log = open_log(0);
    append(log, 0);
    cr_assert(wait_for(log, true));
    limit_file(1500);
    for (int i = 1; i < 200; i++) {
        append(log, i);
    }
    cr_assert(wait_for(log, false));
    cr_assert_not(audit_log_admits(log));
    limit_file(RLIM_INFINITY);
    cr_assert(wait_for(log, true));
    for (int i = 200; i < 300; i++) {
        append(log, i);
    }
    audit_log_close(&log);
    struct audit_verdict verdict = verify();
    cr_assert_eq(verdict.status, AUDIT_OK, "%s", verdict.why);
    cr_assert_eq(verdict.records, 300);
}

Test(audit_log, a_full_queue_is_counted_and_told)
{
    signal(SIGXFSZ, SIG_IGN);
    struct audit_log *log = open_log(16);
    limit_file(0);
    append(log, 0);
    cr_assert(wait_for(log, false));
    struct audit_event event = audit_event_init(AUDIT_LOGIN_DENIED);
    uint64_t lost = 0;
    for (int i = 0; i < 100; i++) {
        lost += !audit_log_append(log, &event);
    }
    struct audit_log_stats stats;
    audit_log_stats(log, &stats);
    cr_assert_eq(lost, 84);
    cr_assert_eq(stats.lost, 84);
    cr_assert_gt(stats.write_failures, 0);
    limit_file(RLIM_INFINITY);
    cr_assert(wait_for(log, true));
    audit_log_close(&log);
    uint64_t told = 0;
    cr_assert_eq(find(AUDIT_RECORDS_LOST, &told), 1);
    cr_assert_eq(told, 84);
    cr_assert_eq(verify().status, AUDIT_OK);
}

enum { THREADS = 4, EACH = 500 };

static void *append_many(void *log)
{
    for (int i = 0; i < EACH; i++) {
        append(log, i);
    }
    return NULL;
}

Test(audit_log, threads)
{
    pthread_t threads[THREADS];
    struct audit_log *log = open_log(THREADS * EACH);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, append_many, log);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    audit_log_close(&log);
    cr_assert_eq(verify().records, THREADS * EACH);
}
