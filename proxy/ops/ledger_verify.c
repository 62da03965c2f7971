/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/ops/ledger_names.h"

enum { NONE = UINT32_MAX };

static const size_t memory_default = (size_t)1 << 30;

struct verify {
    const struct ledger_verify_params *params;
    struct ledger_names names;
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
    const struct ledger_names_entry *e =
        v->no_memory ? NULL : ledger_names_of(&v->names, partition);
    v->no_memory = e == NULL;
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
    struct ledger_names_entry *e = v->names.entries[v->here[partition]];
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

static bool judge_entry(struct verify *v, struct ledger_names_entry *e,
                        struct ledger_verdict *verdict)
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

/* Gives memory to entries from `from` on while it lasts, at least to one. Returns the first without. */
static size_t choose(struct verify *v, size_t from)
{
    const size_t memory = v->params->memory_bytes > 0 ? v->params->memory_bytes : memory_default;
    uint64_t left = memory / LEDGER_VERIFY_RECORD_BYTES;
    bool any = false;
    size_t at = from;
    for (; at < v->names.count && !v->no_memory; at++) {
        struct ledger_names_entry *e = v->names.entries[at];
        if (!ledger_names_stands_for_itself(e)) {
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
        struct ledger_names_entry *e = v->names.entries[i];
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
    ledger_names_unite(&v->names);
    v->no_memory = v->names.no_memory;
    size_t from = 0;
    while (from < v->names.count && !v->no_memory) {
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
        ledger_names_init(&v->names);
        v->files = calloc(params->path_count + 1, sizeof *v->files);
        v->kills = calloc(params->path_count + 1, sizeof *v->kills);
        ok = v->files != NULL && v->kills != NULL && !v->names.no_memory;
    }
    if (ok) {
        ok = verify_all(v, verdict_r, error_r, error_size);
    } else {
        snprintf(error_r, error_size, "no memory");
    }
    if (v != NULL) {
        ledger_names_free(&v->names);
        free(v->here);
        free(v->files);
        free(v->kills);
        free(v->gaps);
    }
    free(v);
    return ok;
}
