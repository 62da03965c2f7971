/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Principals: the one name a client is known by, after login and before mapping.
 *
 * The canonical form of a name is its exact bytes. Kafka compares principals byte for byte, so
 * folding, trimming or normalising here would merge two names that the brokers keep apart.
 * Instead, what has a second spelling looking the same is refused, once, at this gate; what passes
 * is used unchanged everywhere (mapping, log, audit). Canonicalising twice changes nothing. Letters
 * of different scripts that look alike are not judged.
 *
 * A principal is never a path, a format, a pattern or a key into anything but the mapping.
 */
#pragma once

#include "protocol/bytes.h"

#include <stddef.h>

enum {
    PRINCIPAL_BYTES_MAX = 255, /* longest name, without the NUL */
    PRINCIPAL_SIZE = 256       /* size of a buffer that holds any canonical name and its NUL */
};

enum principal_status {
    PRINCIPAL_OK,
    PRINCIPAL_EMPTY,
    PRINCIPAL_TOO_LONG,
    PRINCIPAL_NOT_UTF8,  /* malformed, overlong, surrogate or beyond U+10FFFF */
    PRINCIPAL_CONTROL,   /* NUL, C0, DEL, C1, line separators, U+FFFD, private use */
    PRINCIPAL_INVISIBLE, /* soft hyphen, zero width, bidi and format controls, tags */
    PRINCIPAL_BLANK,     /* leading or trailing space, or any space other than U+0020 */
    PRINCIPAL_LOOKALIKE  /* compatibility form of other characters: ligature, full width, ... */
};

/*
 * Check `raw` and copy it, NUL-terminated, into `out`. On refusal `out` is the empty string.
 * After RFC 4013 (SASLprep), but what it would map is refused; principal_ranges.def has the table.
 */
__attribute__((warn_unused_result)) enum principal_status
principal_canonical(struct view raw, char out[PRINCIPAL_SIZE]);

/* A constant lower-case phrase for logs and audit ("not valid UTF-8"); never sent to a client. */
const char *principal_status_text(enum principal_status status);
