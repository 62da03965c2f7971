/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_format: one audit record as one line, in the forms that other tools read. Whatever a peer
 * put into a record, it stays one line and one field: control characters, line separators and
 * bidirectional overrides are escaped in every form.
 *
 *   text    for people, key=value
 *   jsonl   every field, by its own name
 *   csv     RFC 4180, a header first; a cell that a spreadsheet would take for a formula gets a '
 *   ocsf    Open Cybersecurity Schema Framework 1.4: classes 3002, 5001, 5002, 6002
 *   ecs     Elastic Common Schema 8.11
 *   cef     ArcSight Common Event Format, version 0
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "auth/audit.h"

enum {
    AUDIT_FORMAT_TIME_SIZE = 40,
    AUDIT_FORMAT_TEXT_SIZE = 6 * AUDIT_TEXT_BYTES_MAX + 8 /* any text of a record, escaped */
};

typedef void (*audit_format_fn)(const struct audit_record *record, FILE *out);

struct audit_format {
    const char *name;
    void (*head)(FILE *out); /* before the first record; NULL: nothing */
    audit_format_fn line;    /* with its newline */
};

/* NULL: there is none of that name. */
const struct audit_format *audit_format_find(const char *name);

/* "2027-01-31T12:00:00.123456789Z". Returns out. */
const char *audit_format_time(int64_t time_ns, char out[AUDIT_FORMAT_TIME_SIZE]);

/* 'I', 'W' or 'E': the last letter of a code. */
char audit_format_severity(const struct audit_record *record);

/* "login_accepted"; "unknown" for a code of a newer Setu. */
const char *audit_format_event(const struct audit_record *record, char out[64]);

/* Host and port of "192.0.2.1:50000" or "[::1]:50000"; port 0: none. */
void audit_format_address(const char *text, char host_r[256], int *port_r);

/* Is the host of an address a literal one, of either family, and no name? */
bool audit_format_is_ip(const char *host);

/* Text as the log escapes it, without quotes; NULL is "". Returns out. */
const char *audit_format_safe(const char *text, char out[AUDIT_FORMAT_TEXT_SIZE]);

/* Sets key to text, unless it is "". Bytes that are no UTF-8 are escaped. */
void audit_format_set(json_t *to, const char *key, const char *text);

/* A JSON object as one line of ASCII; releases it. */
void audit_format_json(json_t *value, FILE *out);

/* One form each; the others are in audit_format.c. */
void audit_format_ocsf(const struct audit_record *record, FILE *out);
void audit_format_ecs(const struct audit_record *record, FILE *out);
void audit_format_cef(const struct audit_record *record, FILE *out);
json_t *audit_format_native(const struct audit_record *record);
