/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker_login.h"

#include <criterion/criterion.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/scram.h"
#include "auth/secret.h"
#include "tests/unit/fake_broker.h"
#include "protocol/api.h"

static struct secret pencil, pen;

static void setup(void)
{
    cr_assert(secret_from(&pencil, view_from_string("pencil")));
    cr_assert(secret_from(&pen, view_from_string("pen")));
}

static void teardown(void)
{
    secret_wipe(&pencil);
    secret_wipe(&pen);
}

TestSuite(broker_login, .init = setup, .fini = teardown);

static struct broker_login_params sasl(const char *mechanism)
{
    return (struct broker_login_params){
        .mechanism = mechanism,
        .username = "setu",
        .password = &pencil,
        .authenticate_version = -1,
        .want_versions = true,
        .want_metadata = true,
        .client_id = view_from_string("setu"),
        .random = fake_random,
    };
}

static struct broker_login_params certificate(void)
{
    return (struct broker_login_params){
        .authenticate_version = -1, .want_versions = true, .want_metadata = true};
}

/* How the bytes of the broker reach the login. */
struct delivery {
    size_t cut;   /* > 0: each response in pieces of this many bytes */
    size_t split; /* > 0: response number `at` in two pieces, the first of this many bytes */
    size_t at;
    size_t stop;                             /* > 0: the connection ends after this many bytes */
    void (*tamper)(struct writer *response); /* done to response number `at` */
    bool ends_while_working;
    size_t total;   /* out: bytes delivered */
    size_t longest; /* out: longest response */
    size_t pending; /* out: dear steps */
};

static enum broker_login_status work(struct broker_login *login, struct delivery *delivery,
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
static bool feed(struct broker_login *login, struct delivery *delivery, struct view piece,
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

static enum broker_login_status deliver(struct broker_login *login, struct delivery *delivery,
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
                                         struct delivery *delivery)
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
        status = deliver(login, delivery, writer_view(&response), number, &out);
        cr_assert(writer_ok(&out));
    }
    cr_assert_neq(status, BROKER_LOGIN_MORE, "no end");
    writer_free(&out);
    writer_free(&response);
    return status;
}

static struct broker_login *run(const struct broker_login_params *params,
                                struct fake_broker *broker, struct delivery *delivery,
                                enum broker_login_status expected)
{
    struct broker_login *login = broker_login_new(params);
    cr_assert_not_null(login);
    enum broker_login_status status = converse(login, broker, delivery);
    cr_assert_eq(status, expected, "status %d reason %s text %s", status,
                 broker_login_reason_name(broker_login_reason(login)), broker_login_text(login));
    return login;
}

static void expect_ok(const struct broker_login_params *params, struct fake_broker *broker,
                      struct delivery *delivery)
{
    struct broker_login *login = run(params, broker, delivery, BROKER_LOGIN_OK);
    broker_login_free(&login);
    cr_assert_null(login);
}

static void expect_failure(const struct broker_login_params *params, struct fake_broker *broker,
                           struct delivery *delivery, enum broker_login_reason reason)
{
    struct broker_login *login = run(params, broker, delivery, BROKER_LOGIN_FAILED);
    cr_assert_eq(broker_login_reason(login), reason, "%s, %s",
                 broker_login_reason_name(broker_login_reason(login)), broker_login_text(login));
    broker_login_free(&login);
}

/* ---- what works ---- */

Test(broker_login, certificate_only)
{
    struct fake_broker broker;
    struct delivery delivery = {0};
    struct broker_login_params params = certificate();
    fake_broker_init(&broker);
    struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
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
        struct delivery delivery = {0};
        struct broker_login_params params = sasl(names[i]);
        fake_broker_init(&broker);
        struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
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
    struct delivery delivery = {0};
    struct broker_login_params params = sasl("SCRAM-SHA-256");
    params.authenticate_version = 0;
    params.want_versions = params.want_metadata = false;
    params.correlation_id = INT32_MAX;
    fake_broker_init(&broker);
    struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
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
    struct delivery first = {0}, second = {0};
    struct scram_keys keys;
    struct broker_login_params params = sasl("SCRAM-SHA-512");
    fake_broker_init(&broker);
    struct broker_login *login = run(&params, &broker, &first, BROKER_LOGIN_OK);
    cr_assert(broker_login_take_keys(login, &keys));
    broker_login_free(&login);
    cr_assert_eq(first.pending, 1);
    params.keys = &keys;
    broker.requests = 0;
    expect_ok(&params, &broker, &second);
    cr_assert_eq(second.pending, 0);
    scram_keys_wipe(&keys);
    fake_broker_free(&broker);
}

Test(broker_login, old_brokers)
{
    struct fake_broker broker;
    struct broker_login_params params = certificate();
    for (int list = 0; list < 2; list++) {
        struct delivery delivery = {0};
        fake_broker_init(&broker);
        broker.versions_max = list ? 2 : 0;
        broker.versions_list = list != 0;
        broker.metadata_max = 5;
        struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
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
        struct delivery delivery = {0};
        struct broker_login_params params = certificate();
        params.software_name = view_from_string(names[i]);
        params.software_version = view_from_string("2.0.2");
        fake_broker_init(&broker);
        expect_ok(&params, &broker, &delivery);
        cr_assert_str_eq(broker.software, expected[i]);
        fake_broker_free(&broker);
    }
}

Test(broker_login, look)
{
    struct fake_broker broker;
    struct delivery delivery = {0};
    const char *names[SASL_MECHANISMS_MAX];
    struct broker_login_params params = {
        .look = true, .mechanism = "SCRAM-SHA-512", .authenticate_version = -1};
    fake_broker_init(&broker);
    struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert(broker_login_offers_sasl(login));
    cr_assert_eq(broker_login_offers(login, names), 3);
    cr_assert_str_eq(names[2], "PLAIN");
    cr_assert_eq(broker.requests, 2, "no token");
    broker_login_free(&login);

    params.mechanism = "NO-SUCH";
    broker.requests = 0;
    login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert(broker_login_offers_sasl(login));
    broker_login_free(&login);

    broker.requests = 0;
    broker.mechanisms = NULL;
    login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert_not(broker_login_offers_sasl(login));
    broker_login_free(&login);
    fake_broker_free(&broker);
}

/* ---- how bytes arrive ---- */

/* Keys of a login, so that those that follow are quick. */
static struct scram_keys kept_keys(const char *mechanism)
{
    struct fake_broker broker;
    struct delivery delivery = {0};
    struct scram_keys keys;
    struct broker_login_params params = sasl(mechanism);
    fake_broker_init(&broker);
    struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_OK);
    cr_assert(broker_login_take_keys(login, &keys));
    broker_login_free(&login);
    fake_broker_free(&broker);
    return keys;
}

static void try_splits(const struct broker_login_params *params, size_t responses)
{
    struct fake_broker broker;
    struct delivery whole = {0}, bytes = {.cut = 1};
    fake_broker_init(&broker);
    expect_ok(params, &broker, &whole);
    broker.requests = 0;
    expect_ok(params, &broker, &bytes);
    for (size_t at = 0; at < responses; at++) {
        for (size_t split = 1; split < whole.longest; split++) {
            struct delivery delivery = {.at = at, .split = split};
            broker.requests = 0;
            expect_ok(params, &broker, &delivery);
        }
    }
    fake_broker_free(&broker);
}

static void try_prefixes(const struct broker_login_params *params)
{
    struct fake_broker broker;
    struct delivery whole = {0};
    fake_broker_init(&broker);
    expect_ok(params, &broker, &whole);
    size_t rejected = 0;
    for (size_t stop = 1; stop < whole.total; stop++) {
        struct delivery delivery = {.stop = stop};
        broker.requests = 0;
        struct broker_login *login = run(params, &broker, &delivery, BROKER_LOGIN_FAILED);
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
    struct broker_login_params params = certificate();
    try_splits(&params, 2);
    params = sasl("PLAIN");
    try_splits(&params, 3);
}

Test(broker_login, split_at_every_byte_scram)
{
    struct scram_keys keys = kept_keys("SCRAM-SHA-256");
    struct broker_login_params params = sasl("SCRAM-SHA-256");
    params.keys = &keys;
    try_splits(&params, 6);
}

Test(broker_login, every_prefix)
{
    struct scram_keys keys = kept_keys("SCRAM-SHA-256");
    struct broker_login_params params = certificate();
    try_prefixes(&params);
    params = sasl("SCRAM-SHA-256");
    params.keys = &keys;
    try_prefixes(&params);
}

Test(broker_login, ends_while_working)
{
    struct fake_broker broker;
    struct delivery delivery = {.ends_while_working = true};
    struct broker_login_params params = sasl("SCRAM-SHA-256");
    fake_broker_init(&broker);
    expect_failure(&params, &broker, &delivery, BROKER_LOGIN_CLOSED);
    fake_broker_free(&broker);
}

Test(broker_login, ends_before_anything)
{
    struct broker_login_params params = certificate();
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

/* ---- brokers that say no ---- */

Test(broker_login, denied)
{
    struct fake_broker broker;
    struct delivery delivery = {0};
    struct broker_login_params params = sasl("SCRAM-SHA-512");
    params.password = &pen;
    fake_broker_init(&broker);
    struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_FAILED);
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
    struct delivery delivery = {.at = at, .tamper = refuse_token};
    struct broker_login_params params = sasl("SCRAM-SHA-256");
    fake_broker_init(broker);
    broker->authenticate_max = refusal.version;
    struct broker_login *login = run(&params, broker, &delivery, BROKER_LOGIN_FAILED);
    cr_assert_eq(broker->keys[at], API_SASL_AUTHENTICATE);
    cr_assert_eq(broker->versions[at], refusal.version);
    return login;
}

Test(broker_login, t39_a_refusal_without_a_text_or_cut_short)
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

Test(broker_login, errors)
{
    static const char *const only_gssapi[] = {"GSSAPI", NULL};
    struct fake_broker broker;
    struct broker_login_params params = sasl("SCRAM-SHA-512");
    struct delivery delivery = {0};
    fake_broker_init(&broker);
    broker.mechanisms = only_gssapi;
    struct broker_login *login = run(&params, &broker, &delivery, BROKER_LOGIN_FAILED);
    cr_assert_eq(broker_login_reason(login), BROKER_LOGIN_NO_MECHANISM);
    cr_assert_str_eq(broker_login_text(login), "GSSAPI");
    broker_login_free(&login);

    broker.mechanisms = NULL;
    broker.requests = 0;
    expect_failure(&params, &broker, &delivery, BROKER_LOGIN_NOT_SASL);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.token_error = 34;
    expect_failure(&params, &broker, &delivery, BROKER_LOGIN_ERROR_CODE);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.versions_error = 42;
    params = certificate();
    expect_failure(&params, &broker, &delivery, BROKER_LOGIN_ERROR_CODE);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.authenticate_max = -1;
    params = sasl("PLAIN");
    expect_failure(&params, &broker, &delivery, BROKER_LOGIN_UNSUPPORTED);
    fake_broker_free(&broker);

    fake_broker_init(&broker);
    broker.metadata_max = 0;
    params = certificate();
    expect_failure(&params, &broker, &delivery, BROKER_LOGIN_UNSUPPORTED);
    fake_broker_free(&broker);
}

Test(broker_login, impostor)
{
    struct fake_broker broker;
    struct delivery delivery = {0};
    struct broker_login_params params = sasl("SCRAM-SHA-512");
    fake_broker_init(&broker);
    credentials_unref(&broker.users);
    broker.users = fake_broker_users(true);
    expect_failure(&params, &broker, &delivery, BROKER_LOGIN_IMPOSTOR);
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

Test(broker_login, hostile)
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
            struct delivery delivery = {.at = at, .tamper = cases[i].tamper};
            struct broker_login_params params = sasl("SCRAM-SHA-256");
            if (at == 5 && cases[i].not_in_metadata) {
                continue;
            }
            fake_broker_init(&broker);
            expect_failure(&params, &broker, &delivery, cases[i].reason);
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

Test(broker_login, flipped_bits)
{
    struct scram_keys keys = kept_keys("SCRAM-SHA-256");
    for (size_t at = 0; at < 5; at++) {
        for (flip_byte = 0; flip_byte < 160; flip_byte++) {
            struct fake_broker broker;
            struct delivery delivery = {.at = at, .tamper = flip, .stop = 100000};
            struct broker_login_params params = sasl("SCRAM-SHA-256");
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
                status = deliver(login, &delivery, writer_view(&response), number, &out);
            }
            broker_login_free(&login);
            writer_free(&out);
            writer_free(&response);
            fake_broker_free(&broker);
        }
    }
}

Test(broker_login, bad_parameters)
{
    struct broker_login_params params = sasl("NO-SUCH");
    cr_assert_null(broker_login_new(&params));
    params = sasl("PLAIN");
    params.username = "";
    cr_assert_null(broker_login_new(&params));
    params = sasl("PLAIN");
    params.password = NULL;
    cr_assert_null(broker_login_new(&params));
    struct broker_login *none = NULL;
    broker_login_free(&none);
}
