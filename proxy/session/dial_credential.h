/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial_credential: with what a session logs in to its broker by SASL.
 *
 *   login: sasl          the credentials file's entry for the principal; a token is read from its file for each dial
 *   login: scram-relay   the key that the client proved at its own login, until the relay begins
 */
#pragma once

#include <stdbool.h>

#include "proxy/session/errand.h"

struct broker_login_params;
struct edition;
struct password;
struct scram_keys;
struct session;

/**
 * Reads the principal's token, where that is what the broker wants; then `then` is called on the loop, unless the
 * session has been closed meanwhile. False: nothing is to be read, and `then` is not called. Only while the broker leg
 * is not open: nothing else may happen to the session.
 */
bool dial_credential_read(struct session *s, errand_done_fn then)
    __attribute__((warn_unused_result));

/**
 * Fills in who logs in and with what, if s->route's generation logs in by SASL. What is filled in is borrowed from the
 * session, its edition and *keys_r, which the caller wipes in any case. False: there is nothing to log in with; that is
 * recorded, and the session closed.
 */
bool dial_credential(struct session *s, struct broker_login_params *params,
                     struct scram_keys *keys_r) __attribute__((warn_unused_result));

/**
 * The same for a renewal of the login, with what `edition` has stored, and nothing else. NULL: nothing. A password with
 * a token_file has its token still to be read.
 */
const struct password *dial_credential_again(const struct session *s, const struct edition *edition,
                                             struct broker_login_params *params)
    __attribute__((warn_unused_result));

/** Fills in the client's own key (login: scram-relay); it is borrowed. */
void dial_credential_relayed(const struct session *s, const struct scram_keys *keys,
                             struct broker_login_params *params);

/** The login is done: keeps what spares work at the next one (login: sasl). */
void dial_credential_used(struct session *s);
