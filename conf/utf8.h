/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 allows it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Decodes the character at the start of text; left > 0. Returns its length in bytes, 0 = not valid.
 */
size_t utf8_next(const char *text, size_t left, uint32_t *code_r);
