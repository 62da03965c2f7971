/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reauth_kit: a relaying session between two sockets of the test's own, whose logins end. The test is the client and
 * the broker. One a test: suites name kit_setup and kit_teardown, which sees to it that nothing is left behind.
 */
#pragma once

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "proxy/session/reauth.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"
#include "tests/unit/login_kit.h"

enum { LIFETIME_MS = 60000, PIECE = 65536, WAIT_TURNS = 3000 };

/* One end of a socket, and what has come there. */
struct kit_tap {
    int fd;
    uint8_t in[PIECE];
    size_t length;
    uint8_t frame[PIECE];
    bool ended;
};

struct reauth_kit {
    bool relays;    /* before kit_setup: login: scram-relay, not sasl */
    int timeout_ms; /* before kit_setup: of logins and of brokers; 0: 300 */
    struct shared *shared;
    struct world world;
    struct edition edition;
    struct gate gate;
    struct credentials *broker_users;
    atomic_uint_fast64_t ids;
    uv_loop_t loop;
    int gone;
    struct kit_tap client, broker;
};

extern struct reauth_kit kit;

void kit_turns(int count);
void kit_setup(void);
void kit_teardown(void);

/* alice's session, that relays. Both logins are skipped. */
struct session *kit_begin(void);

/* The same, and its login at Setu ends. */
struct session *kit_begin_ending(void);

/* The same, and Setu's at the broker ends, and is to be renewed now. */
struct session *kit_begin_due(void);
void kit_put(struct kit_tap *tap, struct view bytes);
void kit_put_writer(struct kit_tap *tap, struct writer *w);
void kit_look(struct kit_tap *tap);

/* The next whole frame, its size included; empty: none has come. */
struct view kit_take(struct kit_tap *tap);

/* The same, awaited. */
struct view kit_await(struct kit_tap *tap);
void kit_await_end(struct kit_tap *tap);
void kit_await_closed(enum close_reason reason);
void kit_ask(struct writer *w, int32_t id);
void kit_client_asks(int32_t id);
void kit_broker_answers(int32_t id);
int32_t kit_id_of_request(struct view frame);
int32_t kit_id_of_response(struct view frame);
void kit_client_shakes(int32_t id, int16_t version, const char *mechanism);
void kit_client_proves(int32_t id, struct view token);
int16_t kit_shaken(struct view frame, int32_t id);
struct sasl_authenticate_response kit_proved(struct view frame, int32_t id);

/* SCRAM from end to end; what the last answer was. */
struct sasl_authenticate_response kit_client_renews(const char *user, const char *password);
void kit_passes(int32_t id);
void kit_broker_shakes(int32_t id, int16_t error_code);
void kit_broker_says(int32_t id, struct view token, int16_t error_code, int64_t lifetime_ms);
int32_t kit_own_request(struct view frame, int16_t key, struct view *body_r);

/* From the handshake, which has been taken, to the end. */
void kit_broker_renews(struct view handshake, int64_t lifetime_ms);
void kit_await_renewed(struct session *s);
