/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a file before anything parses them: read whole, under a cap, and checked for
 * characters that make a text file look different from what it says (tabs, byte order marks, NUL,
 * control characters, invisible line breaks).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "conf/errors.h"

enum { SOURCE_BYTES_MAX = 4 * 1024 * 1024 };

/*
 * Reads a file of at most SOURCE_BYTES_MAX bytes into memory that the caller frees; NUL-terminated,
 * which length does not count. Pipes are read to their end. false = reported.
 */
bool source_read(const char *path, struct conf_errors *errors, char **text_r, size_t *length_r)
    __attribute__((warn_unused_result));

/* Whether text may be parsed; every offending character was reported. file is only a name and is
 * borrowed. */
bool source_check(const char *text, size_t length, const char *file, struct conf_errors *errors)
    __attribute__((warn_unused_result));
