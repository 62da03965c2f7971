/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io: what all legs of one worker share: the loop, one read scratch, one ciphertext batch, and the list of legs that
 * must be looked at again although no poll event will come (a TLS library may hold decrypted bytes of its own).
 *
 *   recv/SSL_read ──▶ scratch (256 KiB, hot in cache) ──▶ the reader walks it ──▶ leg_write of the other leg
 *                                                                              SSL_write ──▶ batch ──▶ one send
 *
 * One io belongs to one loop and is used by its thread only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/io/slow_work.h"
#include "proxy/io/tick.h"

struct leg;

enum {
    IO_SCRATCH_BYTES = 256 * 1024,
    IO_HEADROOM_BYTES = 64, /* free bytes before scratch, for the cut-off head of a frame */
    IO_RECORD_BYTES = 16 * 1024, /* the largest plaintext of one TLS record, RFC 8446 §5.1 */
    IO_BATCH_BYTES = 16 * (IO_RECORD_BYTES + 256),
    IO_STAGE_BYTES = 64 * 1024, /* four records: still in the cache when they are decrypted */
    /* A read's bytes, as records if need be: the spill of a leg is rarely larger. */
    IO_SPARE_BYTES = IO_SCRATCH_BYTES + IO_SCRATCH_BYTES / 4,
    IO_SPARES = 4,
};

struct io {
    uv_loop_t *loop;
    /* IO_SCRATCH_BYTES after IO_HEADROOM_BYTES; its content dies with the next leg_read on this
     * worker */
    uint8_t *scratch;
    uint8_t *block;         /* the allocation scratch lies in */
    uint8_t *batch;         /* IO_BATCH_BYTES of wire bytes of batch_leg, not yet sent */
    size_t batch_length;
    struct leg *batch_leg;  /* the only leg that may hold bytes in batch, or NULL */
    uint8_t *stage;         /* IO_STAGE_BYTES of wire bytes that a TLS read has taken */
    size_t stage_at, stage_length; /* of them, those that OpenSSL has not seen; 0 between reads */
    uv_idle_t again;        /* active while again_head is not NULL */
    uv_idle_cb again_run;
    struct leg *again_head;
    uint8_t *spares[IO_SPARES]; /* owned; IO_SPARE_BYTES each, for the next backlogs */
    size_t spares_count, spares_made; /* those that wait; in all, at most IO_SPARES */
    struct slow_queue slow[SLOW_KINDS]; /* what waits for others; [SLOW_COMPUTES]: not used */
    struct tick tick;       /* for answers that must not tell what was done before them */
    uint64_t spill_bytes;   /* heap held by unsent output of all legs now */
};

/** Prepares io for loop. Aborts on lack of memory (start-up only). */
void io_init(struct io *io, uv_loop_t *loop);

/** Stops the idle handle and the tick; after the loop has run its close callbacks, io_free may be called. */
void io_stop(struct io *io);

/** Releases the buffers. */
void io_free(struct io *io);
