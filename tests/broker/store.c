/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/store.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/batch.h"

enum { SOURCE_RECORD_BYTES = 1000, SOURCE_RECORDS = 64 };

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* One batch of SOURCE_RECORDS records of plain text. */
static void source_make(struct store *store)
{
    struct writer records, whole;
    uint8_t text[SOURCE_RECORD_BYTES];
    memset(text, 's', sizeof text);
    writer_init_growing(&records, 1 << 20);
    writer_init_growing(&whole, 1 << 20);
    struct view value = view_of(text, sizeof text);
    for (int32_t i = 0; i < SOURCE_RECORDS; i++) {
        batch_encode_record(&records, i, 0, NULL, &value);
    }
    struct batch_head head = {
        .magic = 2,
        .last_offset_delta = SOURCE_RECORDS - 1,
        .base_timestamp = 1600000000000,
        .max_timestamp = 1600000000000,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .count = SOURCE_RECORDS,
    };
    batch_encode(&whole, &head, writer_view(&records));
    store->source_length = whole.length;
    store->source = must(malloc(whole.length));
    memcpy(store->source, whole.at, whole.length);
    store->source_records = SOURCE_RECORDS;
    writer_free(&records);
    writer_free(&whole);
}

void store_init(struct store *store, size_t keep_bytes)
{
    *store = (struct store){.keep_bytes = keep_bytes};
    source_make(store);
}

static void partition_drop_first(struct partition *p)
{
    struct batch *batch = &p->batches[p->first++];
    p->bytes -= batch->length;
    p->start = batch->next;
    p->count--;
    free(batch->at);
}

static void topic_free(struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        while (topic->partitions[i].count > 0) {
            partition_drop_first(&topic->partitions[i]);
        }
        free(topic->partitions[i].batches);
    }
    free(topic->partitions);
    free(topic);
}

void store_free(struct store *store)
{
    struct topic *topic = NULL, *next = NULL;
    HASH_CLEAR(by_id, store->ids);
    HASH_ITER(by_name, store->names, topic, next)
    {
        HASH_DELETE(by_name, store->names, topic);
        topic_free(topic);
    }
    free(store->source);
}

struct topic *store_find(const struct store *store, struct view name)
{
    struct topic *topic = NULL;
    HASH_FIND(by_name, store->names, name.at, name.length, topic);
    return topic;
}

struct topic *store_find_id(const struct store *store, const uint8_t id[STORE_ID_BYTES])
{
    struct topic *topic = NULL;
    HASH_FIND(by_id, store->ids, id, STORE_ID_BYTES, topic);
    return topic;
}

size_t store_count(const struct store *store)
{
    return HASH_CNT(by_name, store->names);
}

struct topic *store_add(struct store *store, struct view name, int32_t partitions)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct topic *topic = store_find(store, name);
    if (topic != NULL) {
        return topic;
    }
    if (name.length == 0 || name.length > STORE_TOPIC_BYTES_MAX || partitions < 1 ||
        store_count(store) >= STORE_TOPICS_MAX) {
        return NULL;
    }
    topic = must(calloc(1, sizeof *topic));
    memcpy(topic->name, name.at, name.length);
    topic->name_length = name.length;
    topic->partition_count = partitions;
    topic->partitions = must(calloc((size_t)partitions, sizeof *topic->partitions));
    SHA256(name.at, name.length, digest);
    memcpy(topic->id, digest, sizeof topic->id);
    HASH_ADD_KEYPTR(by_name, store->names, topic->name, topic->name_length, topic);
    HASH_ADD(by_id, store->ids, id, STORE_ID_BYTES, topic);
    return topic;
}

struct partition *store_partition(const struct topic *topic, int32_t index)
{
    return index >= 0 && index < topic->partition_count ? &topic->partitions[index] : NULL;
}

static struct batch *partition_room(struct partition *p)
{
    if (p->first + p->count == p->capacity && p->first > p->capacity / 2) {
        memmove(p->batches, p->batches + p->first, p->count * sizeof *p->batches);
        p->first = 0;
    }
    if (p->first + p->count == p->capacity) {
        p->capacity = p->capacity == 0 ? 16 : p->capacity * 2;
        p->batches = must(realloc(p->batches, p->capacity * sizeof *p->batches));
    }
    return &p->batches[p->first + p->count++];
}

int64_t store_append(struct store *store, struct partition *p, struct view bytes)
{
    struct batch_head head;
    int64_t base = p->end;
    bool good = batch_head_decode(bytes, &head);
    p->end += good ? head.last_offset_delta + 1 : 1;
    if (store->keep_bytes == 0) {
        p->start = p->end;
        return base;
    }
    struct batch *batch = partition_room(p);
    *batch = (struct batch){base, p->end, must(malloc(bytes.length)), bytes.length};
    memcpy(batch->at, bytes.at, bytes.length);
    bytes_store_u64(batch->at, (uint64_t)base);
    p->bytes += bytes.length;
    while (p->bytes > store->keep_bytes && p->count > 1) {
        partition_drop_first(p);
    }
    return base;
}

/* The first batch that ends behind offset, by halving. */
static size_t partition_seek(const struct partition *p, int64_t offset)
{
    size_t low = p->first, high = p->first + p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->batches[middle].next <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t store_measure(const struct partition *p, int64_t offset, size_t bytes_max, size_t *first_r)
{
    size_t bytes = 0;
    *first_r = partition_seek(p, offset);
    for (size_t i = *first_r; i < p->first + p->count; i++) {
        if (bytes > 0 && bytes + p->batches[i].length > bytes_max) {
            break;
        }
        bytes += p->batches[i].length;
    }
    return bytes;
}

void store_write(const struct partition *p, size_t first, size_t bytes, struct writer *out)
{
    for (size_t i = first; bytes > 0; i++) {
        writer_put(out, view_of(p->batches[i].at, p->batches[i].length));
        bytes -= p->batches[i].length;
    }
}

void store_write_source(const struct store *store, int64_t offset, size_t bytes, struct writer *out)
{
    int64_t base = offset - offset % store->source_records;
    while (bytes > 0) {
        size_t piece = bytes < store->source_length ? bytes : store->source_length;
        uint8_t *at = writer_reserve(out, piece);
        if (at == NULL) {
            return;
        }
        memcpy(at, store->source, piece);
        if (piece >= sizeof(uint64_t)) {
            bytes_store_u64(at, (uint64_t)base);
        }
        base += store->source_records;
        bytes -= piece;
    }
}
