/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/ops/ledger_lanes.h"
#include "proxy/ops/ledger_verify.h"

static char folder[] = "/tmp/setu-ledger-XXXXXX";

enum { FILES = 64, PATH_SIZE = 400 };

static char paths[FILES][PATH_SIZE];
static const char *list[FILES];
static size_t file_count;

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Oldest first: the number of the file is the last part of its name, and files of one process have one begin. */
static int by_number(const struct dirent **a, const struct dirent **b)
{
    return strverscmp((*a)->d_name, (*b)->d_name);
}

static void list_files(void)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_file, by_number);
    cr_assert(count >= 0 && count <= FILES);
    for (int i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, entries[i]->d_name);
        list[i] = paths[i];
        free(entries[i]);
    }
    free(entries);
    file_count = (size_t)count;
}

static void teardown(void)
{
    list_files();
    for (size_t i = 0; i < file_count; i++) {
        unlink(paths[i]);
    }
    rmdir(folder);
}

TestSuite(ledger, .init = setup, .fini = teardown);

static struct ledger *open_ledger(size_t rotate_bytes)
{
    const struct ledger_params params = {.directory = folder, .rotate_bytes = rotate_bytes};
    char error[256] = "";
    struct ledger *ledger = ledger_open(&params, error, sizeof error);
    cr_assert_not_null(ledger, "%s", error);
    return ledger;
}

static struct ledger_record batch(enum ledger_kind kind, int64_t n)
{
    return (struct ledger_record){.kind = (uint8_t)kind,
                                  .time_ms = 1700000000000 + n + (kind == LEDGER_FETCHED ? 1 : 0),
                                  .offset = n * 10,
                                  .producer_id = 7,
                                  .sequence = (int32_t)n * 10,
                                  .crc = (uint32_t)n,
                                  .span = 10,
                                  .count = 10,
                                  .length = 1000,
                                  .magic = 2};
}

static void put(struct ledger_lane *lane, const char *topic, const uint8_t *id,
                enum ledger_kind kind, int64_t n)
{
    const struct ledger_record record = batch(kind, n);
    struct ledger_stream *stream = ledger_lane_stream(
        lane, view_from_string("main"), view_from_string(id == NULL ? topic : ""), id, 3, true);
    while (!ledger_lane_put(lane, stream, &record)) {
        usleep(1000);
    }
}

static struct ledger_verdict verify(size_t memory_bytes)
{
    struct ledger_verdict verdict;
    char error[256] = "";
    list_files();
    const struct ledger_verify_params params = {
        .paths = list, .path_count = file_count, .memory_bytes = memory_bytes};
    cr_assert(ledger_verify(&params, &verdict, error, sizeof error), "%s", error);
    return verdict;
}

static struct ledger_file look(const char *path)
{
    static const struct ledger_visitor nobody;
    struct ledger_file file;
    char error[256] = "";
    cr_assert(ledger_read(path, &nobody, NULL, &file, error, sizeof error), "%s", error);
    return file;
}

Test(ledger, writes_what_it_is_told_and_ends_its_file)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    struct ledger_stats stats;
    for (int64_t n = 0; n < 1000; n++) {
        put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
        put(lane, "orders", NULL, LEDGER_FETCHED, n);
    }
    ledger_stats(ledger, &stats);
    cr_assert(stats.healthy && stats.files == 1);
    ledger_close(&ledger);
    cr_assert_null(ledger);
    list_files();
    cr_assert_eq(file_count, 1);
    struct ledger_file file = look(paths[0]);
    cr_assert(file.ending == LEDGER_ENDED && file.records == 2000 && file.lost == 0);
    struct ledger_verdict v = verify(0);
    cr_assert(v.explained[LEDGER_SAME] == 1000 && v.partitions == 1);
    cr_assert_eq(v.acknowledged_records, 10000);
    struct stat st;
    cr_assert(stat(paths[0], &st) == 0 && (st.st_mode & 0777) == 0640);
}

Test(ledger, begins_a_new_file_that_stands_for_itself_when_one_is_large)
{
    struct ledger *ledger = open_ledger(65536);
    struct ledger_lane *lanes[] = {ledger_join(ledger), ledger_join(ledger)};
    for (int64_t n = 0; n < 8000; n++) {
        put(lanes[n % 2], "orders", NULL, LEDGER_ACKNOWLEDGED, n);
        put(lanes[(n + 1) % 2], "orders", NULL, LEDGER_FETCHED, n);
    }
    ledger_close(&ledger);
    list_files();
    cr_assert_geq(file_count, 3);
    for (size_t i = 0; i < file_count; i++) {
        cr_assert_eq(look(paths[i]).ending, LEDGER_ENDED, "%s", paths[i]);
        cr_assert_leq(look(paths[i]).bytes, 65536 * 3);
    }
    struct ledger_verdict v = verify(0);
    cr_assert(v.explained[LEDGER_SAME] == 8000 && v.partitions == 1);
    v = verify(1); /* memory for one partition at a time */
    cr_assert_eq(v.explained[LEDGER_SAME], 8000);
    cr_assert_eq(v.missing_files, 0);
    unlink(paths[1]); /* one in the middle is missed … */
    cr_assert_eq(verify(0).missing_files, 1);
    unlink(paths[file_count]); /* … and the last one, which the one before tells of */
    v = verify(0);
    cr_assert_eq(v.missing_files, file_count > 1 ? 2 : 1);
}

Test(ledger, is_one_over_many_processes_and_knows_names_of_ids)
{
    static const uint8_t id[16] = "0123456789abcde";
    for (int life = 0; life < 3; life++) {
        struct ledger *ledger = open_ledger(0);
        struct ledger_lane *lane = ledger_join(ledger);
        for (int64_t n = life * 100; n < life * 100 + 100; n++) {
            put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
        }
        if (life == 2) { /* a reader comes that goes by ids, and then one that asks for names */
            for (int64_t n = 0; n < 200; n++) {
                put(lane, NULL, id, LEDGER_FETCHED, n);
            }
            ledger_lane_learn(lane, view_from_string("main"), view_from_string("orders"), id);
            for (int64_t n = 200; n < 300; n++) {
                put(lane, NULL, id, LEDGER_FETCHED, n);
            }
        }
        ledger_close(&ledger);
    }
    struct ledger_verdict v = verify(0);
    cr_assert_eq(file_count, 3);
    cr_assert_eq(v.partitions, 1, "by name and by id it is one");
    cr_assert_eq(v.explained[LEDGER_SAME], 300);
}

static void wait_written(struct ledger *ledger, uint64_t acknowledged)
{
    struct ledger_stats stats = {0};
    for (int i = 0; i < 500 && stats.written[LEDGER_ACKNOWLEDGED] < acknowledged; i++) {
        usleep(10000);
        ledger_stats(ledger, &stats);
    }
    cr_assert_eq(stats.written[LEDGER_ACKNOWLEDGED], acknowledged);
}

struct growing {
    struct ledger *ledger;
    struct ledger_lane *lane;
    bool grown;
};

static void grow(void *context, const struct ledger_file *file)
{
    struct growing *growing = context;
    cr_assert_not_null(file->path);
    for (int64_t n = 10; n < 20 && !growing->grown; n++) {
        put(growing->lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
    }
    growing->grown = true;
    wait_written(growing->ledger, 20);
}

Test(ledger, is_judged_as_the_first_reading_found_it)
{
    struct growing growing = {.ledger = open_ledger(0)};
    growing.lane = ledger_join(growing.ledger);
    for (int64_t n = 0; n < 10; n++) {
        put(growing.lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
    }
    wait_written(growing.ledger, 10);
    struct ledger *other = open_ledger(0);
    struct ledger_lane *lane = ledger_join(other);
    for (int64_t n = 0; n < 10; n++) {
        put(lane, "orders", NULL, LEDGER_FETCHED, n);
    }
    ledger_close(&other);
    list_files();
    const struct ledger_verify_params params = {
        .paths = list, .path_count = file_count, .file = grow, .context = &growing};
    struct ledger_verdict v;
    char error[256];
    cr_assert(ledger_verify(&params, &v, error, sizeof error), "%s", error);
    cr_assert_eq(v.explained[LEDGER_SAME], 10);
    cr_assert_eq(v.unproved, 0);
    ledger_close(&growing.ledger);
}

Test(ledger, tells_of_what_it_missed)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    struct ledger_stats stats;
    put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, 1);
    ledger_lane_miss(lane, LEDGER_FETCHED, 42);
    ledger_stats(ledger, &stats);
    cr_assert_eq(stats.lost[LEDGER_FETCHED], 42);
    ledger_close(&ledger);
    list_files();
    cr_assert_eq(look(paths[0]).lost, 42);
}

static void copy_part(const char *from, const char *to, size_t length)
{
    uint8_t *bytes = calloc(1, length + 1);
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    cr_assert(in != NULL && out != NULL);
    size_t got = fread(bytes, 1, length, in);
    cr_assert_eq(fwrite(bytes, 1, got, out), got);
    fclose(in);
    fclose(out);
    free(bytes);
}

Test(ledger, is_read_up_to_where_a_killed_writer_came)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    for (int64_t n = 0; n < 50; n++) {
        put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
        usleep(n % 10 == 0 ? 15000 : 0);
    }
    ledger_close(&ledger);
    list_files();
    struct ledger_file whole = look(paths[0]);
    char cut[PATH_SIZE + 8];
    snprintf(cut, sizeof cut, "%s/cut", folder);
    uint64_t records = 0;
    for (size_t length = 0; length < whole.bytes; length++) {
        copy_part(paths[0], cut, length);
        struct ledger_file file = look(cut);
        cr_assert(file.ending == LEDGER_TORN || file.ending == LEDGER_OPEN, "%zu", length);
        cr_assert_geq(file.records, records);
        cr_assert_leq(file.bytes, length);
        records = file.records;
    }
    cr_assert_eq(records, 50);
    cr_assert_geq(whole.blocks, 4);
}

Test(ledger, says_where_a_file_is_damaged)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    for (int64_t n = 0; n < 5000; n++) {
        put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
    }
    ledger_close(&ledger);
    list_files();
    FILE *file = fopen(paths[0], "r+b");
    fseek(file, 200, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, 200, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
    cr_assert_eq(look(paths[0]).ending, LEDGER_DAMAGED);
}

Test(ledger, refuses_what_is_no_ledger_and_what_is_not_there)
{
    const struct ledger_params params = {.directory = "/nonexistent/folder"};
    static const struct ledger_visitor nobody;
    char error[256] = "";
    struct ledger_file file;
    cr_assert_null(ledger_open(&params, error, sizeof error));
    cr_assert_not_null(strstr(error, "/nonexistent/folder"), "%s", error);
    cr_assert_not(ledger_read("/nonexistent/file", &nobody, NULL, &file, error, sizeof error));
    cr_assert_not(ledger_read("/proc/self/exe", &nobody, NULL, &file, error, sizeof error));
    cr_assert_not_null(strstr(error, "not a ledger"), "%s", error);
}

static bool wait_healthy(struct ledger *ledger, bool healthy)
{
    struct ledger_stats stats;
    for (int i = 0; i < 500; i++) {
        ledger_stats(ledger, &stats);
        if (stats.healthy == healthy) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

static uint64_t sum(const uint64_t numbers[LEDGER_KINDS])
{
    uint64_t sum = 0;
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        sum += numbers[kind];
    }
    return sum;
}

/* A file that may not grow stands for a disk that is full. */
Test(ledger, waits_for_room_on_a_full_disk_and_then_tells_all)
{
    struct rlimit limit, before;
    signal(SIGXFSZ, SIG_IGN);
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){8192, before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct ledger_stream *stream = ledger_lane_stream(lane, view_from_string("main"),
                                                      view_from_string("orders"), NULL, 3, true);
    uint64_t refused = 0;
    for (int64_t n = 0; n < LEDGER_LANE_RING * 2; n++) {
        const struct ledger_record record = batch(LEDGER_ACKNOWLEDGED, n);
        refused += ledger_lane_put(lane, stream, &record) ? 0 : 1;
        if (n == 1000) {
            cr_assert(wait_healthy(ledger, false));
        }
    }
    cr_assert_gt(refused, 0, "nobody waits for the disk");
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_assert(wait_healthy(ledger, true));
    ledger_close(&ledger);
    list_files();
    struct ledger_file file = look(paths[0]);
    cr_assert_eq(file.ending, LEDGER_ENDED);
    cr_assert_eq(file.lost, refused);
    cr_assert_eq(file.records, LEDGER_LANE_RING * 2 - refused);
}

Test(ledger, lets_workers_come_and_go)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_stats stats;
    for (int64_t n = 0; n < 2 * LEDGER_LANES_MAX; n++) {
        struct ledger_lane *lane = ledger_join(ledger);
        for (int i = 0; i < 100 && lane == NULL; i++) {
            usleep(10000);
            lane = ledger_join(ledger);
        }
        cr_assert_not_null(lane, "lanes of workers that have ended are free again");
        put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
        ledger_lane_miss(lane, LEDGER_FETCHED, 1);
        ledger_leave(ledger, &lane);
        cr_assert_null(lane);
    }
    for (int i = 0; i < 500; i++) {
        ledger_stats(ledger, &stats);
        if (stats.waiting == 0) {
            break;
        }
        usleep(10000);
    }
    cr_assert_eq(stats.lost[LEDGER_FETCHED], 2 * LEDGER_LANES_MAX);
    ledger_close(&ledger);
    list_files();
    cr_assert_eq(look(paths[0]).records, 2 * LEDGER_LANES_MAX);
    cr_assert_eq(look(paths[0]).lost, 2 * LEDGER_LANES_MAX);
}

Test(ledger, counts_what_is_written)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    struct ledger_stats stats = {0};
    put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, 1);
    put(lane, "orders", NULL, LEDGER_FETCHED, 1);
    for (int i = 0; i < 500 && sum(stats.written) < 2; i++) {
        usleep(10000);
        ledger_stats(ledger, &stats);
    }
    cr_assert(stats.written[LEDGER_ACKNOWLEDGED] == 1 && stats.written[LEDGER_FETCHED] == 1);
    cr_assert_eq(stats.waiting, 0);
    struct stat st;
    list_files();
    cr_assert(stat(paths[0], &st) == 0);
    cr_assert_eq(stats.bytes, (uint64_t)st.st_size);
    ledger_close(&ledger);
}
