/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/inflight.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct inflight_entry entry_of(int32_t correlation_id)
{
    return (struct inflight_entry){.api_key = 3, .correlation_id = correlation_id};
}

Test(inflight, gives_back_in_the_order_of_push_over_many_growths)
{
    struct inflight fl = {0};
    int32_t pushed = 0, popped = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 17; i++) {
            struct inflight_entry entry = entry_of(pushed++);
            cr_assert(inflight_push(&fl, &entry));
        }
        for (int i = 0; i < 11; i++) {
            cr_assert_eq(inflight_front(&fl)->correlation_id, popped++);
            inflight_pop(&fl);
        }
    }
    cr_assert_eq(fl.count, (uint32_t)(pushed - popped));
    inflight_clear(&fl);
    cr_assert_null(inflight_front(&fl));
}

Test(inflight, refuses_beyond_its_bound_and_takes_again_after_a_pop)
{
    struct inflight fl = {0};
    for (int32_t i = 0; i < INFLIGHT_MAX; i++) {
        struct inflight_entry entry = entry_of(i);
        cr_assert(inflight_push(&fl, &entry));
    }
    struct inflight_entry more = entry_of(-1);
    cr_assert(inflight_full(&fl));
    cr_assert_not(inflight_push(&fl, &more));
    inflight_pop(&fl);
    cr_assert(inflight_push(&fl, &more));
    inflight_clear(&fl);
}

Test(inflight, keeps_little_memory_when_at_rest)
{
    struct inflight fl = {0};
    for (int32_t round = 0; round < 2; round++) {
        for (int32_t i = 0; i < INFLIGHT_FULL; i++) {
            struct inflight_entry entry = entry_of(i);
            cr_assert(inflight_push(&fl, &entry));
        }
        for (int32_t i = 0; i < INFLIGHT_FULL; i++) {
            cr_assert_eq(inflight_front(&fl)->correlation_id, i);
            inflight_pop(&fl);
        }
        cr_assert_leq(fl.capacity, 64u);
    }
    inflight_clear(&fl);
}

Test(inflight, holds_only_a_few_answers_of_setus_own)
{
    struct inflight fl = {0};
    struct inflight_entry entry = entry_of(1);
    for (int i = 0; i < INFLIGHT_ANSWERS_MAX; i++) {
        entry.answer = malloc(1);
        entry.answer_length = 1;
        cr_assert(inflight_push(&fl, &entry));
    }
    entry.answer = malloc(1);
    cr_assert_not(inflight_push(&fl, &entry), "a client could queue answers without bound");
    free(entry.answer);
    inflight_clear(&fl);
    cr_assert_eq(fl.answers, 0u);
}
