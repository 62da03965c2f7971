/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/errand.h"

#include <assert.h>
#include <stddef.h>

#include "auth/exchange.h"
#include "auth/penalty.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

static void errand_run(struct slow_work *work)
{
    struct errand *errand = work->owner;
    errand->job(errand->subject);
}

static void errand_back(struct slow_work *work)
{
    struct errand *errand = work->owner;
    struct session *s = errand->session;
    errand->out = false;
    if (s->state == SESSION_CLOSED) {
        session_work_done(s);
        return;
    }
    errand->done(s); /* only a session that is closed has its work recalled */
}

static void errand_send(struct errand *errand, struct session *s, enum slow_kind kind,
                        errand_done_fn done)
{
    assert(!errand->out);
    errand->session = s;
    errand->done = done;
    errand->work.owner = errand;
    if (!slow_work_begin(&s->world->io, &errand->work, kind, errand_run, errand_back)) {
        session_close(s, CLOSE_INTERNAL);
        return;
    }
    errand->out = true;
}

void errand_call(struct errand *errand, struct session *s, errand_job_fn job, void *subject,
                 errand_done_fn done)
{
    errand->job = job;
    errand->subject = subject;
    errand->work.stands_behind = false;
    errand_send(errand, s, SLOW_COMPUTES, done);
}

static void run_exchange(void *exchange)
{
    exchange_work(exchange);
}

static void run_broker_login(void *login)
{
    broker_login_work(login);
}

void errand_exchange(struct errand *errand, struct session *s, struct exchange *exchange,
                     errand_done_fn done)
{
    errand->job = run_exchange;
    errand->subject = exchange;
    struct penalty_address address = session_penalty_address(s);
    /* Who comes from where passwords are guessed has one to be judged as well, but not before all others. */
    errand->work.stands_behind =
        penalty_is_delayed(s->world->penalty, &address, uv_now(s->world->io.loop));
    errand_send(errand, s, exchange_waits(exchange) ? SLOW_FOR_CLIENT : SLOW_VERIFIES, done);
}

void errand_broker_login(struct errand *errand, struct session *s, struct broker_login *login,
                         errand_done_fn done)
{
    errand->job = run_broker_login;
    errand->subject = login;
    errand->work.stands_behind = false;
    errand_send(errand, s, broker_login_waits(login) ? SLOW_FOR_BROKER : SLOW_COMPUTES, done);
}

void errand_recall(struct errand *errand)
{
    if (errand->out && slow_work_cancel(&errand->work)) {
        errand->out = false;
    }
}
