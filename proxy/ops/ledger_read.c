/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

const char *ledger_ending_name(enum ledger_ending ending)
{
    static const char *const names[] = {"ended", "open", "torn", "damaged"};
    return names[ending];
}

/* Stands between the blocks and the caller's visitor, and notes what is about the file. */
struct pass {
    const struct ledger_visitor *visitor;
    void *context;
    struct ledger_file *file;
};

static void on_block(void *context, uint64_t number, int64_t time_ms)
{
    struct pass *pass = context;
    struct ledger_file *file = pass->file;
    file->first_ms = file->blocks == 0 ? time_ms : file->first_ms;
    file->last_ms = file->blocks == 0 ? time_ms : file->last_ms;
    file->ended_ms = time_ms;
    file->blocks++;
    if (pass->visitor->block != NULL) {
        pass->visitor->block(pass->context, number, time_ms);
    }
}

static void on_start(void *context, const struct ledger_start *start)
{
    const struct pass *pass = context;
    snprintf(pass->file->instance, sizeof pass->file->instance, "%s", start->instance);
    pass->file->pid = start->pid;
    pass->file->number = start->file;
    pass->file->started_ms = start->started_ms;
    if (pass->visitor->start != NULL) {
        pass->visitor->start(pass->context, start);
    }
}

static void on_partition(void *context, const struct ledger_partition *partition)
{
    const struct pass *pass = context;
    if (pass->visitor->partition != NULL) {
        pass->visitor->partition(pass->context, partition);
    }
}

static void on_record(void *context, uint32_t partition, const struct ledger_record *record)
{
    const struct pass *pass = context;
    struct ledger_file *file = pass->file;
    file->records++;
    file->last_ms = record->time_ms > file->last_ms ? record->time_ms : file->last_ms;
    if (pass->visitor->record != NULL) {
        pass->visitor->record(pass->context, partition, record);
    }
}

static void on_gap(void *context, const struct ledger_gap *gap)
{
    const struct pass *pass = context;
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        pass->file->lost += gap->lost[kind];
    }
    if (pass->visitor->gap != NULL) {
        pass->visitor->gap(pass->context, gap);
    }
}

static void on_end(void *context)
{
    const struct pass *pass = context;
    pass->file->ending = LEDGER_ENDED;
    if (pass->visitor->end != NULL) {
        pass->visitor->end(pass->context);
    }
}

static void on_follow(void *context)
{
    const struct pass *pass = context;
    pass->file->followed = true;
    if (pass->visitor->follow != NULL) {
        pass->visitor->follow(pass->context);
    }
}

static const struct ledger_visitor between = {.block = on_block,
                                              .start = on_start,
                                              .partition = on_partition,
                                              .record = on_record,
                                              .gap = on_gap,
                                              .end = on_end,
                                              .follow = on_follow};

static bool is_zero(const uint8_t *at, size_t length)
{
    size_t i = 0;
    while (i < length && at[i] == 0) {
        i++;
    }
    return i == length;
}

/* One block into memory. False at the end of what can be read; *ending_r says why, if not for the end of the file. */
static bool next_block(FILE *in, uint8_t *memory, struct view *block_r,
                       enum ledger_ending *ending_r)
{
    size_t got = fread(memory, 1, LEDGER_HEAD_BYTES, in);
    if (got == 0) {
        return false;
    }
    size_t length = got == LEDGER_HEAD_BYTES ? ledger_block_length(memory) : 0;
    /* Zeros: after a loss of power a file may be longer than what was written to it. */
    *ending_r = got < LEDGER_HEAD_BYTES || is_zero(memory, got) ? LEDGER_TORN : LEDGER_DAMAGED;
    if (length == 0) {
        return false;
    }
    got += fread(memory + got, 1, length - got, in);
    *block_r = view_of(memory, length);
    if (got < length) {
        *ending_r = LEDGER_TORN;
    }
    return got == length;
}

static void read_blocks(FILE *in, struct pass *pass, uint8_t *memory)
{
    struct ledger_file *file = pass->file;
    struct view block;
    enum ledger_ending ending = LEDGER_OPEN;
    while (next_block(in, memory, &block, &ending)) {
        file->ending = LEDGER_OPEN;
        if (!ledger_block_read(block, &between, pass)) {
            ending = fgetc(in) == EOF ? LEDGER_TORN : LEDGER_DAMAGED;
            break;
        }
        file->bytes += block.length;
        ending = file->ending;
    }
    file->ending = ending;
}

/* Its writer has a lock on it as long as it lives. */
static bool is_in_use(FILE *in)
{
    return flock(fileno(in), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* A writer may have been killed before it had written even these. */
static bool is_ledger(FILE *in, struct ledger_file *file)
{
    uint8_t magic[LEDGER_MAGIC_BYTES];
    file->bytes = fread(magic, 1, sizeof magic, in);
    return memcmp(magic, ledger_magic, file->bytes) == 0;
}

bool ledger_read(const char *path, const struct ledger_visitor *visitor, void *context,
                 struct ledger_file *file_r, char *error_r, size_t error_size)
{
    struct pass pass = {visitor, context, file_r};
    *file_r = (struct ledger_file){.path = path, .ending = LEDGER_TORN};
    FILE *in = fopen(path, "rbe");
    uint8_t *memory = malloc(LEDGER_BLOCK_BYTES_MAX);
    bool ok = in != NULL && memory != NULL;
    if (!ok) {
        snprintf(error_r, error_size, "%s: %s", path, strerror(errno));
    } else if (!is_ledger(in, file_r)) {
        snprintf(error_r, error_size, "%s: is not a ledger file", path);
        ok = false;
    } else if (file_r->bytes == LEDGER_MAGIC_BYTES) {
        bool in_use = is_in_use(in); /* before: it may end meanwhile */
        read_blocks(in, &pass, memory);
        file_r->in_use = in_use && file_r->ending != LEDGER_ENDED;
        file_r->followed = file_r->followed && !in_use; /* it holds on until it has the next */
    }
    if (ok && ferror(in)) {
        snprintf(error_r, error_size, "%s: %s", path, strerror(errno));
        ok = false;
    }
    free(memory);
    if (in != NULL) {
        fclose(in);
    }
    return ok;
}
