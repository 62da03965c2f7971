/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_names: the partitions that ledger files name, each under every name that it has there, and which of those are
 * one: a file may know a topic by its name, by its id, or by both. Names are those of clients, so the table has a key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/siphash.h"
#include "proxy/ops/ledger_block.h"

/* A partition of a cluster under one of its names. */
struct ledger_names_entry {
    struct ledger_names_entry *next; /* in its bucket */
    uint64_t hash;
    struct ledger_names_entry
        *same; /* the one that stands for both, where this one has only an id */
    uint32_t number;
    int32_t partition;
    bool has_id;
    uint8_t id[LEDGER_TOPIC_ID_BYTES];
    char *cluster, *topic;         /* owned; topic is NULL: the file knew only the id */
    const char *learned;           /* the name all the same, from another entry */
    uint64_t count;                /* records, of all that it stands for */
    struct ledger_record *records; /* owned; of those judged now; else NULL */
    uint64_t filled;
};

struct ledger_names {
    struct siphash_key key;
    struct ledger_names_entry **buckets; /* owned; a power of two */
    size_t bucket_count;
    struct ledger_names_entry **entries; /* owned, with what they point to; by number */
    size_t count, size;
    bool no_memory; /* once it is, all answers are NULL */
};

void ledger_names_init(struct ledger_names *names);
void ledger_names_free(struct ledger_names *names);

/** The entry of a partition as it is named, made when it is new. NULL: no memory. */
struct ledger_names_entry *ledger_names_of(struct ledger_names *names,
                                           const struct ledger_partition *partition);

/** Sets `same` of all that are one partition, and counts their records there. May add entries. */
void ledger_names_unite(struct ledger_names *names);

/** It is one of those that stand for a partition, and there are records of that. */
bool ledger_names_stands_for_itself(const struct ledger_names_entry *entry);
