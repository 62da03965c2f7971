/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login: scram-relay. What a client proves to our server end is enough for our client end to log in
 * to a broker with the same record, and to no other.
 */
#include <criterion/criterion.h>

#include "tests/unit/login_kit.h"

static const char *const mechanisms[] = {"SCRAM-SHA-256", "SCRAM-SHA-512"};

static struct credentials *one_user(const char *password, const char *salt, uint32_t iterations)
{
    char yaml[2048], a[512], b[512];
    kit_record(a, sizeof a, SCRAM_SHA_256, password, iterations, salt);
    kit_record(b, sizeof b, SCRAM_SHA_512, password, iterations, salt);
    snprintf(yaml, sizeof yaml,
             "users:\n  - name: orders\n    scram-sha-256: \"%s\"\n    scram-sha-512: \"%s\"\n", a,
             b);
    return kit_parse(yaml);
}

/* The client's login at Setu; its keys if they were kept. */
static bool log_in_here(const char *mechanism, const struct credentials *users, bool keep,
                        struct scram_keys *keys_r)
{
    static struct kit_end client, server;
    kit_client(&client, mechanism, "orders", "wonderland");
    kit_server(&server, mechanism, users);
    if (keep) {
        exchange_keep_keys(server.ex);
    }
    cr_assert_eq(kit_step(&client, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    cr_assert_not(exchange_take_keys(server.ex, keys_r));
    cr_assert_eq(kit_step(&server, kit_said(&client)), EXCHANGE_CONTINUE);
    cr_assert_eq(kit_step(&client, kit_said(&server)), EXCHANGE_CONTINUE);
    cr_assert_not(exchange_take_keys(server.ex, keys_r), "not before the proof");
    cr_assert_eq(kit_step(&server, kit_said(&client)), EXCHANGE_DONE);
    bool taken = exchange_take_keys(server.ex, keys_r);
    kit_free(&client);
    kit_free(&server);
    return taken;
}

static void relay_client(struct kit_end *end, const char *mechanism, const struct scram_keys *keys)
{
    struct exchange_client options = {
        .username = view_from_string("orders"), .keys_only = true, .random = kit_random};
    end->ex = exchange_client_new(mechanism, &options);
    cr_assert_not_null(end->ex);
    end->pended = false;
    exchange_offer_keys(end->ex, keys);
    writer_init_fixed(&end->reply, end->memory, sizeof end->memory);
}

/* The second login, at a broker with these users: NONE, or why our end, or the broker, denied. */
static enum auth_reason log_in_there(const char *mechanism, const struct scram_keys *keys,
                                     const struct credentials *broker_users)
{
    static struct kit_end mine, broker;
    relay_client(&mine, mechanism, keys);
    kit_server(&broker, mechanism, broker_users);
    enum exchange_status status = kit_step(&mine, view_of(NULL, 0));
    enum auth_reason reason = AUTH_REASON_NONE;
    while (status == EXCHANGE_CONTINUE && reason == AUTH_REASON_NONE) {
        if (kit_step(&broker, kit_said(&mine)) == EXCHANGE_DENIED) {
            reason = exchange_reason(broker.ex);
            break;
        }
        status = kit_step(&mine, kit_said(&broker));
        reason = exchange_reason(mine.ex);
    }
    cr_assert_not(mine.pended, "there is no password to derive anything from");
    if (reason == AUTH_REASON_NONE) {
        cr_assert_eq(status, EXCHANGE_DONE);
        cr_assert_str_eq(exchange_principal(broker.ex), "orders");
    }
    kit_free(&mine);
    kit_free(&broker);
    return reason;
}

static void is_reason(enum auth_reason got, enum auth_reason wanted)
{
    cr_assert_eq(got, wanted, "%s", auth_reason_name(got));
}

#define assert_reason(got, wanted) is_reason(got, AUTH_REASON_##wanted)

Test(scram_relay, the_clients_own_key_opens_a_broker_with_the_same_record)
{
    struct credentials *users = one_user("wonderland", "ab0defghijklmnopqrstuvwxy", 4096);
    for (size_t i = 0; i < 2; i++) {
        struct scram_keys keys, again;
        cr_assert(log_in_here(mechanisms[i], users, true, &keys));
        cr_assert_str_eq(scram_mechanism(keys.hash), mechanisms[i]);
        assert_reason(log_in_there(mechanisms[i], &keys, users), NONE);
        /* They are the keys of the password, whatever the nonces were. */
        cr_assert(log_in_here(mechanisms[i], users, true, &again));
        cr_assert_arr_eq(keys.client_key, again.client_key, scram_key_bytes(keys.hash));
    }
    credentials_unref(&users);
}

Test(scram_relay, the_key_is_the_one_the_password_gives)
{
    struct credentials *users = one_user("wonderland", "ab0defghijklmnopqrstuvwxy", 4096);
    struct scram_keys keys, made;
    cr_assert(log_in_here("SCRAM-SHA-512", users, true, &keys));
    cr_assert(scram_keys_make(SCRAM_SHA_512, view_from_string("wonderland"),
                              view_from_string("ab0defghijklmnopqrstuvwxy"), 4096, &made));
    cr_assert_arr_eq(keys.client_key, made.client_key, 64);
    cr_assert_arr_eq(keys.server_key, made.server_key, 64);
    credentials_unref(&users);
}

Test(scram_relay, nothing_is_kept_unless_it_is_asked_for)
{
    struct credentials *users = one_user("wonderland", "ab0defghijklmnopqrstuvwxy", 4096);
    struct scram_keys keys, zero = {0};
    cr_assert_not(log_in_here("SCRAM-SHA-512", users, false, &keys));
    cr_assert_arr_eq(&keys, &zero, sizeof keys);
    credentials_unref(&users);
}

Test(scram_relay, what_differs_at_the_broker_has_a_name)
{
    struct credentials *users = one_user("wonderland", "ab0defghijklmnopqrstuvwxy", 4096);
    struct credentials *salt = one_user("wonderland", "AB0defghijklmnopqrstuvwxy", 4096);
    struct credentials *iterations = one_user("wonderland", "ab0defghijklmnopqrstuvwxy", 8192);
    struct credentials *both = one_user("wonderland", "AB0defghijklmnopqrstuvwxy", 8192);
    struct credentials *password = one_user("other", "ab0defghijklmnopqrstuvwxy", 4096);
    for (size_t i = 0; i < 2; i++) {
        struct scram_keys keys;
        cr_assert(log_in_here(mechanisms[i], users, true, &keys));
        assert_reason(log_in_there(mechanisms[i], &keys, salt), KEYS_SALT);
        assert_reason(log_in_there(mechanisms[i], &keys, iterations), KEYS_ITERATIONS);
        assert_reason(log_in_there(mechanisms[i], &keys, both), KEYS_SALT);
        assert_reason(log_in_there(mechanisms[i], &keys, password), BAD_PASSWORD);
    }
    credentials_unref(&users);
    credentials_unref(&salt);
    credentials_unref(&iterations);
    credentials_unref(&both);
    credentials_unref(&password);
}

Test(scram_relay, t38_the_broker_must_prove_itself_too)
{
    struct credentials *users = one_user("wonderland", "ab0defghijklmnopqrstuvwxy", 4096);
    static struct kit_end mine, broker;
    struct scram_keys keys;
    cr_assert(log_in_here("SCRAM-SHA-512", users, true, &keys));
    relay_client(&mine, "SCRAM-SHA-512", &keys);
    kit_server(&broker, "SCRAM-SHA-512", users);
    cr_assert_eq(kit_step(&mine, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    cr_assert_eq(kit_step(&broker, kit_said(&mine)), EXCHANGE_CONTINUE);
    cr_assert_eq(kit_step(&mine, kit_said(&broker)), EXCHANGE_CONTINUE);
    cr_assert_eq(kit_step(&broker, kit_said(&mine)), EXCHANGE_DONE);
    broker.memory[10] ^= 1;
    cr_assert_eq(kit_step(&mine, kit_said(&broker)), EXCHANGE_DENIED);
    assert_reason(exchange_reason(mine.ex), SERVER_SIGNATURE);
    kit_free(&mine);
    kit_free(&broker);
    credentials_unref(&users);
}

Test(scram_relay, only_scram_does_without_a_password)
{
    struct exchange_client options = {
        .username = view_from_string("orders"), .keys_only = true, .random = kit_random};
    cr_assert_null(exchange_client_new("PLAIN", &options));
    cr_assert_null(exchange_client_new("OAUTHBEARER", &options));
    options.password = view_from_string("x");
    cr_assert_null(exchange_client_new("SCRAM-SHA-512", &options));
    options =
        (struct exchange_client){.username = view_from_string("orders"), .random = kit_random};
    cr_assert_null(exchange_client_new("SCRAM-SHA-512", &options));
}

Test(scram_relay, other_mechanisms_have_nothing_to_keep)
{
    struct credentials *users = one_user("wonderland", "ab0defghijklmnopqrstuvwxy", 4096);
    static struct kit_end server;
    struct scram_keys keys;
    static const char plain[] = "\0orders\0wonderland";
    kit_server(&server, "PLAIN", users);
    exchange_keep_keys(server.ex);
    cr_assert_eq(kit_step(&server, view_of(plain, sizeof plain - 1)), EXCHANGE_DONE);
    cr_assert_not(exchange_take_keys(server.ex, &keys));
    kit_free(&server);
    credentials_unref(&users);
}
