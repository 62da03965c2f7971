/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/handshake_data.h"

#include <assert.h>
#include <stdlib.h>

#include "auth/exchange.h"
#include "auth/secret.h"
#include "proxy/cluster/broker_login.h"

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

void handshake_cancel(struct handshake *hs)
{
    if (hs == NULL) {
        return;
    }
    tick_forget(&hs->tick);
    cluster_wait_cancel(&hs->waiter);
    cluster_dial_leave(&hs->dial);
    errand_recall(&hs->errand);
}

bool handshake_is_working(const struct handshake *hs)
{
    return hs != NULL && hs->errand.out;
}

void handshake_free(struct handshake **hs)
{
    struct handshake *gone = *hs;
    *hs = NULL;
    if (gone == NULL) {
        return;
    }
    assert(!gone->errand.out);
    tick_forget(&gone->tick);
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
