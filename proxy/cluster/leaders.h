/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaders: who leads which partition, as the brokers of each kind have said it, for answers of the
 * other kind that cannot say it. Plain state; the clock is an argument; no I/O.
 *
 *   a gap in an answer ─▶ leaders_find ─▶ filled
 *                            └ not known, or not lately ─▶ leaders_want ─▶ leaders_next: ask
 *                                                                            │
 *   a broker of the other kind answers ─▶ leaders_heard, leaders_learn ◀─────┘
 *
 * What holds, and how long: a leader is told with its leader epoch, and in one epoch a partition has
 * one leader. So where the gap tells an epoch, only a leader of that very epoch is put in, whenever
 * it was learned. Where it tells none, what was learned within LEADERS_KNOWN_MS is, which is no older
 * than what brokers may say themselves. In both cases what is older than LEADERS_FRESH_MS is used and
 * asked for anew: the leader may have moved, or the topic been deleted and made again.
 *
 * Clients that ask without epochs, as old ones do, may take a gap badly. For ten minutes after one
 * has asked for a topic, that is asked for every LEADERS_WARM_MS, so that the next finds it known:
 * by each kind that ever had a gap there, for each has its own.
 *
 * For one kind a topic is not asked for again within a quarter of a second, doubled up to 5 s while the answers
 * are nothing new. Only topics that were wanted are kept, at most LEADERS_TOPICS_MAX with
 * LEADERS_PARTITIONS_MAX partitions; those that nobody wanted for ten minutes make room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum {
    LEADERS_FRESH_MS = 5000,
    LEADERS_WARM_MS = 25000,
    LEADERS_KNOWN_MS = 60000,
    LEADERS_TOPICS_MAX = 16384,
    LEADERS_PARTITIONS_MAX = 500000,
    LEADERS_TOPIC_BYTES_MAX = 255
};

struct leaders;

/* NULL without memory. leaders_free nulls; NULL is fine. */
struct leaders *leaders_new(void) __attribute__((warn_unused_result));
void leaders_free(struct leaders **leaders);

/* Who leads it? epoch -1: the gap tells none. -1: not known. *fresh_r: it was learned lately. */
int32_t leaders_find(struct leaders *leaders, struct view topic, int32_t partition, int32_t epoch,
                     uint64_t now_ms, bool *fresh_r);

/* How many partitions it has; 0: not known. */
int32_t leaders_partitions(const struct leaders *leaders, struct view topic);

/* Somebody other than a broker of this kind is to be asked for the topic; a kind is any address.
 * Returns when; UINT64_MAX: there is no room, or no such topic can be. */
uint64_t leaders_want(struct leaders *leaders, struct view topic, const void *kind,
                      uint64_t now_ms);

/* When leaders_next will have something; UINT64_MAX: nothing is wanted, nor kept known. */
uint64_t leaders_due_ms(const struct leaders *leaders);

/* Is there anybody who can be asked what this kind wants? */
typedef bool (*leaders_askable_fn)(void *context, const void *kind);

/*
 * Takes topics that are due, all wanted by one kind, and notes that they are asked for now: appends
 * their names to names, each with an int16 length before it, as many as go into bytes_max. The one
 * that has been due for longest is among them, so that each gets its turn however many there are, of
 * whichever kind. Those of kinds for which nobody can be asked stay wanted, and due; askable NULL:
 * all can. Returns how many; *kind_r is NULL for none.
 */
size_t leaders_next(struct leaders *leaders, uint64_t now_ms, size_t bytes_max,
                    leaders_askable_fn askable, void *context, const void **kind_r,
                    struct writer *names);

/* An answer, of a topic and then of its partitions. Of topics that are not kept nothing is taken. True: it
 * was not known to exist until now. */
bool leaders_heard(struct leaders *leaders, struct view topic, int16_t error_code,
                   int32_t partitions);
void leaders_learn(struct leaders *leaders, struct view topic, int32_t partition, int32_t leader,
                   int32_t epoch, uint64_t now_ms);
