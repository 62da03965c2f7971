/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapped: which certificate speaks for a session's principal. The only place where a session asks the mapping, so that
 * login, dial and reload ask it the same: principal, cluster, generation of the broker dialled, listener, mechanism.
 *
 *   login:  the broker is known, or rules do not tell generations apart   decided, here and now
 *           it is not, and they do                                        denied if no generation would do
 *   dial:   the broker is of another generation than was decided for      decided, again or at last
 *   reload: the same question to the new mapping: the same certificate, or a newer one of the same subject?
 */
#pragma once

#include <stdbool.h>

struct conf_listener;
struct session;
struct shared;

/**
 * The client has proved s->principal. Sets s->certificate unless that has to wait for the dial. false: *reason_r is
 * the stable word for the denial. Recorded either way, but for what has to wait.
 */
bool mapped_at_login(struct session *s, const char **reason_r);

/** s->route is known: sets s->certificate for it. false: no certificate speaks for the principal there; recorded. */
bool mapped_at_dial(struct session *s);

enum mapped_verdict {
    MAPPED_SAME,    /* the same certificate, or one that is not shown to this broker */
    MAPPED_RENEWED, /* a newer one of the same name and subject */
    MAPPED_OTHER    /* somebody else's, or none */
};

/** What the snapshot `now`, in which the session's listener is `conf`, would answer for it. */
enum mapped_verdict mapped_now(const struct session *s, const struct shared *now,
                               const struct conf_listener *conf);
