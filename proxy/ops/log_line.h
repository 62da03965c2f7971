/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pure half of the log: fields in, one line out. No clock, no I/O.
 *
 * A line is always exactly one line. In values every byte below 0x20, 0x7f, C1 controls
 * (U+0080..U+009F), line and paragraph separators (U+2028, U+2029), bidirectional overrides and
 * every byte that is not part of well-formed UTF-8 are escaped: JSON as \u00XX or \uXXXX; logfmt
 * values are quoted when they are not plain and use the same escapes. A byte that is not UTF-8 is
 * shown as \xXX in logfmt and as \\xXX (that is: the four characters) in JSON, so that JSON stays
 * valid. Quote and backslash are escaped in both. Nothing a peer sends can start a new line, a new
 * field or an escape sequence of a terminal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct sockaddr;

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

enum {
    LOG_LINE_MAX = 4096, /* bytes of a line with its newline; what does not fit is cut and marked */
    LOG_VALUE_MAX =
        1024, /* bytes of one value before escaping; longer ones are cut and end in "..." */
};

enum log_kind {
    LOG_KIND_NONE,
    LOG_KIND_TEXT,
    LOG_KIND_INT,
    LOG_KIND_UINT,
    LOG_KIND_BOOL,
    LOG_KIND_ADDRESS
};

/* One key and value. Keys are constants of [a-z0-9_]. Texts and addresses are borrowed until the
 * log call returns. */
struct log_field {
    const char *key;
    enum log_kind kind;
    union {
        struct view text;
        int64_t integer;
        uint64_t natural;
        bool truth;
        const struct sockaddr *address;
    } value;
};

struct log_field log_str(const char *key, const char *value);  /* NULL: the field is left out */
struct log_field log_view(const char *key, struct view value); /* at == NULL: left out */
struct log_field log_int(const char *key, int64_t value);
struct log_field log_uint(const char *key, uint64_t value);
struct log_field log_bool(const char *key, bool value);
struct log_field
log_address(const char *key,
            const struct sockaddr *value); /* "1.2.3.4:5", "[::1]:5"; NULL: left out */

const char *log_level_name(enum log_level level); /* "error" … "debug" */
bool log_level_parse(const char *name, enum log_level *level_r) __attribute__((warn_unused_result));

/* Makes one line with its '\n' in out[0..capacity), capacity >= 256; returns its length. time_ns:
 * since 1970, UTC. When fields do not all fit, whole fields are left out and `truncated=true` ends
 * the line; JSON stays well-formed. */
size_t log_line(char *out, size_t capacity, enum log_format format, enum log_level level,
                uint64_t time_ns, const char *event, const struct log_field *fields, size_t count);

/* The escaping alone, as in a quoted logfmt value but without the quotes: for whatever prints text
 * of unknown origin. Returns the length, at most capacity; what does not fit is cut between
 * characters. */
size_t log_escape(char *out, size_t capacity, struct view text);
