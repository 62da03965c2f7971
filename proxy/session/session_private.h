/* SPDX-License-Identifier: Apache-2.0 */
/* session_private: what the parts of session/ tell session.c; nobody else includes this. */
#pragma once

#include <stdint.h>

#include "auth/penalty.h"

struct session;

/** In DENY: denial_on_timer delay_ms from now. */
void session_delay(struct session *s, uint64_t delay_ms);

/** By what its failures are remembered. */
struct penalty_address session_penalty_address(const struct session *s);

/** RELAY: reauth_alarm_ms has changed. */
void session_alarm(struct session *s);

/** A response boundary may have been reached: a session that drains ends here. */
void session_rest(struct session *s);

/** Work on the thread pool has come back while the session was closing. */
void session_work_done(struct session *s);

/** A read or write of the leg failed outside its event: the same as its LEG_FAILED. */
void session_client_failed(struct session *s);
void session_broker_failed(struct session *s);
