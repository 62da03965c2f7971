/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_audit.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/audit_key.h"
#include "proxy/cli/audit_filter.h"
#include "proxy/cli/audit_format.h"
#include "proxy/cli/audit_set.h"
#include "proxy/cli/cli_out.h"

enum { PRINCIPAL, SINCE, UNTIL, CODE, OUTCOME, SESSION, CERTIFICATE, BROKER, OWN };
enum { FOLLOW = OWN, FORMAT = OWN };
enum { FOLLOW_MS = 300, PEM_SIZE = 512 };

#define FILTERS                                                                                    \
    [PRINCIPAL] = {"principal", "GLOB", "of these principals only"},                               \
    [SINCE] = {"since", "TIME", "2027-01-31, 2027-01-31T12:00:00Z, or 90s, 15m, 2h, 7d ago"},      \
    [UNTIL] = {"until", "TIME", "before this time"},                                               \
    [CODE] = {"code", "GLOB", "code or name: 'SETU20*', login_denied"},                            \
    [OUTCOME] = {"outcome", "GLOB", "allowed, denied or failed"},                                  \
    [SESSION] = {"session", "ID", "of this connection"},                                           \
    [CERTIFICATE] = {"certificate", "GLOB", "by name, subject or fingerprint"},                    \
    [BROKER] = {"broker", "NODE|GLOB", "by node id, or by address"}

const struct cli_option cli_audit_query_options[] = {FILTERS, {NULL, NULL, NULL}};
const struct cli_option cli_audit_show_options[] = {
    FILTERS,
    [FOLLOW] = {"follow", NULL, "go on with records as they are written"},
    {NULL, NULL, NULL},
};
const struct cli_option cli_audit_export_options[] = {
    FILTERS,
    [FORMAT] = {"format", "FORMAT", "jsonl (default), csv, ocsf, ecs or cef"},
    {NULL, NULL, NULL},
};

/* ---- what is wanted ---- */

static bool take_time(const struct cli_call *call, size_t option, int64_t *time_ns)
{
    const char *text = call->values[option];
    const int64_t now_ns = (int64_t)time(NULL) * 1000000000;
    if (text == NULL || audit_filter_time(text, now_ns, time_ns)) {
        return true;
    }
    (void)cli_usage_error(call->verb, "`%s` is no time", text);
    return false;
}

static bool take_filter(const struct cli_call *call, struct audit_filter *filter)
{
    unsigned long session = 0;
    *filter = audit_filter_all();
    filter->principal = call->values[PRINCIPAL];
    filter->code = call->values[CODE];
    filter->outcome = call->values[OUTCOME];
    filter->certificate = call->values[CERTIFICATE];
    filter->broker = call->values[BROKER];
    if (call->values[SESSION] != NULL) {
        if (!cli_number(call->values[SESSION], 1, INT64_MAX, &session)) {
            (void)cli_usage_error(call->verb, "`%s` is no session", call->values[SESSION]);
            return false;
        }
        filter->session = (int64_t)session;
    }
    return take_time(call, SINCE, &filter->since_ns) && take_time(call, UNTIL, &filter->until_ns);
}

/* ---- printing ---- */

struct printing {
    struct audit_filter filter;
    const struct audit_format *format;
    uint64_t seen_seq; /* the last record looked at */
    uint64_t printed;
};

static bool print_record(void *context, const struct audit_record *record)
{
    struct printing *printing = context;
    if (audit_filter_takes(&printing->filter, record)) {
        printing->format->line(record, stdout);
        printing->printed++;
    }
    printing->seen_seq = record->seq;
    return true;
}

static bool print_new(void *context, const struct audit_record *record)
{
    const struct printing *printing = context;
    return record->seq <= printing->seen_seq || print_record(context, record);
}

bool cli_audit_open(const struct cli_call *call, struct audit_set *set)
{
    char error[1024];
    if (audit_set_open(set, call->operands, (size_t)call->operand_count, error, sizeof error)) {
        return true;
    }
    cli_error_at(call->verb, call->operand_count == 1 ? call->operands[0] : NULL, 0, "%s", error);
    return false;
}

/* What is shown may have been tampered with, and whoever reads it is told. */
static int judge(const struct cli_call *call, const struct audit_set *set)
{
    struct audit_signatures signatures = {0};
    struct audit_set_verdict verdict;
    audit_set_verify(set, NULL, NULL, &signatures, &verdict);
    if (!verdict.holds) {
        cli_error(call->verb, "the chain does not hold: record %llu: %s (see `setu audit verify`)",
                  (unsigned long long)verdict.bad_seq, verdict.why);
    }
    return verdict.holds ? CLI_OK : CLI_NEGATIVE;
}

static int print_all(const struct cli_call *call, struct printing *printing)
{
    struct audit_set set;
    if (!cli_audit_open(call, &set)) {
        return CLI_BAD_CONFIG;
    }
    if (printing->format->head != NULL) {
        printing->format->head(stdout);
    }
    audit_set_each(&set, print_record, printing);
    const int status = judge(call, &set);
    audit_set_close(&set);
    return status;
}

/* ---- show, query, export ---- */

static bool has_changed(const char *path, struct stat *before)
{
    struct stat now;
    if (stat(path, &now) != 0) {
        return false;
    }
    const bool changed = now.st_ino != before->st_ino || now.st_size != before->st_size;
    *before = now;
    return changed;
}

static int follow(const struct cli_call *call, struct printing *printing)
{
    const char *live = call->operands[0];
    struct stat seen = {0};
    (void)has_changed(live, &seen);
    int status = print_all(call, printing);
    while (status != CLI_BAD_CONFIG && fflush(stdout) == 0) {
        struct audit_set set;
        usleep(FOLLOW_MS * 1000);
        if (has_changed(live, &seen) && cli_audit_open(call, &set)) {
            audit_set_each(&set, print_new, printing);
            audit_set_close(&set);
        }
    }
    return status;
}

int cli_audit_show(const struct cli_call *call)
{
    struct printing printing = {.format = audit_format_find(call->json ? "jsonl" : "text")};
    struct stat st;
    if (!take_filter(call, &printing.filter)) {
        return CLI_USAGE;
    }
    if (call->values[FOLLOW] == NULL) {
        return print_all(call, &printing);
    }
    if (call->operand_count != 1 || (stat(call->operands[0], &st) == 0 && S_ISDIR(st.st_mode))) {
        return cli_usage_error(call->verb, "--follow wants one file, the one being written");
    }
    return follow(call, &printing);
}

int cli_audit_query(const struct cli_call *call)
{
    struct printing printing = {.format = audit_format_find(call->json ? "jsonl" : "text")};
    if (!take_filter(call, &printing.filter)) {
        return CLI_USAGE;
    }
    const int status = print_all(call, &printing);
    return status == CLI_OK && printing.printed == 0 ? CLI_NEGATIVE : status;
}

int cli_audit_export(const struct cli_call *call)
{
    const char *format = call->values[FORMAT] != NULL ? call->values[FORMAT] : "jsonl";
    struct printing printing = {.format = audit_format_find(format)};
    if (printing.format == NULL || strcmp(format, "text") == 0) {
        return cli_usage_error(call->verb, "--format is jsonl, csv, ocsf, ecs or cef, not `%s`",
                               format);
    }
    if (call->json && (strcmp(format, "csv") == 0 || strcmp(format, "cef") == 0)) {
        return cli_usage_error(call->verb, "--format %s is not JSON: leave -o json away", format);
    }
    if (!take_filter(call, &printing.filter)) {
        return CLI_USAGE;
    }
    return print_all(call, &printing);
}

/* ---- keygen ---- */

int cli_audit_keygen(const struct cli_call *call)
{
    struct pem_fault fault;
    char pem[PEM_SIZE] = "";
    const char *path = call->operands[0];
    struct audit_key *key = NULL;
    if (!audit_key_generate(path, &fault) || (key = audit_key_load(path, &fault)) == NULL) {
        cli_error_at(call->verb, path, 0, "%s", fault.text);
        return CLI_BAD_CONFIG;
    }
    if (!audit_key_public_pem(key, pem, sizeof pem)) {
        pem[0] = '\0';
    }
    if (call->json) {
        cli_out_json(json_pack("{s:o, s:s, s:s}", "file", cli_out_string(path), "key_id",
                               audit_key_id(key), "public_key", pem));
    } else {
        printf("%s", pem);
        fprintf(stderr, "%s: key %s\n", path, audit_key_id(key));
    }
    audit_key_unref(&key);
    return CLI_OK;
}
