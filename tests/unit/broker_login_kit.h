/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_login_kit: a login and a fake broker, and what carries bytes from one to the other. Suites
 * name kit_setup and kit_teardown.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/scram.h"
#include "auth/secret.h"
#include "proxy/cluster/broker_login.h"
#include "tests/unit/fake_broker.h"

/* The password of the fake broker's user, and another. */
extern struct secret kit_pencil, kit_pen;

void kit_setup(void);
void kit_teardown(void);

/* As its user; and without SASL. Both ask for everything. */
struct broker_login_params kit_sasl(const char *mechanism);
struct broker_login_params kit_certificate(void);

/* How the bytes of the broker reach the login. */
struct kit_delivery {
    size_t cut;   /* > 0: each response in pieces of this many bytes */
    size_t split; /* > 0: response number `at` in two pieces, the first of this many bytes */
    size_t at;
    size_t stop;                             /* > 0: the connection ends after this many bytes */
    void (*tamper)(struct writer *response); /* done to response number `at` */
    bool ends_while_working;
    size_t total;   /* out: bytes delivered */
    size_t longest; /* out: longest response */
    size_t pending; /* out: dear steps */
};

/* One response, number `number`; the next request goes to out. */
enum broker_login_status kit_deliver(struct broker_login *login, struct kit_delivery *delivery,
                                     struct view response, size_t number, struct writer *out);

/* A whole login, which must end so. */
struct broker_login *kit_run(const struct broker_login_params *params, struct fake_broker *broker,
                             struct kit_delivery *delivery, enum broker_login_status expected);
void kit_expect_ok(const struct broker_login_params *params, struct fake_broker *broker,
                   struct kit_delivery *delivery);
void kit_expect_failure(const struct broker_login_params *params, struct fake_broker *broker,
                        struct kit_delivery *delivery, enum broker_login_reason reason);

/* Keys of a login, so that those that follow are quick. */
struct scram_keys kit_kept_keys(const char *mechanism);
