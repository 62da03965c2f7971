/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/reauth_client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/mapping.h"
#include "conf/config.h"

#include "tests/unit/reauth_kit.h"

TestSuite(reauth_client, .init = kit_setup, .fini = kit_teardown);

Test(reauth_client, a_client_renews_its_login_and_is_told_a_new_lifetime)
{
    struct session *s = kit_begin_ending();
    kit_passes(1);
    uint64_t before_ms = s->reauth->expires_ms;
    usleep(20000);
    struct sasl_authenticate_response answer = kit_client_renews("alice", "wonderland");
    cr_assert_eq(answer.error_code, 0);
    cr_assert_eq(answer.session_lifetime_ms, LIFETIME_MS);
    cr_assert_gt(s->reauth->expires_ms, before_ms);
    cr_assert_null(s->reauth->client, "the exchange is gone");
    cr_assert_eq(kit.world.stats.reauth_ok, 1u);
    kit_passes(2);
    cr_assert_eq(kit.world.stats.requests, 2u);
    cr_assert_eq(kit.world.stats.responses, 2u);
}

Test(reauth_client, answers_to_earlier_requests_come_before_those_of_a_renewal)
{
    kit_begin_ending();
    kit_client_asks(1);
    kit_client_asks(2);
    kit_client_shakes(3, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 2);
    cr_assert_eq(kit_take(&kit.broker).length, 0u, "SASL stays here");
    cr_assert_eq(kit_take(&kit.client).length, 0u);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    cr_assert_eq(kit_take(&kit.client).length, 0u);
    kit_broker_answers(2);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 2);
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 3), 0);
}

Test(reauth_client, t34_another_principal_is_refused_late_and_the_session_ends)
{
    kit_begin_ending();
    struct sasl_authenticate_response answer = kit_client_renews("bob", "builder");
    cr_assert_eq(answer.error_code, HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    cr_assert(view_is(answer.error_message, exchange_denial_text()));
    kit_await_closed(CLOSE_REAUTH_DENIED);
    cr_assert_eq(kit.world.stats.reauth_denied, 1u);
}

Test(reauth_client, a_wrong_password_is_refused_with_the_same_words)
{
    kit_begin_ending();
    struct sasl_authenticate_response answer = kit_client_renews("alice", "wrong");
    cr_assert_eq(answer.error_code, HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    cr_assert(view_is(answer.error_message, exchange_denial_text()));
    kit_await_closed(CLOSE_REAUTH_DENIED);
}

Test(reauth_client, t34_another_mechanism_is_refused_and_requests_in_flight_end)
{
    kit_begin_ending();
    kit_client_asks(1);
    kit_client_shakes(2, 1, "PLAIN");
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    cr_assert_eq(kit_take(&kit.client).length, 0u);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 2), HANDSHAKE_UNSUPPORTED_SASL_MECHANISM);
    kit_await_closed(CLOSE_REAUTH_DENIED);
}

Test(reauth_client, t35_an_expired_login_lets_requests_in_flight_end_and_no_other_in)
{
    struct session *s = kit_begin_ending();
    kit_client_asks(1);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    s->reauth->expires_ms = uv_now(&kit.loop);
    reauth_set_due(s->reauth);
    kit_client_asks(2);
    cr_assert_eq(kit_take(&kit.broker).length, 0u, "behind the end nothing is sent on");
    cr_assert_eq(s->state, SESSION_RELAY);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    kit_await_closed(CLOSE_SESSION_EXPIRED);
    cr_assert_eq(kit_take(&kit.broker).length, 0u);
}

Test(reauth_client, t35_what_an_expired_login_had_begun_to_send_is_sent)
{
    struct session *s = kit_begin_ending();
    struct writer w;
    writer_init_growing(&w, PIECE);
    kit_ask(&w, 1);
    kit_ask(&w, 2);
    kit_put(&kit.client, view_of(w.at, 30));
    s->reauth->expires_ms = uv_now(&kit.loop);
    reauth_set_due(s->reauth);
    kit_put(&kit.client, view_from(writer_view(&w), 30));
    writer_free(&w);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    cr_assert_eq(kit_take(&kit.broker).length, 0u);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    kit_await_closed(CLOSE_SESSION_EXPIRED);
}

Test(reauth_client, an_expired_login_can_still_be_renewed)
{
    struct session *s = kit_begin_ending();
    s->reauth->expires_ms = uv_now(&kit.loop);
    reauth_set_due(s->reauth);
    cr_assert_eq(kit_client_renews("alice", "wonderland").error_code, 0);
    kit_passes(1);
}

Test(reauth_client, twice_within_a_second_is_too_often)
{
    kit_begin_ending();
    cr_assert_eq(kit_client_renews("alice", "wonderland").error_code, 0);
    kit_client_shakes(5, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 5), HANDSHAKE_ILLEGAL_SASL_STATE);
    kit_await_closed(CLOSE_REAUTH_DENIED);
}

Test(reauth_client, t36_a_client_that_renews_sends_nothing_else)
{
    kit_begin_ending();
    kit_client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 1), 0);
    kit_client_asks(2);
    kit_await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth_client, t36_a_handshake_in_the_middle_of_a_renewal_ends_it)
{
    kit_begin_ending();
    kit_client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 1), 0);
    kit_client_shakes(2, 1, "SCRAM-SHA-512");
    kit_await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth_client, t36_a_token_without_a_handshake_is_refused)
{
    kit_begin_ending();
    kit_client_proves(1, view_from_string("n,,n=alice,r=abc"));
    kit_await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth_client, t36_raw_tokens_cannot_renew)
{
    kit_begin_ending();
    kit_client_shakes(1, 0, "SCRAM-SHA-512");
    kit_await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth_client, a_login_without_an_end_cannot_be_renewed)
{
    struct session *s = kit_begin();
    cr_assert_null(s->reauth);
    kit_client_shakes(1, 1, "SCRAM-SHA-512");
    kit_await_closed(CLOSE_LOGIN_ORDER);
}

Test(reauth_client, a_client_that_begins_and_does_not_go_on_is_let_go)
{
    kit_begin_ending();
    kit_client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 1), 0);
    kit_await_closed(CLOSE_REAUTH_DENIED);
}

/* The slow step is off the loop; meanwhile answers pass, and nothing more is read. */
Test(reauth_client, plain_is_renewed_and_its_password_wiped)
{
    static const char secret[] = "\0alice\0wonderland";
    struct session *s = kit_begin_ending();
    struct writer w;
    s->mechanism = "PLAIN";
    kit_client_asks(1);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    kit_client_shakes(2, 1, "PLAIN");
    writer_init_growing(&w, PIECE);
    sasl_authenticate_encode_request(&w, 1, 3, NULL, view_of(secret, sizeof secret - 1));
    for (size_t i = 0; i < w.length; i++) { /* every byte a read of its own: it is held */
        kit_put(&kit.client, view_of(w.at + i, 1));
    }
    writer_free(&w);
    cr_assert(s->reauth->holds);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 2), 0);
    cr_assert_eq(kit_proved(kit_await(&kit.client), 3).session_lifetime_ms, LIFETIME_MS);
    cr_assert_null(memmem(kit.world.io.scratch, IO_SCRATCH_BYTES, "wonderland", 10));
    cr_assert_null(s->relay.requests.held);
    kit_passes(4);
}

Test(reauth_client, who_is_not_mapped_any_more_is_refused)
{
    struct session *s = kit_begin_ending();
    free(s->principal);
    s->principal = strdup("eve");
    struct sasl_authenticate_response answer = kit_client_renews("eve", "apple");
    cr_assert_eq(answer.error_code, HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    kit_await_closed(CLOSE_REAUTH_DENIED);
}

/* T71 */
Test(reauth_client, a_lifetime_is_no_longer_than_what_was_shown)
{
    struct session *s = kit_begin();
    int64_t soon_ms = world_now_ns() / 1000000 + 5000;
    int64_t lifetime_ms = reauth_client_term(s, kit.gate.conf, soon_ms);
    cr_assert(lifetime_ms > 4000 && lifetime_ms <= 5000, "%lld", (long long)lifetime_ms);
    cr_assert_eq(reauth_client_term(s, kit.gate.conf, 1), 1);
    struct conf_listener for_ever = *kit.gate.conf;
    for_ever.session_lifetime_ms = 0;
    cr_assert_eq(reauth_client_term(s, &for_ever, 0), 0);
    cr_assert_eq(s->reauth->due_ms, REAUTH_NEVER);
}
