/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_block.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 8 };

static const int64_t now_ms = 1700000000123;
static const uint8_t topic_id[16] = "0123456789abcde";

struct seen {
    uint64_t number;
    int64_t time_ms;
    char instance[32], topic[32];
    uint32_t pid, file, partition_id, ids[RECORDS];
    int32_t partition;
    bool has_id, ended;
    struct ledger_record records[RECORDS];
    size_t count;
    struct ledger_gap gap;
};

static void see_block(void *context, uint64_t number, int64_t time_ms)
{
    struct seen *seen = context;
    seen->number = number;
    seen->time_ms = time_ms;
}

static void see_start(void *context, const struct ledger_start *start)
{
    struct seen *seen = context;
    snprintf(seen->instance, sizeof seen->instance, "%s", start->instance);
    seen->pid = start->pid;
    seen->file = start->file;
}

static void see_partition(void *context, const struct ledger_partition *p)
{
    struct seen *seen = context;
    seen->partition_id = p->id;
    seen->partition = p->partition;
    cr_assert(view_is(p->cluster, "main"));
    snprintf(seen->topic, sizeof seen->topic, "%.*s", (int)p->topic.length,
             (const char *)p->topic.at);
    seen->has_id = p->topic_id != NULL && memcmp(p->topic_id, topic_id, 16) == 0;
}

static void see_record(void *context, uint32_t partition, const struct ledger_record *record)
{
    struct seen *seen = context;
    cr_assert(seen->count < RECORDS);
    seen->ids[seen->count] = partition;
    seen->records[seen->count++] = *record;
}

static void see_gap(void *context, const struct ledger_gap *gap)
{
    ((struct seen *)context)->gap = *gap;
}

static void see_end(void *context)
{
    ((struct seen *)context)->ended = true;
}

static const struct ledger_visitor visitor = {see_block, see_start, see_partition, see_record,
                                              see_gap,   see_end,   NULL};

static struct ledger_record usual(void)
{
    return (struct ledger_record){
        .kind = LEDGER_ACKNOWLEDGED,
        .time_ms = now_ms + 5,
        .offset = 123456789,
        .producer_id = 4001,
        .epoch = 3,
        .sequence = 1234567,
        .max_timestamp = now_ms - 20,
        .crc = 0xdeadbeef,
        .span = 100,
        .count = 100,
        .length = 65536,
        .attributes = 4,
        .magic = 2,
    };
}

/* Nothing that could stand in a head of a batch is bent. */
static struct ledger_record extreme(int64_t number)
{
    return (struct ledger_record){
        .kind = LEDGER_REFUSED,
        .time_ms = number,
        .offset = number,
        .producer_id = number > 0 ? INT64_MAX - 1 : -1,
        .epoch = number > 0 ? INT16_MAX : -1,
        .sequence = number > 0 ? INT32_MAX : -1,
        .max_timestamp = number,
        .crc = UINT32_MAX,
        .span = 0,
        .count = -1,
        .length = UINT32_MAX,
        .attributes = UINT16_MAX,
        .error_code = number > 0 ? INT16_MAX : INT16_MIN,
        .flags = UINT8_MAX,
        .magic = number > 0 ? 0 : 1,
    };
}

static void check_same(const struct ledger_record *a, const struct ledger_record *b)
{
    cr_assert(a->kind == b->kind && a->time_ms == b->time_ms && a->offset == b->offset);
    cr_assert(a->low == b->low && a->producer_id == b->producer_id && a->epoch == b->epoch);
    cr_assert_eq(a->sequence, b->sequence);
    cr_assert(a->max_timestamp == b->max_timestamp && a->crc == b->crc && a->span == b->span);
    cr_assert(a->count == b->count && a->length == b->length && a->attributes == b->attributes);
    cr_assert(a->error_code == b->error_code && a->flags == b->flags && a->magic == b->magic);
}

static struct view whole_block(struct ledger_block *block)
{
    const struct ledger_start start = {"host-1", 77, 2, now_ms};
    const struct ledger_partition partition = {.id = 300,
                                               .cluster = view_from_string("main"),
                                               .topic = view_from_string("orders"),
                                               .topic_id = topic_id,
                                               .partition = 5};
    const struct ledger_gap gap = {now_ms, now_ms + 7, {1, 2, 3, 4, 5}};
    struct ledger_record records[] = {usual(), extreme(INT64_MIN), extreme(INT64_MAX)};
    struct view bytes;
    ledger_block_begin(block, 9, now_ms);
    ledger_block_start(block, &start);
    ledger_block_define(block, &partition);
    for (size_t i = 0; i < 3; i++) {
        ledger_block_put(block, 300, &records[i]);
    }
    ledger_block_gap(block, &gap);
    ledger_block_end(block);
    cr_assert(ledger_block_seal(block, &bytes));
    return bytes;
}

/* The block is written by hand and read by the generated code: they must agree on every field. */
Test(ledger_block, gives_back_what_was_put)
{
    struct ledger_block block;
    struct seen seen = {0};
    struct ledger_record expected[] = {usual(), extreme(INT64_MIN), extreme(INT64_MAX)};
    ledger_block_init(&block);
    for (int again = 0; again < 2; again++) {
        seen = (struct seen){0};
        cr_assert(ledger_block_read(whole_block(&block), &visitor, &seen));
    }
    cr_assert(seen.number == 9 && seen.time_ms == now_ms && seen.ended);
    cr_assert_str_eq(seen.instance, "host-1");
    cr_assert(seen.pid == 77 && seen.file == 2);
    cr_assert(seen.partition_id == 300 && seen.partition == 5 && seen.has_id);
    cr_assert_str_eq(seen.topic, "orders");
    cr_assert_eq(seen.count, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(seen.ids[i], 300);
        check_same(&seen.records[i], &expected[i]);
    }
    cr_assert(seen.gap.from_ms == now_ms && seen.gap.to_ms == now_ms + 7);
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        cr_assert_eq(seen.gap.lost[kind], kind + 1);
    }
    ledger_block_free(&block);
}

Test(ledger_block, keeps_marks_small_and_whole)
{
    struct ledger_block block;
    struct seen seen = {0};
    struct view bytes;
    const struct ledger_record mark = {
        .kind = LEDGER_MARK, .time_ms = now_ms, .offset = 1000, .low = 20};
    ledger_block_init(&block);
    ledger_block_begin(&block, 1, now_ms);
    size_t before = block.bytes.length;
    ledger_block_put(&block, 1, &mark);
    cr_assert_leq(block.bytes.length - before, 14);
    cr_assert(ledger_block_seal(&block, &bytes));
    cr_assert(ledger_block_read(bytes, &visitor, &seen));
    cr_assert(seen.records[0].kind == LEDGER_MARK && seen.records[0].offset == 1000 &&
              seen.records[0].low == 20 && seen.records[0].time_ms == now_ms);
    ledger_block_free(&block);
}

Test(ledger_block, needs_about_forty_bytes_for_a_batch)
{
    struct ledger_block block;
    const struct ledger_record record = usual();
    ledger_block_init(&block);
    ledger_block_begin(&block, 1, now_ms);
    size_t before = block.bytes.length;
    ledger_block_put(&block, 300, &record);
    cr_assert_leq(block.bytes.length - before, 45, "%zu", block.bytes.length - before);
    ledger_block_free(&block);
}

Test(ledger_block, notices_every_changed_bit_and_every_prefix)
{
    struct ledger_block block;
    struct seen seen = {0};
    ledger_block_init(&block);
    struct view bytes = whole_block(&block);
    uint8_t *copy = malloc(bytes.length);
    memcpy(copy, bytes.at, bytes.length);
    for (size_t bit = 0; bit < bytes.length * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_not(ledger_block_read(view_of(copy, bytes.length), &visitor, &seen));
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < bytes.length; n++) {
        cr_assert_not(ledger_block_read(view_of(copy, n), &visitor, &seen));
    }
    cr_assert_eq(seen.count, 0, "nothing is told of a block that is wrong");
    free(copy);
    ledger_block_free(&block);
}

Test(ledger_block, knows_when_it_is_full)
{
    struct ledger_block block;
    struct view bytes;
    const struct ledger_record record = extreme(INT64_MIN);
    ledger_block_init(&block);
    ledger_block_begin(&block, 1, now_ms);
    while (ledger_block_has_room(&block)) {
        ledger_block_put(&block, UINT32_MAX, &record);
    }
    cr_assert(ledger_block_seal(&block, &bytes));
    cr_assert_eq(ledger_block_length(bytes.at), bytes.length);
    ledger_block_free(&block);
}
