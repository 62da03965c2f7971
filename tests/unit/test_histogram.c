/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/histogram.h"

#include <criterion/criterion.h>

static struct histogram h;

static void empty(void)
{
    h = (struct histogram){0};
}

TestSuite(histogram, .init = empty);

Test(histogram, nothing_is_zero)
{
    cr_assert_eq(histogram_at(&h, 0.5), 0);
}

Test(histogram, small_values_are_exact)
{
    for (uint64_t value = 0; value < HISTOGRAM_SUB; value++) {
        histogram_add(&h, value);
    }
    cr_assert_eq(histogram_at(&h, 0.5), HISTOGRAM_SUB / 2 - 1);
    cr_assert_eq(histogram_at(&h, 1), HISTOGRAM_SUB - 1);
}

Test(histogram, a_value_is_never_more_than_a_fifth_of_a_percent_too_high)
{
    for (uint64_t value = 1; value < (uint64_t)1 << 62; value += 1 + value / 3) {
        empty();
        histogram_add(&h, value);
        uint64_t edge = histogram_at(&h, 1);
        cr_assert_geq(edge, value);
        cr_assert_leq(edge - value, value / 512, "%lu for %lu", edge, value);
    }
}

Test(histogram, the_largest_value_has_a_bucket)
{
    histogram_add(&h, UINT64_MAX);
    cr_assert_eq(h.counts[HISTOGRAM_BUCKETS - 1], 1);
    cr_assert_eq(histogram_edge(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
}

Test(histogram, edges_rise)
{
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++) {
        cr_assert_gt(histogram_edge(i), histogram_edge(i - 1));
    }
}

Test(histogram, percentiles_count_from_below)
{
    for (int i = 0; i < 999; i++) {
        histogram_add(&h, 10);
    }
    histogram_add(&h, 100);
    cr_assert_eq(histogram_at(&h, 0.999), 10);
    cr_assert_eq(histogram_at(&h, 0.9995), 100);
}
