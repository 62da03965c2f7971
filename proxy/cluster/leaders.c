/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/leaders.h"

#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MIN_MS = 250,
    AGAIN_DOUBLED = 5, /* times: 8 s, cut to … */
    AGAIN_MAX_MS = 5000,
    UNUSED_MS = 10 * 60000,
    PARTITION_MAX = 1000000,
    SORT_AFTER = 64,
    SIDES = 4 /* more kinds than that share the last one */
};

struct known {
    int32_t partition, leader, epoch;
    uint64_t learned_ms;
};

/* Each kind has gaps where the other leads: what one wants is not what the other does. */
struct side {
    const void *kind; /* NULL: of nobody yet */
    bool wanted;
    uint64_t asked_ms; /* 0 never */
    unsigned vain;     /* answers in a row that were nothing new */
};

struct topic {
    struct side sides[SIDES];
    uint64_t used_ms;
    uint64_t warm_ms;   /* without an epoch it was asked for last; 0 never */
    int32_t partitions; /* that it has; 0: not known */
    struct known *known; /* the first `sorted` ascend by partition; the rest are as they came */
    size_t sorted, count, capacity;
    size_t length;
    uint8_t name[];
};

struct leaders {
    struct topic **topics; /* ascending by name */
    size_t count, capacity;
    size_t partitions; /* known, of all topics */
};

struct leaders *leaders_new(void)
{
    return calloc(1, sizeof(struct leaders));
}

static void topic_free(struct leaders *leaders, struct topic *topic)
{
    leaders->partitions -= topic->count;
    free(topic->known);
    free(topic);
}

void leaders_free(struct leaders **leaders_p)
{
    struct leaders *leaders = *leaders_p;
    *leaders_p = NULL;
    if (leaders == NULL) {
        return;
    }
    for (size_t i = 0; i < leaders->count; i++) {
        topic_free(leaders, leaders->topics[i]);
    }
    free(leaders->topics);
    free(leaders);
}

/* ---- topics ---- */

static int compare(const struct topic *topic, struct view name)
{
    size_t shorter = topic->length < name.length ? topic->length : name.length;
    int order = memcmp(topic->name, name.at, shorter);
    return order != 0                      ? order
           : topic->length == name.length ? 0
           : topic->length < name.length  ? -1
                                          : 1;
}

static size_t place_of(const struct leaders *leaders, struct view name, bool *found_r)
{
    size_t low = 0, high = leaders->count;
    *found_r = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(leaders->topics[middle], name);
        if (order == 0) {
            *found_r = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct topic *find(const struct leaders *leaders, struct view name)
{
    bool found;
    size_t place = place_of(leaders, name, &found);
    return found ? leaders->topics[place] : NULL;
}

static void forget_unused(struct leaders *leaders, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < leaders->count; i++) {
        if (now_ms - leaders->topics[i]->used_ms >= UNUSED_MS) {
            topic_free(leaders, leaders->topics[i]);
        } else {
            leaders->topics[kept++] = leaders->topics[i];
        }
    }
    leaders->count = kept;
}

static bool make_room(struct leaders *leaders, uint64_t now_ms)
{
    if (leaders->count >= LEADERS_TOPICS_MAX || leaders->partitions >= LEADERS_PARTITIONS_MAX) {
        forget_unused(leaders, now_ms);
    }
    if (leaders->count >= LEADERS_TOPICS_MAX) {
        return false;
    }
    if (leaders->count < leaders->capacity) {
        return true;
    }
    size_t capacity = leaders->capacity > 0 ? leaders->capacity * 2 : 16;
    struct topic **topics = realloc(leaders->topics, capacity * sizeof(struct topic *));
    if (topics == NULL) {
        return false;
    }
    leaders->topics = topics;
    leaders->capacity = capacity;
    return true;
}

static struct topic *add(struct leaders *leaders, struct view name, uint64_t now_ms)
{
    bool found;
    struct topic *topic = NULL;
    if (name.length == 0 || name.length > LEADERS_TOPIC_BYTES_MAX || !make_room(leaders, now_ms) ||
        (topic = calloc(1, sizeof *topic + name.length)) == NULL) {
        return NULL;
    }
    memcpy(topic->name, name.at, name.length);
    topic->length = name.length;
    size_t place = place_of(leaders, name, &found);
    memmove(&leaders->topics[place + 1], &leaders->topics[place],
            (leaders->count - place) * sizeof leaders->topics[0]);
    leaders->topics[place] = topic;
    leaders->count++;
    return topic;
}

/* ---- partitions ---- */

/* Of two of one partition the one with the later epoch, else the one learned later, is kept: it comes last. */
static int by_partition(const void *a, const void *b)
{
    const struct known *one = a, *other = b;
    if (one->partition != other->partition) {
        return one->partition < other->partition ? -1 : 1;
    }
    if (one->epoch != other->epoch) {
        return one->epoch < other->epoch ? -1 : 1;
    }
    return one->learned_ms < other->learned_ms ? -1 : one->learned_ms > other->learned_ms;
}

/*
 * Brokers name partitions in any order, and a hostile one half a million of them in the worst: put in place one
 * by one they would hold the loop for minutes.
 */
static void sort(struct leaders *leaders, struct topic *topic)
{
    size_t kept = 0;
    if (topic->sorted == topic->count) {
        return;
    }
    qsort(topic->known, topic->count, sizeof topic->known[0], by_partition);
    for (size_t i = 0; i < topic->count; i++) {
        bool again = kept > 0 && topic->known[kept - 1].partition == topic->known[i].partition;
        kept -= again;
        topic->known[kept++] = topic->known[i];
    }
    leaders->partitions -= topic->count - kept;
    topic->count = topic->sorted = kept;
}

/* Among those that are sorted. NULL: not there. */
static struct known *find_partition(const struct topic *topic, int32_t partition)
{
    size_t low = 0, high = topic->sorted;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (topic->known[middle].partition < partition) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < topic->sorted && topic->known[low].partition == partition;
    return found ? &topic->known[low] : NULL;
}

static struct known *add_partition(struct leaders *leaders, struct topic *topic, int32_t partition)
{
    if (leaders->partitions >= LEADERS_PARTITIONS_MAX || partition > PARTITION_MAX) {
        return NULL;
    }
    if (topic->count - topic->sorted > SORT_AFTER + topic->sorted) {
        sort(leaders, topic); /* the same ones again and again take no more room than once */
    }
    if (topic->count == topic->capacity) {
        size_t capacity = topic->capacity > 0 ? topic->capacity * 2 : 4;
        struct known *known = realloc(topic->known, capacity * sizeof *known);
        if (known == NULL) {
            return NULL;
        }
        topic->known = known;
        topic->capacity = capacity;
    }
    bool next = topic->sorted == topic->count &&
                (topic->count == 0 || topic->known[topic->count - 1].partition < partition);
    struct known *known = &topic->known[topic->count++];
    *known = (struct known){.partition = partition, .leader = -1, .epoch = -1};
    topic->sorted += next;
    leaders->partitions++;
    return known;
}

/* ---- the surface ---- */

int32_t leaders_find(struct leaders *leaders, struct view topic_name, int32_t partition,
                     int32_t epoch, uint64_t now_ms, bool *fresh_r)
{
    struct topic *topic = find(leaders, topic_name);
    *fresh_r = false;
    if (topic == NULL) {
        return -1;
    }
    topic->used_ms = now_ms;
    topic->warm_ms = epoch < 0 ? now_ms : topic->warm_ms;
    sort(leaders, topic);
    const struct known *known = find_partition(topic, partition);
    if (known == NULL) {
        return -1;
    }
    uint64_t age_ms = now_ms - known->learned_ms;
    bool holds = epoch >= 0 && known->epoch >= 0 ? known->epoch == epoch
                                                 : age_ms <= LEADERS_KNOWN_MS;
    *fresh_r = holds && age_ms <= LEADERS_FRESH_MS;
    return holds ? known->leader : -1;
}

int32_t leaders_partitions(const struct leaders *leaders, struct view topic_name)
{
    const struct topic *topic = find(leaders, topic_name);
    return topic != NULL ? topic->partitions : 0;
}

static struct side *side_of(struct topic *topic, const void *kind)
{
    struct side *side = topic->sides;
    while (side->kind != NULL && side->kind != kind && side < &topic->sides[SIDES - 1]) {
        side++;
    }
    side->kind = kind;
    return side;
}

static uint64_t side_due_ms(const struct topic *topic, const struct side *side)
{
    if (!side->wanted) {
        uint64_t again_ms = side->asked_ms + LEADERS_WARM_MS;
        bool warm = side->asked_ms > 0 && topic->warm_ms > 0 &&
                    again_ms < topic->warm_ms + UNUSED_MS;
        return warm ? again_ms : UINT64_MAX;
    }
    if (side->asked_ms == 0) {
        return 0;
    }
    unsigned doubled = side->vain < AGAIN_DOUBLED ? side->vain : AGAIN_DOUBLED;
    uint64_t again_ms = (uint64_t)AGAIN_MIN_MS << doubled;
    return side->asked_ms + (again_ms < AGAIN_MAX_MS ? again_ms : AGAIN_MAX_MS);
}

static uint64_t due_ms(const struct topic *topic)
{
    uint64_t first_ms = UINT64_MAX;
    for (size_t i = 0; i < SIDES && topic->sides[i].kind != NULL; i++) {
        uint64_t at_ms = side_due_ms(topic, &topic->sides[i]);
        first_ms = at_ms < first_ms ? at_ms : first_ms;
    }
    return first_ms;
}

static void is_news(struct topic *topic)
{
    for (size_t i = 0; i < SIDES; i++) {
        topic->sides[i].vain = 0;
    }
}

uint64_t leaders_want(struct leaders *leaders, struct view topic_name, const void *kind,
                      uint64_t now_ms)
{
    struct topic *topic = find(leaders, topic_name);
    topic = topic != NULL ? topic : add(leaders, topic_name, now_ms);
    if (topic == NULL) {
        return UINT64_MAX;
    }
    struct side *side = side_of(topic, kind);
    topic->used_ms = now_ms;
    side->wanted = true;
    return side_due_ms(topic, side);
}

uint64_t leaders_due_ms(const struct leaders *leaders)
{
    uint64_t first_ms = UINT64_MAX;
    for (size_t i = 0; i < leaders->count; i++) {
        uint64_t at_ms = due_ms(leaders->topics[i]);
        first_ms = at_ms < first_ms ? at_ms : first_ms;
    }
    return first_ms;
}

/* What was said of the first few kinds is kept: to ask whether somebody is there takes a look at all nodes. */
struct said {
    leaders_askable_fn askable;
    void *context;
    const void *kinds[SIDES];
    bool answers[SIDES];
    size_t count;
};

static bool can_be_asked(struct said *said, const void *kind)
{
    size_t i = 0;
    while (i < said->count && said->kinds[i] != kind) {
        i++;
    }
    if (i < said->count) {
        return said->answers[i];
    }
    const bool answer = said->askable == NULL || said->askable(said->context, kind);
    if (said->count < SIDES) {
        said->kinds[said->count] = kind;
        said->answers[said->count++] = answer;
    }
    return answer;
}

/* Who has waited longest decides for which kind is asked, and from which topic on. NULL: nobody is due. */
static const void *longest_due(struct leaders *leaders, uint64_t now_ms, struct said *said,
                               size_t *first_r)
{
    const void *kind = NULL;
    uint64_t since_ms = now_ms;
    for (size_t i = 0; i < leaders->count; i++) {
        const struct topic *topic = leaders->topics[i];
        for (size_t k = 0; k < SIDES && topic->sides[k].kind != NULL; k++) {
            const struct side *side = &topic->sides[k];
            const uint64_t at_ms = side_due_ms(topic, side);
            if ((kind == NULL ? at_ms <= since_ms : at_ms < since_ms) &&
                can_be_asked(said, side->kind)) {
                kind = side->kind;
                since_ms = at_ms;
                *first_r = i;
            }
        }
    }
    return kind;
}

/* NULL: not of this kind, or not due. */
static struct side *due_side(struct topic *topic, uint64_t now_ms, const void *kind)
{
    for (size_t i = 0; i < SIDES && topic->sides[i].kind != NULL; i++) {
        struct side *side = &topic->sides[i];
        if (side->kind == kind) {
            return side_due_ms(topic, side) <= now_ms ? side : NULL;
        }
    }
    return NULL;
}

size_t leaders_next(struct leaders *leaders, uint64_t now_ms, size_t bytes_max,
                    leaders_askable_fn askable, void *context, const void **kind_r,
                    struct writer *names)
{
    struct said said = {.askable = askable, .context = context};
    size_t taken = 0, bytes = 0, first = 0;
    *kind_r = longest_due(leaders, now_ms, &said, &first);
    for (size_t i = 0; *kind_r != NULL && i < leaders->count; i++) {
        struct topic *topic = leaders->topics[(first + i) % leaders->count];
        struct side *side = due_side(topic, now_ms, *kind_r);
        if (side == NULL) {
            continue;
        }
        if (bytes + 2 + topic->length > bytes_max) {
            break;
        }
        sort(leaders, topic);
        writer_string(names, false, view_of(topic->name, topic->length));
        bytes += 2 + topic->length;
        side->vain += side->wanted ? 1 : 0; /* until something new is learned */
        side->wanted = false;
        side->asked_ms = now_ms > 0 ? now_ms : 1;
        taken++;
    }
    *kind_r = taken > 0 ? *kind_r : NULL;
    return taken;
}

bool leaders_heard(struct leaders *leaders, struct view topic_name, int16_t error_code,
                   int32_t partitions)
{
    struct topic *topic = find(leaders, topic_name);
    if (topic == NULL || error_code != 0) {
        return false;
    }
    bool first = topic->partitions == 0 && partitions > 0;
    if (topic->partitions != partitions) {
        is_news(topic);
    }
    topic->partitions = partitions;
    return first;
}

void leaders_learn(struct leaders *leaders, struct view topic_name, int32_t partition,
                   int32_t leader, int32_t epoch, uint64_t now_ms)
{
    struct topic *topic = find(leaders, topic_name);
    if (topic == NULL || leader < 0 || partition < 0) {
        return;
    }
    struct known *known = find_partition(topic, partition);
    known = known != NULL ? known : add_partition(leaders, topic, partition);
    if (known == NULL) {
        return;
    }
    if (known->leader != leader || known->epoch != epoch) {
        is_news(topic);
    }
    known->leader = leader;
    known->epoch = epoch;
    known->learned_ms = now_ms;
}
