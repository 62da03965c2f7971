/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_lane.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const uint8_t key[SIPHASH_KEY_BYTES] = "0123456789abcdef";
static const uint8_t first_id[16] = "0123456789abcde", second_id[16] = "fedcba987654321";

static struct ledger_stream *by_name(struct ledger_lane *lane, const char *topic, int32_t partition,
                                     bool make)
{
    return ledger_lane_stream(lane, view_from_string("main"), view_from_string(topic), NULL,
                              partition, make);
}

static struct ledger_stream *by_id(struct ledger_lane *lane, const uint8_t *id, int32_t partition)
{
    return ledger_lane_stream(lane, view_from_string("main"), view_of(NULL, 0), id, partition,
                              true);
}

Test(ledger_lane, knows_a_partition_again)
{
    struct ledger_lane *lane = ledger_lane_new(key, NULL);
    cr_assert_null(by_name(lane, "orders", 1, false));
    struct ledger_stream *one = by_name(lane, "orders", 1, true);
    cr_assert_eq(by_name(lane, "orders", 1, true), one);
    cr_assert_eq(by_name(lane, "orders", 1, false), one);
    cr_assert_neq(by_name(lane, "orders", 2, true), one);
    cr_assert_neq(by_name(lane, "order", 1, true), one);
    cr_assert_neq(ledger_lane_stream(lane, view_from_string("other"), view_from_string("orders"),
                                     NULL, 1, true),
                  one);
    cr_assert(by_id(lane, first_id, 1) != by_id(lane, second_id, 1));
    cr_assert(view_is(ledger_stream_topic(one), "orders"));
    cr_assert(view_is(ledger_stream_cluster(one), "main"));
    ledger_lane_free(&lane);
    cr_assert_null(lane);
}

Test(ledger_lane, forgets_names_that_nobody_has)
{
    struct ledger_lane *lane = ledger_lane_new(key, NULL);
    for (int i = 0; i < 3 * LEDGER_LANE_STREAMS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "made-up-%d", i);
        struct ledger_stream *stream = by_name(lane, name, 0, true);
        cr_assert_not_null(stream, "the names a client makes up fill no table");
        stream->users++;
        ledger_lane_release(lane, stream);
        cr_assert_eq(by_name(lane, name, 0, false), stream);
        stream->users--;
        ledger_lane_release(lane, stream);
        cr_assert_null(by_name(lane, name, 0, false));
    }
    ledger_lane_free(&lane);
}

static size_t take_all(struct ledger_lane *lane)
{
    size_t taken = 0;
    for (struct ledger_entry *entry = ledger_lane_front(lane); entry != NULL;
         entry = ledger_lane_front(lane)) {
        entry->stream->file = 1; /* as the thread does: it had better still be there */
        ledger_lane_drop(lane);
        taken++;
    }
    return taken;
}

Test(ledger_lane, keeps_what_is_in_use_and_has_a_bound)
{
    struct ledger_lane *lane = ledger_lane_new(key, NULL);
    const struct ledger_record record = {.kind = LEDGER_FETCHED};
    struct ledger_stream *kept = by_name(lane, "orders", 0, true);
    cr_assert(ledger_lane_put(lane, kept, &record));
    ledger_lane_release(lane, kept);
    cr_assert_eq(by_name(lane, "orders", 0, false), kept);
    for (int32_t i = 1; i < LEDGER_LANE_STREAMS_MAX; i++) {
        struct ledger_stream *stream = by_name(lane, "orders", i, true);
        cr_assert_not_null(stream);
        stream->users++;
    }
    cr_assert_null(by_name(lane, "orders", LEDGER_LANE_STREAMS_MAX, true));
    cr_assert_eq(by_name(lane, "orders", 0, false), kept, "its record has not been taken");
    cr_assert_eq(take_all(lane), 1);
    for (int32_t i = 1; i < LEDGER_LANE_STREAMS_MAX; i++) {
        by_name(lane, "orders", i, false)->users--;
    }
    /* Each was asked for just now: one time round forgets that, the next one forgets them. */
    struct ledger_stream *next = NULL;
    for (int32_t i = 0; i < 1000 && next == NULL; i++) {
        next = by_name(lane, "orders", LEDGER_LANE_STREAMS_MAX, true);
    }
    cr_assert_not_null(next);
    ledger_lane_free(&lane);
}

/* Of unanswered requests, and of those that want no answer. */
Test(ledger_lane, is_not_filled_by_records_of_names_made_up)
{
    struct ledger_lane *lane = ledger_lane_new(key, NULL);
    const struct ledger_record record = {.kind = LEDGER_IN_DOUBT};
    struct ledger_stream *orders = by_name(lane, "orders", 0, true);
    cr_assert(ledger_lane_put(lane, orders, &record));
    uint64_t put = 1, taken = 0;
    for (int32_t i = 0; i < 3 * LEDGER_LANE_STREAMS_MAX; i++) {
        struct ledger_stream *made_up = by_name(lane, "made up", i, true);
        cr_assert_not_null(made_up);
        cr_assert(ledger_lane_put(lane, made_up, &record));
        put++;
        if (i % 1000 == 999) {
            cr_assert_eq(by_name(lane, "orders", 0, true), orders, "what is asked for again stays");
        }
        taken += i % 20000 == 19999 ? take_all(lane) : 0;
    }
    cr_assert_eq(taken + take_all(lane), put);
    cr_assert_lt(ledger_lane_streams(lane), LEDGER_LANE_STREAMS_MAX / 2);
    ledger_lane_free(&lane);
}

enum { CHAIN_MAX = 64 };

/* Partitions of orders that meet in one place of a table with this key. */
static void find_meeting(int32_t *partitions_r, size_t count)
{
    const struct siphash_key known = siphash_key_of(key);
    const uint64_t names = siphash(&known, "mainorders", 10);
    const uint64_t spread = siphash(&known, "spread", 6) | 1;
    size_t found = 0;
    for (int32_t partition = 0; found < count; partition++) {
        if ((names + spread * (uint32_t)partition) >> 50 == 0) {
            partitions_r[found++] = partition;
        }
    }
}

/* T17 */
Test(ledger_lane, bounds_what_meets_in_one_place_and_lets_nobody_aim)
{
    static const uint8_t other_key[SIPHASH_KEY_BYTES] = "fedcba9876543210";
    struct ledger_lane *lane = ledger_lane_new(key, NULL),
                       *other = ledger_lane_new(other_key, NULL);
    int32_t partitions[CHAIN_MAX + 1];
    find_meeting(partitions, CHAIN_MAX + 1);
    for (size_t i = 0; i <= CHAIN_MAX; i++) {
        struct ledger_stream *stream = by_name(lane, "orders", partitions[i], true);
        cr_assert_eq(stream == NULL, i == CHAIN_MAX, "%zu", i);
        if (stream != NULL) {
            stream->users++;
        }
        stream = by_name(other, "orders", partitions[i], true);
        cr_assert_not_null(stream, "with another key they do not meet");
        stream->users++;
    }
    by_name(lane, "orders", partitions[0], false)->users--;
    cr_assert_null(by_name(lane, "orders", partitions[CHAIN_MAX], true), "it was asked for");
    cr_assert_not_null(by_name(lane, "orders", partitions[CHAIN_MAX], true));
    ledger_lane_free(&lane);
    ledger_lane_free(&other);
}

Test(ledger_lane, names_an_id_as_soon_as_it_knows)
{
    struct ledger_lane *lane = ledger_lane_new(key, NULL);
    struct ledger_stream *nameless = by_id(lane, first_id, 0);
    cr_assert_eq(ledger_stream_topic(nameless).length, 0);
    ledger_lane_learn(lane, view_from_string("other"), view_from_string("wrong"), first_id);
    cr_assert_eq(by_id(lane, first_id, 0), nameless, "that was another cluster");
    ledger_lane_learn(lane, view_from_string("main"), view_from_string("orders"), first_id);
    struct ledger_stream *named = by_id(lane, first_id, 0);
    cr_assert(view_is(ledger_stream_topic(named), "orders") && named->has_id);
    cr_assert_eq(by_id(lane, first_id, 0), named);
    ledger_lane_free(&lane);
}

Test(ledger_lane, counts_what_finds_it_full)
{
    struct ledger_lane *lane = ledger_lane_new(key, NULL);
    struct ledger_stream *stream = by_name(lane, "orders", 0, true);
    struct ledger_record record = {.kind = LEDGER_ACKNOWLEDGED};
    uint64_t lost[LEDGER_KINDS] = {0};
    for (int i = 0; i < LEDGER_LANE_RING; i++) {
        record.offset = i;
        cr_assert(ledger_lane_put(lane, stream, &record));
    }
    cr_assert_not(ledger_lane_put(lane, stream, &record));
    record.kind = LEDGER_FETCHED;
    cr_assert_not(ledger_lane_put(lane, stream, &record));
    ledger_lane_miss(lane, LEDGER_FETCHED, 3);
    ledger_lane_lost(lane, lost);
    cr_assert(lost[LEDGER_ACKNOWLEDGED] == 1 && lost[LEDGER_FETCHED] == 4);
    cr_assert_eq(ledger_lane_waiting(lane), LEDGER_LANE_RING);
    for (int i = 0; i < LEDGER_LANE_RING; i++) {
        cr_assert_eq(ledger_lane_front(lane)->record.offset, i);
        ledger_lane_drop(lane);
    }
    cr_assert_null(ledger_lane_front(lane));
    cr_assert(ledger_lane_put(lane, stream, &record));
    ledger_lane_free(&lane);
}

/* A reader that was far behind gets more in a tenth of a second than a ring takes. */
Test(ledger_lane, rings_once_when_it_is_half_full)
{
    sem_t bell;
    int rung = -1;
    sem_init(&bell, 0, 0);
    struct ledger_lane *lane = ledger_lane_new(key, &bell);
    struct ledger_stream *stream = by_name(lane, "orders", 0, true);
    const struct ledger_record record = {.kind = LEDGER_FETCHED};
    for (int times = 1; times < 4; times++) {
        for (int i = 0; i < LEDGER_LANE_RING; i++) {
            cr_assert(ledger_lane_put(lane, stream, &record));
            cr_assert_eq(sem_getvalue(&bell, &rung), 0);
            cr_assert_eq(rung, i >= LEDGER_LANE_RING / 2 ? times : times - 1, "%d", i);
        }
        cr_assert_eq(take_all(lane), LEDGER_LANE_RING);
    }
    ledger_lane_free(&lane);
    sem_destroy(&bell);
}

enum { MANY = 500000 };

static void *put_many(void *context)
{
    struct ledger_lane *lane = context;
    struct ledger_stream *stream = by_name(lane, "orders", 0, true);
    for (int i = 0; i < MANY;) {
        const struct ledger_record record = {.kind = LEDGER_FETCHED, .offset = i, .low = -i};
        i += ledger_lane_put(lane, stream, &record) ? 1 : 0;
    }
    return NULL;
}

Test(ledger_lane, passes_everything_on_in_order_between_two_threads)
{
    struct ledger_lane *lane = ledger_lane_new(key, NULL);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, put_many, lane), 0);
    for (int i = 0; i < MANY;) {
        const struct ledger_entry *entry = ledger_lane_front(lane);
        if (entry == NULL) {
            continue;
        }
        cr_assert(entry->record.offset == i && entry->record.low == -i);
        cr_assert(view_is(ledger_stream_topic(entry->stream), "orders"));
        ledger_lane_drop(lane);
        i++;
    }
    pthread_join(thread, NULL);
    ledger_lane_free(&lane);
}
