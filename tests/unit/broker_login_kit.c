/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker_login_kit.h"

#include <criterion/criterion.h>

struct secret kit_pencil, kit_pen;

void kit_setup(void)
{
    cr_assert(secret_from(&kit_pencil, view_from_string("pencil")));
    cr_assert(secret_from(&kit_pen, view_from_string("pen")));
}

void kit_teardown(void)
{
    secret_wipe(&kit_pencil);
    secret_wipe(&kit_pen);
}

struct broker_login_params kit_sasl(const char *mechanism)
{
    return (struct broker_login_params){
        .mechanism = mechanism,
        .username = "setu",
        .password = &kit_pencil,
        .authenticate_version = -1,
        .want_versions = true,
        .want_metadata = true,
        .client_id = view_from_string("setu"),
        .random = fake_random,
    };
}

struct broker_login_params kit_certificate(void)
{
    return (struct broker_login_params){
        .authenticate_version = -1, .want_versions = true, .want_metadata = true};
}

static enum broker_login_status work(struct broker_login *login, struct kit_delivery *delivery,
                                     struct writer *out)
{
    delivery->pending++;
    broker_login_work(login);
    if (delivery->ends_while_working) {
        cr_assert_eq(broker_login_closed(login), BROKER_LOGIN_PENDING);
    }
    return broker_login_resume(login, out);
}

/* Feeds one piece; false when the connection has to end. */
static bool feed(struct broker_login *login, struct kit_delivery *delivery, struct view piece,
                 enum broker_login_status *status, struct writer *out)
{
    size_t consumed = 0;
    bool ends = delivery->stop > 0 && delivery->total + piece.length >= delivery->stop;
    if (ends) {
        piece.length = delivery->stop - delivery->total;
    }
    *status = broker_login_feed(login, piece, &consumed, out);
    cr_assert_leq(consumed, piece.length);
    if (*status == BROKER_LOGIN_MORE || *status == BROKER_LOGIN_PENDING) {
        cr_assert_eq(consumed, piece.length);
    }
    delivery->total += piece.length;
    if (*status == BROKER_LOGIN_PENDING) {
        *status = work(login, delivery, out);
    }
    if (ends && *status == BROKER_LOGIN_MORE) {
        *status = broker_login_closed(login);
    }
    return !ends;
}

enum broker_login_status kit_deliver(struct broker_login *login, struct kit_delivery *delivery,
                                     struct view response, size_t number, struct writer *out)
{
    enum broker_login_status status = BROKER_LOGIN_MORE;
    size_t at = 0;
    while (at < response.length && status == BROKER_LOGIN_MORE) {
        size_t n = response.length - at;
        if (delivery->cut > 0 && delivery->cut < n) {
            n = delivery->cut;
        } else if (delivery->split > 0 && number == delivery->at && at == 0 &&
                   delivery->split < n) {
            n = delivery->split;
        }
        if (!feed(login, delivery, view_of(response.at + at, n), &status, out)) {
            break;
        }
        at += n;
    }
    return status;
}

static enum broker_login_status converse(struct broker_login *login, struct fake_broker *broker,
                                         struct kit_delivery *delivery)
{
    struct writer out, response;
    writer_init_growing(&out, 65536);
    writer_init_growing(&response, 1 << 20);
    enum broker_login_status status = broker_login_start(login, &out);
    for (size_t number = 0; status == BROKER_LOGIN_MORE && number < 16; number++) {
        writer_reset(&response);
        fake_broker_answer(broker, writer_view(&out), &response);
        writer_reset(&out);
        if (delivery->tamper != NULL && number == delivery->at) {
            delivery->tamper(&response);
        }
        delivery->longest =
            response.length > delivery->longest ? response.length : delivery->longest;
        status = kit_deliver(login, delivery, writer_view(&response), number, &out);
        cr_assert(writer_ok(&out));
    }
    cr_assert_neq(status, BROKER_LOGIN_MORE, "no end");
    writer_free(&out);
    writer_free(&response);
    return status;
}

struct broker_login *kit_run(const struct broker_login_params *params, struct fake_broker *broker,
                             struct kit_delivery *delivery, enum broker_login_status expected)
{
    struct broker_login *login = broker_login_new(params);
    cr_assert_not_null(login);
    enum broker_login_status status = converse(login, broker, delivery);
    cr_assert_eq(status, expected, "status %d reason %s text %s", status,
                 broker_login_reason_name(broker_login_reason(login)), broker_login_text(login));
    return login;
}

void kit_expect_ok(const struct broker_login_params *params, struct fake_broker *broker,
                   struct kit_delivery *delivery)
{
    struct broker_login *login = kit_run(params, broker, delivery, BROKER_LOGIN_OK);
    broker_login_free(&login);
    cr_assert_null(login);
}

void kit_expect_failure(const struct broker_login_params *params, struct fake_broker *broker,
                        struct kit_delivery *delivery, enum broker_login_reason reason)
{
    struct broker_login *login = kit_run(params, broker, delivery, BROKER_LOGIN_FAILED);
    cr_assert_eq(broker_login_reason(login), reason, "%s, %s",
                 broker_login_reason_name(broker_login_reason(login)), broker_login_text(login));
    broker_login_free(&login);
}

struct scram_keys kit_kept_keys(const char *mechanism)
{
    struct fake_broker broker;
    struct kit_delivery delivery = {0};
    struct scram_keys keys;
    struct broker_login_params params = kit_sasl(mechanism);
    fake_broker_init(&broker);
    struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert(broker_login_take_keys(login, &keys));
    broker_login_free(&login);
    fake_broker_free(&broker);
    return keys;
}
