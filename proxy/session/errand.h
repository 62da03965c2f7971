/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errand: the slow step of a login (PBKDF2, Kerberos, a file), run in the thread pool for a session. One is out at a
 * time for each struct, which must not be freed before it is back.
 *
 *   loop: errand_call ─▶ pool: the slow step ─▶ loop: done(session), or nothing when the session was closed
 */
#pragma once

#include <stdbool.h>

#include "proxy/io/slow_work.h"

struct broker_login;
struct exchange;
struct session;

typedef void (*errand_job_fn)(void *subject);
typedef void (*errand_done_fn)(struct session *s);

struct errand {
    struct slow_work work;
    struct session *session;
    errand_job_fn job;
    void *subject;
    errand_done_fn done;
    bool out; /* queued, or at work */
};

/**
 * Runs job(subject) off the loop, and then done on it. Until then nobody touches what is worked on, and job touches
 * nothing else. The session is closed when nothing can be queued.
 */
void errand_call(struct errand *errand, struct session *s, errand_job_fn job, void *subject,
                 errand_done_fn done);

/** The same for exchange_work and broker_login_work. */
void errand_exchange(struct errand *errand, struct session *s, struct exchange *exchange,
                     errand_done_fn done);
void errand_broker_login(struct errand *errand, struct session *s, struct broker_login *login,
                         errand_done_fn done);

/** The session closes: what has not begun is forgotten; what has comes back later, without done. */
void errand_recall(struct errand *errand);
