/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replicas: which nodes hold the partitions of a topic, as brokers of each kind have said it. Coordinators are leaders
 * of such partitions, and a client that is to be sent to one of another kind has only that kind's word for it. So it
 * is sent there only if its own kind has said that there is a replica. Plain state; the clock is an argument; no I/O.
 *
 *   replicas_hold: no, or not lately ─▶ replicas_next: ask one of the kind ─▶ replicas_heard, replicas_learn
 *
 * What was learned counts for REPLICAS_KNOWN_MS, and is asked for anew from REPLICAS_FRESH_MS on for as long as
 * somebody uses it (ten minutes), as leaders are. Not more often than every quarter of a second, doubled up to 5 s
 * while nothing comes of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum {
    REPLICAS_FRESH_MS = 25000,
    REPLICAS_KNOWN_MS = 60000,
    REPLICAS_LISTS_MAX = 64,     /* kinds and topics */
    REPLICAS_HOLDERS_MAX = 100000 /* of one topic: what is beyond is not known */
};

struct replicas;

/* NULL without memory. replicas_free nulls; NULL is fine. */
struct replicas *replicas_new(void) __attribute__((warn_unused_result));
void replicas_free(struct replicas **replicas);

/* Has a broker of this kind said that the node holds the partition? node_id -1: any; only that it is asked for. A kind
 * is any address; topic outlives replicas. */
bool replicas_hold(struct replicas *replicas, const void *kind, const char *topic,
                   int32_t partition, int32_t node_id, uint64_t now_ms);

/* When replicas_next will have something; UINT64_MAX: not at all. */
uint64_t replicas_due_ms(const struct replicas *replicas);

/* Can anybody of this kind be asked? */
typedef bool (*replicas_askable_fn)(void *context, const void *kind);

/*
 * Takes topics that are due, all of one kind of which somebody can be asked, the one that has been due for longest, and
 * notes that they are asked for now: appends their names to names, each with an int16 length before it. Returns how
 * many; *kind_r is NULL for none.
 */
size_t replicas_next(struct replicas *replicas, uint64_t now_ms, replicas_askable_fn askable,
                     void *context, const void **kind_r, struct writer *names);

/* An answer by a broker of that kind, of a topic and then of its partitions; nodes is as it came, four bytes each. What
 * was known of the topic before is forgotten. Of topics that nobody asked for nothing is taken. */
void replicas_heard(struct replicas *replicas, const void *kind, struct view topic,
                    uint64_t now_ms);
void replicas_learn(struct replicas *replicas, const void *kind, struct view topic,
                    int32_t partition, struct view nodes);
