/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/penalty.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t key[16] = "0123456789abcdef";

static const struct penalty_limits limits = {.addresses_max = 1024,
                                             .delay_base_ms = 200,
                                             .delay_max_ms = 5000,
                                             .failures_free = 3,
                                             .forget_ms = 60000};

static struct penalty_address v4(uint32_t address)
{
    struct penalty_address a = {{0}};
    a.bytes[10] = a.bytes[11] = 0xff;
    for (int i = 0; i < 4; i++) {
        a.bytes[12 + i] = (uint8_t)(address >> (24 - 8 * i));
    }
    return a;
}

Test(penalty, t32_every_denial_waits_and_waits_longer_each_time_up_to_the_maximum)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address a = v4(1);
    static const uint32_t expected[] = {200, 200, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_assert_eq(penalty_failed(p, &a, 1000, 0), expected[i], "failure %zu", i + 1);
    }
    cr_assert_eq(penalty_failures(p, &a, 1000), 10);
    for (int i = 0; i < 100000; i++) {
        cr_assert_eq(penalty_failed(p, &a, 1000, 0), 5000);
    }
    penalty_free(&p);
    cr_assert_null(p);
    penalty_free(&p);
}

Test(penalty, jitter_adds_at_most_a_quarter)
{
    struct penalty *p = penalty_new(&limits, key);
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        struct penalty_address a = v4(i);
        uint32_t delay = penalty_failed(p, &a, 0, i * 2654435761u);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    cr_assert_geq(least, 200);
    cr_assert_leq(most, 250);
    cr_assert_gt(most - least, 30);
    penalty_free(&p);
}

Test(penalty, t32_other_addresses_are_not_affected)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address attacker = v4(1), client = v4(2);
    for (int i = 0; i < 1000; i++) {
        (void)penalty_failed(p, &attacker, 0, 0);
    }
    cr_assert_eq(penalty_failures(p, &client, 0), 0);
    cr_assert_eq(penalty_failed(p, &client, 0, 0), 200);
    penalty_free(&p);
}

Test(penalty, half_is_forgotten_every_half_life)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address a = v4(1);
    for (int i = 0; i < 8; i++) {
        (void)penalty_failed(p, &a, 0, 0);
    }
    cr_assert_eq(penalty_failures(p, &a, 59999), 8);
    cr_assert_eq(penalty_failures(p, &a, 60000), 4);
    cr_assert_eq(penalty_failures(p, &a, 120000), 2);
    cr_assert_eq(penalty_failures(p, &a, 240000), 0);
    cr_assert_eq(penalty_failures(p, &a, UINT64_MAX), 0);
    cr_assert_eq(penalty_failed(p, &a, 60000, 0), 800, "4 remembered and this one, 3 free");
    cr_assert_eq(penalty_failures(p, &a, 0), 5, "a clock that steps back forgets nothing");
    penalty_free(&p);
}

Test(penalty, a_success_forgives_half)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address a = v4(1);
    for (int i = 0; i < 9; i++) {
        (void)penalty_failed(p, &a, 0, 0);
    }
    penalty_succeeded(p, &a, 0);
    cr_assert_eq(penalty_failures(p, &a, 0), 4);
    struct penalty_address stranger = v4(2);
    penalty_succeeded(p, &stranger, 0);
    cr_assert_eq(penalty_failures(p, &stranger, 0), 0);
    penalty_free(&p);
}

Test(penalty, ipv6_is_remembered_by_its_64_bit_prefix)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address a = {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8}}, b = a;
    b.bytes[15] = 99;
    struct penalty_address c = a;
    c.bytes[7] = 2;
    (void)penalty_failed(p, &a, 0, 0);
    (void)penalty_failed(p, &b, 0, 0);
    cr_assert_eq(penalty_failures(p, &a, 0), 2);
    cr_assert_eq(penalty_failures(p, &c, 0), 0);
    penalty_free(&p);
}

Test(penalty, t32_a_flood_of_addresses_stays_in_the_table_and_does_not_wash_out_the_worst)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address attacker = v4(0xffffffff);
    for (int i = 0; i < 50; i++) {
        (void)penalty_failed(p, &attacker, 0, 0);
    }
    for (uint32_t i = 0; i < 200000; i++) {
        struct penalty_address a = v4(i);
        cr_assert_geq(penalty_failed(p, &a, i / 100, 0), 200);
    }
    cr_assert_eq(penalty_failures(p, &attacker, 2000), 50);
    penalty_free(&p);
}

Test(penalty, odd_limits_are_mended)
{
    struct penalty_limits odd = {.addresses_max = 0, .delay_base_ms = 300, .delay_max_ms = 0};
    struct penalty *p = penalty_new(&odd, key);
    struct penalty_address a = v4(1);
    cr_assert_eq(penalty_failed(p, &a, 0, 0), 300);
    cr_assert_eq(penalty_failed(p, &a, 0, 0), 300);
    cr_assert_eq(penalty_failures(p, &a, 60000), 1, "a minute is the default");
    penalty_free(&p);
    odd.delay_base_ms = UINT32_MAX;
    p = penalty_new(&odd, key);
    cr_assert_eq(penalty_failed(p, &a, 0, UINT32_MAX), UINT32_MAX);
    penalty_free(&p);
}

Test(penalty, t32_who_has_failed_often_gives_way)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address a = v4(1), other = v4(2);
    for (uint32_t i = 0; i < limits.failures_free; i++) {
        cr_assert_not(penalty_is_delayed(p, &a, 0));
        (void)penalty_failed(p, &a, 0, 0);
    }
    cr_assert(penalty_is_delayed(p, &a, 0));
    cr_assert_not(penalty_is_delayed(p, &other, 0));
    cr_assert_not(penalty_is_delayed(p, &a, 60000), "half of it is forgotten");
    penalty_free(&p);
}

Test(penalty, t32_a_name_is_remembered_like_an_address_and_meets_none)
{
    struct penalty *p = penalty_new(&limits, key);
    struct penalty_address orders = penalty_name(p, "orders"), other = penalty_name(p, "Orders");
    struct penalty_address again = penalty_name(p, "orders"), nobody = v4(0);
    cr_assert_arr_eq(&orders, &again, sizeof orders);
    for (uint32_t i = 0; i <= limits.failures_free; i++) {
        (void)penalty_failed(p, &orders, 0, 0);
    }
    cr_assert(penalty_is_delayed(p, &again, 0));
    cr_assert_not(penalty_is_delayed(p, &other, 0));
    cr_assert_not(penalty_is_delayed(p, &nobody, 0));
    penalty_free(&p);
}
