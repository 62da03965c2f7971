/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_set.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/audit_kit.h"

/* Sixty records in three files: 1 to 20, 21 to 40, 41 to 60. */
static char folder[] = "/tmp/setu-audit-set-XXXXXX";
static const char *const names[] = {"audit.log.000000000001-000000000020",
                                    "audit.log.000000000021-000000000040", "audit.log"};
static struct kit *kit;

static void write_file(const char *name, const struct view *parts, size_t count)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(fwrite(parts[i].at, 1, parts[i].length, file), parts[i].length);
    }
    fclose(file);
}

static void write_part(const char *name, size_t from, size_t to)
{
    const struct view part = kit_part(kit, from, to);
    write_file(name, &part, 1);
}

static void remove_file(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(unlink(path), 0);
}

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    kit = kit_new("h", 60);
    for (size_t i = 0; i < 3; i++) {
        write_part(names[i], 20 * i, 20 * (i + 1));
    }
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
    kit_free(kit);
}

TestSuite(audit_set, .init = setup, .fini = teardown);

struct outcome {
    struct audit_set_verdict verdict;
    char file[64];
};

/* after: as audit_set_verify takes it. */
static struct outcome verify_after(const char *operand, const struct audit_head *after,
                                   const struct audit_head *expected)
{
    struct outcome of = {0};
    struct audit_set set;
    struct audit_signatures signatures = {0};
    char error[256] = "", copy[200];
    snprintf(copy, sizeof copy, "%s", operand);
    char *operands[] = {copy};
    cr_assert(audit_set_open(&set, operands, 1, error, sizeof error), "%s", error);
    audit_set_verify(&set, after, expected, &signatures, &of.verdict);
    if (of.verdict.bad_file != NULL) {
        snprintf(of.file, sizeof of.file, "%s", strrchr(of.verdict.bad_file->path, '/') + 1);
    }
    audit_set_close(&set);
    return of;
}

/* Of a log whose records are all there. */
static struct outcome verify_of(const char *operand, const struct audit_head *expected)
{
    static const struct audit_head empty;
    return verify_after(operand, &empty, expected);
}

static void bad_after(const struct audit_head *after, uint64_t seq, const char *file,
                      const char *why)
{
    const struct outcome of = verify_after(folder, after, NULL);
    cr_assert_not(of.verdict.holds);
    cr_assert_eq(of.verdict.bad_seq, seq, "%llu: %s", (unsigned long long)of.verdict.bad_seq,
                 of.verdict.why);
    cr_assert_str_eq(of.file, file);
    cr_assert_not_null(strstr(of.verdict.why, why), "%s", of.verdict.why);
}

static void bad(uint64_t seq, const char *file, const char *why)
{
    static const struct audit_head empty;
    bad_after(&empty, seq, file, why);
}

/* The head after so many records. */
static struct audit_head head_of(size_t records)
{
    struct audit_verdict verdict;
    cr_assert_eq(audit_verify(kit_part(kit, 0, records), NULL, NULL, &verdict), AUDIT_OK);
    return verdict.head;
}

static void good(uint64_t records)
{
    const struct outcome of = verify_of(folder, NULL);
    cr_assert(of.verdict.holds, "%s", of.verdict.why);
    cr_assert_eq(of.verdict.records, records);
}

Test(audit_set, a_folder_and_a_file_bring_the_whole_log)
{
    char path[200];
    good(60);
    snprintf(path, sizeof path, "%s/audit.log", folder);
    struct outcome of = verify_of(path, NULL);
    cr_assert_eq(of.verdict.records, 60);
    snprintf(path, sizeof path, "%s/%s", folder, names[1]);
    of = verify_after(path, NULL, NULL);
    cr_assert_eq(of.verdict.records, 20);
    cr_assert_eq(of.verdict.first_seq, 21);
    cr_assert(of.verdict.holds, "by itself, where nobody asks for a beginning");
}

/* A log made anew behind the record that was written down elsewhere never meets it. */
Test(audit_set, t79_a_log_that_begins_behind_the_record_expected)
{
    const struct audit_head elsewhere = {.seq = 10, .hash = {1, 2, 3}};
    remove_file(names[0]);
    cr_assert(verify_after(folder, NULL, NULL).verdict.holds);
    const struct outcome of = verify_after(folder, NULL, &elsewhere);
    cr_assert_not(of.verdict.holds);
    cr_assert_not_null(strstr(of.verdict.why, "begins behind"), "%s", of.verdict.why);
}

Test(audit_set, t79_an_edited_record)
{
    struct view part = kit_part(kit, 20, 40);
    uint8_t *name = memmem(kit->at, kit->out.length, "user-29", 7); /* of record 30 */
    name[5] = '3';
    write_file(names[1], &part, 1);
    bad(30, names[1], "does not match its hash");
}

Test(audit_set, t79_a_deleted_record)
{
    const struct view parts[] = {kit_part(kit, 20, 27), kit_part(kit, 28, 40)};
    write_file(names[1], parts, 2);
    bad(28, names[1], "number does not follow");
}

Test(audit_set, t79_a_record_deleted_where_files_meet)
{
    write_part(names[1], 21, 40);
    bad(21, names[1], "missing");
    write_part(names[1], 20, 39);
    bad(40, names[1], "name says that it ends later");
    write_part(names[1], 20, 40);
    write_part(names[2], 41, 60);
    bad(41, names[2], "missing");
}

Test(audit_set, t79_reordered_records)
{
    const struct view parts[] = {kit_part(kit, 40, 50), kit_part(kit, 51, 52),
                                 kit_part(kit, 50, 51), kit_part(kit, 52, 60)};
    write_file(names[2], parts, 4);
    bad(51, names[2], "number does not follow");
}

Test(audit_set, t79_reordered_files)
{
    write_part(names[0], 20, 40);
    write_part(names[1], 0, 20);
    bad(1, names[1], "name says that it begins");
}

Test(audit_set, t79_a_record_moved_to_another_file)
{
    const struct view parts[] = {kit_part(kit, 30, 31), kit_part(kit, 40, 60)};
    const struct view rest[] = {kit_part(kit, 20, 30), kit_part(kit, 31, 40)};
    write_file(names[2], parts, 2);
    write_file(names[1], rest, 2);
    bad(31, names[1], "number does not follow");
}

Test(audit_set, t79_a_truncated_file)
{
    const struct view part = view_of(kit->at + kit->ends[19], kit->ends[35] + 7 - kit->ends[19]);
    write_file(names[1], &part, 1);
    bad(37, names[1], "ends inside of it");
    write_part(names[0], 0, 12);
    bad(13, names[0], "name says that it ends later");
}

Test(audit_set, t79_a_missing_file)
{
    remove_file(names[1]);
    bad(21, names[2], "missing");
    remove_file(names[0]);
    bad(1, names[2], "records 1 to 40 are missing");
}

/* The front of a log goes like any other part of it: who says that it was moved away has to know how it ended. */
Test(audit_set, t79_the_front_is_cut_off)
{
    remove_file(names[0]);
    bad(1, names[1], "records 1 to 20 are missing");
    write_part(names[1], 24, 40); /* and its name does not help */
    bad(1, names[1], "records 1 to 24 are missing");
    remove_file(names[1]);
    write_part(names[2], 4, 60);
    bad(1, names[2], "records 1 to 4 are missing");
    write_part(names[2], 0, 60);
    good(60);
}

Test(audit_set, t79_a_beginning_that_somebody_vouches_for)
{
    struct audit_head head = head_of(20);
    remove_file(names[0]);
    const struct outcome of = verify_after(folder, &head, NULL);
    cr_assert(of.verdict.holds, "%s", of.verdict.why);
    cr_assert_eq(of.verdict.records, 40);
    cr_assert_eq(of.verdict.first_seq, 21);
    head.hash[31] ^= 1;
    bad_after(&head, 21, names[1], "another record before it");
    head = head_of(19);
    bad_after(&head, 20, names[1], "records 20 to 20 are missing");
    head = head_of(21);
    bad_after(&head, 21, names[1], "before the log's beginning");
    remove_file(names[1]);
    head = head_of(20);
    bad_after(&head, 21, names[2], "records 21 to 40 are missing");
    head = head_of(60);
    write_file(names[2], NULL, 0);
    cr_assert(verify_after(folder, &head, NULL).verdict.holds, "all was moved away");
}

static void bad_against(const struct audit_head *after, const struct audit_head *expected,
                        const char *why)
{
    const struct outcome of = verify_after(folder, after, expected);
    cr_assert_not(of.verdict.holds);
    cr_assert_eq(of.verdict.bad_seq, expected->seq);
    cr_assert_not_null(strstr(of.verdict.why, why), "%s", of.verdict.why);
}

/* Who vouches for the beginning does not outvote who wrote down an earlier record. */
Test(audit_set, t79_the_record_expected_is_before_the_beginning)
{
    const struct audit_head begin = head_of(20);
    struct audit_head head = head_of(20);
    remove_file(names[0]);
    cr_assert(verify_after(folder, &begin, &head).verdict.holds, "they are the same");
    head.hash[0] ^= 1;
    bad_against(&begin, &head, "another record than the one expected");
    head = head_of(19);
    bad_against(&begin, &head, "begins behind");
    head = head_of(1);
    bad_against(&begin, &head, "begins behind");
    write_file(names[1], NULL, 0);
    write_file(names[2], NULL, 0);
    bad_against(&begin, &head, "begins behind");
    write_part(names[1], 20, 40);
    head = head_of(21);
    cr_assert(verify_after(folder, &begin, &head).verdict.holds);
}

/* A damaged first record says no number that could be believed. */
Test(audit_set, t79_the_first_record_is_damaged)
{
    uint8_t *name = memmem(kit->at, kit->out.length, "user-0", 6);
    name[5] = '9';
    write_part(names[0], 0, 20);
    bad(1, names[0], "does not match its hash");
    for (size_t i = 0; i < 3; i++) {
        remove_file(names[i]);
    }
    write_part(names[2], 0, 60);
    bad(1, names[2], "does not match its hash");
}

Test(audit_set, t79_a_splice_from_another_host)
{
    struct kit *other = kit_new("other", 60);
    const struct view parts[] = {kit_part(kit, 20, 33), kit_part(other, 33, 40)};
    write_file(names[1], parts, 2);
    bad(34, names[1], "another record before it");
    const struct view whole = kit_part(other, 20, 40);
    write_file(names[1], &whole, 1);
    bad(21, names[1], "another record before it");
    kit_free(other);
}

Test(audit_set, t79_a_file_that_is_there_twice)
{
    write_part("audit.log.000000000011-000000000020", 10, 20);
    bad(11, "audit.log.000000000011-000000000020", "twice");
}

Test(audit_set, a_cut_end_shows_against_a_head_kept_elsewhere)
{
    const struct audit_head head = kit->chain.head;
    write_part(names[2], 40, 55);
    good(55);
    struct outcome of = verify_of(folder, &head);
    cr_assert_not(of.verdict.holds);
    cr_assert_eq(of.verdict.bad_seq, 56);
    remove_file(names[2]);
    of = verify_of(folder, &head);
    cr_assert_eq(of.verdict.bad_seq, 41);
    /* A head of a file that is not the last. */
    struct audit_verdict verdict;
    audit_verify(kit_part(kit, 0, 15), NULL, NULL, &verdict);
    of = verify_of(folder, &verdict.head);
    cr_assert(of.verdict.holds, "%s", of.verdict.why);
    verdict.head.hash[3] ^= 1;
    of = verify_of(folder, &verdict.head);
    cr_assert_eq(of.verdict.bad_seq, 15);
}

Test(audit_set, a_torn_end_is_told_and_no_alarm)
{
    const struct view part = view_of(kit->at + kit->ends[39], kit->ends[57] + 5 - kit->ends[39]);
    write_file(names[2], &part, 1);
    const struct outcome of = verify_of(folder, NULL);
    cr_assert(of.verdict.holds);
    cr_assert_eq(of.verdict.torn_bytes, 5);
    cr_assert_eq(of.verdict.records, 58);
}

Test(audit_set, an_empty_file_is_no_fault)
{
    write_file(names[2], NULL, 0);
    good(40);
}

static void refused(const char *word)
{
    struct audit_set set;
    char error[256] = "";
    char *operands[] = {folder};
    cr_assert_not(audit_set_open(&set, operands, 1, error, sizeof error));
    cr_assert_not_null(strstr(error, word), "%s", error);
}

Test(audit_set, a_folder_with_two_logs_or_none)
{
    write_part("audit-2.log", 0, 3);
    refused("more than one");
    remove_file("audit-2.log");
    for (size_t i = 0; i < 3; i++) {
        remove_file(names[i]);
    }
    write_part("audit.log.torn", 0, 1);
    write_part("setu.log", 0, 1);
    refused("holds no audit log");
}

static bool count_record(void *context, const struct audit_record *record)
{
    uint64_t *count = context;
    cr_assert_eq(record->seq, ++*count);
    return true;
}

Test(audit_set, each_record_in_order)
{
    struct audit_set set;
    char error[256] = "", last[200], first[200];
    uint64_t count = 0;
    snprintf(last, sizeof last, "%s/audit.log", folder);
    snprintf(first, sizeof first, "%s/%s", folder, names[0]);
    char *operands[] = {last, first}; /* one is named twice */
    cr_assert(audit_set_open(&set, operands, 2, error, sizeof error), "%s", error);
    cr_assert_eq(set.count, 3);
    audit_set_each(&set, count_record, &count);
    cr_assert_eq(count, 60);
    audit_set_close(&set);
}
