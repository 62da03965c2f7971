/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of the first message, and both ends of the mechanism. */
#include <criterion/criterion.h>

#include "auth/exchange.h"
#include "auth/mech.h"
#include "auth/oauth_message.h"
#include "auth/tokens.h"
#include "conf/config.h"
#include "tests/unit/login_kit.h"
#include "tests/unit/token_kit.h"

enum { JOE_ENDS_S = 1300819380 };

#define A "\001"
#define FIRST(token) "n,," A "auth=Bearer " token A A

/* --- grammar --- */

static enum auth_reason parse(const char *message, struct oauth_first *out)
{
    return oauth_first_parse(view_from_string(message), out);
}

static void good(const char *message, const char *authzid, const char *token, size_t extensions)
{
    struct oauth_first first;
    cr_assert_eq(parse(message, &first), AUTH_REASON_NONE, "%s", message);
    cr_assert(view_is(first.authzid, authzid), "%s", message);
    cr_assert(view_is(first.token, token), "%s", message);
    cr_assert_eq(first.extensions, extensions, "%s", message);
}

static void bad(const char *message, enum auth_reason wanted)
{
    struct oauth_first first;
    enum auth_reason got = parse(message, &first);
    cr_assert_eq(got, wanted, "%s: %s", message, auth_reason_name(got));
}

Test(oauthbearer, messages_as_clients_send_them)
{
    good(FIRST("a.b.c"), "", "a.b.c", 0);
    good("n,a=orders," A "auth=Bearer a.b.c" A A, "orders", "a.b.c", 0);
    good("n,a=a=2Cb," A "auth=bearer  a" A A, "a=2Cb", "a", 0);
    good("n,," A "host=broker" A "port=9092" A "auth=BEARER a" A "logicalCluster=lkc-1" A A, "",
         "a", 3);
    good("n,," A "auth=Bearer a" A "x= \t\r\n~=!" A A, "", "a", 1);
}

Test(oauthbearer, messages_that_are_refused)
{
    static const char *const malformed[] = {
        "",
        "n",
        "n,",
        "n,,",
        "n,," A,
        "n,," A A,
        "x,," A "auth=Bearer a" A A,
        "n,a=," A "auth=Bearer a" A A,
        "n,b=c," A "auth=Bearer a" A A,
        "n,,auth=Bearer a" A A,
        "n,," A "auth=Bearer a" A,
        "n,," A "auth=Bearer a",
        "n,," A "auth=Bearer a" A A "x",
        "n,," A "auth=Bearer a" A A A,
        "n,," A "auth=Bearer " A A,
        "n,," A "auth=Bearer" A A,
        "n,," A "auth=Basic a" A A,
        "n,," A "auth=" A A,
        "n,," A "auth= Bearer a" A A,
        "n,," A "auth=Bearer a b" A A,
        "n,," A "auth=Bearer a=" A A,
        "n,," A "auth=Bearer a+b" A A,
        "n,," A "x=y" A A,
        "n,," A "auth=Bearer a" A "auth=Bearer b" A A,
        "n,," A "auth=Bearer a" A "x=y" A "x=y" A A,
        "n,," A "auth=Bearer a" A "x1=y" A A,
        "n,," A "auth=Bearer a" A "=y" A A,
        "n,," A "auth=Bearer a" A "x=" A A,
        "n,," A "auth=Bearer a" A "x" A A,
        "n,," A "auth=Bearer a" A "x=\177" A A,
        "n,," A "auth=Bearer a" A "x=\303\274" A A,
        "n,," A "Auth=Bearer a" A A,
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        bad(malformed[i], AUTH_REASON_MALFORMED);
    }
    bad("y,," A "auth=Bearer a" A A, AUTH_REASON_CHANNEL_BINDING);
    bad("p=tls-unique,," A "auth=Bearer a" A A, AUTH_REASON_CHANNEL_BINDING);
}

Test(oauthbearer, extensions_are_bounded)
{
    char message[4096] = "n,," A "auth=Bearer a" A, name[16];
    for (int i = 0; i <= OAUTH_EXTENSIONS_MAX; i++) {
        struct oauth_first first;
        char whole[4200];
        snprintf(whole, sizeof whole, "%s" A, message);
        cr_assert_eq(parse(whole, &first), AUTH_REASON_NONE);
        cr_assert_eq(first.extensions, (size_t)i);
        snprintf(name, sizeof name, "%c%c=v" A, 'a' + i / 20, 'a' + i % 20);
        strcat(message, name);
    }
    strcat(message, A);
    bad(message, AUTH_REASON_MALFORMED);
}

Test(oauthbearer, every_prefix_of_a_message_is_refused)
{
    static const char message[] = "n,a=joe," A "x=y" A "auth=Bearer " JOE_ES256 A "z=1" A A;
    for (size_t n = 0; n < sizeof message - 1; n++) {
        struct oauth_first first;
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, message, n);
        cr_assert_neq(oauth_first_parse(view_of(cut, n), &first), AUTH_REASON_NONE, "%zu", n);
        free(cut);
    }
}

/* --- server end --- */

static struct conf_oauth policy = {.jwks_file = "",
                                   .issuer = "joe",
                                   .principal_claim = "iss",
                                   .scope_claim = "scope",
                                   .clock_skew_ms = 1000};

static void begin(struct kit_end *server, int64_t now_s)
{
    struct jwks *keys = token_kit_keys(JWK_JOE_EC "," JWK_JOE_RSA);
    struct tokens *tokens = tokens_new(&policy, keys);
    kit_server(server, "OAUTHBEARER", NULL);
    exchange_trust_tokens(server->ex, tokens, now_s * 1000);
    tokens_unref(&tokens); /* the exchange has its own */
    jwks_unref(&keys);
}

static void let_in(const char *message)
{
    static struct kit_end server;
    begin(&server, JOE_ENDS_S - 60);
    cr_assert_eq(exchange_expires_ms(server.ex), 0);
    cr_assert_eq(kit_step_text(&server, message), EXCHANGE_DONE, "%s: %s", message,
                 auth_reason_name(exchange_reason(server.ex)));
    cr_assert(server.pended, "a signature is verified off the loop");
    cr_assert_eq(kit_said(&server).length, 0);
    cr_assert_str_eq(exchange_principal(server.ex), "joe");
    cr_assert_eq(exchange_expires_ms(server.ex), (JOE_ENDS_S + 1) * INT64_C(1000));
    kit_free(&server);
}

/* What the client is told first is the same for everybody, and nothing of the exchange. */
static void refused(const char *message, int64_t now_s, enum auth_reason wanted)
{
    static struct kit_end server;
    begin(&server, now_s);
    cr_assert_eq(kit_step_text(&server, message), EXCHANGE_DENIED, "%s", message);
    cr_assert_eq(kit_said(&server).length, 0);
    cr_assert_str_eq(exchange_refusal(server.ex), "{\"status\":\"invalid_token\"}");
    cr_assert_eq(exchange_reason(server.ex), wanted, "%s",
                 auth_reason_name(exchange_reason(server.ex)));
    cr_assert_null(exchange_principal(server.ex));
    cr_assert_eq(kit_step_text(&server, A), EXCHANGE_ERROR, "it is over");
    cr_assert_eq(exchange_reason(server.ex), wanted);
    cr_assert_eq(exchange_expires_ms(server.ex), 0);
    kit_free(&server);
}

static enum auth_reason denied(const char *message)
{
    static struct kit_end server;
    begin(&server, JOE_ENDS_S - 60);
    cr_assert_eq(kit_step_text(&server, message), EXCHANGE_DENIED);
    enum auth_reason reason = exchange_reason(server.ex);
    kit_free(&server);
    return reason;
}

Test(oauthbearer, good_tokens_let_in)
{
    let_in(FIRST(JOE_ES256));
    let_in(FIRST(JOE_RS256));
    let_in("n,a=joe," A "auth=Bearer " JOE_ES256 A "traceId=5" A A);
}

Test(oauthbearer, what_is_not_believed_gets_one_answer_whatever_was_wrong)
{
    static const char good_one[] = FIRST(JOE_ES256);
    refused(good_one, JOE_ENDS_S + 1, AUTH_REASON_TOKEN_EXPIRED);
    refused(FIRST("eyJhbGciOiJub25lIn0." JOE "."), JOE_ENDS_S - 60, AUTH_REASON_TOKEN_UNSECURED);
    refused(FIRST("x"), JOE_ENDS_S - 60, AUTH_REASON_TOKEN_MALFORMED);
    refused(FIRST("eyJhbGciOiJFUzI1NiJ9." JOE ".AAAA"), JOE_ENDS_S - 60,
            AUTH_REASON_TOKEN_SIGNATURE);
}

Test(oauthbearer, whom_the_log_names_has_been_proved_even_when_expired)
{
    static struct kit_end server;
    begin(&server, JOE_ENDS_S + 60);
    cr_assert_eq(kit_step_text(&server, FIRST(JOE_ES256)), EXCHANGE_DENIED);
    cr_assert_str_eq(exchange_claimed(server.ex), "joe");
    kit_free(&server);
}

Test(oauthbearer, t21_nobody_acts_for_another)
{
    cr_assert_eq(denied("n,a=jane," A "auth=Bearer " JOE_ES256 A A), AUTH_REASON_AUTHZID_MISMATCH);
    cr_assert_eq(denied("n,a=Joe," A "auth=Bearer " JOE_ES256 A A), AUTH_REASON_AUTHZID_MISMATCH);
    cr_assert_eq(denied("n,a=jo=3E," A "auth=Bearer " JOE_ES256 A A), AUTH_REASON_MALFORMED);
    cr_assert_eq(denied("y,," A "auth=Bearer " JOE_ES256 A A), AUTH_REASON_CHANNEL_BINDING);
    cr_assert_eq(denied(""), AUTH_REASON_MALFORMED);
}

Test(oauthbearer, without_anything_to_verify_with_nobody_is_let_in)
{
    static struct kit_end server;
    kit_server(&server, "OAUTHBEARER", NULL);
    cr_assert_eq(kit_step_text(&server, FIRST(JOE_ES256)), EXCHANGE_DENIED);
    cr_assert_eq(exchange_reason(server.ex), AUTH_REASON_INTERNAL);
    kit_free(&server);
}

Test(oauthbearer, a_message_above_the_cap_is_denied_unread)
{
    static struct kit_end server;
    static char message[EXCHANGE_PLAIN_TOKEN_BYTES_MAX + 2];
    memset(message, 'a', sizeof message - 1);
    memcpy(message, "n,," A "auth=Bearer ", 16);
    begin(&server, JOE_ENDS_S - 60);
    cr_assert_eq(kit_step_text(&server, message), EXCHANGE_DENIED);
    cr_assert_eq(exchange_reason(server.ex), AUTH_REASON_TOKEN_TOO_LARGE);
    kit_free(&server);
}

Test(oauthbearer, it_is_a_mechanism_that_wants_tls_and_no_users)
{
    cr_assert(mech_known("OAUTHBEARER") && mech_cleartext("OAUTHBEARER"));
    cr_assert_not(mech_needs_users("OAUTHBEARER"));
    cr_assert(mech_needs_users("PLAIN") && mech_needs_users("SCRAM-SHA-512"));
    cr_assert_not(mech_known("oauthbearer"));
}

/* --- client end --- */

static void client(struct kit_end *end, const char *token)
{
    kit_client(end, "OAUTHBEARER", "joe", token);
    cr_assert_eq(kit_step(end, view_of(NULL, 0)), EXCHANGE_CONTINUE);
}

Test(oauthbearer, our_client_logs_in_to_our_server)
{
    static struct kit_end mine, server;
    client(&mine, JOE_ES256);
    cr_assert(view_is(kit_said(&mine), FIRST(JOE_ES256)));
    begin(&server, JOE_ENDS_S - 60);
    cr_assert_eq(kit_step(&server, kit_said(&mine)), EXCHANGE_DONE);
    cr_assert_eq(kit_step(&mine, kit_said(&server)), EXCHANGE_DONE);
    kit_free(&mine);
    kit_free(&server);
}

Test(oauthbearer, our_client_takes_an_error_object_as_a_refusal)
{
    static struct kit_end mine;
    client(&mine, JOE_ES256);
    cr_assert_eq(kit_step_text(&mine, "{\"status\":\"invalid_token\"}"), EXCHANGE_CONTINUE);
    cr_assert(view_is(kit_said(&mine), A));
    cr_assert_eq(kit_step_text(&mine, ""), EXCHANGE_DENIED);
    cr_assert_eq(exchange_reason(mine.ex), AUTH_REASON_SERVER_ERROR);
    kit_free(&mine);
}

Test(oauthbearer, a_token_that_could_end_its_own_pair_is_not_sent)
{
    static const char *const tokens[] = {"a" A "x=y", "a b", "a\n", "a,b", "\"a\"", "\303\274"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        static struct kit_end mine;
        kit_client(&mine, "OAUTHBEARER", "joe", tokens[i]);
        cr_assert_eq(kit_step(&mine, view_of(NULL, 0)), EXCHANGE_DENIED, "%zu", i);
        cr_assert_eq(exchange_reason(mine.ex), AUTH_REASON_MALFORMED);
        kit_free(&mine);
    }
}
