/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/phantom.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const uint8_t key[PHANTOM_KEY_BYTES] = {1, 2, 3};

static struct scram_record real(uint32_t iterations, size_t salt_length, bool kafka)
{
    struct scram_record record = {
        .hash = SCRAM_SHA_512, .iterations = iterations, .salt_length = salt_length};
    memset(record.salt, kafka ? 'k' : 0xee, salt_length);
    return record;
}

static struct scram_record phantom(const struct phantom_shapes *shapes, int i)
{
    char name[32];
    struct scram_record record;
    snprintf(name, sizeof name, "user-%d", i);
    cr_assert(phantom_make(shapes, SCRAM_SHA_512, key, 1, view_from_string(name), &record));
    return record;
}

Test(phantom, without_any_real_record_it_looks_like_kafkas_default)
{
    struct phantom_shapes none = {0};
    struct scram_record record = phantom(&none, 1);
    cr_assert_eq(record.iterations, 4096);
    cr_assert_eq(record.hash, SCRAM_SHA_512);
    cr_assert(record.salt_length >= 20 && record.salt_length <= 26);
}

/* Two thirds of 4096, one third of 10000: so are the phantoms. */
Test(phantom, t28_iterations_and_salt_lengths_are_distributed_as_the_real_ones)
{
    struct phantom_shapes shapes = {0};
    struct scram_record a = real(4096, 32, false), b = real(10000, 16, false);
    for (int i = 0; i < 10; i++) {
        phantom_shapes_add(&shapes, &a);
        phantom_shapes_add(&shapes, &a);
        phantom_shapes_add(&shapes, &b);
    }
    int of_a = 0, total = 6000;
    for (int i = 0; i < total; i++) {
        struct scram_record record = phantom(&shapes, i);
        bool is_a = record.iterations == 4096 && record.salt_length == 32;
        cr_assert(is_a || (record.iterations == 10000 && record.salt_length == 16));
        of_a += is_a;
    }
    cr_assert(of_a > 3800 && of_a < 4200, "%d of %d", of_a, total);
}

/* BigInteger(130, random).toString(36): 25 characters with probability 0.594, else 26 that begin
 * with a 1; hardly ever fewer. */
Test(phantom, t28_kafkas_own_salts_are_imitated_to_the_first_character)
{
    struct phantom_shapes shapes = {0};
    struct scram_record a = real(4096, 25, true), b = real(4096, 26, true);
    phantom_shapes_add(&shapes, &a);
    phantom_shapes_add(&shapes, &b);
    cr_assert_eq(shapes.length, 1, "one shape, whatever the length");
    int of_25 = 0, of_26 = 0, total = 5000;
    for (int i = 0; i < total; i++) {
        struct scram_record record = phantom(&shapes, i);
        for (size_t j = 0; j < record.salt_length; j++) {
            cr_assert((record.salt[j] >= '0' && record.salt[j] <= '9') ||
                      (record.salt[j] >= 'a' && record.salt[j] <= 'z'));
        }
        cr_assert_neq(record.salt[0], '0');
        cr_assert(record.salt_length < 26 || record.salt[0] == '1');
        of_25 += record.salt_length == 25;
        of_26 += record.salt_length == 26;
    }
    cr_assert(of_25 > total * 52 / 100 && of_25 < total * 62 / 100, "%d", of_25);
    cr_assert(of_26 > total * 36 / 100 && of_26 < total * 45 / 100, "%d", of_26);
}

Test(phantom, t28_one_more_user_changes_few_phantoms)
{
    struct phantom_shapes before = {0};
    struct scram_record a = real(4096, 32, false), b = real(8192, 32, false);
    for (int i = 0; i < 50; i++) {
        phantom_shapes_add(&before, &a);
        phantom_shapes_add(&before, &b);
    }
    struct phantom_shapes after = before;
    phantom_shapes_add(&after, &b);
    int changed = 0;
    for (int i = 0; i < 2000; i++) {
        struct scram_record x = phantom(&before, i), y = phantom(&after, i);
        changed += memcmp(&x, &y, sizeof x) != 0;
    }
    cr_assert_lt(changed, 40, "%d of 2000", changed);
}

Test(phantom, keys_names_and_kinds_give_different_phantoms)
{
    struct phantom_shapes none = {0};
    struct scram_record a, b;
    uint8_t other[PHANTOM_KEY_BYTES] = {9};
    struct view name = view_from_string("x");
    cr_assert(phantom_make(&none, SCRAM_SHA_256, key, 0, name, &a));
    cr_assert(phantom_make(&none, SCRAM_SHA_256, other, 0, name, &b));
    cr_assert_neq(memcmp(a.salt, b.salt, 20), 0);
    cr_assert_neq(memcmp(a.stored_key, b.stored_key, 32), 0);
    cr_assert(phantom_make(&none, SCRAM_SHA_256, key, 1, name, &b));
    cr_assert_neq(memcmp(a.salt, b.salt, 20), 0);
    cr_assert(phantom_make(&none, SCRAM_SHA_256, key, 0, view_of(NULL, 0), &b));
    cr_assert_neq(memcmp(a.salt, b.salt, 20), 0);
    cr_assert(phantom_make(&none, SCRAM_SHA_256, key, 0, name, &b));
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(phantom, more_shapes_than_fit_are_left_out)
{
    struct phantom_shapes shapes = {0};
    for (uint32_t i = 0; i < 2 * PHANTOM_SHAPES_MAX; i++) {
        struct scram_record record = real(4096 + i, 16, false);
        phantom_shapes_add(&shapes, &record);
    }
    cr_assert_eq(shapes.length, PHANTOM_SHAPES_MAX);
    cr_assert_eq(shapes.total, PHANTOM_SHAPES_MAX);
    for (int i = 0; i < 500; i++) {
        cr_assert_geq(phantom(&shapes, i).iterations, 4096);
    }
}
