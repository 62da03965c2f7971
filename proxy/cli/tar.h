/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar: plain files in POSIX ustar, as every tar reads it; nothing else. The reader is for foreign
 * bytes and takes only what this writer writes: no folders, no links, no names that lead elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/bytes.h"

enum { TAR_NAME_SIZE = 256 };

/* A file and its content. False: the name or the content is too long, or the write failed. */
bool tar_put(FILE *out, const char *name, struct view content, int64_t mtime_s)
    __attribute__((warn_unused_result));
bool tar_end(FILE *out) __attribute__((warn_unused_result));

enum tar_status { TAR_OK, TAR_END, TAR_BAD };

/* The next file; the content is a view into *rest, which moves on. TAR_BAD: it is not one of ours. */
enum tar_status tar_next(struct view *rest, char name_r[TAR_NAME_SIZE], struct view *content_r)
    __attribute__((warn_unused_result));
