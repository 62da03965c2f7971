/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/leaders.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 4096 };

static struct leaders *l;
static const int legacy, ajna; /* kinds */

static void setup(void)
{
    l = leaders_new();
    cr_assert_not_null(l);
}

static void teardown(void)
{
    leaders_free(&l);
    cr_assert_null(l);
    leaders_free(&l);
}

TestSuite(leaders, .init = setup, .fini = teardown);

static struct view t(const char *name)
{
    return view_from_string(name);
}

static int32_t find(const char *topic, int32_t partition, int32_t epoch, uint64_t now_ms)
{
    bool fresh;
    return leaders_find(l, t(topic), partition, epoch, now_ms, &fresh);
}

static const void *silent; /* for this kind nobody can be asked */

static bool askable(void *context, const void *kind)
{
    (void)context;
    return kind != silent;
}

/* The topics asked for now, in one string. */
static const char *next(uint64_t now_ms, const void **kind_r)
{
    static char text[ROOM];
    uint8_t memory[ROOM];
    struct writer names;
    struct view name;
    size_t length = 0, count = 0;
    writer_init_fixed(&names, memory, sizeof memory);
    size_t told = leaders_next(l, now_ms, sizeof memory, askable, NULL, kind_r, &names);
    struct reader r = reader_init(writer_view(&names));
    text[0] = '\0';
    while (reader_string(&r, false, &name, NULL)) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%.*s ", (int)name.length,
                                   (const char *)name.at);
        count++;
    }
    cr_assert_eq(r.left, 0u);
    cr_assert_eq(told, count);
    return text;
}

Test(leaders, what_nobody_wanted_is_not_kept)
{
    leaders_heard(l, t("orders"), 0, 3);
    leaders_learn(l, t("orders"), 0, 3, 5, 100);
    cr_assert_eq(find("orders", 0, 5, 100), -1);
    cr_assert_eq(leaders_partitions(l, t("orders")), 0);
    cr_assert_eq(leaders_due_ms(l), UINT64_MAX);
}

Test(leaders, with_an_epoch_only_the_leader_of_that_epoch_counts)
{
    bool fresh;
    cr_assert_eq(leaders_want(l, t("orders"), &legacy, 100), 0u);
    leaders_heard(l, t("orders"), 0, 3);
    leaders_learn(l, t("orders"), 1, 3, 5, 100);
    cr_assert_eq(find("orders", 1, 5, 100), 3);
    cr_assert_eq(find("orders", 1, 4, 100), -1);
    cr_assert_eq(find("orders", 1, 6, 100), -1);
    cr_assert_eq(find("orders", 0, 5, 100), -1);
    cr_assert_eq(find("order", 1, 5, 100), -1);
    cr_assert_eq(leaders_find(l, t("orders"), 1, 5, 100 + LEADERS_FRESH_MS, &fresh), 3);
    cr_assert(fresh);
    cr_assert_eq(leaders_find(l, t("orders"), 1, 5, 101 + LEADERS_FRESH_MS, &fresh), 3);
    cr_assert_not(fresh, "it is asked for anew");
    cr_assert_eq(leaders_partitions(l, t("orders")), 3);
}

Test(leaders, without_an_epoch_only_what_was_learned_lately_counts)
{
    leaders_want(l, t("orders"), &legacy, 100);
    leaders_learn(l, t("orders"), 1, 3, 5, 100);
    bool fresh;
    cr_assert_eq(leaders_find(l, t("orders"), 1, -1, 100 + LEADERS_FRESH_MS, &fresh), 3);
    cr_assert(fresh);
    cr_assert_eq(leaders_find(l, t("orders"), 1, -1, 100 + LEADERS_KNOWN_MS, &fresh), 3);
    cr_assert_not(fresh, "it is asked for anew");
    cr_assert_eq(find("orders", 1, -1, 101 + LEADERS_KNOWN_MS), -1);
    leaders_learn(l, t("orders"), 2, 4, -1, 100);
    cr_assert_eq(find("orders", 2, 9, 100), 4, "a broker that tells no epochs");
    cr_assert_eq(find("orders", 2, 9, 101 + LEADERS_KNOWN_MS), -1);
}

Test(leaders, one_question_for_all_that_one_kind_wants)
{
    const void *kind;
    leaders_want(l, t("b"), &legacy, 100);
    leaders_want(l, t("c"), &ajna, 100);
    leaders_want(l, t("a"), &legacy, 100);
    leaders_want(l, t("a"), &legacy, 100);
    cr_assert_eq(leaders_due_ms(l), 0u);
    cr_assert_str_eq(next(100, &kind), "a b ");
    cr_assert_eq(kind, &legacy);
    cr_assert_str_eq(next(100, &kind), "c ");
    cr_assert_eq(kind, &ajna);
    cr_assert_str_eq(next(100, &kind), "");
    cr_assert_null(kind);
    cr_assert_eq(leaders_due_ms(l), UINT64_MAX);
}

Test(leaders, what_one_kind_wants_the_other_still_does)
{
    const void *kind;
    leaders_want(l, t("a"), &legacy, 100);
    leaders_want(l, t("a"), &ajna, 100);
    cr_assert_str_eq(next(100, &kind), "a ");
    cr_assert_eq(kind, &legacy);
    leaders_heard(l, t("a"), 3, 0);
    cr_assert_eq(leaders_want(l, t("a"), &legacy, 100), 600u);
    cr_assert_eq(leaders_due_ms(l), 0u, "nobody was asked for the other yet");
    silent = &ajna;
    cr_assert_str_eq(next(100, &kind), "");
    silent = NULL;
    cr_assert_str_eq(next(100, &kind), "a ");
    cr_assert_eq(kind, &ajna);
    cr_assert_eq(leaders_due_ms(l), 600u);
    cr_assert_eq(find("a", 0, -1, 100), -1, "but this makes it one to be kept known");
    cr_assert_str_eq(next(600, &kind), "a ");
    cr_assert_eq(kind, &legacy);
    cr_assert_str_eq(next(100 + LEADERS_WARM_MS, &kind), "a ");
    cr_assert_eq(kind, &ajna);
    cr_assert_str_eq(next(600 + LEADERS_WARM_MS, &kind), "a ");
    cr_assert_eq(kind, &legacy);
}

Test(leaders, more_kinds_than_places_share_the_last)
{
    static const int kinds[6];
    const void *kind;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        leaders_want(l, t("a"), &kinds[i], 100);
    }
    for (size_t i = 0; i < 3; i++) {
        cr_assert_str_eq(next(100, &kind), "a ");
        cr_assert_eq(kind, &kinds[i]);
    }
    cr_assert_str_eq(next(100, &kind), "a ");
    cr_assert_eq(kind, &kinds[5], "who wanted it last");
    cr_assert_str_eq(next(100, &kind), "");
}

Test(leaders, a_topic_is_new_once)
{
    leaders_want(l, t("a"), &legacy, 100);
    cr_assert_not(leaders_heard(l, t("b"), 0, 3), "nobody wanted it");
    cr_assert_not(leaders_heard(l, t("a"), 3, 0), "there is none");
    cr_assert(leaders_heard(l, t("a"), 0, 3));
    cr_assert_not(leaders_heard(l, t("a"), 0, 3));
    cr_assert_not(leaders_heard(l, t("a"), 0, 4));
}

Test(leaders, what_nobody_can_be_asked_for_stays_wanted_and_holds_up_nobody)
{
    const void *kind;
    leaders_want(l, t("a"), &legacy, 100);
    leaders_want(l, t("b"), &ajna, 100);
    leaders_want(l, t("c"), &legacy, 100);
    silent = &legacy;
    cr_assert_str_eq(next(100, &kind), "b ");
    cr_assert_eq(kind, &ajna);
    for (uint64_t now_ms = 101; now_ms < 200; now_ms++) {
        cr_assert_str_eq(next(now_ms, &kind), "");
        cr_assert_null(kind);
        cr_assert_eq(leaders_due_ms(l), 0u);
    }
    silent = NULL;
    cr_assert_str_eq(next(200, &kind), "a c ", "at once: nobody was asked in vain");
    leaders_heard(l, t("a"), 3, 0);
    cr_assert_eq(leaders_want(l, t("a"), &legacy, 200), 700u, "this is the first time that was");
}

Test(leaders, what_comes_to_nothing_new_is_asked_ever_later)
{
    static const uint64_t waits_ms[] = {500, 1000, 2000, 4000, 5000, 5000, 5000};
    const void *kind;
    uint64_t now_ms = 1000;
    leaders_want(l, t("a"), &legacy, now_ms);
    cr_assert_str_eq(next(now_ms, &kind), "a ");
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        leaders_heard(l, t("a"), 3, 0);
        cr_assert_eq(leaders_want(l, t("a"), &legacy, now_ms), now_ms + waits_ms[i]);
        cr_assert_eq(leaders_due_ms(l), now_ms + waits_ms[i]);
        now_ms += waits_ms[i];
        cr_assert_str_eq(next(now_ms - 1, &kind), "");
        cr_assert_str_eq(next(now_ms, &kind), "a ");
    }
    leaders_heard(l, t("a"), 0, 1);
    leaders_learn(l, t("a"), 0, 3, 0, now_ms);
    cr_assert_eq(leaders_want(l, t("a"), &legacy, now_ms), now_ms + 250, "news");
    cr_assert_str_eq(next(now_ms + 250, &kind), "a ");
    leaders_heard(l, t("a"), 0, 1);
    leaders_learn(l, t("a"), 0, 3, 0, now_ms + 250);
    cr_assert_eq(leaders_want(l, t("a"), &legacy, now_ms + 250), now_ms + 750, "the same again");
}

Test(leaders, what_is_asked_without_epochs_is_kept_known)
{
    const void *kind;
    uint64_t now_ms = 1000, last_ms = 1000 + 10 * 60000;
    leaders_want(l, t("a"), &legacy, now_ms);
    leaders_want(l, t("b"), &legacy, now_ms);
    cr_assert_str_eq(next(now_ms, &kind), "a b ");
    leaders_learn(l, t("a"), 0, 3, 1, now_ms);
    leaders_learn(l, t("b"), 0, 3, 1, now_ms);
    cr_assert_eq(find("a", 0, -1, now_ms), 3);
    cr_assert_eq(find("b", 0, 1, now_ms), 3);
    for (now_ms += LEADERS_WARM_MS; now_ms < last_ms; now_ms += LEADERS_WARM_MS) {
        cr_assert_eq(leaders_due_ms(l), now_ms);
        cr_assert_str_eq(next(now_ms - 1, &kind), "");
        cr_assert_str_eq(next(now_ms, &kind), "a ");
        cr_assert_eq(kind, &legacy);
        leaders_learn(l, t("a"), 0, 3, 1, now_ms);
        cr_assert_eq(leaders_want(l, t("a"), &legacy, now_ms), now_ms + 250, "none was in vain");
        cr_assert_str_eq(next(now_ms + 500, &kind), "a ");
        leaders_heard(l, t("a"), 0, 1);
        leaders_learn(l, t("a"), 0, 4, 1, now_ms);
        leaders_learn(l, t("a"), 0, 3, 1, now_ms);
        now_ms += 500;
    }
    cr_assert_eq(leaders_due_ms(l), UINT64_MAX, "ten minutes later nobody cares any more");
}

Test(leaders, a_question_has_its_size)
{
    uint8_t memory[ROOM];
    struct writer names;
    const void *kind;
    leaders_want(l, t("aaaa"), &legacy, 1);
    leaders_want(l, t("bbbb"), &legacy, 1);
    writer_init_fixed(&names, memory, sizeof memory);
    cr_assert_eq(leaders_next(l, 1, 11, NULL, NULL, &kind, &names), 1u);
    cr_assert_eq(names.length, 6u);
    cr_assert_eq(leaders_next(l, 1, 11, NULL, NULL, &kind, &names), 1u);
    cr_assert_eq(names.length, 12u);
}

enum { MANY = 2000, MANY_BYTES = 30 * 9, TWO = 2, QUESTION_MS = 75 };

/* One question, and an answer with nothing new, upon which its topics are wanted again at once. */
static void ask_in_vain(uint64_t now_ms, unsigned times[TWO][MANY])
{
    uint8_t memory[MANY_BYTES];
    struct writer names;
    struct view name;
    const void *kind;
    writer_init_fixed(&names, memory, sizeof memory);
    const size_t taken = leaders_next(l, now_ms, MANY_BYTES, askable, NULL, &kind, &names);
    struct reader r = reader_init(writer_view(&names));
    cr_assert_gt(taken, 0u);
    while (reader_string(&r, false, &name, NULL)) {
        unsigned number = 0;
        for (size_t i = 1; i < name.length; i++) {
            number = number * 10 + (unsigned)(name.at[i] - '0');
        }
        times[kind == &ajna][number]++;
        leaders_heard(l, name, 3, 0);
        leaders_want(l, name, kind, now_ms);
    }
}

/*
 * A round of questions takes longer (134 * 75 ms) than it takes (5 s) until the first may be asked again: then the
 * first would be all that ever is.
 */
Test(leaders, each_topic_of_each_kind_gets_its_turn)
{
    static unsigned times[TWO][MANY];
    char name[16];
    silent = NULL;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "t%06u", i);
        leaders_want(l, t(name), &legacy, 1000);
        leaders_want(l, t(name), &ajna, 1000);
    }
    for (unsigned i = 0; i < 5 * 134; i++) {
        ask_in_vain(1000 + i * QUESTION_MS, times);
    }
    for (unsigned i = 0; i < MANY; i++) {
        cr_assert(times[0][i] >= 4 && times[0][i] <= 6, "t%06u: %u", i, times[0][i]);
        cr_assert(times[1][i] >= 4 && times[1][i] <= 6, "t%06u: %u", i, times[1][i]);
    }
}

/* A name that finds no room waits for the next question, and is the first there. */
Test(leaders, a_long_name_is_not_overtaken_for_ever)
{
    uint8_t memory[ROOM];
    struct writer names;
    const void *kind;
    leaders_want(l, t("a"), &legacy, 1);
    leaders_want(l, t("bbbbbbbb"), &legacy, 1);
    leaders_want(l, t("c"), &legacy, 1);
    writer_init_fixed(&names, memory, sizeof memory);
    cr_assert_eq(leaders_next(l, 1, 10, NULL, NULL, &kind, &names), 1u);
    cr_assert_eq(leaders_next(l, 1, 10, NULL, NULL, &kind, &names), 1u);
    cr_assert_eq(names.length, 3u + 10u);
    cr_assert_eq(leaders_next(l, 1, 2, NULL, NULL, &kind, &names), 0u);
    cr_assert_null(kind);
}

Test(leaders, there_is_an_end_to_what_is_kept)
{
    char name[300];
    uint64_t now_ms = 1000, later_ms = 1000 + 10 * 60000;
    memset(name, 'x', sizeof name);
    name[LEADERS_TOPIC_BYTES_MAX + 1] = '\0';
    cr_assert_eq(leaders_want(l, t(name), &legacy, now_ms), UINT64_MAX);
    cr_assert_eq(leaders_want(l, t(""), &legacy, now_ms), UINT64_MAX);
    for (int i = 0; i < LEADERS_TOPICS_MAX; i++) {
        snprintf(name, sizeof name, "%d", i * 7919 % LEADERS_TOPICS_MAX);
        cr_assert_eq(leaders_want(l, t(name), &legacy, now_ms), 0u);
        leaders_learn(l, t(name), i, 1, 1, now_ms);
    }
    cr_assert_eq(leaders_want(l, t("one more"), &legacy, now_ms), UINT64_MAX);
    cr_assert_eq(leaders_want(l, t("5"), &legacy, later_ms), 0u, "it is there");
    cr_assert_eq(leaders_want(l, t("one more"), &legacy, later_ms), 0u, "the others made room");
    cr_assert_eq(leaders_partitions(l, t("6")), 0);
    for (int32_t i = 0; i < LEADERS_PARTITIONS_MAX + 10; i++) {
        leaders_learn(l, t("5"), i, 1, 1, later_ms);
    }
    cr_assert_eq(find("5", LEADERS_PARTITIONS_MAX - 1, 1, later_ms), 1);
    cr_assert_eq(find("5", LEADERS_PARTITIONS_MAX + 1, 1, later_ms), -1);
    leaders_learn(l, t("one more"), INT32_MAX, 1, 1, later_ms);
    leaders_learn(l, t("one more"), -1, 1, 1, later_ms);
}

/* In the order that costs most where each is put in its place: minutes then, well below a second now. */
Test(leaders, half_a_million_partitions_backwards, .timeout = 20)
{
    const int32_t count = LEADERS_PARTITIONS_MAX;
    bool fresh;
    leaders_want(l, t("orders"), &legacy, 100);
    leaders_heard(l, t("orders"), 0, count);
    for (int32_t i = count - 1; i >= 0; i--) {
        leaders_learn(l, t("orders"), i, i % 7, 1, 100);
    }
    for (int32_t i = 0; i < count; i += 997) {
        cr_assert_eq(leaders_find(l, t("orders"), i, 1, 200, &fresh), i % 7);
    }
}

Test(leaders, the_same_ones_again_and_again_take_no_room)
{
    bool fresh;
    leaders_want(l, t("orders"), &legacy, 100);
    for (int32_t i = 0; i < 4 * LEADERS_PARTITIONS_MAX; i++) {
        leaders_learn(l, t("orders"), 99 - i % 100, 3, i, 100);
    }
    leaders_learn(l, t("orders"), 100, 5, 1, 100);
    cr_assert_eq(leaders_find(l, t("orders"), 100, 1, 200, &fresh), 5, "there was room");
    const int32_t latest = 4 * LEADERS_PARTITIONS_MAX - 100;
    cr_assert_eq(leaders_find(l, t("orders"), 99, latest, 200, &fresh), 3, "the latest");
}
