/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "proxy/cli/cli_out.h"
#include "proxy/ops/ledger.h"
#include "proxy/ops/ledger_read.h"
#include "proxy/ops/ledger_verify.h"

enum { OPTION_MEMORY, OPTION_FINDINGS, FINDINGS_MAX = 1000, TIME_SIZE = 40 };

const struct cli_option cli_ledger_verify_options[] = {
    [OPTION_MEMORY] = {"memory-bytes", "N", "how much records may take (default 1 GiB)"},
    [OPTION_FINDINGS] = {"findings-max", "N", "how many findings are listed (default 1000)"},
    {NULL, NULL, NULL},
};

/* ---- which files ---- */

struct paths {
    char **items;
    size_t count;
    int64_t listed_ms;
    bool failed;
};

static void paths_add(struct paths *paths, const char *folder, const char *name)
{
    char **grown = realloc(paths->items, (paths->count + 1) * sizeof(char *));
    if (grown == NULL) {
        abort();
    }
    paths->items = grown;
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name) < 0) {
        abort();
    }
    paths->items[paths->count++] = path;
}

static int is_ledger_name(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 7 && strcmp(entry->d_name + length - 7, ".ledger") == 0;
}

static void paths_add_operand(struct paths *paths, const struct cli_call *call, const char *name)
{
    struct stat st;
    struct dirent **entries = NULL;
    if (stat(name, &st) != 0 || !S_ISDIR(st.st_mode)) {
        paths_add(paths, "", name);
        return;
    }
    int count = scandir(name, &entries, is_ledger_name, versionsort);
    if (count <= 0) {
        cli_error(call->verb, "%s: %s", name,
                  count < 0 ? strerror(errno) : "there is no *.ledger file");
        paths->failed = true;
    }
    for (int i = 0; i < count; i++) {
        paths_add(paths, name, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

static struct paths paths_of(const struct cli_call *call)
{
    struct paths paths = {.listed_ms = (int64_t)time(NULL) * 1000};
    for (int i = 0; i < call->operand_count; i++) {
        paths_add_operand(&paths, call, call->operands[i]);
    }
    return paths;
}

static void paths_free(struct paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        free(paths->items[i]);
    }
    free(paths->items);
}

/* ---- words ---- */

static const char *time_text(int64_t time_ms, char out[TIME_SIZE])
{
    struct tm tm;
    time_t seconds = (time_t)(time_ms / 1000);
    if (time_ms < 0 || gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 8000) {
        snprintf(out, TIME_SIZE, "?");
        return out;
    }
    size_t length = strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + length, TIME_SIZE - length, ".%03dZ", (int)(time_ms % 1000));
    return out;
}

enum { NAME_SIZE = 512 };

static const char *name_of(struct view text, char out[NAME_SIZE])
{
    size_t length = text.length < NAME_SIZE - 1 ? text.length : NAME_SIZE - 1;
    if (length > 0) {
        memcpy(out, text.at, length);
    }
    out[length] = '\0';
    return out;
}

static json_t *text_of(struct view text)
{
    char copy[NAME_SIZE];
    return cli_out_string(name_of(text, copy));
}

static const char *safe_of(struct view text, char out[CLI_OUT_TEXT_SIZE])
{
    char copy[NAME_SIZE];
    return cli_out_safe(name_of(text, copy), out);
}

static int64_t last_offset(const struct ledger_record *r)
{
    return r->offset >= 0 && r->span > 1 && r->offset < INT64_MAX - r->span
               ? r->offset + r->span - 1
               : r->offset;
}

static void set_number(json_t *to, const char *key, uint64_t number)
{
    json_object_set_new(to, key, json_integer((json_int_t)number));
}

static void set_record(json_t *row, const struct ledger_record *r)
{
    char when[TIME_SIZE];
    json_object_set_new(row, "offset", json_integer(r->offset));
    json_object_set_new(row, "last_offset", json_integer(last_offset(r)));
    json_object_set_new(row, "records", json_integer(r->count));
    json_object_set_new(row, "producer_id", json_integer(r->producer_id));
    json_object_set_new(row, "producer_epoch", json_integer(r->epoch));
    json_object_set_new(row, "sequence", json_integer(r->sequence));
    json_object_set_new(row, "crc", json_integer(r->crc));
    json_object_set_new(row, "time", json_string(time_text(r->time_ms, when)));
    json_object_set_new(row, "time_ms", json_integer(r->time_ms));
}

/* ---- verify ---- */

struct report {
    bool json;
    uint64_t listed, listed_max;
    uint64_t gaps, damaged, killed;
    json_t *findings, *files, *gap_rows;
};

static void finding_text(const struct ledger_finding *f)
{
    char cluster[CLI_OUT_TEXT_SIZE], topic[CLI_OUT_TEXT_SIZE], when[TIME_SIZE];
    const struct ledger_record *r = f->record;
    printf("%s: %s/%s-%" PRId32, ledger_finding_name(f->kind), safe_of(f->log->cluster, cluster),
           safe_of(f->log->topic, topic), f->log->partition);
    if (r->offset >= 0) {
        printf(" offset %" PRId64 "..%" PRId64, r->offset, last_offset(r));
    }
    printf(" (%" PRId32 " records", r->count);
    if (r->producer_id >= 0) {
        printf(", producer %" PRId64 " epoch %d sequence %" PRId32, r->producer_id, r->epoch,
               r->sequence);
    }
    printf(", %s %s) %s", ledger_kind_name(r->kind), time_text(r->time_ms, when), f->text);
    if (f->other_offset >= 0) {
        printf(" [%" PRId64 "]", f->other_offset);
    }
    printf("\n");
}

static json_t *finding_json(const struct ledger_finding *f)
{
    json_t *row = json_object();
    json_object_set_new(row, "kind", json_string(ledger_finding_name(f->kind)));
    json_object_set_new(row, "cluster", text_of(f->log->cluster));
    json_object_set_new(row, "topic", text_of(f->log->topic));
    json_object_set_new(row, "partition", json_integer(f->log->partition));
    set_record(row, f->record);
    json_object_set_new(row, "other_offset", json_integer(f->other_offset));
    json_object_set_new(row, "text", json_string(f->text));
    return row;
}

static void on_finding(void *context, const struct ledger_finding *f)
{
    struct report *report = context;
    if (report->listed == report->listed_max) {
        return;
    }
    report->listed++;
    if (report->json) {
        json_array_append_new(report->findings, finding_json(f));
    } else {
        finding_text(f);
    }
}

static void on_file(void *context, const struct ledger_file *file)
{
    struct report *report = context;
    report->damaged += file->ending == LEDGER_DAMAGED ? 1 : 0;
    report->killed +=
        !file->in_use && (file->ending == LEDGER_OPEN || file->ending == LEDGER_TORN) ? 1 : 0;
    if (report->json) {
        json_t *row = json_object();
        json_object_set_new(row, "file", cli_out_string(file->path));
        json_object_set_new(row, "ending", json_string(ledger_ending_name(file->ending)));
        json_object_set_new(row, "in_use", json_boolean(file->in_use));
        set_number(row, "records", file->records);
        set_number(row, "lost", file->lost);
        set_number(row, "bytes", file->bytes);
        json_array_append_new(report->files, row);
    } else if (file->ending != LEDGER_ENDED) {
        char path[CLI_OUT_TEXT_SIZE];
        static const char *const why[] = {
            [LEDGER_OPEN] = "has no end: its writer was killed",
            [LEDGER_TORN] = "breaks off within a block: its writer was killed",
            [LEDGER_DAMAGED] = "is damaged: what follows in it was not read",
        };
        printf("file: %s %s\n", cli_out_safe(file->path, path),
               file->in_use ? "is being written" : why[file->ending]);
    }
}

static void on_gap(void *context, const struct ledger_gap *gap)
{
    struct report *report = context;
    char from[TIME_SIZE], to[TIME_SIZE];
    uint64_t lost = 0;
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        lost += gap->lost[kind];
    }
    report->gaps++;
    time_text(gap->from_ms, from);
    time_text(gap->to_ms, to);
    if (!report->json) {
        printf("GAP: %" PRIu64 " batches are missing in the ledger between %s and %s\n", lost, from,
               to);
        return;
    }
    json_t *row = json_object();
    json_object_set_new(row, "from", json_string(from));
    json_object_set_new(row, "to", json_string(to));
    for (enum ledger_kind kind = 0; kind < LEDGER_KINDS; kind++) {
        set_number(row, ledger_kind_name(kind), gap->lost[kind]);
    }
    json_array_append_new(report->gap_rows, row);
}

static bool has_findings(const struct ledger_verdict *v)
{
    return v->found[LEDGER_LOST] + v->found[LEDGER_DUPLICATED] + v->found[LEDGER_ALTERED] +
               v->found[LEDGER_REORDERED] >
           0;
}

/* Why the verdict cannot be that all is well. */
struct reason {
    const char *name, *text;
    uint64_t count;
};

enum { REASONS = 7 };

static void reasons_of(const struct report *report, const struct ledger_verdict *v,
                       struct reason reasons_r[REASONS])
{
    const struct reason reasons[REASONS] = {
        {"gaps", "times when batches passed that could not be written down", report->gaps},
        {"damaged_files", "files that could not be read to their end", report->damaged},
        {"missing_files", "files are not here that others tell of", v->missing_files},
        {"killed_writers", "files without an end: what their writer saw last may be missing",
         report->killed},
        {"unproven", "batches that may have been read while the ledger was blind",
         v->found[LEDGER_UNPROVEN]},
        {"unread_partitions", "partitions that were written to and not read at all",
         v->unread_partitions},
        {"unread", "acknowledged batches that nobody has read", v->unproved},
    };
    memcpy(reasons_r, reasons, sizeof reasons);
}

static bool is_incomplete(const struct report *report, const struct ledger_verdict *v)
{
    struct reason reasons[REASONS];
    uint64_t sum = 0;
    reasons_of(report, v, reasons);
    for (size_t i = 0; i < REASONS; i++) {
        sum += reasons[i].count;
    }
    return sum > 0;
}

static json_t *reasons_json(const struct report *report, const struct ledger_verdict *v)
{
    struct reason reasons[REASONS];
    json_t *root = json_object();
    reasons_of(report, v, reasons);
    for (size_t i = 0; i < REASONS; i++) {
        if (reasons[i].count > 0) {
            set_number(root, reasons[i].name, reasons[i].count);
        }
    }
    return root;
}

static const char *verdict_word(const struct report *report, const struct ledger_verdict *v)
{
    return has_findings(v) ? "findings" : is_incomplete(report, v) ? "incomplete" : "clean";
}

static void print_json(const struct report *report, const struct ledger_verdict *v)
{
    json_t *root = json_object();
    json_object_set_new(root, "verdict", json_string(verdict_word(report, v)));
    json_object_set_new(root, "complete", json_boolean(!is_incomplete(report, v)));
    json_object_set_new(root, "incomplete", reasons_json(report, v));
    for (enum ledger_finding_kind kind = 0; kind < LEDGER_FINDINGS; kind++) {
        set_number(root, ledger_finding_name(kind), v->found[kind]);
    }
    json_t *records = json_object();
    for (enum ledger_finding_kind kind = 0; kind < LEDGER_FINDINGS; kind++) {
        set_number(records, ledger_finding_name(kind), v->found_records[kind]);
    }
    set_number(records, "acknowledged", v->acknowledged_records);
    set_number(records, "fetched", v->fetched_records);
    json_object_set_new(root, "records", records);
    json_t *batches = json_object();
    for (enum ledger_kind kind = 0; kind < LEDGER_MARK; kind++) {
        set_number(batches, ledger_kind_name(kind), v->batches[kind]);
    }
    set_number(batches, "fetched_offsets", v->fetched_offsets);
    json_object_set_new(root, "batches", batches);
    json_t *explained = json_object();
    for (enum ledger_explanation why = 0; why < LEDGER_EXPLANATIONS; why++) {
        set_number(explained, ledger_explanation_name(why), v->explained[why]);
    }
    json_object_set_new(root, "explained", explained);
    set_number(root, "not_yet_read", v->not_yet_read);
    set_number(root, "not_read", v->not_read);
    set_number(root, "resolved", v->resolved);
    set_number(root, "repeated", v->repeated);
    set_number(root, "partitions", v->partitions);
    json_object_set(root, "files", report->files);
    json_object_set(root, "gaps", report->gap_rows);
    json_object_set(root, "findings", report->findings);
    cli_out_json(root);
}

static void print_text(const struct report *report, const struct ledger_verdict *v)
{
    printf("lost %" PRIu64 ", duplicated %" PRIu64 ", altered %" PRIu64 ", reordered %" PRIu64
           ", in doubt %" PRIu64 ", unproven %" PRIu64 "\n",
           v->found[LEDGER_LOST], v->found[LEDGER_DUPLICATED], v->found[LEDGER_ALTERED],
           v->found[LEDGER_REORDERED], v->found[LEDGER_STILL_IN_DOUBT], v->found[LEDGER_UNPROVEN]);
    printf("%" PRIu64 " partitions: %" PRIu64 " batches acknowledged (%" PRIu64
           " records), %" PRIu64 " read (%" PRIu64 " records)\n",
           v->partitions, v->batches[LEDGER_ACKNOWLEDGED], v->acknowledged_records,
           v->fetched_offsets, v->fetched_records);
    printf("acknowledged and read as sent %" PRIu64, v->explained[LEDGER_SAME]);
    for (enum ledger_explanation why = LEDGER_SAME + 1; why < LEDGER_EXPLANATIONS; why++) {
        if (v->explained[why] > 0) {
            printf(", %s %" PRIu64, ledger_explanation_name(why), v->explained[why]);
        }
    }
    printf("; not read %" PRIu64 ", not yet read %" PRIu64 "; doubts resolved %" PRIu64
           ", repeated by retries %" PRIu64 "\n",
           v->not_read, v->not_yet_read, v->resolved, v->repeated);
    struct reason reasons[REASONS];
    reasons_of(report, v, reasons);
    for (size_t i = 0; i < REASONS; i++) {
        if (reasons[i].count > 0) {
            printf("INCOMPLETE: %" PRIu64 " %s\n", reasons[i].count, reasons[i].text);
        }
    }
    printf("verdict: %s\n", verdict_word(report, v));
}

static bool take_numbers(const struct cli_call *call, struct report *report, size_t *memory_r)
{
    unsigned long memory = 0, findings = FINDINGS_MAX;
    const char *memory_text = call->values[OPTION_MEMORY];
    const char *findings_text = call->values[OPTION_FINDINGS];
    if ((memory_text != NULL && !cli_number(memory_text, 1, SIZE_MAX / 2, &memory)) ||
        (findings_text != NULL && !cli_number(findings_text, 0, UINT32_MAX, &findings))) {
        return false;
    }
    *memory_r = memory;
    report->listed_max = findings;
    return true;
}

static int verify(const struct cli_call *call, const struct paths *paths, struct report *report,
                  size_t memory_bytes)
{
    struct ledger_verdict verdict;
    char error[512] = "";
    const struct ledger_verify_params params = {.paths = (const char *const *)paths->items,
                                                .path_count = paths->count,
                                                .listed_ms = paths->listed_ms,
                                                .memory_bytes = memory_bytes,
                                                .finding = on_finding,
                                                .file = on_file,
                                                .gap = on_gap,
                                                .context = report};
    if (!ledger_verify(&params, &verdict, error, sizeof error)) {
        cli_error(call->verb, "%s", error);
        return CLI_USAGE;
    }
    if (report->json) {
        print_json(report, &verdict);
    } else {
        print_text(report, &verdict);
    }
    return has_findings(&verdict) || is_incomplete(report, &verdict) ? CLI_NEGATIVE : CLI_OK;
}

int cli_ledger_verify(const struct cli_call *call)
{
    struct report report = {.json = call->json};
    size_t memory_bytes = 0;
    if (!take_numbers(call, &report, &memory_bytes)) {
        return cli_usage_error(call->verb, "--memory-bytes and --findings-max are numbers");
    }
    report.findings = json_array();
    report.files = json_array();
    report.gap_rows = json_array();
    struct paths paths = paths_of(call);
    int status = paths.failed ? CLI_USAGE : verify(call, &paths, &report, memory_bytes);
    paths_free(&paths);
    json_decref(report.findings);
    json_decref(report.files);
    json_decref(report.gap_rows);
    return status;
}

/* ---- show ---- */

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
    json_object_set_new(row, "cluster", text_of(p->cluster));
    json_object_set_new(row, "topic", text_of(p->topic));
    json_object_set_new(row, "partition", json_integer(p->partition));
    set_record(row, r);
    json_object_set_new(row, "attributes", json_integer(r->attributes));
    json_object_set_new(row, "max_timestamp", json_integer(r->max_timestamp));
    json_object_set_new(row, "length", json_integer(r->length));
    json_object_set_new(row, "magic", json_integer(r->magic));
    json_object_set_new(row, "flags", json_integer(r->flags));
    json_object_set_new(row, "error", json_integer(r->error_code));
    json_object_set_new(row, "low", json_integer(r->low));
    json_dumpf(row, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', stdout);
    json_decref(row);
}

static void show_record(void *context, uint32_t partition, const struct ledger_record *r)
{
    const struct show *show = context;
    static const struct ledger_partition unknown;
    char cluster[CLI_OUT_TEXT_SIZE], topic[CLI_OUT_TEXT_SIZE], when[TIME_SIZE];
    const struct ledger_partition *p =
        partition < show->count ? &show->partitions[partition] : &unknown;
    if (show->json) {
        show_json(p, r);
        return;
    }
    printf("%s %s %s/%s-%" PRId32, time_text(r->time_ms, when), ledger_kind_name(r->kind),
           safe_of(p->cluster, cluster), safe_of(p->topic, topic), p->partition);
    if (r->kind == LEDGER_MARK) {
        printf(" first %" PRId64 " end %" PRId64 "\n", r->low, r->offset);
        return;
    }
    printf(" offset %" PRId64 "..%" PRId64 " records %" PRId32 " producer %" PRId64
           " epoch %d sequence %" PRId32 " crc %08" PRIx32 " attributes %u bytes %" PRIu32
           " magic %d",
           r->offset, last_offset(r), r->count, r->producer_id, r->epoch, r->sequence, r->crc,
           r->attributes, r->length, r->magic);
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
    struct report report = {.json = show->json, .gap_rows = json_array()};
    on_gap(&report, gap);
    if (show->json) {
        json_t *row = json_array_get(report.gap_rows, 0);
        json_object_set_new(row, "kind", json_string("gap"));
        json_dumpf(row, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        fputc('\n', stdout);
    }
    json_decref(report.gap_rows);
}

static const struct ledger_visitor showing = {
    .partition = show_partition, .record = show_record, .gap = show_gap};

int cli_ledger_show(const struct cli_call *call)
{
    struct paths paths = paths_of(call);
    int status = paths.failed ? CLI_USAGE : CLI_OK;
    for (size_t i = 0; i < paths.count && status == CLI_OK; i++) {
        struct show show = {.json = call->json};
        struct ledger_file file;
        char error[512];
        if (!ledger_read(paths.items[i], &showing, &show, &file, error, sizeof error)) {
            cli_error(call->verb, "%s", error);
            status = CLI_USAGE;
        } else if (file.ending != LEDGER_ENDED) {
            cli_error(call->verb, "%s: %s", paths.items[i], ledger_ending_name(file.ending));
        }
        show_forget(&show);
    }
    paths_free(&paths);
    return status;
}
