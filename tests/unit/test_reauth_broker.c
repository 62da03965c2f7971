/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/reauth_broker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/scram.h"
#include "tests/unit/reauth_kit.h"

TestSuite(reauth_broker, .init = kit_setup, .fini = kit_teardown);

Test(reauth_broker, setu_renews_its_login_before_the_next_request)
{
    struct session *s = kit_begin_due();
    kit_client_asks(1);
    struct view handshake = kit_await(&kit.broker);
    cr_assert_eq(kit_take(&kit.broker).length, 0u, "the client's request waits");
    kit_broker_renews(handshake, 100000);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    cr_assert_eq(kit_take(&kit.client).length, 0u, "none of it is the client's");
    uint64_t in_ms = s->reauth->renew_ms - uv_now(&kit.loop);
    cr_assert(in_ms > 80000 && in_ms <= 95000, "%llu", (unsigned long long)in_ms);
    cr_assert_eq(kit.world.stats.broker_reauth_ok, 1u);
    cr_assert_eq(kit.world.stats.requests, 1u);
    cr_assert_eq(kit.world.stats.responses, 1u);
    kit_passes(2);
}

Test(reauth_broker, setu_renews_between_two_requests_and_never_within_one)
{
    struct session *s = kit_begin();
    struct writer w;
    kit_client_asks(1);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    writer_init_growing(&w, PIECE);
    kit_ask(&w, 2);
    kit_ask(&w, 3);
    kit_put(&kit.client, view_of(w.at, 20));
    s->reauth = NULL;
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&kit.loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    for (size_t i = 20; i < w.length; i++) {
        kit_put(&kit.client, view_of(w.at + i, 1));
    }
    writer_free(&w);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 2);
    struct view handshake = kit_await(&kit.broker);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    kit_broker_answers(2);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 2);
    kit_broker_renews(handshake, 0);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 3);
    kit_await_renewed(s);
    cr_assert_eq(s->reauth->due_ms, REAUTH_NEVER, "without a lifetime nothing is renewed");
}

/* A long poll before ours is no reason to end. */
Test(reauth_broker, a_renewal_waits_for_what_was_asked_before_as_long_as_it_takes)
{
    struct session *s = kit_begin();
    kit_client_asks(1);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&kit.loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    kit_client_asks(2);
    struct view handshake = kit_await(&kit.broker);
    for (int i = 0; i < 100; i++) {
        usleep(10000);
        kit_turns(5);
    }
    cr_assert_eq(s->state, SESSION_RELAY);
    kit_broker_answers(1);
    kit_broker_renews(handshake, 100000);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 2);
}

Test(reauth_broker, a_broker_that_refuses_ends_the_session_with_all_answers_given)
{
    struct view body;
    struct session *s = kit_begin();
    kit_client_asks(1);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    struct reauth *r = reauth_of(s);
    r->renew_ms = 0;
    r->ends_ms = uv_now(&kit.loop) + LIFETIME_MS;
    r->authenticate_version = 1;
    reauth_set_due(r);
    kit_client_asks(2);
    kit_broker_answers(1);
    int32_t id = kit_own_request(kit_await(&kit.broker), API_SASL_HANDSHAKE, &body);
    kit_broker_shakes(id, HANDSHAKE_UNSUPPORTED_SASL_MECHANISM);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    kit_await_closed(CLOSE_BROKER_REAUTH_FAILED);
    cr_assert_eq(kit.world.stats.broker_reauth_failed, 1u);
    cr_assert_eq(kit_take(&kit.broker).length, 0u);
}

Test(reauth_broker, a_broker_that_says_nothing_is_waited_for_a_while)
{
    kit_begin_due();
    kit_client_asks(1);
    struct view body;
    kit_own_request(kit_await(&kit.broker), API_SASL_HANDSHAKE, &body);
    kit_await_closed(CLOSE_BROKER_REAUTH_FAILED);
}

Test(reauth_broker, a_broker_that_stops_in_the_middle_of_its_answer_is_not_waited_for)
{
    struct view body;
    struct writer w;
    struct sasl_handshake_response answer = {.count = 1};
    answer.mechanisms[0] = view_from_string("SCRAM-SHA-512");
    kit_begin_due();
    kit_client_asks(1);
    int32_t id = kit_own_request(kit_await(&kit.broker), API_SASL_HANDSHAKE, &body);
    writer_init_growing(&w, PIECE);
    sasl_handshake_encode_response(&w, 1, id, &answer);
    kit_put(&kit.broker, view_of(writer_view(&w).at, 12));
    for (int i = 0; i < 100; i++) { /* more than twice connect_timeout_ms */
        usleep(10000);
        kit_turns(2);
    }
    (void)send(kit.broker.fd, writer_view(&w).at + 12, writer_view(&w).length - 12, MSG_NOSIGNAL);
    writer_free(&w);
    kit_await_closed(CLOSE_BROKER_REAUTH_FAILED);
}

Test(reauth_broker, without_a_stored_credential_the_session_ends_when_the_login_does)
{
    struct session *s = kit_begin_due();
    free(s->principal);
    s->principal = strdup("bob");
    kit_passes(1);
    cr_assert_eq(s->reauth->renew_ms, s->reauth->ends_ms);
    s->reauth->renew_ms = s->reauth->ends_ms = uv_now(&kit.loop);
    reauth_set_due(s->reauth);
    kit_client_asks(2);
    cr_assert_eq(kit_take(&kit.broker).length, 0u);
    kit_await_closed(CLOSE_BROKER_SESSION_EXPIRED);
}

Test(reauth_broker, both_logins_are_renewed_at_once)
{
    struct session *s = kit_begin_ending();
    struct kit_end end;
    kit_client_shakes(1, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 1), 0);
    s->reauth->renew_ms = 0;
    s->reauth->authenticate_version = 2;
    reauth_set_due(s->reauth);
    kit_client(&end, "SCRAM-SHA-512", "alice", "wonderland");
    cr_assert_eq(kit_step(&end, view_of(NULL, 0)), EXCHANGE_CONTINUE);
    s->reauth->authenticate_version = 1;
    kit_client_proves(2, kit_said(&end));
    kit_broker_renews(kit_await(&kit.broker), 100000);
    struct sasl_authenticate_response answer = kit_proved(kit_await(&kit.client), 2);
    cr_assert_eq(kit_step(&end, answer.auth_bytes), EXCHANGE_CONTINUE);
    kit_client_proves(3, kit_said(&end));
    cr_assert_eq(kit_proved(kit_await(&kit.client), 3).session_lifetime_ms, LIFETIME_MS);
    kit_free(&end);
    kit_passes(4);
}

Test(reauth_broker, a_session_that_is_closed_while_work_is_out_is_freed_later)
{
    struct session *s = kit_begin_ending();
    s->mechanism = "PLAIN";
    kit_client_shakes(1, 1, "PLAIN");
    kit_client_proves(2, view_of("\0alice\0wonderland", 17));
    session_close(s, CLOSE_STOPPED);
    for (int i = 0; i < WAIT_TURNS && kit.world.session_count > 0; i++) {
        kit_turns(1);
        usleep(1000);
    }
    cr_assert_eq(kit.world.session_count, 0u);
}

/* ---- login: scram-relay ---- */

static void relay_setup(void)
{
    kit.relays = true;
    kit.timeout_ms = 1500; /* a full machine takes its time, and one test waits for the end of it */
    kit_setup();
}

TestSuite(reauth_relay, .init = relay_setup, .fini = kit_teardown);

/* Both logins end, the client's no later. */
static struct session *begin_relayed(void)
{
    struct session *s = kit_begin_ending();
    s->reauth->renew_ms = s->reauth->expires_ms - 1000;
    s->reauth->ends_ms = s->reauth->expires_ms + 10;
    s->reauth->authenticate_version = 1;
    reauth_set_due(s->reauth);
    return s;
}

Test(reauth_relay, the_clients_renewal_renews_setus_at_once)
{
    struct session *s = begin_relayed();
    kit_passes(1);
    cr_assert_eq(kit_client_renews("alice", "wonderland").error_code, 0);
    struct view handshake = kit_await(&kit.broker); /* without any request */
    cr_assert_null(s->reauth->keys, "it is in the exchange, and nowhere else");
    kit_client_asks(4);
    kit_broker_renews(handshake, 100000);
    kit_await_renewed(s);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 4, "which has waited");
    kit_broker_answers(4);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 4);
    cr_assert_eq(kit.world.stats.broker_reauth_ok, 1u);
    cr_assert_gt(s->reauth->ends_ms, uv_now(&kit.loop) + 90000);
    kit_passes(5);
}

Test(reauth_relay, a_key_waits_for_the_end_of_the_frame_and_no_longer_than_a_dial)
{
    struct session *s = begin_relayed();
    const struct scram_keys keys = {.hash = SCRAM_SHA_512};
    struct writer w;
    writer_init_growing(&w, PIECE);
    kit_ask(&w, 1);
    kit_put(&kit.client, view_of(w.at, 20));
    reauth_broker_offer(s, &keys);
    for (int i = 0; i < WAIT_TURNS && s->reauth->keys != NULL; i++) {
        kit_turns(2);
        usleep(1000);
    }
    cr_assert_null(s->reauth->keys);
    cr_assert_null(s->reauth->broker);
    kit_put(&kit.client, view_of(w.at + 20, w.length - 20));
    writer_free(&w);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    kit_broker_answers(1);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    kit_passes(2);
}

Test(reauth_relay, without_a_renewal_of_the_clients_its_own_end_is_the_end)
{
    struct session *s = begin_relayed();
    s->reauth->renew_ms = 0;
    reauth_set_due(s->reauth);
    kit_passes(1);
    cr_assert_eq(s->reauth->renew_ms, REAUTH_NEVER, "the client's turn");
    s->reauth->expires_ms = s->reauth->ends_ms = uv_now(&kit.loop);
    reauth_set_due(s->reauth);
    kit_client_asks(2);
    kit_await_closed(CLOSE_SESSION_EXPIRED);
    cr_assert_eq(kit_take(&kit.broker).length, 0u);
}

Test(reauth_relay, an_idle_session_may_be_renewed_behind_both_ends)
{
    struct session *s = begin_relayed();
    s->reauth->expires_ms = s->reauth->ends_ms = s->reauth->renew_ms = uv_now(&kit.loop);
    reauth_set_due(s->reauth);
    cr_assert_eq(kit_client_renews("alice", "wonderland").error_code, 0);
    kit_broker_renews(kit_await(&kit.broker), 100000);
    kit_await_renewed(s);
    kit_passes(1);
}

Test(reauth_relay, a_broker_with_another_salt_ends_the_session)
{
    char yaml[1024] = "users:\n", record[512];
    kit_record(record, sizeof record, SCRAM_SHA_512, "wonderland", 4096, "another salt");
    snprintf(yaml, sizeof yaml, "users:\n  - name: alice\n    scram-sha-512: \"%s\"\n", record);
    credentials_unref(&kit.broker_users);
    kit.broker_users = kit_parse(yaml);
    begin_relayed();
    struct kit_end end;
    struct view body, token;
    cr_assert_eq(kit_client_renews("alice", "wonderland").error_code, 0);
    int32_t id = kit_own_request(kit_await(&kit.broker), API_SASL_HANDSHAKE, &body);
    kit_broker_shakes(id, 0);
    id = kit_own_request(kit_await(&kit.broker), API_SASL_AUTHENTICATE, &body);
    cr_assert(sasl_authenticate_decode_request(1, body, &token));
    kit_server(&end, "SCRAM-SHA-512", kit.broker_users);
    cr_assert_eq(kit_step(&end, token), EXCHANGE_CONTINUE);
    kit_broker_says(id, kit_said(&end), 0, 0);
    kit_free(&end);
    kit_await_closed(CLOSE_BROKER_REAUTH_FAILED);
}
