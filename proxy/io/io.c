/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/io.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/io/leg.h"

static void io_again(uv_idle_t *idle)
{
    struct io *io = idle->data;
    /* Take the list as it is now: a leg that asks again while it runs waits for the next turn. */
    struct leg *leg = io->again_head;
    io->again_head = NULL;
    while (leg != NULL) {
        struct leg *next = leg->again_next;
        leg->again = false;
        leg->again_next = NULL;
        if (leg->state == LEG_UP && leg->reading) {
            leg->on_event(leg, LEG_READABLE);
        }
        leg = next;
    }
    if (io->again_head == NULL) {
        uv_idle_stop(idle);
    }
}

void io_init(struct io *io, uv_loop_t *loop)
{
    memset(io, 0, sizeof *io);
    io->loop = loop;
    io->block = aligned_alloc(4096, IO_SCRATCH_BYTES + 4096);
    io->batch = aligned_alloc(4096, (IO_BATCH_BYTES + 4095) / 4096 * 4096);
    io->stage = aligned_alloc(4096, IO_STAGE_BYTES);
    if (io->block == NULL || io->batch == NULL || io->stage == NULL ||
        uv_idle_init(loop, &io->again) != 0) {
        abort();
    }
    /* The headroom lies at the end of a page, so that scratch itself is page-aligned. */
    io->scratch = io->block + 4096;
    io->again.data = io;
    io->again_run = io_again;
    tick_init(&io->tick, loop);
}

void io_stop(struct io *io)
{
    if (!uv_is_closing((uv_handle_t *)&io->again)) {
        uv_close((uv_handle_t *)&io->again, NULL);
        tick_stop(&io->tick);
    }
}

void io_free(struct io *io)
{
    free(io->block);
    io->block = NULL;
    free(io->batch);
    free(io->stage);
    while (io->spares_count > 0) {
        free(io->spares[--io->spares_count]);
    }
    io->stage = NULL;
    io->scratch = NULL;
    io->batch = NULL;
}
