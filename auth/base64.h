/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648 §4) with exactly one spelling for each value: padded, no white space, unused
 * bits zero. A lenient decoder would let two different tokens mean the same proof.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/* Length of the encoding of n bytes, without NUL. */
size_t base64_length(size_t n);

/* Appends the encoding of bytes. */
void base64_write(struct writer *out, struct view bytes);

/* Decodes the whole text into bytes_r, at most capacity bytes. False: not the one spelling, or too
 * long; *length_r is 0 then, and what was decoded so far has been wiped. */
bool base64_read(struct view text, uint8_t *bytes_r, size_t capacity, size_t *length_r)
    __attribute__((warn_unused_result));

/* The same for base64url (RFC 4648 §5) as JOSE writes it (RFC 7515 §2): '-' and '_', no padding, one
 * spelling for each value. */
bool base64url_read(struct view text, uint8_t *bytes_r, size_t capacity, size_t *length_r)
    __attribute__((warn_unused_result));
