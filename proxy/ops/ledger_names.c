/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BUCKETS_MIN = 1 << 10 };

void ledger_names_init(struct ledger_names *n)
{
    uint8_t key[SIPHASH_KEY_BYTES] = {0};
    (void)!getrandom(key, sizeof key, 0); /* without it the table is only easier to aim at */
    *n = (struct ledger_names){.key = siphash_key_of(key), .bucket_count = BUCKETS_MIN};
    n->buckets = calloc(n->bucket_count, sizeof(struct ledger_names_entry *));
    n->no_memory = n->buckets == NULL;
}

void ledger_names_free(struct ledger_names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->entries[i]->cluster);
        free(n->entries[i]->topic);
        free(n->entries[i]->records);
        free(n->entries[i]);
    }
    free(n->entries);
    free(n->buckets);
    *n = (struct ledger_names){0};
}

/* ---- the table ---- */

/* One known by its id alone is not the one known by name, too: names are put together later. */
static uint64_t hash_of(const struct ledger_names *n, const struct ledger_partition *p)
{
    struct {
        uint64_t cluster, topic, partition;
        uint8_t id[LEDGER_TOPIC_ID_BYTES];
    } parts = {
        .cluster = siphash(&n->key, p->cluster.at, p->cluster.length),
        .topic = siphash(&n->key, p->topic.at, p->topic.length),
        .partition = (uint32_t)p->partition,
    };
    if (p->topic_id != NULL) {
        memcpy(parts.id, p->topic_id, sizeof parts.id);
    }
    return siphash(&n->key, &parts, sizeof parts);
}

static bool is_entry(const struct ledger_names_entry *e, const struct ledger_partition *p)
{
    return e->partition == p->partition && e->has_id == (p->topic_id != NULL) &&
           (e->topic != NULL) == (p->topic.length > 0) && view_is(p->cluster, e->cluster) &&
           (e->topic == NULL || view_is(p->topic, e->topic)) &&
           (!e->has_id || memcmp(e->id, p->topic_id, sizeof e->id) == 0);
}

static char *copy_text(struct view text)
{
    return strndup((const char *)text.at, text.length);
}

static bool grow_entries(struct ledger_names *n)
{
    const size_t size = n->size * 2 + 16;
    struct ledger_names_entry **grown =
        realloc(n->entries, size * sizeof(struct ledger_names_entry *));
    if (grown == NULL) {
        return false;
    }
    n->entries = grown;
    n->size = size;
    return true;
}

static void put_in_bucket(struct ledger_names *n, struct ledger_names_entry *e)
{
    struct ledger_names_entry **bucket = &n->buckets[e->hash & (n->bucket_count - 1)];
    e->next = *bucket;
    *bucket = e;
}

/* Without memory for it chains become longer. */
static void grow_buckets(struct ledger_names *n)
{
    struct ledger_names_entry **grown =
        calloc(n->bucket_count * 2, sizeof(struct ledger_names_entry *));
    if (grown == NULL) {
        return;
    }
    free(n->buckets);
    n->buckets = grown;
    n->bucket_count *= 2;
    for (size_t i = 0; i < n->count; i++) {
        put_in_bucket(n, n->entries[i]);
    }
}

static struct ledger_names_entry *entry_new(struct ledger_names *n,
                                            const struct ledger_partition *p, uint64_t hash)
{
    struct ledger_names_entry *e = calloc(1, sizeof *e);
    if (e == NULL || (n->count == n->size && !grow_entries(n))) {
        free(e);
        n->no_memory = true;
        return NULL;
    }
    e->hash = hash;
    e->partition = p->partition;
    e->cluster = copy_text(p->cluster);
    e->topic = p->topic.length > 0 ? copy_text(p->topic) : NULL;
    e->has_id = p->topic_id != NULL;
    if (e->has_id) {
        memcpy(e->id, p->topic_id, sizeof e->id);
    }
    e->number = (uint32_t)n->count;
    n->no_memory = e->cluster == NULL || (e->topic == NULL && p->topic.length > 0);
    if (n->count > 2 * n->bucket_count) {
        grow_buckets(n);
    }
    n->entries[n->count++] = e;
    put_in_bucket(n, e);
    return n->no_memory ? NULL : e;
}

struct ledger_names_entry *ledger_names_of(struct ledger_names *n, const struct ledger_partition *p)
{
    if (n->no_memory) {
        return NULL;
    }
    uint64_t hash = hash_of(n, p);
    struct ledger_names_entry *e = n->buckets[hash & (n->bucket_count - 1)];
    while (e != NULL && (e->hash != hash || !is_entry(e, p))) {
        e = e->next;
    }
    return e != NULL ? e : entry_new(n, p, hash);
}

/* ---- what is one ---- */

/* The entry by name alone: what all others of the partition are counted to. */
static struct ledger_names_entry *by_name(struct ledger_names *n,
                                          const struct ledger_names_entry *e)
{
    const char *topic = e->topic != NULL ? e->topic : e->learned;
    const struct ledger_partition named = {.cluster = view_from_string(e->cluster),
                                           .topic = view_from_string(topic),
                                           .partition = e->partition};
    return ledger_names_of(n, &named);
}

static int by_id(const void *left, const void *right)
{
    const struct ledger_names_entry *a = *(struct ledger_names_entry *const *)left,
                                    *b = *(struct ledger_names_entry *const *)right;
    int order = memcmp(a->id, b->id, sizeof a->id);
    order = order != 0 ? order : strcmp(a->cluster, b->cluster);
    return order != 0 ? order : (a->topic == NULL) - (b->topic == NULL); /* with a name first */
}

/* Names for those that have none: any partition of the topic may have told it. */
static void name_nameless(struct ledger_names_entry **ids, size_t count)
{
    const struct ledger_names_entry *named = NULL;
    for (size_t i = 0; i < count; i++) {
        struct ledger_names_entry *e = ids[i];
        if (e->topic != NULL) {
            named = e;
        } else if (named != NULL && memcmp(named->id, e->id, sizeof e->id) == 0 &&
                   strcmp(named->cluster, e->cluster) == 0) {
            e->learned = named->topic;
        }
    }
}

void ledger_names_unite(struct ledger_names *n)
{
    const size_t count = n->count; /* by_name may add some */
    struct ledger_names_entry **ids = calloc(count + 1, sizeof *ids);
    size_t id_count = 0;
    if (ids == NULL) {
        n->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (n->entries[i]->has_id) {
            ids[id_count++] = n->entries[i];
        }
    }
    qsort(ids, id_count, sizeof *ids, by_id);
    name_nameless(ids, id_count);
    for (size_t i = 0; i < id_count && !n->no_memory; i++) {
        bool named = ids[i]->topic != NULL || ids[i]->learned != NULL;
        struct ledger_names_entry *same = named ? by_name(n, ids[i]) : NULL;
        ids[i]->same = same;
        if (same != NULL) {
            same->count += ids[i]->count;
        }
    }
    free(ids);
}

bool ledger_names_stands_for_itself(const struct ledger_names_entry *e)
{
    return e->same == NULL && e->count > 0;
}
