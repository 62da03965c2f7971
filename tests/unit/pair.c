/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/io/tls.h"

static void pair_take(struct pair_end *end)
{
    size_t n = 0;
    enum leg_read_status status = leg_read(&end->leg, end->leg.io->scratch, IO_SCRATCH_BYTES, &n);
    if (status == LEG_READ_SOME) {
        end->got = realloc(end->got, end->got_length + n);
        memcpy(end->got + end->got_length, end->leg.io->scratch, n);
        end->got_length += n;
    }
    end->ended += status == LEG_READ_END ? 1 : 0;
    end->failed += status == LEG_READ_FAILED ? 1 : 0;
    if (status == LEG_READ_END || status == LEG_READ_FAILED) {
        leg_pause(&end->leg);
    }
    if (n == IO_SCRATCH_BYTES) {
        leg_again(&end->leg);
    }
}

static void pair_event(struct leg *leg, enum leg_event event)
{
    struct pair_end *end = leg->owner;
    switch (event) {
    case LEG_OPEN:
        end->opened++;
        break;
    case LEG_READABLE:
        pair_take(end);
        break;
    case LEG_DRAINED:
        end->drained++;
        break;
    case LEG_FAILED:
        end->failed++;
        break;
    case LEG_CLOSED:
        end->closed++;
        break;
    }
}

static void start(struct pair *pair, SSL *client, SSL *server, bool either)
{
    int fds[2];
    memset(pair, 0, sizeof *pair);
    cr_assert_eq(uv_loop_init(&pair->loop), 0);
    io_init(&pair->io, &pair->loop);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    leg_init(&pair->a.leg, &pair->io, pair_event, &pair->a);
    leg_init(&pair->b.leg, &pair->io, pair_event, &pair->b);
    cr_assert(either ? leg_accept_either(&pair->b.leg, fds[1], server)
                     : leg_accept(&pair->b.leg, fds[1], server));
    cr_assert(leg_accept(&pair->a.leg, fds[0], NULL));
    if (client != NULL) {
        /* leg_connect dials by itself; here the socket is there already, so the client's part is put in place. */
        SSL_set_connect_state(client);
        pair->a.leg.ssl = client;
        tls_attach(&pair->a.leg);
    }
}

void pair_start(struct pair *pair, SSL *client, SSL *server)
{
    start(pair, client, server, false);
}

void pair_start_either(struct pair *pair, SSL *client, SSL *server)
{
    start(pair, client, server, true);
}

bool pair_run(struct pair *pair, bool (*done)(const struct pair *pair))
{
    for (int turn = 0; turn < 20000 && !done(pair); turn++) {
        uv_run(&pair->loop, UV_RUN_NOWAIT);
    }
    return done(pair);
}

void pair_stop(struct pair *pair)
{
    leg_close(&pair->a.leg);
    leg_close(&pair->b.leg);
    io_stop(&pair->io);
    uv_run(&pair->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&pair->loop), 0);
    cr_assert_eq(pair->io.spill_bytes, 0u);
    io_free(&pair->io);
    free(pair->a.got);
    free(pair->b.got);
}
