/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/batch.h"
#include "protocol/bytes.h"
#include "protocol/schema.h"

/*
 * Streaming walk of a Produce request (v0-13) or Fetch response (v0-18): fed with the payload in
 * pieces of any size as it passes, it reports acks, partitions and batches and checks every
 * checksum, in constant memory. Record data is touched once, in place, by the CRC; everything else
 * about a frame is a few dozen bytes a partition.
 *
 *   records_walk_begin  ->  feed feed feed ...  ->  RECORDS_DONE exactly at the end of the payload
 *
 * Produce requests may carry several batches, old magics, nothing, or null: all are walked and left
 * to the broker to judge. A batch that makes no sense ends the reading of its record set
 * (BATCH_MALFORMED), not the walk; only a frame whose own structure is broken is RECORDS_BAD. What
 * is left of a batch that was cut within its head is passed over without an event.
 */

enum records_kind { RECORDS_PRODUCE_REQUEST, RECORDS_FETCH_RESPONSE };
enum records_status { RECORDS_OK, RECORDS_DONE, RECORDS_BAD };

enum {
    RECORDS_TOPIC_BYTES_MAX = 249, /* Kafka's longest topic name; a longer one is reported cut */
    RECORDS_UNUSED_TAG = 100       /* what the NodeEndpoints tag is overwritten with */
};

struct records_partition {
    struct view topic;       /* name, valid during the event; empty when there are ids only */
    const uint8_t *topic_id; /* 16 bytes (Produce v13+, Fetch v13+), or NULL */
    int32_t partition;
    int16_t error_code;         /* Fetch; 0 in Produce */
    int64_t high_watermark;     /* Fetch; -1 in Produce */
    int64_t last_stable_offset; /* Fetch v4+; else -1 */
    int64_t log_start_offset;   /* Fetch v5+; else -1 */
    int32_t records_length;     /* bytes of the record set that follows; -1 = null */
};

/*
 * Any may be NULL. Events come from inside records_walk_feed, about the bytes just fed, so before
 * the caller forwards them: on_batch reports a batch when its last byte is in hand (a truncated
 * one: the last byte there is). They must not touch the walk.
 */
struct records_events {
    void (*on_acks)(void *context, int16_t acks); /* Produce */
    void (*on_partition)(void *context, const struct records_partition *partition);
    void (*on_batch)(void *context, const struct batch_head *head, enum batch_verdict verdict);
};

/* One level of the walk: where it is in a struct, and how many more of it the array has. */
struct records_level {
    const struct schema *of;
    const struct schema_field *field;
    uint32_t elements_left;
};

enum { RECORDS_DEPTH_MAX = 6 };

struct records_walk {
    /* Settings: change them between begin and the first feed. */
    bool check_crc;            /* true after begin */
    bool neutralise_endpoints; /* false after begin; only for RECORDS_FETCH_RESPONSE v16+ */
    /* Result. */
    uint32_t endpoints;   /* top-level NodeEndpoints tags of a Fetch response v16+ */
    uint32_t neutralised; /* of them, those overwritten */

    /* Private from here on. */
    const struct records_events *events;
    void *context;
    enum records_kind kind;
    int16_t version;
    bool flexible;
    uint8_t state;
    size_t left; /* payload bytes not consumed yet */
    size_t skip; /* of them, to pass over unread before anything else */

    struct records_level levels[RECORDS_DEPTH_MAX]; /* [0] is the header, [1] the body */
    size_t depth;
    uint32_t tags_left;

    uint8_t gathered[BATCH_HEAD_BYTES]; /* a small item split between pieces */
    size_t gathered_length;

    struct records_partition partition;
    uint8_t topic[RECORDS_TOPIC_BYTES_MAX];
    size_t topic_length;
    size_t topic_keep;
    uint8_t topic_id[16];

    struct batch_head head;
    size_t records_left; /* of the record set, not consumed yet */
    size_t batch_left;   /* of them, in the current batch */
    uint32_t crc;
    bool truncated; /* the current batch is longer than its record set */
};

_Static_assert(sizeof(struct records_walk) <= 1024, "a walk is part of every session");

/*
 * The version must be one of the table (api_admits says so). events and context must outlive the
 * walk.
 */
void records_walk_begin(struct records_walk *walk, enum records_kind kind, int16_t version,
                        size_t payload_length, const struct records_events *events, void *context);
/*
 * The next n bytes of the payload, n at most what is left of it. They are changed only to
 * neutralise: in a Fetch response v16+ the one-byte tag number 0 of the top-level NodeEndpoints
 * becomes RECORDS_UNUSED_TAG, so that clients skip it and ask Metadata. After DONE and BAD a walk
 * takes no more.
 */
enum records_status records_walk_feed(struct records_walk *walk, uint8_t *bytes, size_t n)
    __attribute__((warn_unused_result));
