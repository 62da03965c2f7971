/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integrity ledger on disk: what workers tell of batches, in files (ledger.proto), off their loops.
 *
 *   worker ─▶ lane ─┐
 *   worker ─▶ lane ─┴▶ thread: blocks ─▶ DIRECTORY/START-PID-N.ledger      `setu ledger verify` reads them
 *
 * The thread looks every 25 ms while there is work (every 100 ms otherwise, and at once when a lane has become half
 * full), writes what there is, and calls
 * fdatasync once a second, at the end of each file and at the end: a process that is killed loses what came after the
 * last look, a machine that loses its power what came after the last sync. A file that has reached its size gets an end
 * block and the next one begins; files are never deleted here. The file being written is locked (flock).
 *
 * A write that fails is repeated every second from the same offset. Meanwhile records wait in their lanes; those that
 * find their lane full are counted, and a gap record tells of them as soon as it can be written. No worker ever waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/ops/ledger_record.h"

struct ledger;
struct ledger_lane;

struct ledger_params {
    const char *directory; /* must exist */
    size_t rotate_bytes;   /* of a file; it may become one block longer. 0: 64 MiB */
};

struct ledger_stats {
    uint64_t written[LEDGER_KINDS]; /* records, once they are in a file */
    uint64_t lost[LEDGER_KINDS];
    uint64_t bytes, files, write_failures;
    uint64_t waiting; /* records in lanes */
    bool healthy;     /* the last write held */
};

/** Creates the first file, starts the thread. NULL with one line in error_r[0..error_size) on failure. */
struct ledger *ledger_open(const struct ledger_params *params, char *error_r, size_t error_size)
    __attribute__((warn_unused_result));

/**
 * Writes what waits (at most about five seconds), ends the file, stops the thread, frees all lanes: no worker may put
 * any more. *ledger = NULL; NULL is fine.
 */
void ledger_close(struct ledger **ledger);

/** A lane for one more worker, before its thread starts; it belongs to the ledger. NULL: no memory, or too many. */
struct ledger_lane *ledger_join(struct ledger *ledger) __attribute__((warn_unused_result));

/** A worker has ended: its lane goes when what waits in it is written. *lane = NULL; NULL is fine. */
void ledger_leave(struct ledger *ledger, struct ledger_lane **lane);

/** Any thread. */
void ledger_stats(struct ledger *ledger, struct ledger_stats *stats_r);

/** "acknowledged", "fetched", ... */
const char *ledger_kind_name(enum ledger_kind kind);
