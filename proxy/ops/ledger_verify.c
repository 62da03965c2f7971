/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1 << 14, NONE = UINT32_MAX };

static const size_t memory_default = (size_t)1 << 30;

/* A partition of a cluster under one of its names. */
struct entry {
    struct entry *next; /* in its bucket */
    uint64_t hash;
    struct entry *same; /* the one that stands for both, where this one has only an id */
    uint32_t number;
    int32_t partition;
    bool has_id;
    uint8_t id[LEDGER_TOPIC_ID_BYTES];
    char *cluster, *topic;         /* owned; topic is NULL: the file knew only the id */
    const char *learned;           /* the name all the same, from another entry */
    uint64_t count;                /* records, of all that it stands for */
    struct ledger_record *records; /* of those judged now; else NULL */
    uint64_t filled;
};

struct verify {
    const struct ledger_verify_params *params;
    struct entry *buckets[BUCKETS];
    struct entry **entries; /* owned, with what they point to */
    size_t entry_count, entry_size;
    uint32_t *here; /* entry of each id of the file being read */
    size_t here_size;
    struct ledger_file *files; /* as the first reading found them */
    struct ledger_kill *kills;
    size_t kill_count;
    struct ledger_gap *gaps;
    size_t gap_count, gap_size;
    bool first_reading, no_memory;
    uint64_t
        blocks_left; /* of the file being read: what came after the first reading is left out */
};

/* ---- partitions ---- */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3ULL;
    }
    return hash ^ hash >> 29;
}

/* One known by its id alone is not the one known by name, too: names are put together later. */
static uint64_t hash_of(const struct ledger_partition *p)
{
    uint64_t hash = hash_bytes(0xcbf29ce484222325ULL, p->cluster.at, p->cluster.length);
    hash = hash_bytes(hash, p->topic.at, p->topic.length);
    if (p->topic_id != NULL) {
        hash = hash_bytes(hash, p->topic_id, LEDGER_TOPIC_ID_BYTES);
    }
    return hash_bytes(hash, &p->partition, sizeof p->partition);
}

static bool is_entry(const struct entry *e, const struct ledger_partition *p)
{
    return e->partition == p->partition && e->has_id == (p->topic_id != NULL) &&
           (e->topic != NULL) == (p->topic.length > 0) && view_is(p->cluster, e->cluster) &&
           (e->topic == NULL || view_is(p->topic, e->topic)) &&
           (!e->has_id || memcmp(e->id, p->topic_id, sizeof e->id) == 0);
}

static void *grow(struct verify *v, void *array, size_t *size, size_t wanted, size_t item)
{
    if (wanted <= *size) {
        return array;
    }
    size_t larger = *size * 2 > wanted ? *size * 2 : wanted + 16;
    void *grown = realloc(array, larger * item);
    v->no_memory = v->no_memory || grown == NULL;
    *size = grown != NULL ? larger : *size;
    return grown != NULL ? grown : array;
}

static char *copy_text(struct view text)
{
    return strndup((const char *)text.at, text.length);
}

static struct entry *entry_new(struct verify *v, const struct ledger_partition *p, uint64_t hash)
{
    struct entry *e = calloc(1, sizeof *e);
    v->entries = grow(v, v->entries, &v->entry_size, v->entry_count + 1, sizeof(struct entry *));
    if (e == NULL || v->no_memory) {
        free(e);
        v->no_memory = true;
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
    v->no_memory = v->no_memory || e->cluster == NULL || (e->topic == NULL && p->topic.length > 0);
    e->number = (uint32_t)v->entry_count;
    e->next = v->buckets[hash % BUCKETS];
    v->buckets[hash % BUCKETS] = e;
    v->entries[v->entry_count++] = e;
    return e;
}

static struct entry *entry_of(struct verify *v, const struct ledger_partition *p)
{
    uint64_t hash = hash_of(p);
    struct entry *e = v->buckets[hash % BUCKETS];
    while (e != NULL && (e->hash != hash || !is_entry(e, p))) {
        e = e->next;
    }
    return e != NULL ? e : entry_new(v, p, hash);
}

/* The entry by name alone: what all others of the partition are counted to. */
static struct entry *by_name(struct verify *v, const struct entry *e)
{
    const char *topic = e->topic != NULL ? e->topic : e->learned;
    const struct ledger_partition named = {.cluster = view_from_string(e->cluster),
                                           .topic = view_from_string(topic),
                                           .partition = e->partition};
    return entry_of(v, &named);
}

static int by_id(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    int order = memcmp(a->id, b->id, sizeof a->id);
    order = order != 0 ? order : strcmp(a->cluster, b->cluster);
    return order != 0 ? order : (a->topic == NULL) - (b->topic == NULL); /* with a name first */
}

/* Names for those that have none: any partition of the topic may have told it. */
static void name_nameless(struct entry **ids, size_t count)
{
    const struct entry *named = NULL;
    for (size_t i = 0; i < count; i++) {
        struct entry *e = ids[i];
        if (e->topic != NULL) {
            named = e;
        } else if (named != NULL && memcmp(named->id, e->id, sizeof e->id) == 0 &&
                   strcmp(named->cluster, e->cluster) == 0) {
            e->learned = named->topic;
        }
    }
}

/* Puts together what is one partition. */
static void unite(struct verify *v)
{
    const size_t count = v->entry_count; /* by_name may add some */
    struct entry **ids = calloc(count + 1, sizeof *ids);
    size_t id_count = 0;
    if (ids == NULL) {
        v->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (v->entries[i]->has_id) {
            ids[id_count++] = v->entries[i];
        }
    }
    qsort(ids, id_count, sizeof *ids, by_id);
    name_nameless(ids, id_count);
    for (size_t i = 0; i < id_count && !v->no_memory; i++) {
        bool named = ids[i]->topic != NULL || ids[i]->learned != NULL;
        struct entry *same = named ? by_name(v, ids[i]) : NULL;
        ids[i]->same = same;
        if (same != NULL) {
            same->count += ids[i]->count;
        }
    }
    free(ids);
}

/* ---- reading ---- */

/* A file that is being written has more than a moment ago: it would take the places of others. */
static bool is_later(const struct verify *v)
{
    return !v->first_reading && v->blocks_left == 0;
}

static void on_block(void *context, uint64_t number, int64_t time_ms)
{
    struct verify *v = context;
    (void)number;
    (void)time_ms;
    v->blocks_left -= v->blocks_left > 0 ? 1 : 0;
}

static void on_partition(void *context, const struct ledger_partition *partition)
{
    struct verify *v = context;
    if (partition->id > 1 << 24 || is_later(v)) {
        return; /* no writer has so many */
    }
    size_t before = v->here_size;
    v->here = grow(v, v->here, &v->here_size, (size_t)partition->id + 1, sizeof *v->here);
    for (size_t i = before; i < v->here_size; i++) {
        v->here[i] = NONE;
    }
    const struct entry *e = v->no_memory ? NULL : entry_of(v, partition);
    if (e != NULL) {
        v->here[partition->id] = e->number;
    }
}

static void on_record(void *context, uint32_t partition, const struct ledger_record *record)
{
    struct verify *v = context;
    if (partition >= v->here_size || v->here[partition] == NONE || is_later(v)) {
        return;
    }
    struct entry *e = v->entries[v->here[partition]];
    if (v->first_reading) {
        e->count++;
        return;
    }
    e = e->same != NULL ? e->same : e;
    if (e->records != NULL && e->filled < e->count) {
        e->records[e->filled++] = *record;
    }
}

static void on_gap(void *context, const struct ledger_gap *gap)
{
    struct verify *v = context;
    if (!v->first_reading) {
        return;
    }
    v->gaps = grow(v, v->gaps, &v->gap_size, v->gap_count + 1, sizeof *v->gaps);
    if (!v->no_memory) {
        v->gaps[v->gap_count++] = *gap;
        if (v->params->gap != NULL) {
            v->params->gap(v->params->context, gap);
        }
    }
}

static const struct ledger_visitor reading = {
    .block = on_block, .partition = on_partition, .record = on_record, .gap = on_gap};

static bool read_all(struct verify *v, char *error_r, size_t error_size)
{
    for (size_t i = 0; i < v->params->path_count; i++) {
        struct ledger_file file;
        for (size_t k = 0; k < v->here_size; k++) {
            v->here[k] = NONE;
        }
        v->blocks_left = v->first_reading ? 0 : v->files[i].blocks + 1;
        if (!ledger_read(v->params->paths[i], &reading, v, &file, error_r, error_size)) {
            return false;
        }
        if (v->first_reading) {
            v->files[i] = file;
        }
        if (v->first_reading && v->params->file != NULL) {
            v->params->file(v->params->context, &file);
        }
        if (v->no_memory) {
            snprintf(error_r, error_size, "there is no memory for so many records");
            return false;
        }
    }
    return true;
}

/* A file without an end, and nobody who writes it: blind from then until that host's next file. */
static void find_kills(struct verify *v)
{
    for (size_t i = 0; i < v->params->path_count; i++) {
        const struct ledger_file *file = &v->files[i];
        if (file->ending == LEDGER_ENDED || file->in_use) {
            continue;
        }
        struct ledger_kill *kill = &v->kills[v->kill_count++];
        *kill = (struct ledger_kill){file->last_ms, INT64_MAX};
        for (size_t k = 0; k < v->params->path_count; k++) {
            const struct ledger_file *next = &v->files[k];
            if (k != i && strcmp(next->instance, file->instance) == 0 &&
                next->first_ms > file->last_ms && next->first_ms < kill->to_ms) {
                kill->to_ms = next->first_ms;
            }
        }
    }
}

static int by_writer(const void *left, const void *right)
{
    const struct ledger_file *a = left, *b = right;
    int order = strcmp(a->instance, b->instance);
    order = order != 0 ? order : (a->pid > b->pid) - (a->pid < b->pid);
    order = order != 0 ? order : (a->started_ms > b->started_ms) - (a->started_ms < b->started_ms);
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

/* Between the first file of a writer and its last one; and one more where that is followed. */
static uint64_t missing_files(const struct verify *v)
{
    const size_t count = v->params->path_count;
    struct ledger_file *files = calloc(count + 1, sizeof *files);
    uint64_t missing = 0;
    if (files == NULL) {
        return 1; /* nothing is called clean for want of memory */
    }
    memcpy(files, v->files, count * sizeof *files);
    qsort(files, count, sizeof *files, by_writer);
    for (size_t i = 0; i < count; i++) {
        struct ledger_file as_this = files[i + 1];
        as_this.number = files[i].number;
        bool same = i + 1 < count && by_writer(&files[i], &as_this) == 0;
        bool late = v->params->listed_ms > 0 && files[i].ended_ms >= v->params->listed_ms;
        if (same && files[i + 1].number > files[i].number) {
            missing += files[i + 1].number - files[i].number - 1;
        } else if (!same && files[i].followed && !late) {
            missing++;
        }
    }
    free(files);
    return missing;
}

/* ---- judging ---- */

static bool judge_entry(struct verify *v, struct entry *e, struct ledger_verdict *verdict)
{
    char hex[2 * LEDGER_TOPIC_ID_BYTES + 1] = "";
    for (size_t i = 0; e->topic == NULL && i < sizeof e->id; i++) {
        snprintf(hex + 2 * i, 3, "%02x", e->id[i]);
    }
    const struct ledger_log log = {.cluster = view_from_string(e->cluster),
                                   .topic = view_from_string(e->topic != NULL ? e->topic : hex),
                                   .partition = e->partition};
    const struct ledger_holes holes = {v->kills, v->kill_count, v->gaps, v->gap_count};
    return ledger_judge(&log, e->records, e->filled, &holes, verdict, v->params->finding,
                        v->params->context);
}

static bool stands_for_itself(const struct entry *e)
{
    return e->same == NULL && e->count > 0;
}

/* Gives memory to entries from `from` on while it lasts, at least to one. Returns the first without. */
static size_t choose(struct verify *v, size_t from)
{
    const size_t memory = v->params->memory_bytes > 0 ? v->params->memory_bytes : memory_default;
    uint64_t left = memory / LEDGER_VERIFY_RECORD_BYTES;
    bool any = false;
    size_t at = from;
    for (; at < v->entry_count && !v->no_memory; at++) {
        struct entry *e = v->entries[at];
        if (!stands_for_itself(e)) {
            continue;
        }
        if (any && e->count > left) {
            break;
        }
        e->records = calloc(e->count, sizeof *e->records);
        e->filled = 0;
        v->no_memory = e->records == NULL;
        left -= e->count < left ? e->count : left;
        any = true;
    }
    return at;
}

static bool judge_chosen(struct verify *v, size_t from, size_t to, struct ledger_verdict *verdict)
{
    bool ok = true;
    for (size_t i = from; i < to; i++) {
        struct entry *e = v->entries[i];
        if (e->records != NULL) {
            ok = ok && judge_entry(v, e, verdict);
            free(e->records);
            e->records = NULL;
        }
    }
    return ok;
}

static bool verify_all(struct verify *v, struct ledger_verdict *verdict, char *error_r,
                       size_t error_size)
{
    v->first_reading = true;
    if (!read_all(v, error_r, error_size)) {
        return false;
    }
    v->first_reading = false;
    find_kills(v);
    verdict->missing_files = missing_files(v);
    unite(v);
    size_t from = 0;
    while (from < v->entry_count && !v->no_memory) {
        size_t to = choose(v, from);
        if (v->no_memory) {
            break;
        }
        if (!read_all(v, error_r, error_size)) {
            return false;
        }
        v->no_memory = !judge_chosen(v, from, to, verdict);
        from = to;
    }
    if (v->no_memory) {
        snprintf(error_r, error_size, "there is no memory for so many records");
    }
    return !v->no_memory;
}

bool ledger_verify(const struct ledger_verify_params *params, struct ledger_verdict *verdict_r,
                   char *error_r, size_t error_size)
{
    *verdict_r = (struct ledger_verdict){0};
    struct verify *v = calloc(1, sizeof *v);
    bool ok = v != NULL;
    if (ok) {
        v->params = params;
        v->files = calloc(params->path_count + 1, sizeof *v->files);
        v->kills = calloc(params->path_count + 1, sizeof *v->kills);
        ok = v->files != NULL && v->kills != NULL;
    }
    if (ok) {
        ok = verify_all(v, verdict_r, error_r, error_size);
    } else {
        snprintf(error_r, error_size, "no memory");
    }
    for (size_t i = 0; v != NULL && i < v->entry_count; i++) {
        free(v->entries[i]->cluster);
        free(v->entries[i]->topic);
        free(v->entries[i]->records);
        free(v->entries[i]);
    }
    if (v != NULL) {
        free(v->entries);
        free(v->here);
        free(v->files);
        free(v->kills);
        free(v->gaps);
    }
    free(v);
    return ok;
}
