/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer or a foreign audit file may put into a record, in every form it is exported in, and a filter over it.
 *
 *   byte 0 and 1   the event's code      byte 2   outcome, node and whether its hash holds
 *   rest           texts, each ended by a zero byte; the last two are a glob and a time
 *
 * Each form is one line of valid UTF-8 without a control character or one that turns text around; the JSON forms are
 * one object; a CSV line has as many cells as its head, none of which a spreadsheet takes for a formula.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/utf8.h"
#include "proxy/cli/audit_filter.h"
#include "proxy/cli/audit_format.h"
#include "tests/fuzz/login_fuzz.h"

enum { TEXTS = 16, TEXT_SIZE = AUDIT_TEXT_BYTES_MAX + 1 };

static char texts[TEXTS][TEXT_SIZE];

static void read_texts(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
        size_t length = end != NULL ? (size_t)(end - data) : size;
        size_t kept = length < TEXT_SIZE - 1 ? length : TEXT_SIZE - 1;
        if (kept > 0) {
            memcpy(texts[i], data, kept);
        }
        texts[i][kept] = '\0';
        size_t used = end != NULL ? length + 1 : length;
        data += used;
        size -= used;
    }
}

static struct audit_record make(const uint8_t *head)
{
    static const uint8_t hash[AUDIT_HASH_BYTES];
    struct audit_record record = {.seq = 7, .instance = texts[0], .hash_ok = (head[2] & 1) != 0};
    struct audit_event *event = &record.event;
    *event = audit_event_init((enum audit_code)((unsigned)head[0] << 8 | head[1]));
    event->code = audit_code_name(event->code)[0] != '\0' ? event->code : 0;
    event->outcome = (enum audit_outcome)(head[2] >> 1 & 3);
    event->broker_node = (head[2] & 8) != 0 ? 3 : -1;
    event->session_id = (head[2] & 16) != 0 ? UINT64_MAX : 0;
    event->count = (head[2] & 32) != 0 ? UINT64_MAX : 0;
    event->time_ns = (head[2] & 64) != 0 ? INT64_MIN : 1800000000123456789;
    event->listener = texts[1];
    event->client_address = texts[2];
    event->mechanism = texts[3];
    event->principal = texts[4];
    event->rule = texts[5];
    event->certificate = texts[6];
    event->certificate_subject = texts[7];
    event->broker_address = texts[8];
    event->reason = texts[9];
    event->detail = texts[10];
    event->cluster = texts[11];
    event->generation = event->generation_before = texts[12];
    event->certificate_fingerprint = event->mapping_hash = event->config_hash = texts[13];
    record.key_id = (head[2] & 128) != 0 ? texts[0] : "";
    memcpy(record.hash, hash, sizeof hash);
    snprintf(record.code, sizeof record.code, "%.*s", AUDIT_CODE_SIZE - 1,
             event->code != 0 ? audit_code_text(event->code) : texts[1]);
    return record;
}

static bool turns_or_breaks(uint32_t c)
{
    return c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void check_line(const char *line, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t c = 0;
        size_t used = utf8_next(line + i, length - i, &c);
        must(used != 0 && !turns_or_breaks(c));
        i += used;
    }
}

/* RFC 4180; the cells of a line. */
static size_t count_cells(const char *line, size_t length)
{
    size_t cells = 1;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '"') {
            bool begins = !quoted && (i == 0 || line[i - 1] == ',');
            must(quoted || begins);
            must(!begins || i + 1 == length || strchr("=+-@", line[i + 1]) == NULL);
            if (quoted && i + 1 < length && line[i + 1] == '"') {
                i++;
            } else {
                quoted = !quoted;
            }
        } else {
            cells += !quoted && line[i] == ',';
        }
    }
    must(!quoted);
    return cells;
}

static void check_json(const char *line, size_t length)
{
    json_error_t error;
    json_t *value = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    must(json_is_object(value));
    json_decref(value);
}

static void check_form(const char *name, const struct audit_record *record)
{
    const struct audit_format *form = audit_format_find(name);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    must(form != NULL && out != NULL);
    if (form->head != NULL) {
        form->head(out);
    }
    fflush(out);
    size_t head = size;
    form->line(record, out);
    fclose(out);
    bool csv = strcmp(name, "csv") == 0;
    size_t end = csv ? 2 : 1;
    must(size > head + end && text[size - 1] == '\n' && (!csv || text[size - 2] == '\r'));
    check_line(text + head, size - head - end);
    if (csv) {
        must(count_cells(text, head - end) == count_cells(text + head, size - head - end));
    } else if (strcmp(name, "text") != 0 && strcmp(name, "cef") != 0) {
        check_json(text, size - end);
    }
    free(text);
}

static void check_filter(const struct audit_record *record)
{
    struct audit_filter all = audit_filter_all(), filter = all;
    int64_t time_ns = 0;
    must(audit_filter_takes(&all, record) == (record->event.time_ns < INT64_MAX));
    filter.principal = filter.code = filter.broker = filter.certificate = texts[14];
    filter.outcome = "*";
    if (audit_filter_time(texts[15], INT64_C(1800000000000000000), &time_ns)) {
        filter.since_ns = time_ns;
    }
    if (audit_filter_takes(&filter, record)) {
        must(record->event.time_ns >= filter.since_ns);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const forms[] = {"text", "jsonl", "csv", "ocsf", "ecs", "cef"};
    if (size < 3) {
        return 0;
    }
    read_texts(data + 3, size - 3);
    struct audit_record record = make(data);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        check_form(forms[i], &record);
    }
    check_filter(&record);
    return 0;
}
