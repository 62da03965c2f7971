/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli/cli_ledger_paths.h"
#include "proxy/cli/cli_ledger_words.h"
#include "proxy/ops/ledger.h"
#include "proxy/ops/ledger_read.h"

struct show {
    bool json;
    struct ledger_partition *partitions; /* by id; names are owned */
    size_t count;
};

static void show_forget(struct show *show)
{
    for (size_t i = 0; i < show->count; i++) {
        free((void *)(uintptr_t)show->partitions[i].cluster.at);
        free((void *)(uintptr_t)show->partitions[i].topic.at);
    }
    free(show->partitions);
    show->partitions = NULL;
    show->count = 0;
}

static struct view keep(struct view text)
{
    uint8_t *copy = malloc(text.length + 1);
    if (copy == NULL) {
        abort();
    }
    if (text.length > 0) {
        memcpy(copy, text.at, text.length);
    }
    return view_of(copy, text.length);
}

/* A topic that has only an id is shown by that. */
static struct view keep_topic(const struct ledger_partition *p)
{
    char hex[2 * LEDGER_TOPIC_ID_BYTES + 1] = "";
    for (size_t i = 0; p->topic_id != NULL && i < LEDGER_TOPIC_ID_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", p->topic_id[i]);
    }
    return keep(p->topic.length > 0 ? p->topic : view_from_string(hex));
}

static void show_partition(void *context, const struct ledger_partition *p)
{
    struct show *show = context;
    if (p->id > 1 << 24) {
        return;
    }
    if (p->id >= show->count) {
        size_t count = (size_t)p->id + 64;
        struct ledger_partition *grown = realloc(show->partitions, count * sizeof *grown);
        if (grown == NULL) {
            abort();
        }
        memset(grown + show->count, 0, (count - show->count) * sizeof *grown);
        show->partitions = grown;
        show->count = count;
    }
    struct ledger_partition *kept = &show->partitions[p->id];
    free((void *)(uintptr_t)kept->cluster.at);
    free((void *)(uintptr_t)kept->topic.at);
    *kept = (struct ledger_partition){p->id, keep(p->cluster), keep_topic(p), NULL, p->partition};
}

static void show_json(const struct ledger_partition *p, const struct ledger_record *r)
{
    json_t *row = json_object();
    json_object_set_new(row, "kind", json_string(ledger_kind_name(r->kind)));
    json_object_set_new(row, "cluster", cli_ledger_text(p->cluster));
    json_object_set_new(row, "topic", cli_ledger_text(p->topic));
    json_object_set_new(row, "partition", json_integer(p->partition));
    cli_ledger_set_record(row, r);
    json_object_set_new(row, "attributes", json_integer(r->attributes));
    json_object_set_new(row, "max_timestamp", json_integer(r->max_timestamp));
    json_object_set_new(row, "length", json_integer(r->length));
    json_object_set_new(row, "magic", json_integer(r->magic));
    json_object_set_new(row, "flags", json_integer(r->flags));
    json_object_set_new(row, "error", json_integer(r->error_code));
    json_object_set_new(row, "low", json_integer(r->low));
    json_dumpf(row, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    fputc('\n', stdout);
    json_decref(row);
}

static void show_record(void *context, uint32_t partition, const struct ledger_record *r)
{
    const struct show *show = context;
    static const struct ledger_partition unknown;
    char cluster[CLI_OUT_TEXT_SIZE], topic[CLI_OUT_TEXT_SIZE], when[CLI_LEDGER_TIME_SIZE];
    const struct ledger_partition *p =
        partition < show->count ? &show->partitions[partition] : &unknown;
    if (show->json) {
        show_json(p, r);
        return;
    }
    printf("%s %s %s/%s-%" PRId32, cli_ledger_time(r->time_ms, when), ledger_kind_name(r->kind),
           cli_ledger_safe(p->cluster, cluster), cli_ledger_safe(p->topic, topic), p->partition);
    if (r->kind == LEDGER_MARK) {
        printf(" first %" PRId64 " end %" PRId64 "\n", r->low, r->offset);
        return;
    }
    printf(" offset %" PRId64 "..%" PRId64 " records %" PRId32 " producer %" PRId64
           " epoch %d sequence %" PRId32 " crc %08" PRIx32 " attributes %u bytes %" PRIu32
           " magic %d",
           r->offset, cli_ledger_last_offset(r), r->count, r->producer_id, r->epoch, r->sequence,
           r->crc, r->attributes, r->length, r->magic);
    printf("%s%s%s%s%s", (r->flags & LEDGER_BROKEN) != 0 ? " broken" : "",
           (r->flags & LEDGER_BACKWARDS) != 0 ? " backwards" : "",
           (r->flags & LEDGER_APPEND_TIME) != 0 ? " append_time" : "",
           (r->flags & LEDGER_DUPLICATE) != 0 ? " duplicate" : "",
           (r->flags & LEDGER_NO_ACKS) != 0 ? " no_acks" : "");
    if (r->error_code != 0) {
        printf(" error %d", r->error_code);
    }
    printf("\n");
}

static void show_gap(void *context, const struct ledger_gap *gap)
{
    const struct show *show = context;
    if (!show->json) {
        cli_ledger_gap_print(gap);
        return;
    }
    json_t *row = cli_ledger_gap_json(gap);
    json_object_set_new(row, "kind", json_string("gap"));
    json_dumpf(row, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    fputc('\n', stdout);
    json_decref(row);
}

static const struct ledger_visitor showing = {
    .partition = show_partition, .record = show_record, .gap = show_gap};

int cli_ledger_show(const struct cli_call *call)
{
    struct cli_ledger_paths paths = cli_ledger_paths_of(call);
    int status = paths.failed ? CLI_USAGE : CLI_OK;
    for (size_t i = 0; i < paths.count && status == CLI_OK; i++) {
        struct show show = {.json = call->json};
        struct ledger_file file;
        char error[512];
        if (!ledger_read(paths.items[i], &showing, &show, &file, error, sizeof error)) {
            cli_error_at(call->verb, paths.items[i], 0, "%s", error);
            status = CLI_USAGE;
        } else if (file.ending != LEDGER_ENDED) {
            cli_error(call->verb, "%s: %s", paths.items[i], ledger_ending_name(file.ending));
        }
        show_forget(&show);
    }
    cli_ledger_paths_free(&paths);
    return status;
}
