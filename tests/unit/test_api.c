/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/api.h"

#include <criterion/criterion.h>
#include <string.h>

#include "protocol/endpoint.h"

Test(api, rows_are_complete_and_in_order)
{
    cr_assert_eq(api_count(), 95);
    for (size_t i = 0; i < api_count(); i++) {
        const struct api *api = api_at(i);
        cr_assert_eq((size_t)api->key, i);
        cr_assert(api_find(api->key) == api);
        cr_assert(api->name != NULL && api->name[0] != '\0');
        cr_assert(api->version_min >= 0 && api->version_min <= api->version_max, "%s", api->name);
        cr_assert(api->flexible_since >= -1, "%s", api->name);
        cr_assert_eq(api->request_action == API_HIDE, api->response_action == API_HIDE, "%s",
                     api->name);
        cr_assert(!api->inter_broker || api->request_action == API_HIDE, "%s", api->name);
    }
}

/* T13 */
Test(api, unknown_keys_have_no_row)
{
    cr_assert(api_find(-1) == NULL && api_find(95) == NULL && api_find(INT16_MAX) == NULL);
    cr_assert_str_eq(api_name(95), "unknown");
    cr_assert_str_eq(api_name(18), "ApiVersions");
    cr_assert(!api_admits(95, 0) && api_request_action(-7, 0) == API_HIDE);
    cr_assert_eq(api_request_header_version(95, 0), -1);
    cr_assert_eq(api_response_header_version(95, 0), -1);
}

/* T41, T63: what brokers say to each other, delegation tokens. */
Test(api, what_clients_may_not_use_is_hidden)
{
    static const int16_t hidden[] = {4,  5,  6,  7,  27, 38, 39, 40, 41, 50, 51,
                                     52, 53, 54, 56, 57, 58, 59, 62, 63, 64, 67,
                                     70, 73, 80, 81, 82, 83, 84, 85, 86, 87, 94};
    size_t found = 0;
    for (size_t i = 0; i < api_count(); i++) {
        found += api_at(i)->request_action == API_HIDE;
    }
    cr_assert_eq(found, sizeof hidden / sizeof hidden[0]);
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        cr_assert(!api_admits(hidden[i], api_find(hidden[i])->version_max), "%d", hidden[i]);
    }
}

/* T13 */
Test(api, versions_outside_the_range_are_not_admitted)
{
    cr_assert(api_admits(API_PRODUCE, 0) && api_admits(API_PRODUCE, 13));
    cr_assert(!api_admits(API_PRODUCE, 14) && !api_admits(API_PRODUCE, -1));
    cr_assert(!api_admits(API_SHARE_FETCH, 0) && api_admits(API_SHARE_FETCH, 1));
    cr_assert(!api_admits(API_API_VERSIONS, 5) && !api_admits(API_DESCRIBE_QUORUM, 2));
}

Test(api, actions)
{
    cr_assert_eq(api_request_action(API_PRODUCE, 9), API_WATCH);
    cr_assert_eq(api_request_action(API_FETCH, 18), API_INSPECT);
    cr_assert_eq(api_request_action(API_SASL_HANDSHAKE, 1), API_ANSWER);
    cr_assert_eq(api_request_action(API_METADATA, 1), API_FORWARD);
    cr_assert_eq(api_response_action(API_PRODUCE, 9), API_FORWARD);
    cr_assert_eq(api_response_action(API_PRODUCE, 10), API_REWRITE);
    cr_assert_eq(api_response_action(API_FETCH, 4), API_WATCH);
    cr_assert_eq(api_response_action(API_FETCH, 16), API_WATCH);
    cr_assert_eq(api_response_action(API_METADATA, 0), API_REWRITE);
    cr_assert_eq(api_response_action(API_METADATA, 14), API_HIDE);
}

/* T68 */
Test(api, every_response_with_an_address_is_watched_or_rewritten)
{
    for (size_t i = 0; i < api_count(); i++) {
        const struct api *api = api_at(i);
        for (int16_t v = 0; v <= api->version_max + 1; v++) {
            if (!endpoint_in(api->key, v)) {
                continue;
            }
            enum api_action action = api_response_action(api->key, v);
            cr_assert(action == API_REWRITE || (api->key == API_FETCH && action == API_WATCH));
        }
    }
}

Test(api, header_versions)
{
    cr_assert_eq(api_request_header_version(API_CONTROLLED_SHUTDOWN, 0), 0);
    cr_assert_eq(api_request_header_version(API_CONTROLLED_SHUTDOWN, 1), 1);
    cr_assert_eq(api_request_header_version(API_PRODUCE, 8), 1);
    cr_assert_eq(api_request_header_version(API_PRODUCE, 9), 2);
    cr_assert_eq(api_response_header_version(API_PRODUCE, 8), 0);
    cr_assert_eq(api_response_header_version(API_PRODUCE, 9), 1);
    cr_assert_eq(api_request_header_version(API_SASL_HANDSHAKE, 1), 1);
    cr_assert_eq(api_request_header_version(47, 0), 1);
    cr_assert_eq(api_request_header_version(API_API_VERSIONS, 2), 1);
    cr_assert_eq(api_request_header_version(API_API_VERSIONS, 99), 2);
    cr_assert_eq(api_response_header_version(API_API_VERSIONS, 99), 0);
    cr_assert_eq(api_request_header_version(45, 0), 2);
    cr_assert(api_is_flexible(API_API_VERSIONS, 3) && !api_is_flexible(99, 3));
}
