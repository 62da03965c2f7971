/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/handshake_data.h"

#include <assert.h>
#include <stdlib.h>

#include "auth/exchange.h"
#include "auth/secret.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

enum { HANDSHAKE_OUT_MAX = 1024 * 1024 };

static void wiping_writer(struct writer *w)
{
    writer_init_growing(w, HANDSHAKE_OUT_MAX);
    w->wipe = true;
}

struct handshake *handshake_new(struct session *s, size_t frame_max)
{
    struct handshake *hs = calloc(1, sizeof *hs);
    if (hs == NULL) {
        abort();
    }
    hs->session = s;
    frame_collector_init(&hs->in, frame_max);
    frame_collector_init(&hs->broker_in, frame_max);
    wiping_writer(&hs->denial);
    wiping_writer(&hs->first);
    wiping_writer(&hs->out);
    return hs;
}

static void work_run(struct slow_work *work)
{
    struct handshake *hs = work->owner;
    hs->job(hs);
}

static void work_done(struct slow_work *work)
{
    struct handshake *hs = work->owner;
    struct session *s = hs->session;
    hs->working = false;
    if (s->state == SESSION_CLOSED) {
        session_work_done(s);
        return;
    }
    hs->done(s); /* only a session that is closed has its work cancelled */
}

/* The login of the client leg has ended before that of the broker leg begins. */
static bool work_waits(const struct handshake *hs)
{
    return hs->broker_login != NULL ? broker_login_waits(hs->broker_login)
                                    : hs->exchange != NULL && exchange_waits(hs->exchange);
}

void handshake_begin_work(struct handshake *hs, handshake_job_fn job, handshake_done_fn done)
{
    struct session *s = hs->session;
    assert(!hs->working);
    hs->job = job;
    hs->done = done;
    hs->work.owner = hs;
    if (!slow_work_begin(&s->world->io, &hs->work, work_waits(hs), work_run, work_done)) {
        session_close(s, CLOSE_INTERNAL);
        return;
    }
    hs->working = true;
}

void handshake_cancel(struct handshake *hs)
{
    if (hs == NULL) {
        return;
    }
    cluster_wait_cancel(&hs->waiter);
    cluster_dial_leave(&hs->dial);
    if (hs->working && slow_work_cancel(&hs->work)) {
        hs->working = false;
    }
}

bool handshake_is_working(const struct handshake *hs)
{
    return hs != NULL && hs->working;
}

void handshake_free(struct handshake **hs)
{
    struct handshake *gone = *hs;
    *hs = NULL;
    if (gone == NULL) {
        return;
    }
    assert(!gone->working);
    cluster_wait_cancel(&gone->waiter);
    cluster_dial_leave(&gone->dial);
    frame_collector_free(&gone->in);
    frame_collector_free(&gone->broker_in);
    exchange_free(&gone->exchange);
    broker_login_free(&gone->broker_login);
    secret_wipe(&gone->token);
    writer_free(&gone->denial);
    writer_free(&gone->first);
    writer_free(&gone->out);
    secret_cleanse(gone, sizeof *gone);
    free(gone);
}
