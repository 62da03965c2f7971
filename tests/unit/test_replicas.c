/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/replicas.h"

#include <criterion/criterion.h>
#include <string.h>

enum { ROOM = 512 };

static const char offsets[] = "__consumer_offsets", transactions[] = "__transaction_state";
static struct replicas *r;
static const int legacy, ajna; /* kinds */
static const void *silent;     /* of this kind nobody can be asked */

static void setup(void)
{
    r = replicas_new();
    cr_assert_not_null(r);
}

static void teardown(void)
{
    replicas_free(&r);
    cr_assert_null(r);
    replicas_free(&r);
}

TestSuite(replicas, .init = setup, .fini = teardown);

static bool askable(void *context, const void *kind)
{
    (void)context;
    return kind != silent;
}

static size_t next(uint64_t now_ms, const void **kind_r)
{
    uint8_t memory[ROOM];
    struct writer names;
    writer_init_fixed(&names, memory, sizeof memory);
    size_t taken = replicas_next(r, now_ms, askable, NULL, kind_r, &names);
    cr_assert(writer_ok(&names));
    cr_assert_eq(names.length > 0, taken > 0);
    return taken;
}

static void learn(const void *kind, const char *topic, int32_t partition, uint8_t a, uint8_t b)
{
    const uint8_t nodes[] = {0, 0, 0, a, 0, 0, 0, b};
    replicas_learn(r, kind, view_from_string(topic), partition, view_of(nodes, sizeof nodes));
}

static bool hold(const void *kind, int32_t partition, int32_t node_id, uint64_t now_ms)
{
    return replicas_hold(r, kind, offsets, partition, node_id, now_ms);
}

Test(replicas, what_nobody_asked_for_is_not_kept)
{
    replicas_heard(r, &legacy, view_from_string(offsets), 100);
    learn(&legacy, offsets, 0, 1, 3);
    cr_assert_eq(replicas_due_ms(r), UINT64_MAX);
    cr_assert_not(hold(&legacy, 0, 3, 100));
    cr_assert_eq(replicas_due_ms(r), 0u, "now it is wanted");
}

Test(replicas, each_kind_has_its_own_word)
{
    const void *kind;
    cr_assert_not(hold(&legacy, 7, 3, 100));
    cr_assert_not(hold(&ajna, 7, 3, 100));
    cr_assert_not(replicas_hold(r, &legacy, transactions, 7, 3, 100));
    cr_assert_eq(next(100, &kind), 2u);
    cr_assert_eq(kind, &legacy);
    replicas_heard(r, &legacy, view_from_string(offsets), 110);
    learn(&legacy, offsets, 9, 5, 6);
    learn(&legacy, offsets, 7, 1, 3);
    cr_assert(hold(&legacy, 7, 1, 110) && hold(&legacy, 7, 3, 110));
    cr_assert(hold(&legacy, 9, 5, 110));
    cr_assert_not(hold(&legacy, 9, 3, 110), "of another partition");
    cr_assert_not(hold(&legacy, 8, 3, 110));
    cr_assert_not(hold(&ajna, 7, 3, 110), "nobody of that kind has said so");
    cr_assert_not(replicas_hold(r, &legacy, transactions, 7, 3, 110));
    cr_assert_eq(next(110, &kind), 1u);
    cr_assert_eq(kind, &ajna);
}

Test(replicas, what_was_learned_is_forgotten_when_it_is_told_anew_and_in_time)
{
    const void *kind;
    hold(&legacy, 0, 3, 1000);
    cr_assert_eq(next(1000, &kind), 1u);
    replicas_heard(r, &legacy, view_from_string(offsets), 1000);
    learn(&legacy, offsets, 0, 1, 3);
    cr_assert(hold(&legacy, 0, 3, 1000 + REPLICAS_FRESH_MS));
    cr_assert_eq(replicas_due_ms(r), 1000u + REPLICAS_FRESH_MS, "it is kept known");
    cr_assert(hold(&legacy, 0, 3, 1000 + REPLICAS_KNOWN_MS));
    cr_assert_not(hold(&legacy, 0, 3, 1001 + REPLICAS_KNOWN_MS), "that was too long ago");
    replicas_heard(r, &legacy, view_from_string(offsets), 90000);
    learn(&legacy, offsets, 0, 1, 2);
    cr_assert(hold(&legacy, 0, 2, 90000));
    cr_assert_not(hold(&legacy, 0, 3, 90000), "it was reassigned");
}

Test(replicas, what_comes_to_nothing_is_asked_ever_later)
{
    static const uint64_t waits_ms[] = {500, 1000, 2000, 4000, 5000, 5000};
    const void *kind;
    uint64_t now_ms = 1000;
    hold(&legacy, 0, 3, now_ms);
    cr_assert_eq(next(now_ms, &kind), 1u);
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        replicas_heard(r, &legacy, view_from_string(offsets), now_ms);
        learn(&legacy, offsets, 0, 1, 2);
        cr_assert_not(hold(&legacy, 0, 3, now_ms));
        now_ms += waits_ms[i];
        cr_assert_eq(replicas_due_ms(r), now_ms);
        cr_assert_eq(next(now_ms - 1, &kind), 0u);
        cr_assert_eq(next(now_ms, &kind), 1u);
    }
    replicas_heard(r, &legacy, view_from_string(offsets), now_ms);
    learn(&legacy, offsets, 0, 1, 3);
    cr_assert(hold(&legacy, 0, 3, now_ms));
    cr_assert_eq(replicas_due_ms(r), now_ms + REPLICAS_FRESH_MS);
    cr_assert_not(hold(&legacy, 1, 3, now_ms));
    cr_assert_eq(replicas_due_ms(r), now_ms + 250, "it was not in vain");
}

/* Brokers may take longer to answer than it takes until the same may be asked again. */
Test(replicas, the_other_kind_gets_its_turn)
{
    unsigned times[2] = {0, 0};
    const void *kind;
    for (uint64_t now_ms = 1000; now_ms < 10000; now_ms += 300) {
        hold(&legacy, 1, 3, now_ms);
        hold(&ajna, 1, 3, now_ms);
        cr_assert_eq(next(now_ms, &kind), 1u);
        times[kind == &ajna]++;
        replicas_heard(r, kind, view_from_string(offsets), now_ms);
        learn(kind, offsets, 0, 1, 3);
        cr_assert(hold(kind, 0, 3, now_ms), "something holds, so that it was not in vain");
    }
    cr_assert_eq(times[0], 15u);
    cr_assert_eq(times[1], 15u);
}

Test(replicas, who_cannot_be_asked_stays_wanted)
{
    const void *kind;
    hold(&legacy, 0, 3, 100);
    hold(&ajna, 0, 3, 100);
    silent = &legacy;
    cr_assert_eq(next(100, &kind), 1u);
    cr_assert_eq(kind, &ajna);
    cr_assert_eq(next(100, &kind), 0u);
    cr_assert_null(kind);
    cr_assert_eq(replicas_due_ms(r), 0u);
    silent = NULL;
    cr_assert_eq(next(101, &kind), 1u);
    cr_assert_eq(kind, &legacy);
}

Test(replicas, ten_minutes_later_nobody_cares)
{
    const void *kind;
    const uint64_t last_ms = 1000 + 10 * 60000;
    hold(&legacy, 0, -1, 1000);
    cr_assert_eq(next(1000, &kind), 1u);
    for (uint64_t now_ms = 1000 + REPLICAS_FRESH_MS; now_ms < last_ms;
         now_ms += REPLICAS_FRESH_MS) {
        cr_assert_eq(replicas_due_ms(r), now_ms);
        cr_assert_eq(next(now_ms, &kind), 1u);
    }
    cr_assert_eq(replicas_due_ms(r), UINT64_MAX);
}

Test(replicas, there_is_an_end_to_what_is_kept)
{
    static const int kinds[REPLICAS_LISTS_MAX + 1];
    for (size_t i = 0; i < REPLICAS_LISTS_MAX; i++) {
        hold(&kinds[i], 0, 3, 100);
    }
    cr_assert_not(hold(&kinds[REPLICAS_LISTS_MAX], 0, 3, 100));
    const uint8_t odd[] = {0, 0, 0, 3, 0};
    replicas_heard(r, &kinds[0], view_from_string(offsets), 100);
    replicas_learn(r, &kinds[0], view_from_string(offsets), 0, view_of(odd, sizeof odd));
    for (int32_t i = 1; i < REPLICAS_HOLDERS_MAX; i++) {
        learn(&kinds[0], offsets, REPLICAS_HOLDERS_MAX - i, 1, 3);
    }
    cr_assert(hold(&kinds[0], 0, 3, 100));
    cr_assert(hold(&kinds[0], REPLICAS_HOLDERS_MAX - 1, 3, 100));
    cr_assert_not(hold(&kinds[0], 1, 3, 100), "there was no more room");
}
