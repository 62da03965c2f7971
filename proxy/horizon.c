/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/horizon.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "auth/certificates.h"
#include "auth/tls_material.h"
#include "auth/trust.h"
#include "conf/config.h"
#include "proxy/ops/log.h"

enum {
    DAY_S = 86400,
    LINES_MAX = 100,
    JSON_BYTES = 100000, /* even escaped it fits one message */
};

/* ---- rows ---- */

struct making {
    struct horizon_row *rows;
    size_t count, capacity;
};

static void add(struct making *making, struct horizon_row row)
{
    if (making->count == making->capacity) {
        making->capacity = making->capacity > 0 ? making->capacity * 2 : 16;
        making->rows = realloc(making->rows, making->capacity * sizeof row);
        if (making->rows == NULL) {
            abort();
        }
    }
    making->rows[making->count++] = row;
}

static void add_identities(struct making *making, const struct tls_material *material)
{
    for (size_t i = 0; i < certificates_count(material->certificates); i++) {
        const struct certificate *of = certificates_at(material->certificates, i);
        add(making, (struct horizon_row){.role = "identity",
                                         .name = of->name,
                                         .file = of->path,
                                         .subject = of->subject,
                                         .fingerprint = of->fingerprint,
                                         .not_before_s = of->not_before_s,
                                         .ends_s = of->not_after_s});
    }
}

static void add_trust(struct making *making, const struct trust *trust, const char *name)
{
    const struct horizon_row row = {.name = name, .subject = "", .fingerprint = ""};
    if (trust == NULL) {
        return;
    }
    struct horizon_row authority = row, lists = row;
    authority.role = "authority";
    authority.file = trust->ca;
    authority.ends_s = trust->ends_s;
    add(making, authority);
    if (trust->lists != NULL) {
        lists.role = "revocation_list";
        lists.file = trust->crl;
        lists.ends_s = trust->lists_end_s;
        add(making, lists);
    }
}

static void add_listeners(struct making *making, const struct tls_material *material)
{
    const struct config *config = material->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        const struct tls_side *side = &material->sides[i];
        if (listener->tls.present) {
            add(making, (struct horizon_row){.role = "listener",
                                             .name = listener->name,
                                             .file = listener->tls.chain,
                                             .subject = side->subject,
                                             .fingerprint = side->fingerprint,
                                             .not_before_s = side->not_before_s,
                                             .ends_s = side->not_after_s});
            add_trust(making, side->clients, listener->name);
        }
    }
}

static int by_end(const void *a, const void *b)
{
    const struct horizon_row *left = a, *right = b;
    return (left->ends_s > right->ends_s) - (left->ends_s < right->ends_s);
}

void horizon_make(struct horizon *horizon_r, struct tls_material *material)
{
    struct making making = {0};
    add_identities(&making, material);
    add_listeners(&making, material);
    for (size_t i = 0; i < material->trusts_count; i++) {
        add_trust(&making, material->trusts[i], "");
    }
    if (making.count > 0) {
        qsort(making.rows, making.count, sizeof making.rows[0], by_end);
    }
    size_t shown = making.count < HORIZON_ROWS_MAX ? making.count : HORIZON_ROWS_MAX;
    *horizon_r = (struct horizon){.material = tls_material_ref(material),
                                  .rows = making.rows,
                                  .count = shown,
                                  .more = making.count - shown};
}

void horizon_free(struct horizon *horizon)
{
    free(horizon->rows);
    tls_material_unref(&horizon->material);
    *horizon = (struct horizon){0};
}

/* ---- what is said of them ---- */

enum horizon_alert horizon_judge(int64_t ends_s, int64_t now_s)
{
    const int64_t left_s = ends_s - now_s;
    if (left_s < 0) {
        return HORIZON_ENDED;
    }
    if (left_s < (int64_t)HORIZON_DAYS_NOW * DAY_S) {
        return HORIZON_3_DAYS;
    }
    if (left_s < (int64_t)HORIZON_DAYS_NEAR * DAY_S) {
        return HORIZON_14_DAYS;
    }
    return left_s < (int64_t)HORIZON_DAYS_FAR * DAY_S ? HORIZON_30_DAYS : HORIZON_FINE;
}

const char *horizon_alert_name(enum horizon_alert alert)
{
    static const char *const names[] = {"fine", "30_days", "14_days", "3_days", "ended"};
    return names[alert];
}

/* A list lives for hours or days: it is told of when it has ended, and a day before. */
static enum horizon_alert judge_row(const struct horizon_row *row, int64_t now_s)
{
    enum horizon_alert alert = horizon_judge(row->ends_s, now_s);
    bool list = strcmp(row->role, "revocation_list") == 0;
    if (list && alert != HORIZON_ENDED) {
        return row->ends_s - now_s < DAY_S ? HORIZON_3_DAYS : HORIZON_FINE;
    }
    return alert;
}

static void tell(const struct horizon_row *row, int64_t now_s)
{
    struct log_field fields[] = {
        log_str("role", row->role),   log_str("name", row->name),
        log_str("file", row->file),   log_str("alert", horizon_alert_name(row->alert)),
        log_int("days_left", (row->ends_s - now_s) / DAY_S),
    };
    log_write(row->alert >= HORIZON_3_DAYS ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "certificate_ends",
              fields, sizeof fields / sizeof fields[0]);
}

void horizon_look(struct horizon *horizon, int64_t now_s)
{
    size_t lines = 0;
    for (size_t i = 0; i < horizon->count && lines < LINES_MAX; i++) {
        struct horizon_row *row = &horizon->rows[i];
        enum horizon_alert before = row->alert;
        row->alert = judge_row(row, now_s);
        if (row->alert != before && row->alert != HORIZON_FINE) {
            tell(row, now_s);
            lines++;
        }
    }
}

json_t *horizon_json(const struct horizon *horizon, int64_t now_s)
{
    json_t *rows = json_array();
    size_t bytes = 0, shown = 0;
    for (; shown < horizon->count && bytes < JSON_BYTES; shown++) {
        const struct horizon_row *row = &horizon->rows[shown];
        bytes += 256 + strlen(row->name) + strlen(row->file) + strlen(row->subject);
        json_t *made = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "role", row->role, "name", row->name,
            "file", row->file, "subject", row->subject, "fingerprint", row->fingerprint,
            "not_after", (json_int_t)row->ends_s, "seconds_left",
            (json_int_t)(row->ends_s - now_s), "alert",
            horizon_alert_name(judge_row(row, now_s)));
        /* json_pack gives NULL for what is not UTF-8: a file's name may be anything. */
        json_array_append_new(
            rows, made != NULL ? made
                               : json_pack("{s:s, s:s, s:I}", "role", row->role, "fingerprint",
                                           row->fingerprint, "not_after", (json_int_t)row->ends_s));
    }
    return json_pack("{s:o, s:I}", "certificates", rows, "more",
                     (json_int_t)(horizon->more + horizon->count - shown));
}

static void write_label(FILE *out, const char *key, const char *text)
{
    fprintf(out, "%s=\"", key);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\n') {
            fputs("\\n", out);
        } else {
            if (*at == '"' || *at == '\\') {
                fputc('\\', out);
            }
            fputc(*at, out);
        }
    }
    fputc('"', out);
}

void horizon_metrics(const struct horizon *horizon, FILE *out)
{
    for (int lists = 0; lists < 2; lists++) {
        const char *metric = lists != 0 ? "setu_crl_next_update_timestamp_seconds"
                                        : "setu_certificate_not_after_timestamp_seconds";
        fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n", metric,
                lists != 0 ? "When a revocation list in use ends"
                           : "When a certificate or authority in use ends",
                metric);
        for (size_t i = 0; i < horizon->count; i++) {
            const struct horizon_row *row = &horizon->rows[i];
            if ((strcmp(row->role, "revocation_list") == 0) != (lists != 0)) {
                continue;
            }
            fprintf(out, "%s{role=\"%s\",", metric, row->role);
            write_label(out, "alias", row->name);
            fputc(',', out);
            write_label(out, "file", row->file);
            fprintf(out, "} %" PRId64 "\n", row->ends_s);
        }
    }
}
