/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_format.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/cli/cli_out.h"
#include "proxy/ops/log_line.h"

enum { HEX_SIZE = 2 * AUDIT_SIGNATURE_BYTES + 1 };

/* ---- parts ---- */

const char *audit_format_time(int64_t time_ns, char out[AUDIT_FORMAT_TIME_SIZE])
{
    struct tm tm;
    int64_t part = time_ns % 1000000000;
    const time_t seconds = (time_t)(time_ns / 1000000000 - (part < 0 ? 1 : 0));
    part += part < 0 ? 1000000000 : 0;
    if (gmtime_r(&seconds, &tm) == NULL) {
        snprintf(out, AUDIT_FORMAT_TIME_SIZE, "1970-01-01T00:00:00.000000000Z");
        return out;
    }
    const size_t length = strftime(out, AUDIT_FORMAT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + length, AUDIT_FORMAT_TIME_SIZE - length, ".%09dZ", (int)part);
    return out;
}

char audit_format_severity(const struct audit_record *record)
{
    const size_t length = strlen(record->code);
    const char last = length > 0 ? record->code[length - 1] : 'E';
    return last == 'I' || last == 'W' ? last : 'E';
}

const char *audit_format_event(const struct audit_record *record, char out[64])
{
    const char *name = record->event.code == 0 ? "UNKNOWN" : audit_code_name(record->event.code);
    size_t i = 0;
    for (; name[i] != '\0' && i < 63; i++) {
        out[i] = (char)tolower((unsigned char)name[i]);
    }
    out[i] = '\0';
    return out;
}

void audit_format_address(const char *text, char host_r[256], int *port_r)
{
    const char *colon = strrchr(text, ':');
    const bool bracket = text[0] == '[';
    const char *end = colon != NULL ? colon : text + strlen(text);
    const char *from = bracket ? text + 1 : text;
    end -= bracket && end > from && end[-1] == ']' ? 1 : 0;
    snprintf(host_r, 256, "%.*s", (int)(end - from), from);
    const long port = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
    *port_r = port > 0 && port <= 65535 ? (int)port : 0;
}

bool audit_format_is_ip(const char *host)
{
    return strspn(host, "0123456789.") == strlen(host) || strchr(host, ':') != NULL;
}

const char *audit_format_safe(const char *text, char out[AUDIT_FORMAT_TEXT_SIZE])
{
    const size_t length =
        log_escape(out, AUDIT_FORMAT_TEXT_SIZE - 1, view_from_string(text != NULL ? text : ""));
    out[length] = '\0';
    return out;
}

void audit_format_set(json_t *to, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_object_set_new(to, key, cli_out_string(text));
    }
}

/* JSON lets DEL stand as it is, and so does Jansson: it can only be inside of a string. */
static int put_json(const char *text, size_t length, void *out)
{
    for (size_t i = 0; i < length; i++) {
        if ((text[i] == '\x7f' ? fputs("\\u007f", out) : fputc(text[i], out)) == EOF) {
            return -1;
        }
    }
    return 0;
}

void audit_format_json(json_t *value, FILE *out)
{
    (void)json_dump_callback(value, put_json, out,
                             JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    fputc('\n', out);
    json_decref(value);
}

static const char *hex(const uint8_t *at, size_t length, char out[HEX_SIZE])
{
    out[0] = '\0';
    for (size_t i = 0; i < length; i++) {
        snprintf(out + 2 * i, 3, "%02x", at[i]);
    }
    return out;
}

/* ---- native ---- */

/* The texts of an event, in the order and by the names of every native form. */
#define EACH_TEXT(DO)                                                                              \
    DO("listener", listener)                                                                       \
    DO("client", client_address)                                                                   \
    DO("mechanism", mechanism)                                                                     \
    DO("principal", principal)                                                                     \
    DO("rule", rule)                                                                               \
    DO("certificate", certificate)                                                                 \
    DO("certificate_subject", certificate_subject)                                                 \
    DO("certificate_fingerprint", certificate_fingerprint)                                         \
    DO("cluster", cluster)                                                                         \
    DO("broker", broker_address)                                                                   \
    DO("generation", generation)                                                                   \
    DO("generation_before", generation_before)                                                     \
    DO("reason", reason)                                                                           \
    DO("detail", detail)                                                                           \
    DO("mapping_hash", mapping_hash)                                                               \
    DO("config_hash", config_hash)

json_t *audit_format_native(const struct audit_record *record)
{
    char text[HEX_SIZE], name[64], when[AUDIT_FORMAT_TIME_SIZE];
    const struct audit_event *event = &record->event;
    json_t *row = json_object();
    json_object_set_new(row, "seq", json_integer((json_int_t)record->seq));
    json_object_set_new(row, "time", json_string(audit_format_time(event->time_ns, when)));
    audit_format_set(row, "code", record->code);
    json_object_set_new(row, "event", json_string(audit_format_event(record, name)));
    audit_format_set(row, "outcome", audit_outcome_name(event->outcome));
    audit_format_set(row, "instance", record->instance);
    if (event->session_id != 0) {
        json_object_set_new(row, "session", json_integer((json_int_t)event->session_id));
    }
#define SET(key, field) audit_format_set(row, key, event->field);
    EACH_TEXT(SET)
#undef SET
    if (event->broker_node >= 0) {
        json_object_set_new(row, "broker_node", json_integer(event->broker_node));
    }
    if (event->count != 0) {
        json_object_set_new(row, "count", json_integer((json_int_t)event->count));
    }
    audit_format_set(row, "key", record->key_id);
    audit_format_set(row, "signature", hex(record->signature.at, record->signature.length, text));
    const char *before = hex(record->prev_hash, AUDIT_HASH_BYTES, text);
    json_object_set_new(row, "prev_hash", json_string(before));
    json_object_set_new(row, "hash", json_string(hex(record->hash, AUDIT_HASH_BYTES, text)));
    if (!record->hash_ok) {
        json_object_set_new(row, "damaged", json_true());
    }
    return row;
}

static void line_jsonl(const struct audit_record *record, FILE *out)
{
    audit_format_json(audit_format_native(record), out);
}

/* ---- text ---- */

static void put_pair(FILE *out, const char *key, const char *text)
{
    char safe[AUDIT_FORMAT_TEXT_SIZE];
    if (text != NULL && text[0] != '\0') {
        const char *quote = strcspn(text, " =\"\\") == strlen(text) ? "" : "\"";
        fprintf(out, " %s=%s%s%s", key, quote, audit_format_safe(text, safe), quote);
    }
}

static void line_text(const struct audit_record *record, FILE *out)
{
    char name[64], when[AUDIT_FORMAT_TIME_SIZE], safe[AUDIT_FORMAT_TEXT_SIZE];
    const struct audit_event *event = &record->event;
    fprintf(out, "%" PRIu64 " %s %s %s", record->seq, audit_format_time(event->time_ns, when),
            audit_format_safe(record->code, safe), audit_format_event(record, name));
    put_pair(out, "outcome", audit_outcome_name(event->outcome));
    if (event->session_id != 0) {
        fprintf(out, " session=%" PRIu64, event->session_id);
    }
#define PUT(key, field) put_pair(out, key, event->field);
    EACH_TEXT(PUT)
#undef PUT
    if (event->broker_node >= 0) {
        fprintf(out, " broker_node=%" PRId32, event->broker_node);
    }
    if (event->count != 0) {
        fprintf(out, " count=%" PRIu64, event->count);
    }
    put_pair(out, "key", record->key_id);
    fprintf(out, "%s\n", record->hash_ok ? "" : " DAMAGED");
}

/* ---- csv ---- */

static void head_csv(FILE *out)
{
    fprintf(out, "seq,time,code,event,outcome,instance,session");
#define NAME(key, field) fprintf(out, "," key);
    EACH_TEXT(NAME)
#undef NAME
    fprintf(out, ",broker_node,count,key,hash,damaged\r\n");
}

static void put_cell(FILE *out, const char *text)
{
    char safe[AUDIT_FORMAT_TEXT_SIZE];
    if (text == NULL || text[0] == '\0') {
        fputc(',', out);
        return;
    }
    audit_format_safe(text, safe);
    fprintf(out, ",\"%s", strchr("=+-@", safe[0]) != NULL ? "'" : "");
    for (const char *at = safe; *at != '\0'; at++) {
        if (*at == '"') {
            fputc('"', out);
        }
        fputc(*at, out);
    }
    fputc('"', out);
}

/* An empty cell for what is not there. */
static void put_number(FILE *out, bool there, uint64_t number)
{
    fputc(',', out);
    if (there) {
        fprintf(out, "%" PRIu64, number);
    }
}

static void line_csv(const struct audit_record *record, FILE *out)
{
    char text[HEX_SIZE], name[64], when[AUDIT_FORMAT_TIME_SIZE];
    const struct audit_event *event = &record->event;
    fprintf(out, "%" PRIu64 ",%s", record->seq, audit_format_time(event->time_ns, when));
    put_cell(out, record->code);
    put_cell(out, audit_format_event(record, name));
    put_cell(out, audit_outcome_name(event->outcome));
    put_cell(out, record->instance);
    put_number(out, event->session_id != 0, event->session_id);
#define CELL(key, field) put_cell(out, event->field);
    EACH_TEXT(CELL)
#undef CELL
    put_number(out, event->broker_node >= 0, (uint64_t)event->broker_node);
    put_number(out, event->count != 0, event->count);
    put_cell(out, record->key_id);
    put_cell(out, hex(record->hash, AUDIT_HASH_BYTES, text));
    fprintf(out, ",%s\r\n", record->hash_ok ? "" : "yes");
}

/* ---- all ---- */

static const struct audit_format formats[] = {
    {"text", NULL, line_text},       {"jsonl", NULL, line_jsonl},
    {"csv", head_csv, line_csv},     {"ocsf", NULL, audit_format_ocsf},
    {"ecs", NULL, audit_format_ecs}, {"cef", NULL, audit_format_cef},
};

const struct audit_format *audit_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}
