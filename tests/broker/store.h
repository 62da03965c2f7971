/* SPDX-License-Identifier: Apache-2.0 */
/* Topics and what was produced to them, in memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "protocol/bytes.h"

enum { STORE_TOPIC_BYTES_MAX = 249, STORE_TOPICS_MAX = 200000, STORE_ID_BYTES = 16 };

struct batch {
    int64_t base, next; /* offsets [base, next) */
    uint8_t *at;
    size_t length;
};

struct partition {
    int64_t start, end; /* offsets kept are [start, end) */
    struct batch *batches;
    size_t first, count, capacity; /* of batches; the oldest is batches[first] */
    size_t bytes;
};

struct topic {
    char name[STORE_TOPIC_BYTES_MAX + 1];
    size_t name_length;
    uint8_t id[STORE_ID_BYTES]; /* from the name, so that all brokers agree */
    int32_t partition_count;
    size_t source_bytes;
    struct partition *partitions;
    UT_hash_handle by_name, by_id;
};

struct store {
    struct topic *names, *ids;
    size_t keep_bytes;
    uint8_t *source; /* one batch of source topics, base offset to be patched */
    size_t source_length;
    int32_t source_records;
};

void store_init(struct store *store, size_t keep_bytes);
void store_free(struct store *store);

struct topic *store_find(const struct store *store, struct view name);
struct topic *store_find_id(const struct store *store, const uint8_t id[STORE_ID_BYTES]);
/* Finds or makes; NULL when the name is not a topic's, or there are too many. */
struct topic *store_add(struct store *store, struct view name, int32_t partitions);
size_t store_count(const struct store *store);
/* NULL when the partition does not exist. */
struct partition *store_partition(const struct topic *topic, int32_t index);

/* Appends one whole batch of magic 2 under the next offset; returns that offset. */
int64_t store_append(struct store *store, struct partition *partition, struct view batch);
/* Bytes of whole batches from offset on, at most bytes_max but at least one batch if there is one.
 * first_r is the index of the first of them for store_write. */
size_t store_measure(const struct partition *partition, int64_t offset, size_t bytes_max,
                     size_t *first_r);
void store_write(const struct partition *partition, size_t first, size_t bytes, struct writer *out);
/* bytes of source records that begin at offset; the last batch may be cut. */
void store_write_source(const struct store *store, int64_t offset, size_t bytes,
                        struct writer *out);
