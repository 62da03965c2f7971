/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON that a stranger wrote, read by jansson within bounds: nesting is counted before the parser,
 * which recurses, sees the text; no key twice in an object (two readers could take different ones);
 * no NUL in a string; nothing behind the value.
 */
#pragma once

#include <jansson.h>

#include "protocol/bytes.h"

enum { BOUNDED_JSON_DEPTH_MAX = 16 };

/* The object that text is; json_decref it. NULL: anything else. The caller bounds the length. */
json_t *bounded_json_object(struct view text) __attribute__((warn_unused_result));

/* A member that is a string; NULL: not there, or something else. Lives as long as the object. */
const char *bounded_json_text(const json_t *object, const char *name);
