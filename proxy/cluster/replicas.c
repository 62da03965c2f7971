/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/replicas.h"

#include <stdlib.h>

enum {
    AGAIN_MIN_MS = 250,
    AGAIN_DOUBLED = 5,
    AGAIN_MAX_MS = 5000,
    UNUSED_MS = 10 * 60000,
    NODE_BYTES = 4
};

struct holder {
    int32_t partition, node_id;
};

struct list {
    const void *kind;
    const char *topic;
    bool wanted, sorted;
    unsigned vain; /* questions in a row after which nothing held */
    uint64_t used_ms, asked_ms, learned_ms; /* 0: never */
    struct holder *holders;
    size_t count, capacity;
};

struct replicas {
    struct list lists[REPLICAS_LISTS_MAX];
    size_t count;
};

struct replicas *replicas_new(void)
{
    return calloc(1, sizeof(struct replicas));
}

void replicas_free(struct replicas **replicas_p)
{
    struct replicas *replicas = *replicas_p;
    *replicas_p = NULL;
    for (size_t i = 0; replicas != NULL && i < replicas->count; i++) {
        free(replicas->lists[i].holders);
    }
    free(replicas);
}

static struct list *find(struct replicas *replicas, const void *kind, struct view topic)
{
    for (size_t i = 0; i < replicas->count; i++) {
        if (replicas->lists[i].kind == kind && view_is(topic, replicas->lists[i].topic)) {
            return &replicas->lists[i];
        }
    }
    return NULL;
}

static struct list *find_or_add(struct replicas *replicas, const void *kind, const char *topic)
{
    struct list *list = find(replicas, kind, view_from_string(topic));
    if (list == NULL && replicas->count < REPLICAS_LISTS_MAX) {
        list = &replicas->lists[replicas->count++];
        *list = (struct list){.kind = kind, .topic = topic};
    }
    return list;
}

static int by_partition(const void *a, const void *b)
{
    const struct holder *one = a, *other = b;
    if (one->partition != other->partition) {
        return one->partition < other->partition ? -1 : 1;
    }
    return (one->node_id > other->node_id) - (one->node_id < other->node_id);
}

static bool holds(struct list *list, int32_t partition, int32_t node_id)
{
    const struct holder wanted = {partition, node_id};
    if (list->count == 0) {
        return false;
    }
    if (!list->sorted) {
        qsort(list->holders, list->count, sizeof wanted, by_partition);
        list->sorted = true;
    }
    return bsearch(&wanted, list->holders, list->count, sizeof wanted, by_partition) != NULL;
}

bool replicas_hold(struct replicas *replicas, const void *kind, const char *topic,
                   int32_t partition, int32_t node_id, uint64_t now_ms)
{
    struct list *list = find_or_add(replicas, kind, topic);
    if (list == NULL) {
        return false;
    }
    uint64_t age_ms = list->learned_ms > 0 ? now_ms - list->learned_ms : UINT64_MAX;
    bool known = age_ms <= REPLICAS_KNOWN_MS;
    bool held = known && node_id >= 0 && holds(list, partition, node_id);
    list->used_ms = now_ms;
    list->vain = held ? 0 : list->vain;
    list->wanted = list->wanted || age_ms > REPLICAS_FRESH_MS || (node_id >= 0 && !held);
    return held;
}

static uint64_t list_due_ms(const struct list *list)
{
    if (list->wanted) {
        unsigned doubled = list->vain < AGAIN_DOUBLED ? list->vain : AGAIN_DOUBLED;
        uint64_t again_ms = (uint64_t)AGAIN_MIN_MS << doubled;
        again_ms = again_ms < AGAIN_MAX_MS ? again_ms : AGAIN_MAX_MS;
        return list->asked_ms > 0 ? list->asked_ms + again_ms : 0;
    }
    uint64_t again_ms = list->asked_ms + REPLICAS_FRESH_MS;
    return list->asked_ms > 0 && again_ms < list->used_ms + UNUSED_MS ? again_ms : UINT64_MAX;
}

uint64_t replicas_due_ms(const struct replicas *replicas)
{
    uint64_t first_ms = UINT64_MAX;
    for (size_t i = 0; i < replicas->count; i++) {
        uint64_t at_ms = list_due_ms(&replicas->lists[i]);
        first_ms = at_ms < first_ms ? at_ms : first_ms;
    }
    return first_ms;
}

/* Whose list has been due for longest. NULL: none is. */
static const void *longest_due(const struct replicas *replicas, uint64_t now_ms,
                               replicas_askable_fn askable, void *context)
{
    const void *kind = NULL;
    uint64_t since_ms = now_ms;
    for (size_t i = 0; i < replicas->count; i++) {
        const struct list *list = &replicas->lists[i];
        const uint64_t at_ms = list_due_ms(list);
        if ((kind == NULL ? at_ms <= since_ms : at_ms < since_ms) && askable(context, list->kind)) {
            kind = list->kind;
            since_ms = at_ms;
        }
    }
    return kind;
}

size_t replicas_next(struct replicas *replicas, uint64_t now_ms, replicas_askable_fn askable,
                     void *context, const void **kind_r, struct writer *names)
{
    size_t taken = 0;
    *kind_r = longest_due(replicas, now_ms, askable, context);
    for (size_t i = 0; *kind_r != NULL && i < replicas->count; i++) {
        struct list *list = &replicas->lists[i];
        if (list->kind != *kind_r || list_due_ms(list) > now_ms) {
            continue;
        }
        writer_string(names, false, view_from_string(list->topic));
        list->vain += list->wanted ? 1 : 0; /* until one holds */
        list->wanted = false;
        list->asked_ms = now_ms > 0 ? now_ms : 1;
        taken++;
    }
    return taken;
}

void replicas_heard(struct replicas *replicas, const void *kind, struct view topic, uint64_t now_ms)
{
    struct list *list = find(replicas, kind, topic);
    if (list != NULL) {
        list->count = 0;
        list->sorted = true;
        list->learned_ms = now_ms > 0 ? now_ms : 1;
    }
}

static bool make_room(struct list *list)
{
    if (list->count < list->capacity) {
        return true;
    }
    size_t capacity = list->capacity > 0 ? list->capacity * 2 : 64;
    struct holder *holders = realloc(list->holders, capacity * sizeof *holders);
    if (holders == NULL) {
        return false;
    }
    list->holders = holders;
    list->capacity = capacity;
    return true;
}

void replicas_learn(struct replicas *replicas, const void *kind, struct view topic,
                    int32_t partition, struct view nodes)
{
    struct list *list = find(replicas, kind, topic);
    for (size_t at = 0; list != NULL && at + NODE_BYTES <= nodes.length; at += NODE_BYTES) {
        if (list->count == REPLICAS_HOLDERS_MAX || !make_room(list)) {
            return;
        }
        int32_t node_id = (int32_t)bytes_load_u32(nodes.at + at);
        list->holders[list->count++] = (struct holder){partition, node_id};
        list->sorted = false;
    }
}
