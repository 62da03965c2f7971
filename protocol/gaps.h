/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/endpoint.h"

/*
 * A broker tells of other brokers only what they have under the name of the listener it was asked
 * on. For those that have no listener of that name there are gaps in its answers:
 *
 *   Metadata, DescribeCluster   they are not among the brokers
 *   Metadata                    partitions they lead have leader -1 and error 72 (before v6: 5);
 *                               replicas, in-sync replicas and leader epoch are told all the same
 *   FindCoordinator             what they coordinate has error 15
 *
 * Whoever has it from those brokers can put it in. Nothing else of an answer changes.
 */

enum {
    GAPS_LEADER_NOT_AVAILABLE = 5,
    GAPS_COORDINATOR_NOT_AVAILABLE = 15,
    GAPS_LISTENER_NOT_FOUND = 72
};

enum gaps_coordinator { GAPS_GROUP = 0, GAPS_TRANSACTION = 1 };

struct gaps_partition {
    struct view topic; /* its name; empty where the answer has only an id */
    int32_t partition;
    int32_t leader; /* -1: none is told */
    int32_t epoch;  /* of that leader; -1: this version tells none (before v7) */
    int16_t error_code;
    struct view replicas; /* node ids as they came, four bytes each */
};

/* What a FindCoordinator request asked for: answers before v4 do not repeat it. */
struct gaps_question {
    int8_t type;  /* enum gaps_coordinator, or what a client makes up; -1: not known */
    int32_t hash; /* of its key, as Java hashes strings; before v4 only */
};

/* Each may be NULL. Views die with the call. */
struct gaps_filler {
    /* Each broker that the answer names; all of them before anything else is asked. */
    void (*broker)(void *context, int32_t node_id);
    /* A broker to add; asked until it says false. Its strings live until the next call. */
    bool (*missing)(void *context, struct endpoint *endpoint_r);
    /* A topic, then each of its partitions, as they came. */
    void (*topic)(void *context, struct view name, int16_t error_code, int32_t partitions);
    void (*partition)(void *context, const struct gaps_partition *partition);
    /* Who leads a partition that is a gap? -1: it stays one, as when nobody says that the answer is
     * among the in-sync replicas. */
    int32_t (*leader)(void *context, const struct gaps_partition *partition);
    /* Who coordinates what has this hash? False: it stays a gap. */
    bool (*coordinator)(void *context, int8_t type, int32_t hash, struct endpoint *endpoint_r);
};

/* Answers to this key may have gaps. */
bool gaps_in(int16_t key);

/*
 * Reads one whole answer of a key with gaps, and writes it without them. `payload` is the frame
 * without its size, header included; question only for FindCoordinator. *changed_r: `out` has
 * received the new payload (without a size too), after whatever it held; else out is as it was, and
 * the answer good as it is. BAD: not decodable as this version. out may be NULL for a filler that
 * fills nothing.
 */
enum endpoint_status gaps_fill(int16_t key, int16_t version, struct view payload,
                               const struct gaps_question *question,
                               const struct gaps_filler *filler, void *context, struct writer *out,
                               bool *changed_r) __attribute__((warn_unused_result));

/* A FindCoordinator request, whole, without its size. False: not decodable; then ask nothing. */
bool gaps_question_read(int16_t version, struct view payload, struct gaps_question *question_r)
    __attribute__((warn_unused_result));

/* String.hashCode() of well-formed UTF-8. False: it is not. */
bool gaps_hash(struct view text, int32_t *hash_r) __attribute__((warn_unused_result));

/* In which of so many partitions Kafka keeps it. */
int32_t gaps_partition_of(int32_t hash, int32_t partitions);
