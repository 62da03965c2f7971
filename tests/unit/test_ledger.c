/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/ops/ledger_lanes.h"
#include "proxy/ops/ledger_verify.h"

static char folder[] = "/tmp/setu-ledger-XXXXXX";

enum { FILES = 64, PATH_SIZE = 400 };

static char paths[FILES][PATH_SIZE];
static const char *list[FILES];
static size_t file_count;

/* A disk, in place of the C library's functions: slow when it is told so, and it counts. */
static atomic_uint disk_slow_us, disk_writes, disk_syncs;

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    atomic_fetch_add(&disk_writes, 1);
    usleep(atomic_load(&disk_slow_us));
    return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

int fdatasync(int fd)
{
    atomic_fetch_add(&disk_syncs, 1);
    usleep(atomic_load(&disk_slow_us));
    return (int)syscall(SYS_fdatasync, fd);
}

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
    int64_t first;    /* of the batches that it is to have besides */
    uint64_t written; /* before that */
    bool grown;
};

static void grow(void *context, const struct ledger_file *file)
{
    struct growing *growing = context;
    cr_assert_not_null(file->path);
    for (int64_t n = 0; n < 10 && !growing->grown; n++) {
        put(growing->lane, "orders", NULL, LEDGER_ACKNOWLEDGED, growing->first + n);
    }
    growing->grown = true;
    wait_written(growing->ledger, growing->written + 10);
}

Test(ledger, is_judged_as_the_first_reading_found_it)
{
    struct growing growing = {.ledger = open_ledger(0), .first = 10, .written = 10};
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

/* Puts what cannot be written, until the thread knows. */
static void fill_disk(struct ledger *ledger, struct ledger_lane *lane, uint64_t records)
{
    for (uint64_t n = 0; n < records; n++) {
        put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, (int64_t)n);
    }
    cr_assert(wait_healthy(ledger, false));
}

static void set_file_size_max(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Nothing tells of what was not written but that the file has no end. */
Test(ledger, leaves_a_file_without_an_end_when_the_disk_is_full_at_the_end)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    set_file_size_max(8192);
    fill_disk(ledger, lane, 1000);
    ledger_close(&ledger);
    set_file_size_max(RLIM_INFINITY);
    list_files();
    cr_assert_eq(file_count, 1);
    struct ledger_file file = look(paths[0]);
    cr_assert(file.ending == LEDGER_OPEN || file.ending == LEDGER_TORN);
    cr_assert_not(file.in_use);
    cr_assert_lt(file.records, 1000);
}

static void move_folder(const char *from, const char *to)
{
    cr_assert_eq(rename(from, to), 0);
}

/* Of one ledger: the folder is away when the file has its size. */
static void check_rotation(bool comes_back)
{
    char away[sizeof folder + 8];
    struct ledger *ledger = open_ledger(65536);
    struct ledger_lane *lane = ledger_join(ledger);
    snprintf(away, sizeof away, "%s.away", folder);
    move_folder(folder, away);
    fill_disk(ledger, lane, 5000);
    if (comes_back) {
        move_folder(away, folder);
        cr_assert(wait_healthy(ledger, true));
    }
    ledger_close(&ledger);
    if (!comes_back) {
        move_folder(away, folder);
    }
}

Test(ledger, tells_of_a_next_file_that_could_not_be_begun)
{
    check_rotation(false);
    struct ledger_verdict v = verify(0);
    cr_assert_eq(file_count, 1);
    cr_assert(look(paths[0]).ending == LEDGER_ENDED && look(paths[0]).followed);
    cr_assert_eq(v.missing_files, 1);
    cr_assert_lt(v.batches[LEDGER_ACKNOWLEDGED], 5000);
}

Test(ledger, begins_the_next_file_as_soon_as_it_can)
{
    check_rotation(true);
    struct ledger_verdict v = verify(0);
    cr_assert_geq(file_count, 2);
    cr_assert_eq(v.missing_files, 0);
    cr_assert_eq(v.batches[LEDGER_ACKNOWLEDGED], 5000);
}

Test(ledger, syncs_and_writes_whole_blocks_on_a_slow_disk)
{
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lane = ledger_join(ledger);
    atomic_store(&disk_slow_us, 5000);
    const unsigned writes = atomic_load(&disk_writes), syncs = atomic_load(&disk_syncs);
    for (int64_t n = 0; n < 3000; n++) { /* each write lets some more arrive */
        put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n);
        usleep(500);
    }
    cr_assert_geq(atomic_load(&disk_syncs), syncs + 1, "once a second");
    cr_assert_leq(atomic_load(&disk_writes), writes + 200, "not a block for each few records");
    atomic_store(&disk_slow_us, 0);
    ledger_close(&ledger);
}

/* What was seen of two partitions, in the order of the file. */
struct turns {
    uint64_t seen[3], apart;
};

static void take_turn(void *context, uint32_t partition, const struct ledger_record *record)
{
    struct turns *turns = context;
    cr_assert(partition >= 1 && partition <= 2 && record->kind == LEDGER_ACKNOWLEDGED);
    turns->seen[partition]++;
    uint64_t apart = turns->seen[1] > turns->seen[2] ? turns->seen[1] - turns->seen[2]
                                                     : turns->seen[2] - turns->seen[1];
    turns->apart = apart > turns->apart ? apart : turns->apart;
}

Test(ledger, lets_no_worker_wait_for_another_ones_records)
{
    static const struct ledger_visitor visitor = {.record = take_turn};
    struct turns turns = {0};
    struct ledger_file file;
    char error[256];
    struct ledger *ledger = open_ledger(0);
    struct ledger_lane *lanes[] = {ledger_join(ledger), ledger_join(ledger)};
    set_file_size_max(200);
    fill_disk(ledger, lanes[0], 20000);
    for (int64_t n = 0; n < 20000; n++) {
        put(lanes[1], "others", NULL, LEDGER_ACKNOWLEDGED, n);
    }
    set_file_size_max(RLIM_INFINITY);
    ledger_close(&ledger);
    list_files();
    cr_assert(ledger_read(paths[0], &visitor, &turns, &file, error, sizeof error), "%s", error);
    cr_assert(turns.seen[1] == 20000 && turns.seen[2] == 20000);
    cr_assert_lt(turns.apart, 8000, "%lu records of one before one of the other", turns.apart);
}

enum { MADE_UP = 200000 };

Test(ledger, bears_a_flood_of_names_made_up)
{
    struct ledger *ledger = open_ledger(4 << 20);
    struct ledger_lane *lane = ledger_join(ledger);
    for (int64_t n = 0; n < MADE_UP; n++) {
        const struct ledger_record record = batch(LEDGER_IN_DOUBT, n);
        struct ledger_stream *stream = ledger_lane_stream(
            lane, view_from_string("main"), view_from_string("made up"), NULL, (int32_t)n, true);
        cr_assert_not_null(stream);
        while (!ledger_lane_put(lane, stream, &record)) {
            usleep(1000);
        }
        if (n % 1000 == 0) {
            put(lane, "orders", NULL, LEDGER_ACKNOWLEDGED, n / 1000);
            put(lane, "orders", NULL, LEDGER_FETCHED, n / 1000);
        }
    }
    ledger_close(&ledger);
    struct ledger_verdict v = verify(0);
    cr_assert_eq(v.partitions, MADE_UP + 1);
    cr_assert_eq(v.explained[LEDGER_SAME], MADE_UP / 1000);
    cr_assert_eq(v.found[LEDGER_STILL_IN_DOUBT], MADE_UP);
}

enum { LIVE = 12 };

/* Older files grow between the readings; those that are read later lose nothing by it. */
Test(ledger, judges_many_files_that_are_being_written)
{
    struct ledger *live[LIVE];
    struct ledger_lane *lanes[LIVE];
    for (size_t i = 0; i < LIVE; i++) {
        live[i] = open_ledger(0);
        lanes[i] = ledger_join(live[i]);
    }
    for (size_t i = 0; i < LIVE; i++) {
        for (int64_t n = (int64_t)i * 100; n < (int64_t)i * 100 + 100; n++) {
            put(lanes[i], "orders", NULL, LEDGER_ACKNOWLEDGED, n);
            if (n != 1150) {
                put(lanes[(i + 5) % LIVE], "orders", NULL, LEDGER_FETCHED, n);
            }
        }
    }
    for (size_t i = 0; i < LIVE; i++) {
        wait_written(live[i], 100);
    }
    usleep(300 * 1000); /* and what was read */
    struct growing growing = {.ledger = live[0], .lane = lanes[0], .first = 5000, .written = 100};
    list_files();
    cr_assert_eq(file_count, LIVE);
    const struct ledger_verify_params params = {
        .paths = list, .path_count = file_count, .file = grow, .context = &growing};
    struct ledger_verdict v;
    char error[256];
    cr_assert(ledger_verify(&params, &v, error, sizeof error), "%s", error);
    cr_assert(growing.grown);
    cr_assert_eq(v.batches[LEDGER_ACKNOWLEDGED], LIVE * 100);
    cr_assert_eq(v.explained[LEDGER_SAME], LIVE * 100 - 1);
    cr_assert_eq(v.found[LEDGER_LOST], 1);
    cr_assert_eq(v.missing_files, 0);
    for (size_t i = 0; i < LIVE; i++) {
        cr_assert(look(paths[i]).in_use);
        ledger_close(&live[i]);
    }
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
