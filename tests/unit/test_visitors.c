/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/visitors.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

static struct sockaddr_in v4(uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(address);
    return in;
}

static bool enter(struct visitors *visitors, uint32_t address)
{
    struct sockaddr_in in = v4(address);
    return visitors_enter(visitors, (const struct sockaddr *)&in);
}

static void leave(struct visitors *visitors, uint32_t address)
{
    struct sockaddr_in in = v4(address);
    visitors_leave(visitors, (const struct sockaddr *)&in);
}

/* T09 */
Test(visitors, one_address_has_its_own_limit_and_all_have_one)
{
    struct visitors *visitors = visitors_new(5, 2);
    cr_assert(enter(visitors, 1) && enter(visitors, 1));
    cr_assert_not(enter(visitors, 1));
    cr_assert(enter(visitors, 2) && enter(visitors, 2) && enter(visitors, 3));
    cr_assert_not(enter(visitors, 4), "five are in");
    leave(visitors, 1);
    cr_assert(enter(visitors, 4), "one that was refused is not counted");
    leave(visitors, 4);
    cr_assert(enter(visitors, 1));
    visitors_free(&visitors);
    cr_assert_null(visitors);
}

Test(visitors, it_is_told_once_when_most_have_left)
{
    struct visitors *visitors = visitors_new(100, 0);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(enter(visitors, i));
    }
    cr_assert_not(visitors_have_left(visitors, 10), "all are in");
    for (uint32_t i = 0; i < 6; i++) {
        leave(visitors, i);
    }
    cr_assert_not(visitors_have_left(visitors, 11), "there never were so many");
    cr_assert(visitors_have_left(visitors, 10));
    cr_assert_not(visitors_have_left(visitors, 4), "told already, and four are in");
    leave(visitors, 6);
    leave(visitors, 7);
    leave(visitors, 8);
    cr_assert(visitors_have_left(visitors, 4), "of those four");
    visitors_free(&visitors);
}

Test(visitors, zero_is_no_limit_for_an_address)
{
    struct visitors *visitors = visitors_new(3, 0);
    cr_assert(enter(visitors, 1) && enter(visitors, 1) && enter(visitors, 1));
    cr_assert_not(enter(visitors, 1));
    visitors_free(&visitors);
}

Test(visitors, families_do_not_mix)
{
    struct visitors *visitors = visitors_new(10, 1);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    cr_assert(visitors_enter(visitors, (const struct sockaddr *)&loopback));
    cr_assert_not(visitors_enter(visitors, (const struct sockaddr *)&loopback));
    cr_assert(enter(visitors, INADDR_LOOPBACK));
    visitors_free(&visitors);
}

static atomic_int inside, most;

static void *come_and_go(void *context)
{
    for (int i = 0; i < 20000; i++) {
        if (enter(context, 1)) {
            int now = atomic_fetch_add(&inside, 1) + 1;
            for (int seen = most; now > seen && !atomic_compare_exchange_weak(&most, &seen, now);) {
            }
            atomic_fetch_sub(&inside, 1);
            leave(context, 1);
        }
    }
    return NULL;
}

Test(visitors, threads_share_the_limit)
{
    struct visitors *visitors = visitors_new(100, 2);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, visitors), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_leq(atomic_load(&most), 2);
    cr_assert(enter(visitors, 1) && enter(visitors, 1), "all have left");
    visitors_free(&visitors);
}
