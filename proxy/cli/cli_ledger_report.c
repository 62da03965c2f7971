/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_ledger_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/cli/cli_ledger_words.h"
#include "proxy/ops/ledger.h"

static void finding_text(const struct ledger_finding *f)
{
    char cluster[CLI_OUT_TEXT_SIZE], topic[CLI_OUT_TEXT_SIZE], when[CLI_LEDGER_TIME_SIZE];
    const struct ledger_record *r = f->record;
    printf("%s: %s/%s-%" PRId32, ledger_finding_name(f->kind),
           cli_ledger_safe(f->log->cluster, cluster), cli_ledger_safe(f->log->topic, topic),
           f->log->partition);
    if (r->offset >= 0) {
        printf(" offset %" PRId64 "..%" PRId64, r->offset, cli_ledger_last_offset(r));
    }
    printf(" (%" PRId32 " records", r->count);
    if (r->producer_id >= 0) {
        printf(", producer %" PRId64 " epoch %d sequence %" PRId32, r->producer_id, r->epoch,
               r->sequence);
    }
    printf(", %s %s) %s", ledger_kind_name(r->kind), cli_ledger_time(r->time_ms, when), f->text);
    if (f->other_offset >= 0) {
        printf(" [%" PRId64 "]", f->other_offset);
    }
    printf("\n");
}

static json_t *finding_json(const struct ledger_finding *f)
{
    json_t *row = json_object();
    json_object_set_new(row, "kind", json_string(ledger_finding_name(f->kind)));
    json_object_set_new(row, "cluster", cli_ledger_text(f->log->cluster));
    json_object_set_new(row, "topic", cli_ledger_text(f->log->topic));
    json_object_set_new(row, "partition", json_integer(f->log->partition));
    cli_ledger_set_record(row, f->record);
    json_object_set_new(row, "other_offset", json_integer(f->other_offset));
    json_object_set_new(row, "text", json_string(f->text));
    return row;
}

void cli_ledger_report_finding(void *context, const struct ledger_finding *f)
{
    struct cli_ledger_report *report = context;
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

void cli_ledger_report_file(void *context, const struct ledger_file *file)
{
    struct cli_ledger_report *report = context;
    report->damaged += file->ending == LEDGER_DAMAGED ? 1 : 0;
    report->killed +=
        !file->in_use && (file->ending == LEDGER_OPEN || file->ending == LEDGER_TORN) ? 1 : 0;
    if (report->json) {
        json_t *row = json_object();
        json_object_set_new(row, "file", cli_out_string(file->path));
        json_object_set_new(row, "ending", json_string(ledger_ending_name(file->ending)));
        json_object_set_new(row, "in_use", json_boolean(file->in_use));
        cli_ledger_set_number(row, "records", file->records);
        cli_ledger_set_number(row, "lost", file->lost);
        cli_ledger_set_number(row, "bytes", file->bytes);
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

void cli_ledger_report_gap(void *context, const struct ledger_gap *gap)
{
    struct cli_ledger_report *report = context;
    report->gaps++;
    if (report->json) {
        json_array_append_new(report->gap_rows, cli_ledger_gap_json(gap));
    } else {
        cli_ledger_gap_print(gap);
    }
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

static void reasons_of(const struct cli_ledger_report *report, const struct ledger_verdict *v,
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

static bool is_incomplete(const struct cli_ledger_report *report, const struct ledger_verdict *v)
{
    struct reason reasons[REASONS];
    uint64_t sum = 0;
    reasons_of(report, v, reasons);
    for (size_t i = 0; i < REASONS; i++) {
        sum += reasons[i].count;
    }
    return sum > 0;
}

static json_t *reasons_json(const struct cli_ledger_report *report, const struct ledger_verdict *v)
{
    struct reason reasons[REASONS];
    json_t *root = json_object();
    reasons_of(report, v, reasons);
    for (size_t i = 0; i < REASONS; i++) {
        if (reasons[i].count > 0) {
            cli_ledger_set_number(root, reasons[i].name, reasons[i].count);
        }
    }
    return root;
}

static const char *verdict_word(const struct cli_ledger_report *report,
                                const struct ledger_verdict *v)
{
    return has_findings(v) ? "findings" : is_incomplete(report, v) ? "incomplete" : "clean";
}

static void print_json(const struct cli_ledger_report *report, const struct ledger_verdict *v)
{
    json_t *root = json_object();
    json_object_set_new(root, "verdict", json_string(verdict_word(report, v)));
    json_object_set_new(root, "complete", json_boolean(!is_incomplete(report, v)));
    json_object_set_new(root, "incomplete", reasons_json(report, v));
    for (enum ledger_finding_kind kind = 0; kind < LEDGER_FINDINGS; kind++) {
        cli_ledger_set_number(root, ledger_finding_name(kind), v->found[kind]);
    }
    json_t *records = json_object();
    for (enum ledger_finding_kind kind = 0; kind < LEDGER_FINDINGS; kind++) {
        cli_ledger_set_number(records, ledger_finding_name(kind), v->found_records[kind]);
    }
    cli_ledger_set_number(records, "acknowledged", v->acknowledged_records);
    cli_ledger_set_number(records, "fetched", v->fetched_records);
    json_object_set_new(root, "records", records);
    json_t *batches = json_object();
    for (enum ledger_kind kind = 0; kind < LEDGER_MARK; kind++) {
        cli_ledger_set_number(batches, ledger_kind_name(kind), v->batches[kind]);
    }
    cli_ledger_set_number(batches, "fetched_offsets", v->fetched_offsets);
    json_object_set_new(root, "batches", batches);
    json_t *explained = json_object();
    for (enum ledger_explanation why = 0; why < LEDGER_EXPLANATIONS; why++) {
        cli_ledger_set_number(explained, ledger_explanation_name(why), v->explained[why]);
    }
    json_object_set_new(root, "explained", explained);
    cli_ledger_set_number(root, "not_yet_read", v->not_yet_read);
    cli_ledger_set_number(root, "not_read", v->not_read);
    cli_ledger_set_number(root, "resolved", v->resolved);
    cli_ledger_set_number(root, "repeated", v->repeated);
    cli_ledger_set_number(root, "partitions", v->partitions);
    json_object_set(root, "files", report->files);
    json_object_set(root, "gaps", report->gap_rows);
    json_object_set(root, "findings", report->findings);
    cli_out_json(root);
}

static void print_text(const struct cli_ledger_report *report, const struct ledger_verdict *v)
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

void cli_ledger_report_begin(struct cli_ledger_report *report, bool json, uint64_t listed_max)
{
    *report = (struct cli_ledger_report){.json = json, .listed_max = listed_max};
    report->findings = json_array();
    report->files = json_array();
    report->gap_rows = json_array();
}

bool cli_ledger_report_print(const struct cli_ledger_report *report, const struct ledger_verdict *v)
{
    if (report->json) {
        print_json(report, v);
    } else {
        print_text(report, v);
    }
    return !has_findings(v) && !is_incomplete(report, v);
}

void cli_ledger_report_end(struct cli_ledger_report *report)
{
    json_decref(report->findings);
    json_decref(report->files);
    json_decref(report->gap_rows);
}
