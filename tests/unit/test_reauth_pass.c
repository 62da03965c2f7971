/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/reauth_pass.h"

#include "auth/penalty.h"
#include "proxy/session/session_private.h"
#include "tests/unit/reauth_kit.h"

TestSuite(reauth_pass, .init = kit_setup, .fini = kit_teardown);

Test(reauth_pass, with_passthrough_the_broker_judges_the_renewal_in_its_place)
{
    struct session *s = kit_begin();
    s->passthrough = true;
    kit_client_asks(1);
    kit_client_shakes(2, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 1);
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 2);
    kit_broker_answers(1);
    kit_broker_shakes(2, 0);
    cr_assert_eq(kit_id_of_response(kit_await(&kit.client)), 1);
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 2), 0);
    kit_client_proves(3, view_from_string("n,,n=alice,r=abcdef"));
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 3);
    kit_broker_says(3, view_from_string("r=abcdefg,s=AAAA,i=4096"), 0, 0);
    cr_assert_eq(kit_proved(kit_await(&kit.client), 3).error_code, 0);
    kit_client_proves(4, view_from_string("c=biws,r=abcdefg,p=AAAA"));
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 4);
    kit_broker_says(4, view_from_string("v=AAAA"), 0, 7000);
    cr_assert_eq(kit_proved(kit_await(&kit.client), 4).session_lifetime_ms, 7000);
    cr_assert_eq(kit.world.stats.reauth_ok, 1u);
    kit_passes(5);
}

static uint32_t failures(const struct session *s)
{
    struct penalty_address address = session_penalty_address(s);
    return penalty_failures(kit.world.penalty, &address, uv_now(&kit.loop));
}

/* A session that was passed through, and whose client has begun to renew its login: both ends are agreed on SCRAM. */
static struct session *shaken_anew(void)
{
    struct session *s = kit_begin();
    s->passthrough = true;
    kit_client_shakes(2, 1, "SCRAM-SHA-512");
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 2);
    kit_broker_shakes(2, 0);
    cr_assert_eq(kit_shaken(kit_await(&kit.client), 2), 0);
    return s;
}

static void never_reaches_the_broker(const char *token)
{
    struct session *s = shaken_anew();
    cr_assert_eq(failures(s), 0u);
    kit_client_proves(3, view_from_string(token));
    cr_assert_eq(failures(s), 1u);
    cr_assert_eq(kit_proved(kit_await(&kit.client), 3).error_code,
                 HANDSHAKE_SASL_AUTHENTICATION_FAILED);
    kit_await_closed(CLOSE_REAUTH_DENIED);
    cr_assert_eq(kit_take(&kit.broker).length, 0u);
    cr_assert_eq(kit.world.stats.reauth_denied, 1u);
}

Test(reauth_pass, t34_with_passthrough_another_principal_never_reaches_the_broker)
{
    never_reaches_the_broker("n,,n=bob,r=abcdef");
}

Test(reauth_pass, t21_nor_does_another_name_beside_it)
{
    never_reaches_the_broker("n,a=bob,n=alice,r=abcdef");
}

/* T30: the newest users file holds her to another mechanism. */
Test(reauth_pass, t30_nor_does_a_mechanism_that_is_not_hers_any_more)
{
    credentials_unref(&kit.shared->users);
    kit.shared->users = kit_parse("users:\n  - {name: alice, mechanisms: [OAUTHBEARER]}\n");
    never_reaches_the_broker("n,,n=alice,r=abcdef");
}

Test(reauth_pass, t32_a_denial_of_the_brokers_is_remembered)
{
    struct session *s = shaken_anew();
    kit_client_proves(3, view_from_string("n,,n=alice,r=abcdef"));
    cr_assert_eq(kit_id_of_request(kit_await(&kit.broker)), 3);
    kit_broker_says(3, view_of(NULL, 0), HANDSHAKE_SASL_AUTHENTICATION_FAILED, 0);
    cr_assert_neq(kit_proved(kit_await(&kit.client), 3).error_code, 0);
    cr_assert_eq(kit.world.stats.reauth_denied, 1u);
    cr_assert_eq(failures(s), 1u);
}
