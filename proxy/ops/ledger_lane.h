/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_lane: what one worker tells the ledger. The worker alone puts, the ledger's thread alone takes; neither waits
 * for the other, and nothing is allocated for a batch of a partition that is known.
 *
 *   worker ─ partition ─▶ stream (interned name)           a full ring, or too many partitions: counted, and told
 *      └──── put ───────▶ [ ring of (stream, record) ] ─ take ─▶ the ledger's thread
 */
#pragma once

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/siphash.h"
#include "protocol/bytes.h"
#include "proxy/ops/ledger_mark.h"
#include "proxy/ops/ledger_record.h"

enum {
    LEDGER_LANE_RING = 1 << 15,         /* records that wait; a power of two */
    LEDGER_LANE_STREAMS_MAX = 1 << 17,  /* partitions known at a time */
    LEDGER_LANE_STREAMS_FREE = 1 << 13, /* of them, that stay though nobody asks for them */
    LEDGER_LANE_NOTES = 1 << 16,        /* that are lent to sessions with many batches under way */
    LEDGER_LANE_TOPICS_MAX = 1 << 16,   /* topic ids whose names are known */
};

struct ledger_lane;

/* A partition as this lane knows it. What the worker and the thread write lies on different cache lines. */
struct ledger_stream {
    struct ledger_stream *next; /* in its bucket */
    uint64_t hash;
    int32_t partition;
    uint16_t cluster_length, topic_length;
    bool has_id;
    bool kept;       /* records of it have been put */
    bool asked;      /* again, since the lane last looked for what it may forget */
    uint32_t put_at; /* where in the ring the last one is, or was */
    uint8_t topic_id[16];
    uint32_t users; /* notes that point here (relay_ledger) */
    struct ledger_mark mark;
    _Alignas(64) uint32_t file; /* of the thread: in which file it is defined, as which id */
    uint32_t id;
    char names[]; /* cluster, then topic */
};

struct ledger_entry {
    struct ledger_stream *stream;
    struct ledger_record record;
};

/**
 * key: random, so that no client can choose names that meet in one place of its tables. bell: posted when the ring has
 * become half full, once each time; borrowed, may be NULL. NULL: no memory.
 */
struct ledger_lane *ledger_lane_new(const uint8_t key[SIPHASH_KEY_BYTES], sem_t *bell)
    __attribute__((warn_unused_result));
void ledger_lane_free(struct ledger_lane **lane);

/* ---- the worker ---- */

/**
 * The stream of a partition, made when make is set and it is new. topic_id: 16 bytes, or NULL when the partition goes
 * by its topic's name. NULL: not known, or too many are in use. Lives while it has users or a record of it is in the
 * ring; otherwise until a new one is made (what is asked for often is forgotten last), or until ledger_lane_release
 * finds it without any record.
 */
struct ledger_stream *ledger_lane_stream(struct ledger_lane *lane, struct view cluster,
                                         struct view topic, const uint8_t *topic_id,
                                         int32_t partition, bool make);

/** It is this partition of the same cluster, by the same kind of name. */
bool ledger_stream_is(const struct ledger_stream *stream, struct view topic,
                      const uint8_t *topic_id, int32_t partition);

/** How many it knows. */
size_t ledger_lane_streams(const struct ledger_lane *lane);

/** How many it has ever forgotten: while that stays the same, no stream is gone. */
uint64_t ledger_lane_forgotten(const struct ledger_lane *lane);

/** Drops a stream that nobody uses and no record was put of. */
void ledger_lane_release(struct ledger_lane *lane, struct ledger_stream *stream);

/** This id is that topic: streams made from now on carry both. */
void ledger_lane_learn(struct ledger_lane *lane, struct view cluster, struct view topic,
                       const uint8_t *topic_id);

/** A copy of record joins the ring. false: it was full, and the record is counted as lost. */
bool ledger_lane_put(struct ledger_lane *lane, struct ledger_stream *stream,
                     const struct ledger_record *record);

/** Room for so many more notes (relay_notes). false: that is more than half of what is left. */
bool ledger_lane_lend(struct ledger_lane *lane, uint32_t notes) __attribute__((warn_unused_result));
void ledger_lane_take_back(struct ledger_lane *lane, uint32_t notes);

/** n records that could not even be put together. */
void ledger_lane_miss(struct ledger_lane *lane, enum ledger_kind kind, uint64_t n);

/** Nothing is put any more. */
void ledger_lane_end(struct ledger_lane *lane);

/* ---- the ledger's thread ---- */

/** The oldest entry, or NULL; stays in the ring until ledger_lane_drop. */
struct ledger_entry *ledger_lane_front(struct ledger_lane *lane);
void ledger_lane_drop(struct ledger_lane *lane);

/** It has ended, and all has been taken. */
bool ledger_lane_is_done(const struct ledger_lane *lane);

struct view ledger_stream_cluster(const struct ledger_stream *stream);
struct view ledger_stream_topic(const struct ledger_stream *stream);

/* ---- any thread ---- */

size_t ledger_lane_waiting(const struct ledger_lane *lane);

/** Adds how many of each kind were lost since the lane was made. */
void ledger_lane_lost(const struct ledger_lane *lane, uint64_t lost[LEDGER_KINDS]);
