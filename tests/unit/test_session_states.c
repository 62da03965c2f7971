/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/session.h"

#include <criterion/criterion.h>
#include <string.h>

#include "proxy/ops/stats.h"

Test(session_states, relay_is_reached_only_through_dial_or_a_brokers_own_verdict)
{
    for (int from = 0; from < SESSION_STATE_COUNT; from++) {
        bool may = session_may((enum session_state)from, SESSION_RELAY);
        cr_assert_eq(may, from == SESSION_DIAL || from == SESSION_EXCHANGE, "%s",
                     session_state_name((enum session_state)from));
    }
}

Test(session_states, dial_is_reached_only_after_mapping_or_from_a_login_passed_through)
{
    for (int from = 0; from < SESSION_STATE_COUNT; from++) {
        bool may = session_may((enum session_state)from, SESSION_DIAL);
        cr_assert_eq(may, from == SESSION_MAP || from == SESSION_LOGIN);
    }
}

Test(session_states, every_state_may_close_and_none_leaves_closed)
{
    for (int state = 0; state < SESSION_STATE_COUNT; state++) {
        cr_assert_eq(session_may((enum session_state)state, SESSION_CLOSED),
                     state != SESSION_CLOSED);
        cr_assert_not(session_may(SESSION_CLOSED, (enum session_state)state));
        cr_assert_not(state != SESSION_CLOSED &&
                      session_may((enum session_state)state, SESSION_SECURE));
    }
}

Test(session_states, a_denied_session_can_only_close_or_be_asked_for_its_last_word)
{
    for (int to = 0; to < SESSION_STATE_COUNT; to++) {
        bool may = session_may(SESSION_DENY, (enum session_state)to);
        cr_assert_eq(may, to == SESSION_CLOSED || to == SESSION_LOGIN);
    }
}

Test(close_reason, names_are_distinct_plain_words)
{
    for (size_t i = 0; i < CLOSE_REASON_COUNT; i++) {
        const char *name = close_reason_name(i);
        cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        cr_assert_gt(strlen(close_reason_meaning((enum close_reason)i)), 10u);
        for (size_t k = 0; k < i; k++) {
            cr_assert_str_neq(name, close_reason_name(k));
        }
    }
    cr_assert_null(close_reason_name(CLOSE_REASON_COUNT));
    cr_assert_leq((size_t)CLOSE_REASON_COUNT, (size_t)STATS_CLOSE_REASONS);
}
