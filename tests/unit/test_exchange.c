/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/exchange.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "auth/mech.h"
#include "tests/unit/login_kit.h"

static struct credentials *users;

static void setup(void)
{
    users = kit_users();
}

static void teardown(void)
{
    credentials_unref(&users);
}

TestSuite(exchange, .init = setup, .fini = teardown);

static const char *const scrams[] = {"SCRAM-SHA-256", "SCRAM-SHA-512"};

#define assert_reason(got, wanted)                                                                 \
    cr_assert_eq(got, wanted, "%s instead of %s", auth_reason_name(got), auth_reason_name(wanted))

/* --- good logins --- */

static void login(const char *mechanism, const char *user, const char *password)
{
    static struct kit_end client, server;
    kit_client(&client, mechanism, user, password);
    kit_server(&server, mechanism, users);
    enum exchange_status mine = kit_step(&client, view_of(NULL, 0)), theirs;
    cr_assert_eq(mine, EXCHANGE_CONTINUE);
    do {
        theirs = kit_step(&server, kit_said(&client));
        cr_assert(theirs == EXCHANGE_CONTINUE || theirs == EXCHANGE_DONE, "%s: %s", mechanism,
                  auth_reason_name(exchange_reason(server.ex)));
        mine = kit_step(&client, kit_said(&server));
    } while (mine == EXCHANGE_CONTINUE);
    cr_assert_eq(theirs, EXCHANGE_DONE);
    cr_assert_eq(mine, EXCHANGE_DONE, "%s", auth_reason_name(exchange_reason(client.ex)));
    cr_assert_str_eq(exchange_principal(server.ex), user);
    cr_assert_str_eq(exchange_principal(client.ex), user);
    cr_assert_eq(exchange_reason(server.ex), AUTH_REASON_NONE);
    cr_assert_str_eq(exchange_mechanism(server.ex), mechanism);
    kit_free(&client);
    kit_free(&server);
}

Test(exchange, our_client_logs_in_to_our_server_by_every_mechanism)
{
    size_t count;
    const char *const *names = mech_names(&count);
    for (size_t i = 0; i < count; i++) {
        /* test_oauthbearer.c, test_mech_gssapi.c */
        if (strcmp(names[i], "OAUTHBEARER") != 0 && strcmp(names[i], "GSSAPI") != 0) {
            login(names[i], "alice", "wonderland");
        }
    }
    cr_assert_null(names[count]);
    login("SCRAM-SHA-256", "bob", "builder");
    login("PLAIN", "bob", "builder");
    login("SCRAM-SHA-512", "carol", "christmas");
}

Test(exchange, a_name_with_comma_and_equals_sign_is_escaped_and_back)
{
    login("SCRAM-SHA-256", "d=,e", "escaped");
}

Test(exchange, only_exact_names_are_mechanisms)
{
    cr_assert(mech_known("PLAIN") && mech_known("SCRAM-SHA-256") && mech_known("SCRAM-SHA-512"));
    cr_assert_not(mech_known("plain") || mech_known("") || mech_known("SCRAM-SHA-1"));
    cr_assert_not(mech_known("GSS-SPNEGO") || mech_known("SCRAM-SHA-512-PLUS"));
    cr_assert(mech_cleartext("PLAIN"));
    cr_assert_not(mech_cleartext("SCRAM-SHA-256") || mech_cleartext("nothing"));
    cr_assert_null(exchange_server_new("plain", users, kit_random, NULL));
    cr_assert_null(exchange_server_new("PLAIN", NULL, kit_random, NULL));
}

/* --- T19 to T21: caps and PLAIN --- */

Test(exchange, t19_a_token_over_the_cap_of_its_mechanism_is_refused_unread)
{
    static char token[EXCHANGE_PLAIN_TOKEN_BYTES_MAX + 2];
    memset(token, 'x', sizeof token);
    memcpy(token, "n,,n=alice,r=", 13);
    for (int i = 0; i < 2; i++) {
        assert_reason(kit_first(users, scrams[i], view_of(token, EXCHANGE_SCRAM_TOKEN_BYTES_MAX)),
                      AUTH_REASON_NONE);
        assert_reason(
            kit_first(users, scrams[i], view_of(token, EXCHANGE_SCRAM_TOKEN_BYTES_MAX + 1)),
            AUTH_REASON_TOKEN_TOO_LARGE);
    }
    assert_reason(kit_first(users, "PLAIN", view_of(token, EXCHANGE_PLAIN_TOKEN_BYTES_MAX + 1)),
                  AUTH_REASON_TOKEN_TOO_LARGE);
    assert_reason(kit_first(users, "PLAIN", view_of(token, EXCHANGE_PLAIN_TOKEN_BYTES_MAX)),
                  AUTH_REASON_MALFORMED);
}

static enum auth_reason plain(const char *token, size_t length)
{
    return kit_first(users, "PLAIN", view_of(token, length));
}

#define PLAIN(text) plain(text, sizeof(text) - 1)

Test(exchange, t20_plain_takes_exactly_two_nuls_and_nothing_empty)
{
    assert_reason(PLAIN("\0alice\0wonderland"), AUTH_REASON_NONE);
    assert_reason(PLAIN(""), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("alice"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("alice\0wonderland"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0alice\0wonderland\0"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0alice\0wonder\0land"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0\0wonderland"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0alice\0"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0\0"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0\0\0"), AUTH_REASON_MALFORMED);
}

Test(exchange, t20_plain_limits_user_and_password_to_255_bytes)
{
    char token[600] = {0};
    for (size_t n = 254; n <= 256; n++) {
        memset(token + 1, 'u', n);
        memcpy(token + 1 + n, "\0pw", 3);
        assert_reason(plain(token, n + 4),
                      n > 255 ? AUTH_REASON_MALFORMED : AUTH_REASON_UNKNOWN_USER);
        memcpy(token, "\0alice\0", 7);
        memset(token + 7, 'p', n);
        assert_reason(plain(token, n + 7),
                      n > 255 ? AUTH_REASON_MALFORMED : AUTH_REASON_BAD_PASSWORD);
    }
}

Test(exchange, t20_plain_refuses_names_that_are_not_clean_utf_8)
{
    assert_reason(PLAIN("\0ali\xffxx\0wonderland"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0alice\xc3\0wonderland"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0alice\n\0wonderland"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0\x1b[31malice\0wonderland"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0alice \0wonderland"), AUTH_REASON_MALFORMED);
    assert_reason(PLAIN("\0Alice\0wonderland"), AUTH_REASON_UNKNOWN_USER);
    assert_reason(PLAIN("\0alice\0wonder\xff"), AUTH_REASON_BAD_PASSWORD);
}

Test(exchange, t20_plain_with_a_wrong_password_or_an_unknown_user_is_refused_after_the_same_work)
{
    static const char *const tokens[] = {"\0alice\0wonderlanD", "\0mallory\0wonderland"};
    static const size_t lengths[] = {17, 19};
    for (int i = 0; i < 2; i++) {
        struct kit_end server;
        kit_server(&server, "PLAIN", users);
        cr_assert_eq(kit_step(&server, view_of(tokens[i], lengths[i])), EXCHANGE_DENIED);
        cr_assert(server.pended, "unknown users cost a PBKDF2 too");
        assert_reason(exchange_reason(server.ex),
                      i == 0 ? AUTH_REASON_BAD_PASSWORD : AUTH_REASON_UNKNOWN_USER);
        cr_assert_str_eq(exchange_claimed(server.ex), i == 0 ? "alice" : "mallory");
        kit_free(&server);
    }
}

Test(exchange, t21_plain_authzid_for_another_user_is_refused)
{
    assert_reason(PLAIN("bob\0alice\0wonderland"), AUTH_REASON_AUTHZID_MISMATCH);
    assert_reason(PLAIN("alic\0alice\0wonderland"), AUTH_REASON_AUTHZID_MISMATCH);
    assert_reason(PLAIN("alice2\0alice\0wonderland"), AUTH_REASON_AUTHZID_MISMATCH);
    assert_reason(PLAIN("Alice\0alice\0wonderland"), AUTH_REASON_AUTHZID_MISMATCH);
}

Test(exchange, t21_plain_authzid_for_the_same_user_is_accepted)
{
    assert_reason(PLAIN("alice\0alice\0wonderland"), AUTH_REASON_NONE);
}

/* --- T30: no mechanism but those a user may use --- */

Test(exchange, t30_plain_is_refused_to_who_may_use_scram_only)
{
    assert_reason(PLAIN("\0carol\0christmas"), AUTH_REASON_MECHANISM_NOT_ALLOWED);
}

/* --- T36: order of calls --- */

Test(exchange, t36_a_token_while_the_work_is_pending_is_an_error_and_changes_nothing)
{
    struct kit_end server;
    kit_server(&server, "PLAIN", users);
    struct view good = view_of("\0alice\0wonderland", 17);
    cr_assert_eq(exchange_step(server.ex, good, &server.reply), EXCHANGE_PENDING);
    cr_assert_eq(exchange_step(server.ex, view_of("\0bob\0builder", 12), &server.reply),
                 EXCHANGE_ERROR);
    cr_assert_null(exchange_principal(server.ex));
    exchange_work(server.ex);
    cr_assert_null(exchange_principal(server.ex));
    cr_assert_eq(exchange_resume(server.ex, &server.reply), EXCHANGE_DONE);
    cr_assert_str_eq(exchange_principal(server.ex), "alice");
    kit_free(&server);
}

static void *work_elsewhere(void *ex)
{
    exchange_work(ex);
    return NULL;
}

Test(exchange, t36_tokens_that_arrive_while_another_thread_works_disturb_nothing)
{
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        struct kit_end server;
        kit_server(&server, "PLAIN", users);
        cr_assert_eq(exchange_step(server.ex, view_of("\0alice\0wonderland", 17), &server.reply),
                     EXCHANGE_PENDING);
        cr_assert_eq(pthread_create(&thread, NULL, work_elsewhere, server.ex), 0);
        for (int j = 0; j < 100; j++) {
            cr_assert_eq(exchange_step(server.ex, view_of("\0bob\0builder", 12), &server.reply),
                         EXCHANGE_ERROR);
            struct credentials *other = credentials_ref(users);
            credentials_unref(&other);
        }
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(exchange_resume(server.ex, &server.reply), EXCHANGE_DONE);
        cr_assert_str_eq(exchange_principal(server.ex), "alice");
        kit_free(&server);
    }
}

Test(exchange, t36_resume_without_the_work_lets_nobody_in)
{
    struct kit_end server;
    kit_server(&server, "PLAIN", users);
    cr_assert_eq(exchange_step(server.ex, view_of("\0alice\0wonderland", 17), &server.reply),
                 EXCHANGE_PENDING);
    cr_assert_eq(exchange_resume(server.ex, &server.reply), EXCHANGE_DENIED);
    kit_free(&server);
    kit_server(&server, "SCRAM-SHA-256", users);
    exchange_work(server.ex);
    cr_assert_eq(exchange_resume(server.ex, &server.reply), EXCHANGE_ERROR);
    kit_free(&server);
}

Test(exchange, without_randomness_nobody_gets_in)
{
    struct writer reply;
    uint8_t memory[512];
    writer_init_fixed(&reply, memory, sizeof memory);
    struct exchange *ex = exchange_server_new("SCRAM-SHA-256", users, kit_no_random, NULL);
    cr_assert_eq(exchange_step(ex, view_from_string("n,,n=alice,r=x"), &reply), EXCHANGE_DENIED);
    assert_reason(exchange_reason(ex), AUTH_REASON_INTERNAL);
    exchange_free(&ex);
}

Test(exchange, a_reply_that_does_not_fit_is_an_error_and_leaves_nothing)
{
    for (size_t room = 0; room < 80; room += 13) {
        struct writer reply;
        uint8_t memory[80];
        writer_init_fixed(&reply, memory, room);
        struct exchange *ex = exchange_server_new("SCRAM-SHA-256", users, kit_random, NULL);
        cr_assert_eq(exchange_step(ex, view_from_string("n,,n=alice,r=x"), &reply), EXCHANGE_ERROR);
        cr_assert_eq(reply.length, 0);
        exchange_free(&ex);
    }
}

/* --- every prefix --- */

Test(exchange, no_prefix_of_a_good_plain_token_logs_in)
{
    static const char token[] = "alice\0alice\0wonderland";
    for (size_t n = 0; n < sizeof token - 1; n++) {
        cr_assert_neq(plain(token, n), AUTH_REASON_NONE, "%zu bytes", n);
    }
}

Test(exchange, reasons_have_stable_names)
{
    static const char *const names[] = {"none",
                                        "unknown_user",
                                        "bad_password",
                                        "malformed",
                                        "token_too_large",
                                        "authzid_mismatch",
                                        "tokenauth",
                                        "mandatory_extension",
                                        "channel_binding",
                                        "nonce_mismatch",
                                        "mechanism_not_allowed",
                                        "unexpected_token",
                                        "weak_iterations",
                                        "excessive_iterations",
                                        "nonce_too_large",
                                        "server_error",
                                        "server_signature",
                                        "internal",
                                        "token_malformed",
                                        "token_unsecured",
                                        "token_algorithm",
                                        "token_key",
                                        "token_signature",
                                        "token_expired",
                                        "token_not_yet",
                                        "token_issuer",
                                        "token_audience",
                                        "token_scope",
                                        "token_principal",
                                        "keys_salt",
                                        "keys_iterations",
                                        "kerberos_ticket",
                                        "kerberos_name",
                                        "kerberos_no_ticket",
                                        "kerberos_broker",
                                        "saslauthd",
                                        "client_certificate_missing",
                                        "client_certificate_revoked",
                                        "client_certificate_expired",
                                        "client_certificate_not_yet",
                                        "client_certificate_authority",
                                        "client_certificate_usage",
                                        "client_certificate_unchecked",
                                        "client_certificate_key",
                                        "client_certificate_refused",
                                        "passthrough_name"};
    cr_assert_eq(sizeof names / sizeof names[0], AUTH_REASON_COUNT);
    for (size_t i = 0; i < AUTH_REASON_COUNT; i++) {
        cr_assert_str_eq(auth_reason_name((enum auth_reason)i), names[i]);
        cr_assert_gt(strlen(auth_reason_meaning((enum auth_reason)i)), 5);
    }
    cr_assert_str_eq(auth_reason_name((enum auth_reason)99), "unknown");
}
