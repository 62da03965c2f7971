/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Globs over whole texts: `*` = any run of characters, also none; `?` = exactly one byte;
 * everything else stands for itself. No brackets and no escapes, so that what a rule covers can be
 * read off it. Takes O(pattern × text) at worst.
 */
#pragma once

#include <stdbool.h>

bool glob_matches(const char *pattern, const char *text);
/* The same without regard to the case of ASCII letters; for host names. */
bool glob_matches_fold(const char *pattern, const char *text);
/* Whether there is a text that both take. */
bool glob_meets(const char *pattern, const char *other);
/* Whether `wide` surely takes every text that `narrow` takes; false = perhaps not. */
bool glob_covers(const char *wide, const char *narrow);
