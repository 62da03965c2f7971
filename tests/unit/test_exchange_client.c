/* SPDX-License-Identifier: Apache-2.0 */
/* The client end against brokers that mean harm (T38). */
#include "auth/exchange.h"

#include <criterion/criterion.h>
#include <stdarg.h>

#include "auth/base64.h"
#include "tests/unit/login_kit.h"

#define assert_reason(got, wanted)                                                                 \
    cr_assert_eq(got, wanted, "%s instead of %s", auth_reason_name(got), auth_reason_name(wanted))

static struct kit_end client;
static char bare[512], nonce[128];

static void greet(const char *mechanism)
{
    kit_client(&client, mechanism, "setu", "a password");
    cr_assert_eq(kit_step(&client, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    struct view said = kit_said(&client);
    cr_assert(said.length > 3 && memcmp(said.at, "n,,", 3) == 0);
    snprintf(bare, sizeof bare, "%.*s", (int)said.length - 3, (const char *)said.at + 3);
    cr_assert_eq(sscanf(bare, "n=setu,r=%127s", nonce), 1);
}

/* The reason for which a server-first is refused; %s in the format is our nonce. */
__attribute__((format(printf, 1, 2))) static enum auth_reason challenge(const char *format, ...)
{
    static char token[70000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(token, sizeof token, format, arguments);
    va_end(arguments);
    (void)kit_step_text(&client, token);
    enum auth_reason reason = exchange_reason(client.ex);
    kit_free(&client);
    return reason;
}

Test(exchange_client, t38_iterations_are_bounded_on_both_sides)
{
    static const struct {
        const char *iterations;
        enum auth_reason reason;
    } cases[] = {
        {"1", AUTH_REASON_WEAK_ITERATIONS},
        {"4095", AUTH_REASON_WEAK_ITERATIONS},
        {"4096", AUTH_REASON_NONE},
        {"1000001", AUTH_REASON_EXCESSIVE_ITERATIONS},
        {"2147483648", AUTH_REASON_EXCESSIVE_ITERATIONS},
        {"4294967297", AUTH_REASON_EXCESSIVE_ITERATIONS},
        {"18446744073709551617", AUTH_REASON_EXCESSIVE_ITERATIONS},
        {"0", AUTH_REASON_MALFORMED},
        {"-1", AUTH_REASON_MALFORMED},
        {"04096", AUTH_REASON_MALFORMED},
        {"4096x", AUTH_REASON_MALFORMED},
        {"", AUTH_REASON_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        greet("SCRAM-SHA-256");
        enum auth_reason reason =
            challenge("r=%sxyz,s=c2FsdHNhbHQ=,i=%s", nonce, cases[i].iterations);
        cr_assert_eq(reason, cases[i].reason, "i=%s: %s", cases[i].iterations,
                     auth_reason_name(reason));
    }
}

Test(exchange_client, t38_fewer_iterations_only_where_an_operator_allowed_them)
{
    struct exchange_client options = {.username = view_from_string("setu"),
                                      .password = view_from_string("pw"),
                                      .iterations_min = 100,
                                      .random = kit_random};
    struct writer reply;
    uint8_t memory[1024];
    for (unsigned iterations = 99; iterations <= 100; iterations++) {
        writer_init_fixed(&reply, memory, sizeof memory);
        struct exchange *ex = exchange_client_new("SCRAM-SHA-256", &options);
        cr_assert_eq(exchange_step(ex, view_of(NULL, 0), &reply), EXCHANGE_CONTINUE);
        char token[256];
        snprintf(token, sizeof token, "r=%.*sxyz,s=c2FsdHNhbHQ=,i=%u", (int)reply.length - 12,
                 (char *)memory + 12, iterations);
        writer_reset(&reply);
        cr_assert_eq(memcmp(memory, "n,,n=setu,r=", 12), 0);
        cr_assert_eq(exchange_step(ex, view_from_string(token), &reply),
                     iterations < 100 ? EXCHANGE_DENIED : EXCHANGE_PENDING);
        exchange_free(&ex);
    }
}

Test(exchange_client, t38_a_huge_nonce_is_refused_and_a_long_one_taken)
{
    static char pad[65536];
    memset(pad, 'x', sizeof pad - 1);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%s%.4064s,s=c2FsdHNhbHQ=,i=4096", nonce, pad), AUTH_REASON_NONE);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%s%.4065s,s=c2FsdHNhbHQ=,i=4096", nonce, pad),
                  AUTH_REASON_NONCE_TOO_LARGE);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%s%s,s=c2FsdHNhbHQ=,i=4096", nonce, pad),
                  AUTH_REASON_TOKEN_TOO_LARGE);
}

Test(exchange_client, t38_a_nonce_that_is_not_ours_and_more_is_refused)
{
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%s,s=c2FsdHNhbHQ=,i=4096", nonce), AUTH_REASON_NONCE_MISMATCH);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=x%sxyz,s=c2FsdHNhbHQ=,i=4096", nonce), AUTH_REASON_NONCE_MISMATCH);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=xyz,s=c2FsdHNhbHQ=,i=4096"), AUTH_REASON_NONCE_MISMATCH);
    greet("SCRAM-SHA-256");
    nonce[31] ^= 1;
    assert_reason(challenge("r=%sxyz,s=c2FsdHNhbHQ=,i=4096", nonce), AUTH_REASON_NONCE_MISMATCH);
}

Test(exchange_client, t38_a_salt_is_base64_and_bounded)
{
    char salt[400];
    memset(salt, 'A', sizeof salt);
    salt[sizeof salt - 1] = 0;
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%sxyz,s=!,i=4096", nonce), AUTH_REASON_MALFORMED);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%sxyz,s=,i=4096", nonce), AUTH_REASON_MALFORMED);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%sxyz,s=%.396s,i=4096", nonce, salt), AUTH_REASON_MALFORMED);
}

Test(exchange_client, t38_errors_and_extensions_of_the_first_message)
{
    greet("SCRAM-SHA-256");
    assert_reason(challenge("e=unknown-user"), AUTH_REASON_SERVER_ERROR);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("m=x,r=%sxyz,s=c2FsdHNhbHQ=,i=4096", nonce),
                  AUTH_REASON_MANDATORY_EXTENSION);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%sxyz,s=c2FsdHNhbHQ=,i=4096,m=x", nonce),
                  AUTH_REASON_MANDATORY_EXTENSION);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("r=%sxyz,s=c2FsdHNhbHQ=,i=4096,foo=bar", nonce), AUTH_REASON_NONE);
    greet("SCRAM-SHA-256");
    assert_reason(challenge("%s", ""), AUTH_REASON_MALFORMED);
}

/* Brings the client to where it awaits server-final, and gives the right one. */
static void proven(const char *mechanism, char *good_r, size_t size)
{
    enum scram_hash hash;
    struct scram_record record;
    cr_assert(scram_hash_of(mechanism, &hash));
    cr_assert(scram_record_make(hash, view_from_string("a password"), view_from_string("saltsalt"),
                                4096, &record));
    greet(mechanism);
    char first[512], message[2048];
    snprintf(first, sizeof first, "r=%sxyz,s=c2FsdHNhbHQ=,i=4096", nonce);
    cr_assert_eq(kit_step_text(&client, first), EXCHANGE_CONTINUE);
    cr_assert(client.pended, "PBKDF2 runs off the loop");
    struct view said = kit_said(&client);
    const char *proof = strstr((const char *)said.at, ",p=");
    snprintf(message, sizeof message, "%s,%s,%.*s", bare, first,
             (int)(proof - (const char *)said.at), (const char *)said.at);
    uint8_t signature[SCRAM_KEY_BYTES_MAX];
    struct writer out;
    cr_assert(scram_signature(hash, record.server_key, view_from_string(message), signature));
    writer_init_fixed(&out, good_r, size - 1);
    writer_put(&out, view_from_string("v="));
    base64_write(&out, view_of(signature, scram_key_bytes(hash)));
    good_r[out.length] = 0;
}

static enum auth_reason end_with(const char *token)
{
    enum exchange_status status = kit_step_text(&client, token);
    enum auth_reason reason = exchange_reason(client.ex);
    cr_assert_eq(status == EXCHANGE_DONE, reason == AUTH_REASON_NONE);
    kit_free(&client);
    return reason;
}

Test(exchange_client, a_broker_that_knows_the_password_is_believed)
{
    char good[128];
    proven("SCRAM-SHA-256", good, sizeof good);
    assert_reason(end_with(good), AUTH_REASON_NONE);
    proven("SCRAM-SHA-512", good, sizeof good);
    assert_reason(end_with(good), AUTH_REASON_NONE);
    proven("SCRAM-SHA-256", good, sizeof good);
    strcat(good, ",ext=1");
    assert_reason(end_with(good), AUTH_REASON_NONE);
}

Test(exchange_client, t38_a_broker_that_does_not_prove_itself_is_refused)
{
    static const char *const bad[] = {"",
                                      "v=",
                                      "v",
                                      "x=AAAA",
                                      "v=AAAA",
                                      "v=!!!!",
                                      "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                      "r=abc,s=c2FsdHNhbHQ=,i=4096"};
    char good[128];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        proven("SCRAM-SHA-256", good, sizeof good);
        assert_reason(end_with(bad[i]), AUTH_REASON_SERVER_SIGNATURE);
    }
    proven("SCRAM-SHA-256", good, sizeof good);
    assert_reason(end_with("e=invalid-proof"), AUTH_REASON_SERVER_ERROR);
    proven("SCRAM-SHA-256", good, sizeof good);
    strcat(good, ",m=x");
    assert_reason(end_with(good), AUTH_REASON_MANDATORY_EXTENSION);
}

Test(exchange_client, t38_no_prefix_of_the_right_signature_is_enough)
{
    char good[128];
    proven("SCRAM-SHA-256", good, sizeof good);
    size_t length = strlen(good);
    kit_free(&client);
    for (size_t n = 0; n < length; n++) {
        proven("SCRAM-SHA-256", good, sizeof good);
        good[n] = 0;
        cr_assert_neq(end_with(good), AUTH_REASON_NONE, "%zu bytes", n);
    }
}

Test(exchange_client, t38_a_broker_that_speaks_first_or_again_is_refused)
{
    kit_client(&client, "SCRAM-SHA-256", "setu", "pw");
    cr_assert_eq(kit_step_text(&client, "r=x,s=c2FsdHNhbHQ=,i=4096"), EXCHANGE_DENIED);
    assert_reason(exchange_reason(client.ex), AUTH_REASON_UNEXPECTED_TOKEN);
    kit_free(&client);
    kit_client(&client, "PLAIN", "setu", "pw");
    cr_assert_eq(kit_step_text(&client, "x"), EXCHANGE_DENIED);
    kit_free(&client);
    char good[128];
    proven("SCRAM-SHA-256", good, sizeof good);
    cr_assert_eq(kit_step_text(&client, good), EXCHANGE_DONE);
    writer_reset(&client.reply);
    cr_assert_eq(exchange_step(client.ex, view_from_string(good), &client.reply), EXCHANGE_ERROR);
    cr_assert_not_null(exchange_principal(client.ex));
    kit_free(&client);
}

Test(exchange_client, kept_keys_spare_the_work_while_salt_and_iterations_stay)
{
    char good[128], first[512];
    struct scram_keys keys;
    proven("SCRAM-SHA-256", good, sizeof good);
    cr_assert_not(exchange_take_keys(client.ex, &keys), "not before the broker is believed");
    cr_assert_eq(kit_step_text(&client, good), EXCHANGE_DONE);
    cr_assert(exchange_take_keys(client.ex, &keys));
    kit_free(&client);
    static const struct {
        const char *salt, *iterations;
        bool works;
    } cases[] = {{"c2FsdHNhbHQ=", "4096", false},
                 {"c2FsdHNhbHg=", "4096", true},
                 {"c2FsdHNhbHQ=", "4097", true}};
    for (size_t i = 0; i < 3; i++) {
        kit_client(&client, "SCRAM-SHA-256", "setu", "a password");
        exchange_offer_keys(client.ex, &keys);
        cr_assert_eq(kit_step(&client, view_of(NULL, 0)), EXCHANGE_CONTINUE);
        cr_assert_eq(sscanf((const char *)client.memory, "n,,n=setu,r=%32s", nonce), 1);
        snprintf(first, sizeof first, "r=%sxyz,s=%s,i=%s", nonce, cases[i].salt,
                 cases[i].iterations);
        cr_assert_eq(kit_step_text(&client, first), EXCHANGE_CONTINUE);
        cr_assert_eq(client.pended, cases[i].works, "case %zu", i);
        kit_free(&client);
    }
    scram_keys_wipe(&keys);
}

Test(exchange_client, what_cannot_be_sent_is_refused_at_once)
{
    static char longest[SECRET_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest);
    struct view ok = view_from_string("x");
    struct exchange_client c = {.username = ok, .password = ok, .random = kit_random};
    struct exchange_client bad = c;
    bad.username = view_of("", 0);
    cr_assert_null(exchange_client_new("PLAIN", &bad));
    bad.username = view_of(longest, 256);
    cr_assert_null(exchange_client_new("PLAIN", &bad));
    bad.username = view_of("a\0b", 3);
    cr_assert_null(exchange_client_new("PLAIN", &bad));
    bad = c;
    bad.password = view_of("", 0);
    cr_assert_null(exchange_client_new("PLAIN", &bad));
    bad.password = view_of("a\0b", 3);
    cr_assert_null(exchange_client_new("SCRAM-SHA-256", &bad));
    bad.password = view_of(longest, sizeof longest);
    cr_assert_null(exchange_client_new("SCRAM-SHA-256", &bad));
    cr_assert_null(exchange_client_new("GSSAPI", &c));
    struct exchange *ex = exchange_client_new("PLAIN", &c);
    cr_assert_not_null(ex);
    exchange_free(&ex);
}

Test(exchange_client, plain_says_user_and_password_once_and_marks_the_reply_for_wiping)
{
    kit_client(&client, "PLAIN", "setu", "a password");
    cr_assert_eq(kit_step(&client, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    cr_assert(view_equal(kit_said(&client), view_of("\0setu\0a password", 16)));
    cr_assert(client.reply.wipe);
    cr_assert_eq(kit_step(&client, view_of(NULL, 0)), EXCHANGE_DONE);
    cr_assert_eq(kit_said(&client).length, 0);
    kit_free(&client);
}

Test(exchange_client, a_reply_cut_short_by_lack_of_room_is_taken_back_whole)
{
    struct exchange_client options = {.username = view_from_string("setu"),
                                      .password = view_from_string("a password"),
                                      .random = kit_random};
    for (size_t room = 0; room < 16; room++) {
        uint8_t memory[16];
        struct writer reply;
        writer_init_fixed(&reply, memory, room);
        struct exchange *ex = exchange_client_new("PLAIN", &options);
        memset(memory, 0, sizeof memory);
        cr_assert_eq(exchange_step(ex, view_of(NULL, 0), &reply), EXCHANGE_ERROR);
        cr_assert_eq(reply.length, 0);
        for (size_t i = 0; i < sizeof memory; i++) {
            cr_assert_eq(memory[i], 0, "nothing of it is left behind");
        }
        exchange_free(&ex);
    }
}
