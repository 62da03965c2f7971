/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_ledger_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/ops/ledger.h"

enum { NAME_SIZE = 512 };

const char *cli_ledger_time(int64_t time_ms, char out[CLI_LEDGER_TIME_SIZE])
{
    struct tm tm;
    time_t seconds = (time_t)(time_ms / 1000);
    if (time_ms < 0 || gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 8000) {
        snprintf(out, CLI_LEDGER_TIME_SIZE, "?");
        return out;
    }
    size_t length = strftime(out, CLI_LEDGER_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + length, CLI_LEDGER_TIME_SIZE - length, ".%03dZ", (int)(time_ms % 1000));
    return out;
}

static const char *name_of(struct view text, char out[NAME_SIZE])
{
    size_t length = text.length < NAME_SIZE - 1 ? text.length : NAME_SIZE - 1;
    if (length > 0) {
        memcpy(out, text.at, length);
    }
    out[length] = '\0';
    return out;
}

json_t *cli_ledger_text(struct view text)
{
    char copy[NAME_SIZE];
    return cli_out_string(name_of(text, copy));
}

const char *cli_ledger_safe(struct view text, char out[CLI_OUT_TEXT_SIZE])
{
    char copy[NAME_SIZE];
    return cli_out_safe(name_of(text, copy), out);
}

int64_t cli_ledger_last_offset(const struct ledger_record *r)
{
    return r->offset >= 0 && r->span > 1 && r->offset < INT64_MAX - r->span
               ? r->offset + r->span - 1
               : r->offset;
}

void cli_ledger_set_number(json_t *to, const char *key, uint64_t number)
{
    json_object_set_new(to, key, json_integer((json_int_t)number));
}

void cli_ledger_set_record(json_t *row, const struct ledger_record *r)
{
    char when[CLI_LEDGER_TIME_SIZE];
    json_object_set_new(row, "offset", json_integer(r->offset));
    json_object_set_new(row, "last_offset", json_integer(cli_ledger_last_offset(r)));
    json_object_set_new(row, "records", json_integer(r->count));
    json_object_set_new(row, "producer_id", json_integer(r->producer_id));
    json_object_set_new(row, "producer_epoch", json_integer(r->epoch));
    json_object_set_new(row, "sequence", json_integer(r->sequence));
    json_object_set_new(row, "crc", json_integer(r->crc));
    json_object_set_new(row, "time", json_string(cli_ledger_time(r->time_ms, when)));
    json_object_set_new(row, "time_ms", json_integer(r->time_ms));
}

json_t *cli_ledger_gap_json(const struct ledger_gap *gap)
{
    char from[CLI_LEDGER_TIME_SIZE], to[CLI_LEDGER_TIME_SIZE];
    json_t *row = json_object();
    json_object_set_new(row, "from", json_string(cli_ledger_time(gap->from_ms, from)));
    json_object_set_new(row, "to", json_string(cli_ledger_time(gap->to_ms, to)));
    for (enum ledger_kind kind = 0; kind < LEDGER_KINDS; kind++) {
        cli_ledger_set_number(row, ledger_kind_name(kind), gap->lost[kind]);
    }
    return row;
}

void cli_ledger_gap_print(const struct ledger_gap *gap)
{
    char from[CLI_LEDGER_TIME_SIZE], to[CLI_LEDGER_TIME_SIZE];
    uint64_t lost = 0;
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        lost += gap->lost[kind];
    }
    printf("GAP: %" PRIu64 " batches are missing in the ledger between %s and %s\n", lost,
           cli_ledger_time(gap->from_ms, from), cli_ledger_time(gap->to_ms, to));
}
