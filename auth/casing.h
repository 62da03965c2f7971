/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lower and upper case as Java's String does it in the English locale, for the /L and /U of
 * principal mapping rules.
 *
 * Known are ASCII, Latin (to Extended-B, and Extended Additional), Greek and Cyrillic, and that
 * Hebrew to Myanmar, Ethiopic, Hangul, Kana, CJK and emoji have no case. Letters whose mapping
 * depends on their place or grows (final sigma, dotted I; sharp s is known to be SS), and scripts
 * where versions of Java disagree, are refused.
 */
#pragma once

#include "protocol/bytes.h"

#include <stdbool.h>

enum casing { CASING_KEEP, CASING_LOWER, CASING_UPPER };

/* Append the mapped text to `out`. false: not UTF-8, or a letter is refused; `out` is then void. */
__attribute__((warn_unused_result)) bool casing_apply(enum casing casing, struct view text,
                                                      struct writer *out);
