/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stand: the least of a worker around sessions that relay, made of the product's own parts: loop, world, contexts. A
 * session is put past its login by hand, since that is not what is measured.
 */
#pragma once

#include <stdbool.h>

#include "proxy/session/session.h"
#include "tests/gate/peer.h"

struct stand {
    uv_loop_t loop;
    struct world world;
    struct shared shared;
    struct edition edition;
    atomic_uint_fast64_t session_ids;
    struct gate gate;         /* the listener's */
    SSL_CTX *to_broker;       /* of broker legs */
    SSL_CTX *client, *broker; /* of the peers; NULL: plaintext */
    const struct conf_generation *generation;
};

struct pair_of_peers {
    struct session *session;
    struct peer client, broker;
};

/* client_tls, broker_tls: of the legs. Ends the process when anything is wrong. */
void stand_start(struct stand *stand, bool client_tls, bool broker_tls);

/* One more session that relays. */
void stand_connect(struct stand *stand, struct pair_of_peers *pair);

/* One turn of the loop. The gate measures what happens in here, by this name. */
void stand_turn(struct stand *stand);
bool stand_is_turning(void);
