/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker_login.h"

#include <criterion/criterion.h>
#include <string.h>

#include "protocol/api.h"
#include "tests/unit/broker_login_kit.h"

TestSuite(broker_login, .init = kit_setup, .fini = kit_teardown);

/* ---- what works ---- */

Test(broker_login, certificate_only)
{
    struct fake_broker broker;
    struct kit_delivery delivery = {0};
    struct broker_login_params params = kit_certificate();
    fake_broker_init(&broker);
    struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    int16_t version = 0;
    struct view metadata = broker_login_metadata(login, &version);
    cr_assert_eq(version, 12);
    cr_assert_eq(metadata.length, 5 + strlen("not looked into"));
    cr_assert_not_null(api_versions_find(broker_login_versions(login), API_METADATA));
    cr_assert_eq(broker_login_next_correlation_id(login), 2);
    cr_assert_eq(broker.requests, 2);
    cr_assert_eq(broker.versions[0], 3);
    cr_assert_str_eq(broker.software, "setu");
    broker_login_free(&login);
    fake_broker_free(&broker);
}

Test(broker_login, every_mechanism)
{
    static const char *const names[] = {"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"};
    static const size_t requests[] = {6, 6, 5};
    for (size_t i = 0; i < 3; i++) {
        struct fake_broker broker;
        struct kit_delivery delivery = {0};
        struct broker_login_params params = kit_sasl(names[i]);
        fake_broker_init(&broker);
        struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
        cr_assert_eq(broker_login_lifetime_ms(login), 3600000);
        cr_assert_eq(broker.requests, requests[i], "%zu", broker.requests);
        cr_assert_eq(broker.versions[2], 2, "SaslAuthenticate as new as both can");
        cr_assert_eq(delivery.pending, i < 2 ? 1 : 0);
        broker_login_free(&login);
        fake_broker_free(&broker);
    }
}

Test(broker_login, known_version_saves_a_round_trip)
{
    struct fake_broker broker;
    struct kit_delivery delivery = {0};
    struct broker_login_params params = kit_sasl("SCRAM-SHA-256");
    params.authenticate_version = 0;
    params.want_versions = params.want_metadata = false;
    params.correlation_id = INT32_MAX;
    fake_broker_init(&broker);
    struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert_eq(broker.requests, 3);
    cr_assert_eq(broker.keys[0], API_SASL_HANDSHAKE);
    cr_assert_eq(broker.versions[1], 0);
    cr_assert_eq(broker_login_lifetime_ms(login), 0);
    cr_assert_eq(broker_login_next_correlation_id(login), 2, "wraps to 0, never negative");
    cr_assert_null(broker_login_versions(login));
    broker_login_free(&login);
    fake_broker_free(&broker);
}

Test(broker_login, kept_keys_spare_the_dear_step)
{
    struct fake_broker broker;
    struct kit_delivery first = {0}, second = {0};
    struct scram_keys keys;
    struct broker_login_params params = kit_sasl("SCRAM-SHA-512");
    fake_broker_init(&broker);
    struct broker_login *login = kit_run(&params, &broker, &first, BROKER_LOGIN_OK);
    cr_assert(broker_login_take_keys(login, &keys));
    broker_login_free(&login);
    cr_assert_eq(first.pending, 1);
    params.keys = &keys;
    broker.requests = 0;
    kit_expect_ok(&params, &broker, &second);
    cr_assert_eq(second.pending, 0);
    scram_keys_wipe(&keys);
    fake_broker_free(&broker);
}

Test(broker_login, old_brokers)
{
    struct fake_broker broker;
    struct broker_login_params params = kit_certificate();
    for (int list = 0; list < 2; list++) {
        struct kit_delivery delivery = {0};
        fake_broker_init(&broker);
        broker.versions_max = list ? 2 : 0;
        broker.versions_list = list != 0;
        broker.metadata_max = 5;
        struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
        int16_t version = 0;
        (void)broker_login_metadata(login, &version);
        cr_assert_eq(version, 5);
        cr_assert_eq(broker.versions[1], list ? 2 : 0);
        broker_login_free(&login);
        fake_broker_free(&broker);
    }
}

Test(broker_login, client_software)
{
    static const char *const names[] = {"librdkafka", "bad name!", ""};
    static const char *const expected[] = {"librdkafka", "setu", "setu"};
    for (size_t i = 0; i < 3; i++) {
        struct fake_broker broker;
        struct kit_delivery delivery = {0};
        struct broker_login_params params = kit_certificate();
        params.software_name = view_from_string(names[i]);
        params.software_version = view_from_string("2.0.2");
        fake_broker_init(&broker);
        kit_expect_ok(&params, &broker, &delivery);
        cr_assert_str_eq(broker.software, expected[i]);
        fake_broker_free(&broker);
    }
}

Test(broker_login, look)
{
    struct fake_broker broker;
    struct kit_delivery delivery = {0};
    const char *names[SASL_MECHANISMS_MAX];
    struct broker_login_params params = {
        .look = true, .mechanism = "SCRAM-SHA-512", .authenticate_version = -1};
    fake_broker_init(&broker);
    struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert(broker_login_offers_sasl(login));
    cr_assert_eq(broker_login_offers(login, names), 3);
    cr_assert_str_eq(names[2], "PLAIN");
    cr_assert_eq(broker.requests, 2, "no token");
    broker_login_free(&login);

    params.mechanism = "NO-SUCH";
    broker.requests = 0;
    login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert(broker_login_offers_sasl(login));
    broker_login_free(&login);

    broker.requests = 0;
    broker.mechanisms = NULL;
    login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert_not(broker_login_offers_sasl(login));
    broker_login_free(&login);
    fake_broker_free(&broker);
}

/* ---- how bytes arrive ---- */

static void try_splits(const struct broker_login_params *params, size_t responses)
{
    struct fake_broker broker;
    struct kit_delivery whole = {0}, bytes = {.cut = 1};
    fake_broker_init(&broker);
    kit_expect_ok(params, &broker, &whole);
    broker.requests = 0;
    kit_expect_ok(params, &broker, &bytes);
    for (size_t at = 0; at < responses; at++) {
        for (size_t split = 1; split < whole.longest; split++) {
            struct kit_delivery delivery = {.at = at, .split = split};
            broker.requests = 0;
            kit_expect_ok(params, &broker, &delivery);
        }
    }
    fake_broker_free(&broker);
}

static void try_prefixes(const struct broker_login_params *params)
{
    struct fake_broker broker;
    struct kit_delivery whole = {0};
    fake_broker_init(&broker);
    kit_expect_ok(params, &broker, &whole);
    size_t rejected = 0;
    for (size_t stop = 1; stop < whole.total; stop++) {
        struct kit_delivery delivery = {.stop = stop};
        broker.requests = 0;
        struct broker_login *login = kit_run(params, &broker, &delivery, BROKER_LOGIN_FAILED);
        enum broker_login_reason reason = broker_login_reason(login);
        cr_assert(reason == BROKER_LOGIN_CLOSED || reason == BROKER_LOGIN_REJECTED);
        cr_assert_eq(reason == BROKER_LOGIN_CLOSED, broker_login_answered(login));
        rejected += reason == BROKER_LOGIN_REJECTED;
        broker_login_free(&login);
    }
    cr_assert_gt(rejected, 0);
    fake_broker_free(&broker);
}

Test(broker_login, split_at_every_byte)
{
    struct broker_login_params params = kit_certificate();
    try_splits(&params, 2);
    params = kit_sasl("PLAIN");
    try_splits(&params, 3);
}

Test(broker_login, split_at_every_byte_scram)
{
    struct scram_keys keys = kit_kept_keys("SCRAM-SHA-256");
    struct broker_login_params params = kit_sasl("SCRAM-SHA-256");
    params.keys = &keys;
    try_splits(&params, 6);
}

Test(broker_login, every_prefix)
{
    struct scram_keys keys = kit_kept_keys("SCRAM-SHA-256");
    struct broker_login_params params = kit_certificate();
    try_prefixes(&params);
    params = kit_sasl("SCRAM-SHA-256");
    params.keys = &keys;
    try_prefixes(&params);
}

Test(broker_login, ends_while_working)
{
    struct fake_broker broker;
    struct kit_delivery delivery = {.ends_while_working = true};
    struct broker_login_params params = kit_sasl("SCRAM-SHA-256");
    fake_broker_init(&broker);
    kit_expect_failure(&params, &broker, &delivery, BROKER_LOGIN_CLOSED);
    fake_broker_free(&broker);
}

Test(broker_login, ends_before_anything)
{
    struct broker_login_params params = kit_certificate();
    struct broker_login *login = broker_login_new(&params);
    struct writer out;
    size_t consumed = 0;
    writer_init_growing(&out, 65536);
    cr_assert_eq(broker_login_start(login, &out), BROKER_LOGIN_MORE);
    cr_assert_eq(broker_login_closed(login), BROKER_LOGIN_FAILED);
    cr_assert_eq(broker_login_reason(login), BROKER_LOGIN_REJECTED);
    cr_assert_eq(broker_login_feed(login, view_of("", 0), &consumed, &out), BROKER_LOGIN_FAILED);
    broker_login_free(&login);
    writer_free(&out);
}

Test(broker_login, bytes_after_the_end_are_the_callers)
{
    struct fake_broker broker;
    struct writer out, response;
    size_t consumed = 0;
    struct broker_login_params params = {.want_versions = true, .authenticate_version = -1};
    struct broker_login *login = broker_login_new(&params);
    fake_broker_init(&broker);
    writer_init_growing(&out, 65536);
    writer_init_growing(&response, 65536);
    cr_assert_eq(broker_login_start(login, &out), BROKER_LOGIN_MORE);
    fake_broker_answer(&broker, writer_view(&out), &response);
    size_t length = response.length;
    writer_put(&response, view_from_string("more"));
    cr_assert_eq(broker_login_feed(login, writer_view(&response), &consumed, &out),
                 BROKER_LOGIN_OK);
    cr_assert_eq(consumed, length);
    broker_login_free(&login);
    writer_free(&out);
    writer_free(&response);
    fake_broker_free(&broker);
}

Test(broker_login, bad_parameters)
{
    struct broker_login_params params = kit_sasl("NO-SUCH");
    cr_assert_null(broker_login_new(&params));
    params = kit_sasl("PLAIN");
    params.username = "";
    cr_assert_null(broker_login_new(&params));
    params = kit_sasl("PLAIN");
    params.password = NULL;
    cr_assert_null(broker_login_new(&params));
    struct broker_login *none = NULL;
    broker_login_free(&none);
}
