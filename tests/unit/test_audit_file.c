/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/audit_kit.h"

static char folder[] = "/tmp/setu-audit-file-XXXXXX";
static char path[80];

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/audit.log", folder);
}

static void teardown(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) {
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    rmdir(folder);
}

TestSuite(audit_file, .init = setup, .fini = teardown);

struct log {
    struct audit_file file;
    struct audit_chain chain;
    struct audit_file_past past;
};

static const char *open_log(struct log *log)
{
    *log = (struct log){.file = {.path = path, .fd = -1}};
    audit_chain_init(&log->chain, "h");
    return audit_file_open(&log->file, &log->chain, &log->past);
}

static void must_open(struct log *log)
{
    const char *wrong = open_log(log);
    cr_assert_null(wrong, "%s", wrong);
}

static void put(struct log *log, size_t records)
{
    static uint8_t memory[KIT_BYTES];
    struct writer out;
    writer_init_fixed(&out, memory, sizeof memory);
    const struct audit_event event = audit_event_init(AUDIT_LOGIN_ACCEPTED);
    const uint64_t first = log->chain.head.seq + 1;
    for (size_t i = 0; i < records; i++) {
        cr_assert(audit_encode(&log->chain, &event, 1, &out));
    }
    cr_assert(audit_file_append(&log->file, writer_view(&out)));
    log->file.first_seq = log->file.first_seq == 0 ? first : log->file.first_seq;
}

static void rotate(struct log *log)
{
    char ended[AUDIT_FILE_NAME_SIZE];
    cr_assert(audit_file_rotate(&log->file, log->chain.head.seq, ended), "%s", strerror(errno));
}

static size_t count_ended(void)
{
    struct audit_file_ended *ended = NULL;
    size_t count = audit_file_list(path, &ended);
    for (size_t i = 1; i < count; i++) {
        cr_assert_eq(ended[i].first_seq, ended[i - 1].last_seq + 1);
    }
    audit_file_list_free(ended, count);
    return count;
}

Test(audit_file, names)
{
    static const struct {
        const char *name;
        bool good;
    } cases[] = {
        {"audit.log.000000000001-000000000100", true},
        {"a.000000000001-000000000001", true},
        {"a.1000000000001-1000000000002", true},
        {"audit.log", false},
        {"audit.log.torn", false},
        {"audit.log.1-100", false},
        {"audit.log.000000000100-000000000001", false},
        {"audit.log.000000000000-000000000001", false},
        {"audit.log.000000000001-000000000100x", false},
        {"audit.log.000000000001-", false},
        {".000000000001-000000000100", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t stem = 0;
        uint64_t first = 0, last = 0;
        cr_assert_eq(audit_file_name(cases[i].name, &stem, &first, &last), cases[i].good, "%s",
                     cases[i].name);
    }
}

Test(audit_file, the_chain_goes_on_over_files_and_starts)
{
    struct log log;
    for (size_t i = 0; i < 5; i++) {
        must_open(&log);
        cr_assert_eq(log.chain.head.seq, i * 30);
        cr_assert_eq(log.past.before[0] != '\0', i > 0);
        put(&log, 10);
        rotate(&log);
        put(&log, 20);
        rotate(&log);
        audit_file_close(&log.file);
    }
    cr_assert_eq(count_ended(), 10);
    must_open(&log);
    cr_assert_str_eq(log.past.before, "audit.log.000000000131-000000000150");
    audit_file_close(&log.file);
}

Test(audit_file, old_ones_are_removed_when_asked)
{
    struct log log;
    must_open(&log);
    for (int i = 0; i < 6; i++) {
        put(&log, 3);
        rotate(&log);
        cr_assert_eq(audit_file_prune(&log.file, 0), 0);
    }
    cr_assert_eq(audit_file_prune(&log.file, 2), 4);
    cr_assert_eq(count_ended(), 2);
    put(&log, 1);
    audit_file_close(&log.file);
    must_open(&log);
    cr_assert_eq(log.chain.head.seq, 19);
    audit_file_close(&log.file);
}

static void link_live(const char *name)
{
    char to[200];
    snprintf(to, sizeof to, "%s/%s", folder, name);
    cr_assert_eq(link(path, to), 0);
}

/* What every step of ending a file leaves behind, when it is the last. */
Test(audit_file, a_crash_between_two_files)
{
    struct log log;
    char next[100];
    must_open(&log);
    put(&log, 10);
    audit_file_close(&log.file);
    snprintf(next, sizeof next, "%s.next", path);
    close(open(next, O_CREAT | O_WRONLY, 0640)); /* the next one was made */
    must_open(&log);
    cr_assert_eq(log.chain.head.seq, 10);
    put(&log, 1);
    rotate(&log); /* over what is left */
    put(&log, 1);
    audit_file_close(&log.file);
    link_live("audit.log.000000000012-000000000012"); /* it has both names */
    must_open(&log);
    cr_assert_eq(log.chain.head.seq, 12);
    cr_assert_eq(log.file.first_seq, 12);
    cr_assert_eq(count_ended(), 1);
    put(&log, 1);
    rotate(&log);
    audit_file_close(&log.file); /* the new one is empty */
    must_open(&log);
    cr_assert_eq(log.chain.head.seq, 13);
    put(&log, 1);
    audit_file_close(&log.file);
    cr_assert_eq(unlink(path), 0); /* the one being written was moved away */
    must_open(&log);
    cr_assert_eq(log.chain.head.seq, 13);
    audit_file_close(&log.file);
}

/* The first write into a new file, cut short anywhere. */
Test(audit_file, a_crash_in_the_first_record_of_a_file)
{
    struct log log;
    struct stat st;
    must_open(&log);
    put(&log, 10);
    rotate(&log);
    put(&log, 1);
    audit_file_close(&log.file);
    cr_assert_eq(stat(path, &st), 0);
    for (off_t cut = st.st_size - 1; cut > 0; cut--) {
        cr_assert_eq(truncate(path, cut), 0);
        must_open(&log);
        cr_assert_eq(log.chain.head.seq, 10);
        cr_assert_eq(log.past.torn_bytes, (uint64_t)cut);
        put(&log, 1);
        audit_file_close(&log.file);
    }
}

Test(audit_file, what_is_not_ours_is_not_touched)
{
    struct log log;
    struct stat st;
    FILE *file = fopen(path, "w");
    fputs("not an audit log", file);
    fclose(file);
    const char *wrong = open_log(&log);
    cr_assert_not_null(wrong);
    cr_assert_not_null(strstr(wrong, "no chain"), "%s", wrong);
    cr_assert(stat(path, &st) == 0 && st.st_size == 16);
}

Test(audit_file, one_process_writes)
{
    struct log log, other;
    must_open(&log);
    put(&log, 1);
    cr_assert_not_null(strstr(open_log(&other), "another process"));
    rotate(&log);
    cr_assert_not_null(strstr(open_log(&other), "another process"));
    audit_file_close(&log.file);
    must_open(&other);
    audit_file_close(&other.file);
}

Test(audit_file, a_name_that_is_taken_is_not_overwritten)
{
    struct log log;
    struct stat st;
    char taken[200], ended[AUDIT_FILE_NAME_SIZE];
    must_open(&log);
    put(&log, 2);
    snprintf(taken, sizeof taken, "%s.000000000001-000000000002", path);
    FILE *file = fopen(taken, "w");
    fputs("x", file);
    fclose(file);
    cr_assert_not(audit_file_rotate(&log.file, 2, ended));
    cr_assert_eq(errno, EEXIST);
    cr_assert(stat(taken, &st) == 0 && st.st_size == 1);
    put(&log, 1); /* the old one goes on */
    cr_assert_eq(unlink(taken), 0);
    rotate(&log);
    audit_file_close(&log.file);
    must_open(&log);
    cr_assert_eq(log.chain.head.seq, 3);
    audit_file_close(&log.file);
}
