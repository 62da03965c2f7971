/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/stats.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/ledger.h"
#include "proxy/ops/log.h"

enum row_kind { COUNTER, GAUGE };

struct row {
    const char *field;
    enum row_kind kind;
    const char *metric;
    const char *label; /* whole, or the label's name when count > 1 */
    const char *help;
    size_t offset;
    size_t count;
};

static const struct row rows[] = {
#define STAT(field, kind, metric, label, help)                                                     \
    {#field, kind, metric, label, help, offsetof(struct stats, field), 1},
#define STAT_BY(field, size, metric, label, help)                                                  \
    {#field, COUNTER, metric, label, help, offsetof(struct stats, field), size},
#include "proxy/ops/stats.def"
#undef STAT
#undef STAT_BY
};

enum { ROWS = sizeof rows / sizeof rows[0], NUMBERS = sizeof(struct stats) / sizeof(uint64_t) };

_Static_assert(sizeof(struct stats) % sizeof(uint64_t) == 0, "struct stats is numbers only");

void stats_sum(struct stats *sum_r, const struct stats *const *workers, size_t count)
{
    memset(sum_r, 0, sizeof *sum_r);
    uint64_t *to = (uint64_t *)sum_r;
    for (size_t i = 0; i < count; i++) {
        const uint64_t *from = (const uint64_t *)workers[i];
        for (size_t n = 0; n < NUMBERS; n++) {
            to[n] += __atomic_load_n(&from[n], __ATOMIC_RELAXED);
        }
    }
}

static const uint64_t *row_numbers(const struct stats *stats, const struct row *row)
{
    return (const uint64_t *)(const void *)((const char *)stats + row->offset);
}

/* The value of the label for one element of a STAT_BY. */
static void element_name(const struct row *row, const struct stats_names *names, size_t index,
                         char *out, size_t capacity)
{
    const char *name = NULL;
    if (row->offset == offsetof(struct stats, requests_by_api)) {
        bool other = index == STATS_APIS - 1 || api_find((int16_t)index) == NULL;
        name = other ? "unknown" : api_name((int16_t)index);
    } else if (names != NULL && names->close_reason != NULL) {
        name = names->close_reason(index);
    }
    if (name != NULL) {
        snprintf(out, capacity, "%s", name);
    } else {
        snprintf(out, capacity, "%zu", index);
    }
}

static void write_row(const struct stats *stats, const struct row *row,
                      const struct stats_names *names, FILE *out)
{
    const uint64_t *numbers = row_numbers(stats, row);
    if (row->count == 1) {
        const char *open = row->label[0] != '\0' ? "{" : "";
        const char *close = row->label[0] != '\0' ? "}" : "";
        fprintf(out, "setu_%s%s%s%s %" PRIu64 "\n", row->metric, open, row->label, close,
                numbers[0]);
        return;
    }
    for (size_t i = 0; i < row->count; i++) {
        char name[64];
        if (numbers[i] > 0) {
            element_name(row, names, i, name, sizeof name);
            fprintf(out, "setu_%s{%s=\"%s\"} %" PRIu64 "\n", row->metric, row->label, name,
                    numbers[i]);
        }
    }
}

static void write_number(FILE *out, const char *metric, const char *type, const char *help,
                         uint64_t number)
{
    fprintf(out, "# HELP setu_%s %s\n# TYPE setu_%s %s\nsetu_%s %" PRIu64 "\n", metric, help,
            metric, type, metric, number);
}

static void write_audit(const struct audit_log *audit, FILE *out)
{
    struct audit_log_stats stats;
    audit_log_stats(audit, &stats);
    write_number(out, "audit_records_total", "counter", "Audit records made durable",
                 stats.written);
    write_number(out, "audit_lost_total", "counter", "Audit events lost", stats.lost);
    write_number(out, "audit_write_failures_total", "counter", "Failed writes of the audit log",
                 stats.write_failures);
    write_number(out, "audit_queue", "gauge", "Audit events waiting", stats.queued);
    write_number(out, "audit_healthy", "gauge", "1 while audit events can be made durable",
                 audit_log_healthy(audit) ? 1 : 0);
    write_number(out, "audit_last_sync_timestamp_seconds", "gauge", "When the audit log was synced",
                 stats.last_sync_ns / 1000000000U);
    write_number(out, "audit_rotations_total", "counter", "Audit files ended", stats.rotations);
    if (stats.signing) {
        write_number(out, "audit_checkpoints_total", "counter", "Signed checkpoints made durable",
                     stats.checkpoints);
        write_number(out, "audit_unsigned_records", "gauge",
                     "Durable audit records behind the last checkpoint", stats.unsigned_records);
        write_number(out, "audit_last_checkpoint_timestamp_seconds", "gauge",
                     "When the audit log was signed", stats.last_checkpoint_ns / 1000000000U);
    }
}

static void write_kinds(FILE *out, const char *metric, const char *help,
                        const uint64_t numbers[LEDGER_KINDS])
{
    fprintf(out, "# HELP setu_%s %s\n# TYPE setu_%s counter\n", metric, help, metric);
    for (enum ledger_kind kind = 0; kind < LEDGER_KINDS; kind++) {
        fprintf(out, "setu_%s{kind=\"%s\"} %" PRIu64 "\n", metric, ledger_kind_name(kind),
                numbers[kind]);
    }
}

static void write_ledger(struct ledger *ledger, FILE *out)
{
    struct ledger_stats stats;
    ledger_stats(ledger, &stats);
    write_kinds(out, "ledger_records_total", "Ledger records written", stats.written);
    write_kinds(out, "ledger_lost_total", "Batches that are missing in the ledger", stats.lost);
    write_number(out, "ledger_bytes_total", "counter", "Bytes of the ledger written", stats.bytes);
    write_number(out, "ledger_files_total", "counter", "Ledger files begun", stats.files);
    write_number(out, "ledger_write_failures_total", "counter", "Failed writes of the ledger",
                 stats.write_failures);
    write_number(out, "ledger_queue", "gauge", "Ledger records waiting", stats.waiting);
    write_number(out, "ledger_healthy", "gauge", "1 while the ledger can be written",
                 stats.healthy ? 1 : 0);
}

void stats_hash_init(struct stats_hash *hash)
{
    pthread_mutex_init(&hash->lock, NULL);
    hash->text[0] = '\0';
}

void stats_hash_set(struct stats_hash *hash, const char *text)
{
    pthread_mutex_lock(&hash->lock);
    snprintf(hash->text, sizeof hash->text, "%s", text);
    pthread_mutex_unlock(&hash->lock);
}

static void write_mapping(struct stats_hash *hash, FILE *out)
{
    pthread_mutex_lock(&hash->lock);
    fprintf(out,
            "# HELP setu_mapping_info The mapping in use, by its hash\n"
            "# TYPE setu_mapping_info gauge\nsetu_mapping_info{hash=\"%s\"} 1\n",
            hash->text);
    pthread_mutex_unlock(&hash->lock);
}

void stats_page_init(struct stats_page *page)
{
    pthread_mutex_init(&page->lock, NULL);
    page->text = NULL;
}

void stats_page_set(struct stats_page *page, char *text)
{
    pthread_mutex_lock(&page->lock);
    free(page->text);
    page->text = text;
    pthread_mutex_unlock(&page->lock);
}

static void write_page(struct stats_page *page, FILE *out)
{
    pthread_mutex_lock(&page->lock);
    fputs(page->text != NULL ? page->text : "", out);
    pthread_mutex_unlock(&page->lock);
}

bool stats_prometheus(const struct stats *stats, const struct stats_names *names, FILE *out)
{
    fprintf(out,
            "# HELP setu_build_info Version of the running binary\n# TYPE setu_build_info gauge\n"
            "setu_build_info{version=\"%s\"} 1\n",
            SETU_VERSION);
    if (names != NULL && names->aes != NULL) {
        fprintf(out,
                "# HELP setu_aes_implementation Whose AES-GCM protects TLS records\n"
                "# TYPE setu_aes_implementation gauge\nsetu_aes_implementation{name=\"%s\"} 1\n",
                names->aes);
    }
    if (names != NULL && names->mapping != NULL) {
        write_mapping(names->mapping, out);
    }
    if (names != NULL && names->certificates != NULL) {
        write_page(names->certificates, out);
    }
    const char *metric = "";
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(metric, rows[i].metric) != 0) {
            metric = rows[i].metric;
            fprintf(out, "# HELP setu_%s %s\n# TYPE setu_%s %s\n", metric, rows[i].help, metric,
                    rows[i].kind == GAUGE ? "gauge" : "counter");
        }
        write_row(stats, &rows[i], names, out);
    }
    write_number(out, "log_lines_dropped_total", "counter", "Log lines lost", log_dropped());
    if (names != NULL && names->audit != NULL) {
        write_audit(names->audit, out);
    }
    if (names != NULL && names->ledger != NULL) {
        write_ledger(names->ledger, out);
    }
    return ferror(out) == 0;
}

enum { LOG_FIELDS = 32 };

/* Fields on their way into lines of at most LOG_FIELDS. */
struct batch {
    const char *event;
    struct log_field fields[LOG_FIELDS];
    char names[LOG_FIELDS][64];
    size_t count;
};

static void batch_flush(struct batch *batch)
{
    if (batch->count > 0) {
        log_write(LOG_LEVEL_INFO, batch->event, batch->fields, batch->count);
    }
    batch->count = 0;
}

static void batch_add(struct batch *batch, const char *key, uint64_t number)
{
    char *name = batch->names[batch->count];
    snprintf(name, sizeof batch->names[0], "%s", key);
    batch->fields[batch->count++] = log_uint(name, number);
    if (batch->count == LOG_FIELDS) {
        batch_flush(batch);
    }
}

void stats_log(const struct stats *stats, const struct stats_names *names)
{
    struct batch batch = {.event = "stats"};
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].count == 1 && *row_numbers(stats, &rows[i]) > 0) {
            batch_add(&batch, rows[i].field, *row_numbers(stats, &rows[i]));
        }
    }
    batch_flush(&batch);
    for (size_t i = 0; i < ROWS; i++) {
        const uint64_t *numbers = row_numbers(stats, &rows[i]);
        char event[64];
        snprintf(event, sizeof event, "stats_%s", rows[i].field);
        batch.event = event;
        for (size_t n = 0; rows[i].count > 1 && n < rows[i].count; n++) {
            char name[64];
            if (numbers[n] > 0) {
                element_name(&rows[i], names, n, name, sizeof name);
                batch_add(&batch, name, numbers[n]);
            }
        }
        batch_flush(&batch);
    }
}
