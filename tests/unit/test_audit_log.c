/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/audit.h"
#include "auth/audit_verify.h"
#include "proxy/cli/audit_set.h"
#include "proxy/cli/cli_audit.h"
#include "proxy/ops/audit_file.h"
#include "proxy/ops/audit_inlet.h"
#include "tests/unit/audit_kit.h"

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

/* Who does not know by which rules is told them by the log. */
Test(audit_log, every_event_says_by_which_rules)
{
    struct audit_log *log = open_log(0);
    append(log, 1);
    audit_log_use(log, "mapping-1", "config-1");
    append(log, 2);
    audit_log_use(log, "mapping-2", "config-2");
    struct audit_event event = audit_event_init(AUDIT_GENERATION_LEARNED);
    cr_assert(audit_log_append(log, &event));
    event.mapping_hash = "its own";
    cr_assert(audit_log_append(log, &event));
    audit_log_close(&log);
    static const char *const wanted[][2] = {
        {"", ""}, {"mapping-1", "config-1"}, {"mapping-2", "config-2"}, {"its own", ""}};
    size_t length = 0;
    uint8_t *bytes = read_file(&length);
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, view_of(bytes, length));
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        cr_assert_eq(audit_read(&reader, &record), AUDIT_OK);
        cr_expect_str_eq(record.event.mapping_hash, wanted[i][0], "%zu", i);
        cr_expect_str_eq(record.event.config_hash, wanted[i][1], "%zu", i);
    }
    audit_reader_end(&reader);
    free(bytes);
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

/* T80: a full disk, as RLIMIT_FSIZE plays it: nothing is lost, nothing is written twice, logins stop. */
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

/* T80 */
Test(audit_log, a_full_queue_is_counted_and_told)
{
    signal(SIGXFSZ, SIG_IGN);
    struct audit_log *log = open_log(16);
    limit_file(0);
    append(log, 0);
    cr_assert(wait_for(log, false));
    struct audit_event event = audit_event_init(AUDIT_SESSION_CLOSED);
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

/* ---- a disk that hangs ---- */

static atomic_bool disk_hangs;

/* In the place of the C library's, for all of this program. */
int fdatasync(int fd)
{
    while (atomic_load(&disk_hangs)) {
        usleep(1000);
    }
    return fsync(fd);
}

static bool wait_admits(struct audit_log *log, bool admits)
{
    for (int i = 0; i < 60000 && audit_log_admits(log) != admits; i++) {
        usleep(1000);
    }
    return audit_log_admits(log) == admits;
}

static struct audit_log *open_impatient(size_t queue_max, uint64_t unsynced_max_ms, bool held)
{
    struct audit_log_params params = {.file = path,
                                      .queue_max = queue_max,
                                      .unsynced_max_ms = unsynced_max_ms,
                                      .held = held};
    char error[256] = "";
    struct audit_log *log = audit_log_open(&params, error, sizeof error);
    cr_assert_not_null(log, "%s", error);
    return log;
}

/* T80: nothing has failed, and nothing gets to the disk either. */
Test(audit_log, t80_a_disk_that_hangs_denies_until_it_is_over)
{
    struct audit_log *log = open_impatient(0, 100, false);
    for (int round = 0; round < 3; round++) {
        atomic_store(&disk_hangs, true);
        append(log, 1);
        cr_assert(wait_admits(log, false));
        cr_assert_not(audit_log_healthy(log));
        append(log, 2); /* of one who is in */
        atomic_store(&disk_hangs, false);
        cr_assert(wait_admits(log, true));
    }
    struct audit_log_stats stats;
    audit_log_stats(log, &stats);
    cr_assert_eq(stats.write_failures, 0);
    audit_log_close(&log);
    cr_assert_eq(verify().records, 6);
}

/* With 16 places, all free; the writer hangs with one record. */
static struct audit_log *open_hanging(void)
{
    struct audit_log *log = open_impatient(16, 3600000, false);
    struct audit_log_stats stats = {.queued = 1};
    atomic_store(&disk_hangs, true);
    append(log, 0);
    for (int i = 0; i < 60000 && stats.queued > 0; i++) {
        usleep(1000);
        audit_log_stats(log, &stats);
    }
    return log;
}

/* T80: whoever is let in finds room for what follows. */
Test(audit_log, t80_a_quarter_of_the_queue_is_for_those_who_are_in)
{
    struct audit_log *log = open_hanging();
    for (int i = 0; i < 11; i++) {
        append(log, i);
        cr_assert(audit_log_admits(log), "%d", i);
    }
    append(log, 11);
    cr_assert_not(audit_log_admits(log));
    for (int i = 12; i < 16; i++) {
        append(log, i);
    }
    atomic_store(&disk_hangs, false);
    cr_assert(wait_admits(log, true));
    audit_log_close(&log);
    cr_assert_eq(verify().records, 17);
}

/* T80: nor do they lose it to strangers who knock. */
Test(audit_log, t80_refused_logins_do_not_take_the_quarter)
{
    struct audit_log *log = open_hanging();
    struct audit_event knock = audit_event_init(AUDIT_LOGIN_DENIED);
    knock.outcome = AUDIT_DENIED;
    for (int i = 0; i < 30; i++) {
        cr_assert_eq(audit_log_append(log, &knock), i < 12, "%d", i);
    }
    for (int i = 0; i < 4; i++) {
        append(log, i);
    }
    const struct audit_event closed = audit_event_init(AUDIT_SESSION_CLOSED);
    cr_assert_not(audit_log_append(log, &closed), "it is full");
    struct audit_log_stats stats;
    audit_log_stats(log, &stats);
    cr_assert_eq(stats.lost, 19);
    atomic_store(&disk_hangs, false);
    cr_assert(wait_admits(log, true));
    audit_log_close(&log);
    uint64_t count = 0;
    cr_assert_eq(find(AUDIT_LOGIN_DENIED, &count), 12);
    cr_assert_eq(find(AUDIT_LOGIN_ACCEPTED, &count), 5);
    cr_assert_eq(find(AUDIT_RECORDS_LOST, &count), 1);
    cr_assert_eq(count, 19);
}

/* A takeover has an end of its own, and is no disk that hangs. */
Test(audit_log, while_another_process_has_the_file_nothing_hangs)
{
    char error[256];
    struct audit_log *log = open_impatient(0, 100, true);
    append(log, 1);
    usleep(200000);
    cr_assert(audit_log_admits(log));
    cr_assert(audit_log_take(log, error, sizeof error));
    cr_assert(audit_log_release(log));
    append(log, 2);
    usleep(200000);
    cr_assert(audit_log_admits(log));
    audit_log_return(log);
    audit_log_close(&log);
    cr_assert_eq(verify().records, 2);
}

/* ---- from one process to the next ---- */

static struct audit_log *open_held(void)
{
    struct audit_log_params params = {.file = path, .on_failure = AUDIT_LOG_DENY, .held = true};
    char error[256] = "";
    struct audit_log *log = audit_log_open(&params, error, sizeof error);
    cr_assert_not_null(log, "%s", error);
    return log;
}

static void run(uv_loop_t *loop, struct audit_log *until_written, uint64_t records)
{
    struct audit_log_stats stats = {0};
    for (int i = 0; i < 1000 && stats.written < records; i++) {
        uv_run(loop, UV_RUN_NOWAIT);
        usleep(2000);
        audit_log_stats(until_written, &stats);
    }
    cr_assert_geq(stats.written, records);
}

Test(audit_log, two_processes_write_one_chain_one_after_the_other)
{
    char error[256] = "";
    uv_loop_t loop;
    int ends[2];
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct audit_log *old = open_log(0), *new = open_held();
    append(old, 1);
    append(new, 2); /* what the new one sees before it has the file */
    cr_assert_not(audit_log_take(new, error, sizeof error), "the old one has it");
    cr_assert_neq(strstr(error, "another process"), NULL, "%s", error);
    cr_assert(audit_log_release(old));
    append(old, 3);
    cr_assert(audit_log_take(new, error, sizeof error), "%s", error);
    struct audit_inlet *inlet = audit_inlet_new(&loop, ends[1], new);
    audit_log_forward(old, ends[0]);
    append(old, 4);
    run(&loop, new, 3);
    append(new, 5);
    run(&loop, new, 4);
    struct audit_verdict verdict = verify();
    cr_assert_eq(verdict.status, AUDIT_OK, "%s", verdict.why);
    cr_assert_eq(verdict.records, 5u);
    audit_inlet_close(&inlet);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
    audit_log_close(&new);
    append(old, 6); /* nobody takes it any more: it goes to the file, which is free again */
    audit_log_close(&old);
    verdict = verify();
    cr_assert_eq(verdict.status, AUDIT_OK, "%s", verdict.why);
    cr_assert_eq(verdict.records, 6u);
}

Test(audit_log, a_release_is_taken_back)
{
    struct audit_log *log = open_log(0);
    append(log, 1);
    cr_assert(audit_log_release(log));
    append(log, 2);
    cr_assert(audit_log_healthy(log));
    audit_log_return(log);
    append(log, 3);
    audit_log_close(&log);
    cr_assert_eq(verify().status, AUDIT_OK);
    cr_assert_eq(verify().records, 3u);
}

Test(audit_log, one_that_cannot_be_opened_is_not_held)
{
    struct audit_log_params params = {.file = folder, .on_failure = AUDIT_LOG_DENY, .held = true};
    char error[256] = "";
    cr_assert_null(audit_log_open(&params, error, sizeof error));
    cr_assert_neq(error[0], '\0');
}

/* ---- checkpoints and files ---- */

static void remove_all(void)
{
    struct audit_file_ended *ended = NULL;
    size_t count = audit_file_list(path, &ended);
    for (size_t i = 0; i < count; i++) {
        unlink(ended[i].path);
    }
    audit_file_list_free(ended, count);
}

static struct audit_log *open_signed(struct audit_key *key, uint64_t records, uint64_t interval_ms,
                                     uint64_t rotate_bytes)
{
    struct audit_log_params params = {.file = path,
                                      .on_failure = AUDIT_LOG_DENY,
                                      .key = key,
                                      .checkpoint_records = records,
                                      .checkpoint_interval_ms = interval_ms,
                                      .rotate_bytes = rotate_bytes};
    char error[256] = "";
    struct audit_log *log = audit_log_open(&params, error, sizeof error);
    cr_assert_not_null(log, "%s", error);
    return log;
}

static struct audit_set_verdict verify_from(const struct audit_head *from,
                                            const struct audit_key *key,
                                            struct audit_signatures *signatures)
{
    static const struct audit_key *keys[1];
    struct audit_set set;
    struct audit_set_verdict verdict;
    char error[256] = "";
    char *operands[] = {path};
    keys[0] = key;
    *signatures = (struct audit_signatures){.keys = keys, .key_count = key != NULL ? 1 : 0};
    cr_assert(audit_set_open(&set, operands, 1, error, sizeof error), "%s", error);
    audit_set_verify(&set, from, NULL, signatures, &verdict);
    audit_set_close(&set);
    return verdict;
}

static struct audit_set_verdict verify_set(const struct audit_key *key,
                                           struct audit_signatures *signatures)
{
    static const struct audit_head empty;
    return verify_from(&empty, key, signatures);
}

Test(audit_log, checkpoints_come_by_number_and_at_the_end)
{
    struct audit_signatures s;
    struct audit_key *key = kit_key(1);
    struct audit_log *log = open_signed(key, 100, 3600000, 0);
    for (int i = 0; i < 1000; i++) {
        append(log, i);
    }
    audit_log_close(&log);
    struct audit_set_verdict verdict = verify_set(key, &s);
    cr_assert(verdict.holds, "%s", verdict.why);
    cr_assert_geq(s.confirmed, 3); /* at most 256 events are written at a time */
    cr_assert_eq(s.confirmed_seq, verdict.head.seq, "the last record is a checkpoint");
    cr_assert_eq(verdict.records, 1001 + s.confirmed, "and the first says whose they are");
    log = open_signed(key, 100, 3600000, 0);
    append(log, 1);
    audit_log_close(&log);
    struct audit_set_verdict again = verify_set(key, &s);
    cr_assert_eq(again.records, verdict.records + 2, "the key is known");
    audit_key_unref(&key);
}

Test(audit_log, checkpoints_come_by_time)
{
    struct audit_log_stats stats = {0};
    struct audit_key *key = kit_key(1);
    struct audit_log *log = open_signed(key, 1000000, 100, 0);
    append(log, 1);
    for (int i = 0; i < 500 && stats.checkpoints < 2; i++) {
        usleep(10000);
        audit_log_stats(log, &stats);
    }
    cr_assert_eq(stats.checkpoints, 2); /* the first vouches for the key itself */
    cr_assert_eq(stats.unsigned_records, 0);
    usleep(300000);
    audit_log_stats(log, &stats);
    cr_assert_eq(stats.checkpoints, 2, "none without records");
    append(log, 2);
    for (int i = 0; i < 500 && stats.checkpoints == 2; i++) {
        usleep(10000);
        audit_log_stats(log, &stats);
    }
    cr_assert_eq(stats.checkpoints, 3);
    audit_log_close(&log);
    audit_key_unref(&key);
}

Test(audit_log, a_change_of_key_is_an_event)
{
    struct audit_signatures s;
    uint64_t none = 0;
    struct audit_key *keys[] = {kit_key(1), kit_key(2), NULL};
    for (size_t i = 0; i < 3; i++) {
        struct audit_log *log = open_signed(keys[i], 1000, 3600000, 0);
        append(log, 1);
        audit_log_close(&log);
    }
    cr_assert_eq(find(AUDIT_SIGNING_KEY, &none), 2);
    cr_assert_eq(find(AUDIT_SIGNING_OFF, &none), 1);
    cr_assert(verify_set(keys[0], &s).holds);
    cr_assert_eq(s.key_changes, 1);
    cr_assert_str_eq(s.foreign_key_id, audit_key_id(keys[1]));
    audit_key_unref(&keys[0]);
    audit_key_unref(&keys[1]);
}

Test(audit_log, files_end_and_the_chain_goes_on)
{
    struct audit_signatures s;
    struct audit_key *key = kit_key(1);
    struct audit_file_ended *ended = NULL;
    for (int run = 0; run < 3; run++) {
        struct audit_log *log = open_signed(key, 50, 3600000, 8192);
        for (int i = 0; i < 300; i++) {
            append(log, i);
            if (i % 50 == 0) {
                usleep(20000);
            }
        }
        audit_log_close(&log);
    }
    size_t count = audit_file_list(path, &ended);
    audit_file_list_free(ended, count);
    cr_assert_geq(count, 6, "%zu", count);
    struct audit_set_verdict verdict = verify_set(key, &s);
    cr_assert(verdict.holds, "%s at %llu", verdict.why, (unsigned long long)verdict.bad_seq);
    cr_assert_eq(verdict.first_seq, 1);
    cr_assert_eq(s.confirmed_seq, verdict.head.seq);
    cr_assert_eq(s.foreign_seq, 0);
    cr_assert_eq(verdict.records, 900 + s.confirmed + 1 + count);
    remove_all();
    audit_key_unref(&key);
}

static const char rules[] = "1111111111111111111111111111111111111111111111111111111111111111";
static const char conf[] = "2222222222222222222222222222222222222222222222222222222222222222";

static void one_life(struct audit_key *key, int events)
{
    struct audit_log_params params = {.file = path,
                                      .key = key,
                                      .queue_max = 1,
                                      .rotate_bytes = 4096,
                                      .mapping_hash = rules,
                                      .config_hash = conf};
    struct audit_event event = audit_event_init(AUDIT_GENERATION_LEARNED);
    char error[256] = "";
    struct audit_log *log = audit_log_open(&params, error, sizeof error);
    cr_assert_not_null(log, "%s", error);
    for (int taken = 0; taken < events;) {
        taken += audit_log_append(log, &event) ? 1 : 0; /* some are lost, and that is told */
    }
    audit_log_close(&log);
}

static bool says_by_which_rules(void *context, const struct audit_record *record)
{
    uint64_t *counts = context;
    counts[record->event.code % 32]++;
    cr_expect_str_eq(record->event.mapping_hash, rules, "%s", record->code);
    cr_expect_str_eq(record->event.config_hash, conf, "%s", record->code);
    return true;
}

/* From its first record on: lost ones, files that end, keys that change, torn ends, checkpoints. */
Test(audit_log, what_the_log_says_about_itself_says_by_which_rules)
{
    static const enum audit_code own[] = {AUDIT_RECORDS_LOST, AUDIT_ROTATED,     AUDIT_CHAIN_TORN,
                                          AUDIT_SIGNING_KEY,  AUDIT_SIGNING_OFF, AUDIT_CHECKPOINT};
    uint64_t counts[32] = {0};
    struct audit_set set;
    struct stat st;
    char error[256] = "", *operands[] = {path};
    struct audit_key *key = kit_key(1);
    one_life(key, 40);
    one_life(NULL, 3);
    cr_assert(stat(path, &st) == 0 && truncate(path, st.st_size - 5) == 0);
    one_life(NULL, 1);
    cr_assert(audit_set_open(&set, operands, 1, error, sizeof error), "%s", error);
    audit_set_each(&set, says_by_which_rules, counts);
    audit_set_close(&set);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        cr_expect_gt(counts[own[i] % 32], 0, "%d", (int)own[i]);
    }
    remove_all();
    audit_key_unref(&key);
}

/* The first record that says what ended before it: the file and, as `--from` takes it, its head. */
static bool note_ended(void *context, const struct audit_record *record)
{
    const char *detail = record->event.detail;
    const char *head = strstr(detail, ", head ");
    if (record->event.code != AUDIT_ROTATED) {
        return true;
    }
    cr_assert(head != NULL && strncmp(detail, "after audit.log.0", 17) == 0, "%s", detail);
    cr_assert(cli_audit_take_head(head + 7, context), "%s", detail);
    return false;
}

Test(audit_log, what_is_pruned_leaves_the_head_that_vouches_for_the_rest)
{
    struct audit_log_params params = {.file = path, .rotate_bytes = 4096, .keep = 2};
    struct audit_log_stats stats = {0};
    struct audit_signatures s;
    struct audit_head from = {0};
    struct audit_set set;
    char error[256] = "", *operands[] = {path};
    struct audit_log *log = audit_log_open(&params, error, sizeof error);
    cr_assert_not_null(log, "%s", error);
    for (int i = 0; stats.rotations < 4; i++) {
        append(log, i);
        usleep(1000);
        audit_log_stats(log, &stats);
    }
    audit_log_close(&log);
    cr_assert(audit_set_open(&set, operands, 1, error, sizeof error), "%s", error);
    cr_assert_eq(set.count, 3);
    audit_set_each(&set, note_ended, &from);
    audit_set_close(&set);
    struct audit_set_verdict verdict = verify_set(NULL, &s);
    cr_assert_not(verdict.holds);
    cr_assert_eq(verdict.bad_seq, 1);
    verdict = verify_from(&from, NULL, &s);
    cr_assert(verdict.holds, "%s", verdict.why);
    cr_assert_eq(verdict.first_seq, from.seq + 1);
    remove_all();
}

/* The new file cannot be made: the old one goes on, and nobody is refused for it. */
Test(audit_log, a_file_that_cannot_end_goes_on)
{
    struct audit_signatures s;
    struct audit_log *log = open_signed(NULL, 0, 0, 4096);
    char obstacle[80];
    snprintf(obstacle, sizeof obstacle, "%s.next", path);
    cr_assert_eq(mkdir(obstacle, 0700), 0);
    for (int i = 0; i < 300; i++) {
        append(log, i);
    }
    struct audit_log_stats stats = {0};
    for (int i = 0; i < 500 && stats.written < 300; i++) {
        usleep(10000);
        audit_log_stats(log, &stats);
    }
    cr_assert(audit_log_admits(log));
    audit_log_close(&log);
    cr_assert_eq(verify_set(NULL, &s).records, 300);
    rmdir(obstacle);
}

/* A full disk with checkpoints and files that end: afterwards all is there, and logins go on. */
Test(audit_log, t80_a_full_disk_costs_no_record)
{
    signal(SIGXFSZ, SIG_IGN);
    struct audit_signatures s;
    struct audit_key *key = kit_key(1);
    struct audit_log *log = open_signed(key, 10, 3600000, 16384);
    for (int round = 0; round < 3; round++) {
        limit_file(1000);
        for (int i = 0; i < 100; i++) {
            append(log, i);
        }
        cr_assert(wait_for(log, false));
        cr_assert_not(audit_log_admits(log));
        limit_file(RLIM_INFINITY);
        cr_assert(wait_for(log, true));
        cr_assert(audit_log_admits(log));
    }
    audit_log_close(&log);
    struct audit_set_verdict verdict = verify_set(key, &s);
    cr_assert(verdict.holds, "%s", verdict.why);
    cr_assert_geq(verdict.records, 300u);
    cr_assert_eq(s.confirmed_seq, verdict.head.seq);
    remove_all();
    audit_key_unref(&key);
}

/* A pipe that nobody reads would stop the writer, and with it every login, for good. */
Test(audit_log, t80_a_fifo_is_refused_at_once)
{
    struct audit_log_params params = {.file = path, .on_failure = AUDIT_LOG_DENY};
    char error[256] = "";
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_null(audit_log_open(&params, error, sizeof error));
    cr_assert_gt(strlen(error), 0u);
}
