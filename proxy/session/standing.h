/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standing: would the proof by which a client logged in still be one? Asked of each session when a reload brings other
 * users, other keys for tokens, or other authorities for client certificates. What others have judged (the broker,
 * where the login was passed through; a service outside, of whose users none is in the users file) is theirs to judge
 * again.
 */
#pragma once

#include <stdbool.h>

struct conf_listener;
struct session;
struct shared;

/**
 * now: the snapshot that holds from now on; conf: the session's listener in it. False: the mechanism is not offered any
 * more; the user is gone, may not use it any more, or has another password; or the key of his token is gone, or tokens
 * are judged by other rules; or his ticket would be judged by another keytab, realm or rules, or for other hosts; or
 * client certificates are judged by another authority or other rules; or the client is logging in by users that are
 * others by now. With passthrough the mechanism counts alone.
 */
bool standing_holds(const struct session *s, const struct shared *now,
                    const struct conf_listener *conf);
