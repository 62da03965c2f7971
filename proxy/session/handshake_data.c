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

static void work_run(uv_work_t *work)
{
    struct handshake *hs = work->data;
    hs->job(hs);
}

static void work_done(uv_work_t *work, int status)
{
    struct handshake *hs = work->data;
    struct session *s = hs->session;
    hs->working = false;
    if (s->state == SESSION_CLOSED) {
        session_work_done(s);
        return;
    }
    assert(status == 0); /* only a session that is closed has its work cancelled */
    hs->done(s);
}

void handshake_begin_work(struct handshake *hs, handshake_job_fn job, handshake_done_fn done)
{
    struct session *s = hs->session;
    assert(!hs->working);
    hs->job = job;
    hs->done = done;
    hs->work.data = hs;
    if (uv_queue_work(s->world->io.loop, &hs->work, work_run, work_done) != 0) {
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
    if (hs->working) {
        uv_cancel((uv_req_t *)&hs->work); /* its callback comes in any case */
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
