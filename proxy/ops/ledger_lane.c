/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_lane.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    STREAM_BITS = 14, /* of a hash, the upper ones: which bucket */
    TOPIC_BITS = 12,
    STREAM_BUCKETS = 1 << STREAM_BITS,
    TOPIC_BUCKETS = 1 << TOPIC_BITS,
    NAME_BYTES_MAX = 249, /* Kafka's longest topic name */
    ID_BYTES = 16,
    CHAIN_MAX = 64, /* streams of one bucket: eight where all places are taken */
    HALF = LEDGER_LANE_RING / 2,
    SWEEP_BUCKETS = 256, /* how far one that is new looks for others' places */
};

_Static_assert((LEDGER_LANE_RING & (LEDGER_LANE_RING - 1)) == 0, "a power of two");

/* An id and its name. */
struct topic {
    struct topic *next;
    uint64_t hash;
    uint8_t id[ID_BYTES];
    uint16_t cluster_length, topic_length;
    char names[]; /* cluster, then topic */
};

struct ledger_lane {
    /* Of the worker. */
    struct siphash_key key;
    uint64_t spread;                  /* odd, and secret as the key */
    uint8_t last[2 * NAME_BYTES_MAX]; /* the names hashed last, and what came of it */
    size_t last_cluster, last_length;
    uint64_t last_hash;
    struct ledger_stream *streams[STREAM_BUCKETS];
    struct topic *topics[TOPIC_BUCKETS];
    size_t stream_count, topic_count;
    uint64_t forgotten;
    size_t hand; /* the bucket whose streams are looked at next, to be forgotten */
    /* Nameless, replaced by others, oldest first; entries may point to them. */
    struct ledger_stream *retired, **retired_end;
    struct ledger_entry *ring;
    uint32_t tail_seen;
    bool rung;
    sem_t *bell;
    uint32_t lent; /* of LEDGER_LANE_NOTES */
    _Alignas(64) atomic_uint_fast64_t lost[LEDGER_KINDS];
    _Alignas(64) atomic_uint head; /* written by the worker */
    _Alignas(64) atomic_uint tail; /* written by the thread */
    atomic_bool ended;
};

struct ledger_lane *ledger_lane_new(const uint8_t key[SIPHASH_KEY_BYTES], sem_t *bell)
{
    struct ledger_lane *lane = aligned_alloc(64, (sizeof *lane + 63) / 64 * 64);
    if (lane == NULL) {
        return NULL;
    }
    memset(lane, 0, sizeof *lane);
    lane->key = siphash_key_of(key);
    lane->spread = siphash(&lane->key, "spread", 6) | 1;
    lane->last_hash = siphash(&lane->key, NULL, 0);
    lane->bell = bell;
    lane->retired_end = &lane->retired;
    lane->ring = calloc(LEDGER_LANE_RING, sizeof *lane->ring);
    if (lane->ring == NULL) {
        free(lane);
        return NULL;
    }
    return lane;
}

static void streams_free(struct ledger_stream *stream)
{
    while (stream != NULL) {
        struct ledger_stream *next = stream->next;
        free(stream);
        stream = next;
    }
}

void ledger_lane_free(struct ledger_lane **lane_p)
{
    struct ledger_lane *lane = *lane_p;
    *lane_p = NULL;
    if (lane == NULL) {
        return;
    }
    for (size_t i = 0; i < STREAM_BUCKETS; i++) {
        streams_free(lane->streams[i]);
    }
    streams_free(lane->retired);
    for (size_t i = 0; i < TOPIC_BUCKETS; i++) {
        while (lane->topics[i] != NULL) {
            struct topic *next = lane->topics[i]->next;
            free(lane->topics[i]);
            lane->topics[i] = next;
        }
    }
    free(lane->ring);
    free(lane);
}

/* ---- names ---- */

static struct view cut(struct view name)
{
    name.length = name.length < NAME_BYTES_MAX ? name.length : NAME_BYTES_MAX;
    return name;
}

static size_t append(uint8_t *to, size_t at, struct view part)
{
    if (part.length > 0) {
        memcpy(to + at, part.at, part.length);
    }
    return at + part.length;
}

/* Partitions of one topic come one after the other, and those of one client again and again. Names are cut. */
static uint64_t hash_names(struct ledger_lane *lane, struct view cluster, struct view topic)
{
    if (lane->last_cluster != cluster.length ||
        lane->last_length != cluster.length + topic.length ||
        memcmp(lane->last, cluster.at, cluster.length) != 0 ||
        (topic.length > 0 && memcmp(lane->last + cluster.length, topic.at, topic.length) != 0)) {
        lane->last_cluster = cluster.length;
        lane->last_length = append(lane->last, append(lane->last, 0, cluster), topic);
        lane->last_hash = siphash(&lane->key, lane->last, lane->last_length);
    }
    return lane->last_hash;
}

/* The topic by SipHash, its partition by multiplication with a secret number: neither can be aimed. */
static uint64_t hash_key(struct ledger_lane *lane, struct view cluster, struct view topic,
                         const uint8_t *topic_id, int32_t partition)
{
    const struct view names = topic_id != NULL ? view_of(topic_id, ID_BYTES) : topic;
    return hash_names(lane, cluster, names) + lane->spread * (uint32_t)partition;
}

static struct ledger_stream **stream_bucket(struct ledger_lane *lane, uint64_t hash)
{
    return &lane->streams[hash >> (64 - STREAM_BITS)];
}

static struct topic **topic_bucket(struct ledger_lane *lane, uint64_t hash)
{
    return &lane->topics[hash >> (64 - TOPIC_BITS)];
}

struct view ledger_stream_cluster(const struct ledger_stream *stream)
{
    return view_of(stream->names, stream->cluster_length);
}

struct view ledger_stream_topic(const struct ledger_stream *stream)
{
    return view_of(stream->names + stream->cluster_length, stream->topic_length);
}

bool ledger_stream_is(const struct ledger_stream *stream, struct view topic,
                      const uint8_t *topic_id, int32_t partition)
{
    if (stream->partition != partition || stream->has_id != (topic_id != NULL)) {
        return false;
    }
    return topic_id != NULL ? memcmp(stream->topic_id, topic_id, ID_BYTES) == 0
                            : view_equal(ledger_stream_topic(stream), cut(topic));
}

static bool stream_is(const struct ledger_stream *stream, uint64_t hash, struct view cluster,
                      struct view topic, const uint8_t *topic_id, int32_t partition)
{
    return stream->hash == hash && view_equal(ledger_stream_cluster(stream), cluster) &&
           ledger_stream_is(stream, topic, topic_id, partition);
}

static struct topic **find_topic(struct ledger_lane *lane, uint64_t hash, struct view cluster,
                                 const uint8_t *id)
{
    struct topic **link = topic_bucket(lane, hash);
    while (*link != NULL &&
           ((*link)->hash != hash || memcmp((*link)->id, id, ID_BYTES) != 0 ||
            !view_equal(view_of((*link)->names, (*link)->cluster_length), cluster))) {
        link = &(*link)->next;
    }
    return link;
}

static struct view name_of(struct ledger_lane *lane, struct view cluster, const uint8_t *id)
{
    const struct topic *topic =
        *find_topic(lane, hash_key(lane, cluster, view_of(NULL, 0), id, 0), cluster, id);
    return topic != NULL ? view_of(topic->names + topic->cluster_length, topic->topic_length)
                         : view_of(NULL, 0);
}

void ledger_lane_learn(struct ledger_lane *lane, struct view cluster, struct view topic,
                       const uint8_t *topic_id)
{
    cluster = cut(cluster);
    topic = cut(topic);
    uint64_t hash = hash_key(lane, cluster, view_of(NULL, 0), topic_id, 0);
    struct topic **link = find_topic(lane, hash, cluster, topic_id);
    if (*link != NULL || topic.length == 0 || lane->topic_count == LEDGER_LANE_TOPICS_MAX) {
        return; /* an id never changes its name */
    }
    struct topic *made = malloc(sizeof *made + cluster.length + topic.length);
    if (made == NULL) {
        return;
    }
    made->next = NULL;
    made->hash = hash;
    memcpy(made->id, topic_id, ID_BYTES);
    made->cluster_length = (uint16_t)cluster.length;
    made->topic_length = (uint16_t)topic.length;
    memcpy(made->names, cluster.at, cluster.length);
    memcpy(made->names + cluster.length, topic.at, topic.length);
    *link = made;
    lane->topic_count++;
}

/* ---- forgetting ---- */

/* Nobody but its table points to it: no note, and no entry that the thread has not taken yet. */
static bool is_idle(const struct ledger_lane *lane, const struct ledger_stream *stream)
{
    const uint32_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    const uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
    return stream->users == 0 && (!stream->kept || stream->put_at - tail >= head - tail);
}

static void drop(struct ledger_lane *lane, struct ledger_stream **link)
{
    struct ledger_stream *gone = *link;
    *link = gone->next;
    free(gone);
    lane->stream_count--;
    lane->forgotten++;
}

/* Forgets, of one bucket, what is idle and was not asked for since the last time. */
static size_t sweep(struct ledger_lane *lane, struct ledger_stream **bucket)
{
    const size_t before = lane->stream_count;
    struct ledger_stream **link = bucket;
    while (*link != NULL) {
        if (!(*link)->asked && is_idle(lane, *link)) {
            drop(lane, link);
        } else {
            (*link)->asked = false;
            link = &(*link)->next;
        }
    }
    return before - lane->stream_count;
}

static void sweep_retired(struct ledger_lane *lane)
{
    while (lane->retired != NULL && is_idle(lane, lane->retired)) {
        drop(lane, &lane->retired);
    }
    if (lane->retired == NULL) {
        lane->retired_end = &lane->retired;
    }
}

/*
 * A client may make up names as fast as it can write. So each new stream above a number that real ones seldom reach
 * looks at a bucket, and what nobody has asked for a second time goes when its records are taken: those made up come
 * and go, those of real partitions stay. False: everything is in use.
 */
static bool make_room(struct ledger_lane *lane)
{
    const size_t count = lane->stream_count;
    const int buckets = count >= LEDGER_LANE_STREAMS_MAX    ? SWEEP_BUCKETS
                        : count >= LEDGER_LANE_STREAMS_FREE ? 1
                                                            : 0;
    sweep_retired(lane);
    size_t freed = 0;
    for (int i = 0; i < buckets && freed == 0; i++) {
        freed = sweep(lane, &lane->streams[lane->hand]);
        lane->hand = (lane->hand + 1) % STREAM_BUCKETS;
    }
    return lane->stream_count < LEDGER_LANE_STREAMS_MAX;
}

/* ---- streams ---- */

static struct ledger_stream *stream_new(struct ledger_lane *lane, uint64_t hash,
                                        struct view cluster, struct view topic,
                                        const uint8_t *topic_id, int32_t partition)
{
    if (!make_room(lane)) {
        return NULL;
    }
    if (topic_id != NULL) {
        topic = name_of(lane, cluster, topic_id);
    }
    size_t size = sizeof(struct ledger_stream) + cluster.length + topic.length;
    struct ledger_stream *made = aligned_alloc(64, (size + 63) / 64 * 64);
    if (made == NULL) {
        return NULL;
    }
    *made = (struct ledger_stream){.hash = hash,
                                   .partition = partition,
                                   .cluster_length = (uint16_t)cluster.length,
                                   .topic_length = (uint16_t)topic.length,
                                   .has_id = topic_id != NULL};
    ledger_mark_init(&made->mark);
    if (topic_id != NULL) {
        memcpy(made->topic_id, topic_id, ID_BYTES);
    }
    memcpy(made->names, cluster.at, cluster.length);
    if (topic.length > 0) {
        memcpy(made->names + cluster.length, topic.at, topic.length);
    }
    lane->stream_count++;
    return made;
}

/* It was made before its name was known, and now the name is: its records go on under a new one. */
static bool is_outdated(struct ledger_lane *lane, const struct ledger_stream *stream,
                        struct view cluster)
{
    return stream->has_id && stream->topic_length == 0 && stream->users == 0 &&
           name_of(lane, cluster, stream->topic_id).length > 0;
}

static void retire(struct ledger_lane *lane, struct ledger_stream **link)
{
    struct ledger_stream *gone = *link;
    *link = gone->next;
    gone->next = NULL;
    *lane->retired_end = gone;
    lane->retired_end = &gone->next;
}

struct ledger_stream *ledger_lane_stream(struct ledger_lane *lane, struct view cluster,
                                         struct view topic, const uint8_t *topic_id,
                                         int32_t partition, bool make)
{
    cluster = cut(cluster);
    topic = cut(topic);
    uint64_t hash = hash_key(lane, cluster, topic, topic_id, partition);
    struct ledger_stream **link = stream_bucket(lane, hash);
    size_t chain = 0;
    while (*link != NULL && !stream_is(*link, hash, cluster, topic, topic_id, partition)) {
        link = &(*link)->next;
        chain++;
    }
    if (*link != NULL && make && is_outdated(lane, *link, cluster)) {
        retire(lane, link);
    } else if (*link != NULL) {
        (*link)->asked = true;
        return *link;
    } else if (!make) {
        return NULL;
    }
    if (chain >= CHAIN_MAX && sweep(lane, stream_bucket(lane, hash)) == 0) {
        return NULL;
    }
    struct ledger_stream *made = stream_new(lane, hash, cluster, topic, topic_id, partition);
    if (made != NULL) {
        struct ledger_stream **bucket = stream_bucket(lane, hash);
        made->next = *bucket;
        *bucket = made;
    }
    return made;
}

void ledger_lane_release(struct ledger_lane *lane, struct ledger_stream *stream)
{
    if (stream->kept || stream->users > 0) {
        return;
    }
    struct ledger_stream **link = stream_bucket(lane, stream->hash);
    while (*link != stream) {
        link = &(*link)->next;
    }
    drop(lane, link);
}

/* ---- notes ---- */

bool ledger_lane_lend(struct ledger_lane *lane, uint32_t notes)
{
    if (notes > (LEDGER_LANE_NOTES - lane->lent) / 2) {
        return false;
    }
    lane->lent += notes;
    return true;
}

void ledger_lane_take_back(struct ledger_lane *lane, uint32_t notes)
{
    assert(notes <= lane->lent);
    lane->lent -= notes;
}

/* ---- the ring ---- */

static void lose(struct ledger_lane *lane, enum ledger_kind kind, uint64_t n)
{
    uint64_t before = atomic_load_explicit(&lane->lost[kind], memory_order_relaxed);
    atomic_store_explicit(&lane->lost[kind], before + n, memory_order_relaxed);
}

void ledger_lane_miss(struct ledger_lane *lane, enum ledger_kind kind, uint64_t n)
{
    lose(lane, kind, n);
}

/* Posting is a system call at most once for half a ring, and never waits. */
static void look_at_tail(struct ledger_lane *lane, uint32_t head)
{
    lane->tail_seen = atomic_load_explicit(&lane->tail, memory_order_acquire);
    const bool half = head - lane->tail_seen >= HALF;
    if (half && !lane->rung && lane->bell != NULL) {
        (void)sem_post(lane->bell);
    }
    lane->rung = half;
}

bool ledger_lane_put(struct ledger_lane *lane, struct ledger_stream *stream,
                     const struct ledger_record *record)
{
    uint32_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    if (head - lane->tail_seen >= HALF) {
        look_at_tail(lane, head);
    }
    if (head - lane->tail_seen >= LEDGER_LANE_RING) {
        lose(lane, record->kind, 1);
        return false;
    }
    struct ledger_entry *entry = &lane->ring[head & (LEDGER_LANE_RING - 1)];
    stream->kept = true;
    stream->put_at = head;
    entry->stream = stream;
    entry->record = *record;
    atomic_store_explicit(&lane->head, head + 1, memory_order_release);
    return true;
}

struct ledger_entry *ledger_lane_front(struct ledger_lane *lane)
{
    uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&lane->head, memory_order_acquire)) {
        return NULL;
    }
    return &lane->ring[tail & (LEDGER_LANE_RING - 1)];
}

void ledger_lane_drop(struct ledger_lane *lane)
{
    uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    assert(tail != atomic_load_explicit(&lane->head, memory_order_acquire));
    atomic_store_explicit(&lane->tail, tail + 1, memory_order_release);
}

void ledger_lane_end(struct ledger_lane *lane)
{
    atomic_store_explicit(&lane->ended, true, memory_order_release);
}

bool ledger_lane_is_done(const struct ledger_lane *lane)
{
    return atomic_load_explicit(&lane->ended, memory_order_acquire) &&
           ledger_lane_waiting(lane) == 0;
}

size_t ledger_lane_streams(const struct ledger_lane *lane)
{
    return lane->stream_count;
}

uint64_t ledger_lane_forgotten(const struct ledger_lane *lane)
{
    return lane->forgotten;
}

size_t ledger_lane_waiting(const struct ledger_lane *lane)
{
    return atomic_load_explicit(&lane->head, memory_order_relaxed) -
           atomic_load_explicit(&lane->tail, memory_order_relaxed);
}

void ledger_lane_lost(const struct ledger_lane *lane, uint64_t lost[LEDGER_KINDS])
{
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        lost[kind] += atomic_load_explicit(&lane->lost[kind], memory_order_relaxed);
    }
}
