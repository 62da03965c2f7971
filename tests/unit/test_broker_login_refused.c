/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker_login.h"

#include <criterion/criterion.h>
#include <string.h>

#include "auth/credentials.h"
#include "protocol/api.h"
#include "tests/unit/broker_login_kit.h"

TestSuite(broker_login_refused, .init = kit_setup, .fini = kit_teardown);

/* ---- brokers that say no ---- */

Test(broker_login_refused, denied)
{
    struct fake_broker broker;
    struct kit_delivery delivery = {0};
    struct broker_login_params params = kit_sasl("SCRAM-SHA-512");
    params.password = &kit_pen;
    fake_broker_init(&broker);
    struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_FAILED);
    cr_assert_eq(broker_login_reason(login), BROKER_LOGIN_DENIED);
    cr_assert_eq(broker_login_error_code(login), 58);
    cr_assert_str_eq(broker_login_text(login), "Authentication failed: bad\nluck");
    broker_login_free(&login);
    fake_broker_free(&broker);
}

/* The broker's refusal of a token: with and without a text, cut short within its frame. */
static struct {
    int16_t version;
    bool null_text;
    size_t cut; /* of the frame, its size told as it is then; 0: none */
} refusal;

static void refuse_token(struct writer *response)
{
    int32_t correlation_id = (int32_t)bytes_load_u32(response->at + 4);
    const struct sasl_authenticate_response answer = {
        .error_code = 58,
        .error_message = view_from_string(refusal.null_text ? "" : "no"),
        .error_message_null = refusal.null_text,
    };
    writer_reset(response);
    sasl_authenticate_encode_response(response, refusal.version, correlation_id, &answer);
    if (refusal.cut > 0 && refusal.cut < response->length) {
        response->length = refusal.cut;
        writer_patch_i32(response, 0, (int32_t)refusal.cut - 4);
    }
}

static struct broker_login *refused(size_t at, struct fake_broker *broker)
{
    struct kit_delivery delivery = {.at = at, .tamper = refuse_token};
    struct broker_login_params params = kit_sasl("SCRAM-SHA-256");
    fake_broker_init(broker);
    broker->authenticate_max = refusal.version;
    struct broker_login *login = kit_run(&params, broker, &delivery, BROKER_LOGIN_FAILED);
    cr_assert_eq(broker->keys[at], API_SASL_AUTHENTICATE);
    cr_assert_eq(broker->versions[at], refusal.version);
    return login;
}

Test(broker_login_refused, t39_a_refusal_without_a_text_or_cut_short)
{
    enum { FIRST_TOKEN = 2, SECOND_TOKEN = 3, WHOLE = 100 };
    struct fake_broker broker;
    for (refusal.version = 0; refusal.version <= 2; refusal.version++) {
        for (size_t i = 0; i < 4; i++) {
            size_t at = i < 2 ? FIRST_TOKEN : SECOND_TOKEN;
            refusal.null_text = i % 2 == 0;
            refusal.cut = 0;
            struct broker_login *login = refused(at, &broker);
            cr_assert_eq(broker_login_reason(login), BROKER_LOGIN_DENIED);
            cr_assert_eq(broker_login_error_code(login), 58);
            cr_assert_str_eq(broker_login_text(login), refusal.null_text ? "" : "no");
            broker_login_free(&login);
            fake_broker_free(&broker);
            struct writer whole;
            uint8_t memory[WHOLE] = {0};
            writer_init_fixed(&whole, memory, sizeof memory);
            whole.length = 8; /* only the correlation id is read of it */
            refuse_token(&whole);
            for (refusal.cut = 4; refusal.cut < whole.length; refusal.cut++) {
                login = refused(at, &broker);
                cr_assert_eq(broker_login_reason(login), BROKER_LOGIN_MALFORMED, "%zu bytes",
                             refusal.cut);
                broker_login_free(&login);
                fake_broker_free(&broker);
            }
        }
    }
}

Test(broker_login_refused, errors)
{
    static const char *const only_gssapi[] = {"GSSAPI", NULL};
    struct fake_broker broker;
    struct broker_login_params params = kit_sasl("SCRAM-SHA-512");
    struct kit_delivery delivery = {0};
    fake_broker_init(&broker);
    broker.mechanisms = only_gssapi;
    struct broker_login *login = kit_run(&params, &broker, &delivery, BROKER_LOGIN_FAILED);
    cr_assert_eq(broker_login_reason(login), BROKER_LOGIN_NO_MECHANISM);
    cr_assert_str_eq(broker_login_text(login), "GSSAPI");
    broker_login_free(&login);

    broker.mechanisms = NULL;
    broker.requests = 0;
    kit_expect_failure(&params, &broker, &delivery, BROKER_LOGIN_NOT_SASL);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.token_error = 34;
    kit_expect_failure(&params, &broker, &delivery, BROKER_LOGIN_ERROR_CODE);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.versions_error = 42;
    params = kit_certificate();
    kit_expect_failure(&params, &broker, &delivery, BROKER_LOGIN_ERROR_CODE);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.authenticate_max = -1;
    params = kit_sasl("PLAIN");
    kit_expect_failure(&params, &broker, &delivery, BROKER_LOGIN_UNSUPPORTED);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.metadata_max = 0;
    params = kit_certificate();
    kit_expect_failure(&params, &broker, &delivery, BROKER_LOGIN_UNSUPPORTED);
    fake_broker_free(&broker);
}

Test(broker_login_refused, impostor)
{
    struct fake_broker broker;
    struct kit_delivery delivery = {0};
    struct broker_login_params params = kit_sasl("SCRAM-SHA-512");
    fake_broker_init(&broker);
    credentials_unref(&broker.users);
    broker.users = fake_broker_users(true);
    kit_expect_failure(&params, &broker, &delivery, BROKER_LOGIN_IMPOSTOR);
    fake_broker_free(&broker);
}

/* ---- hostile answers, each at each step ---- */

static void wrong_correlation(struct writer *response)
{
    response->at[7] ^= 1;
}

static void surplus_in_frame(struct writer *response)
{
    writer_i8(response, 0);
    writer_patch_i32(response, 0, (int32_t)response->length - 4);
}

static void surplus_after_frame(struct writer *response)
{
    writer_i8(response, 0);
}

static void cut_body(struct writer *response)
{
    response->length--;
    writer_patch_i32(response, 0, (int32_t)response->length - 4);
}

static void only_size(struct writer *response)
{
    response->length = 4;
    writer_patch_i32(response, 0, 0);
}

static void negative_size(struct writer *response)
{
    writer_patch_i32(response, 0, -1);
}

static void huge_size(struct writer *response)
{
    writer_patch_i32(response, 0, INT32_MAX);
}

static void tls_alert(struct writer *response)
{
    static const uint8_t alert[] = {0x15, 3, 3, 0, 2, 2, 40};
    writer_reset(response);
    writer_put(response, view_of(alert, sizeof alert));
}

Test(broker_login_refused, hostile)
{
    static const struct {
        void (*tamper)(struct writer *response);
        enum broker_login_reason reason;
        bool not_in_metadata; /* the login does not look into Metadata; nor at what follows the end
                               */
    } cases[] = {
        {wrong_correlation, BROKER_LOGIN_MALFORMED, false},
        {surplus_in_frame, BROKER_LOGIN_MALFORMED, true},
        {surplus_after_frame, BROKER_LOGIN_MALFORMED, true},
        {cut_body, BROKER_LOGIN_MALFORMED, true},
        {only_size, BROKER_LOGIN_MALFORMED, false},
        {negative_size, BROKER_LOGIN_MALFORMED, false},
        {huge_size, BROKER_LOGIN_TOO_LARGE, false},
        {tls_alert, BROKER_LOGIN_TOO_LARGE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t at = 0; at < 6; at++) {
            struct fake_broker broker;
            struct kit_delivery delivery = {.at = at, .tamper = cases[i].tamper};
            struct broker_login_params params = kit_sasl("SCRAM-SHA-256");
            if (at == 5 && cases[i].not_in_metadata) {
                continue;
            }
            fake_broker_init(&broker);
            kit_expect_failure(&params, &broker, &delivery, cases[i].reason);
            fake_broker_free(&broker);
        }
    }
}

/* One bit flipped anywhere in any answer: never a crash, and never a login with a token changed. */
static size_t flip_byte;

static void flip(struct writer *response)
{
    if (flip_byte < response->length) {
        response->at[flip_byte] ^= 0x20;
    }
}

Test(broker_login_refused, flipped_bits)
{
    struct scram_keys keys = kit_kept_keys("SCRAM-SHA-256");
    for (size_t at = 0; at < 5; at++) {
        for (flip_byte = 0; flip_byte < 160; flip_byte++) {
            struct fake_broker broker;
            struct kit_delivery delivery = {.at = at, .tamper = flip, .stop = 100000};
            struct broker_login_params params = kit_sasl("SCRAM-SHA-256");
            struct writer out, response;
            params.keys = &keys;
            fake_broker_init(&broker);
            struct broker_login *login = broker_login_new(&params);
            writer_init_growing(&out, 65536);
            writer_init_growing(&response, 1 << 20);
            enum broker_login_status status = broker_login_start(login, &out);
            for (size_t number = 0; status == BROKER_LOGIN_MORE && out.length > 0; number++) {
                writer_reset(&response);
                fake_broker_answer(&broker, writer_view(&out), &response);
                writer_reset(&out);
                if (number == at) {
                    flip(&response);
                }
                status = kit_deliver(login, &delivery, writer_view(&response), number, &out);
            }
            broker_login_free(&login);
            writer_free(&out);
            writer_free(&response);
            fake_broker_free(&broker);
        }
    }
}
