/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/served.h"

#include <criterion/criterion.h>

#include "protocol/api.h"

static const struct api_versions older = {
    .ranges = {{API_PRODUCE, 0, 9}, {API_FETCH, 0, 12}, {API_API_VERSIONS, 0, 3}}, .count = 3};
static const struct api_versions newer = {
    .ranges = {{API_PRODUCE, 0, 11}, {API_FETCH, 4, 17}, {API_API_VERSIONS, 0, 4}}, .count = 3};

static struct served *of(const struct api_versions *versions)
{
    struct served *served = served_new(versions);
    cr_assert_not_null(served);
    return served;
}

Test(served, takes_what_the_broker_said_and_nothing_else)
{
    struct served *served = of(&newer);
    cr_assert(served_takes(served, API_PRODUCE, 0));
    cr_assert(served_takes(served, API_PRODUCE, 11));
    cr_assert_not(served_takes(served, API_PRODUCE, 12));
    cr_assert_not(served_takes(served, API_PRODUCE, -1));
    cr_assert_not(served_takes(served, API_FETCH, 3));
    cr_assert_not(served_takes(served, API_METADATA, 0));
    cr_assert_not(served_takes(served, -1, 0));
    cr_assert_not(served_takes(served, SERVED_KEYS, 0));
    cr_assert_not(served_takes(served, INT16_MAX, 0));
    served_unref(&served);
    cr_assert_null(served);
    served_unref(&served);
}

Test(served, a_promise_holds_when_all_of_it_is_taken)
{
    struct served *old_broker = of(&older), *new_broker = of(&newer);
    struct api_versions common;
    api_versions_intersect(&older, &newer, &common);
    cr_assert(served_keeps(old_broker, &older));
    cr_assert_not(served_keeps(old_broker, &newer));
    cr_assert_not(served_keeps(new_broker, &older), "Fetch v0 to v3 are gone");
    cr_assert(served_keeps(old_broker, &common));
    cr_assert(served_keeps(new_broker, &common));
    served_unref(&old_broker);
    served_unref(&new_broker);
}

Test(served, what_setu_answers_itself_is_no_promise_of_the_broker)
{
    static const struct api_versions ours = {
        .ranges = {{API_SASL_HANDSHAKE, 0, 1}, {API_API_VERSIONS, 0, 4}}, .count = 2};
    struct served *served = of(&older);
    struct api_versions limited = ours;
    cr_assert(served_keeps(served, &ours));
    served_limit(served, &limited);
    cr_assert_eq(limited.count, 2);
    served_unref(&served);
}

Test(served, limits_an_answer_to_what_the_broker_takes)
{
    struct api_versions wide = {.ranges = {{API_PRODUCE, 0, 11},
                                           {API_FETCH, 13, 17},
                                           {API_METADATA, 0, 12},
                                           {API_API_VERSIONS, 0, 4}},
                                .count = 4};
    struct served *served = of(&older);
    served_limit(served, &wide);
    cr_assert_eq(wide.count, 2);
    cr_assert_eq(wide.ranges[0].key, API_PRODUCE);
    cr_assert_eq(wide.ranges[0].max, 9);
    cr_assert_eq(wide.ranges[1].key, API_API_VERSIONS);
    cr_assert_eq(wide.ranges[1].max, 4);
    cr_assert(served_keeps(served, &wide));
    served_unref(&served);
}

Test(served, is_shared_only_by_brokers_of_the_same_word)
{
    struct served *served = of(&older);
    struct api_versions more = older, less = older;
    more.ranges[more.count++] = (struct api_range){API_DESCRIBE_CLUSTER, 0, 1};
    less.count--;
    cr_assert(served_is(served, &older));
    cr_assert_not(served_is(served, &newer));
    cr_assert_not(served_is(served, &more));
    cr_assert_not(served_is(served, &less));
    struct served *second = served_ref(served);
    served_unref(&served);
    cr_assert(served_is(second, &older), "still there");
    served_unref(&second);
    cr_assert_null(served_ref(NULL));
}
