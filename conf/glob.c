/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/glob.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(char a, char b, bool folded)
{
    return folded ? fold(a) == fold(b) : a == b;
}

/* Only the last star ever needs to be tried again: an earlier one could gain nothing it has not
 * already taken. */
static bool glob(const char *pattern, const char *text, bool folded)
{
    const char *star = NULL;
    const char *resume = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern != '\0' && (*pattern == '?' || same(*pattern, *text, folded))) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

bool glob_matches(const char *pattern, const char *text)
{
    return glob(pattern, text, false);
}

bool glob_matches_fold(const char *pattern, const char *text)
{
    return glob(pattern, text, true);
}

/* What stands before the first star must agree, or nothing fits both. */
static bool heads_agree(const char *pattern, const char *other)
{
    while (*pattern != '\0' && *pattern != '*' && *other != '\0' && *other != '*') {
        if (*pattern != '?' && *other != '?' && *pattern != *other) {
            return false;
        }
        pattern++;
        other++;
    }
    return *pattern == '*' || *other == '*' || *pattern == *other;
}

bool glob_meets(const char *pattern, const char *other)
{
    const size_t rows = strlen(pattern) + 1, columns = strlen(other) + 1;
    if (!heads_agree(pattern, other)) {
        return false;
    }
    /* meet[i][j]: the rests from i and j on have a text in common. */
    bool *meet = calloc(rows * columns, sizeof *meet);
    if (meet == NULL) {
        abort();
    }
    for (size_t i = rows; i-- > 0;) {
        for (size_t j = columns; j-- > 0;) {
            const char a = pattern[i], b = other[j];
            bool good = a == '\0' && b == '\0';
            if (a == '*' || b == '*') {
                good = (a != '\0' && meet[(i + 1) * columns + j]) ||
                       (b != '\0' && meet[i * columns + j + 1]);
            } else if (a != '\0' && b != '\0' && (a == '?' || b == '?' || a == b)) {
                good = meet[(i + 1) * columns + j + 1];
            }
            meet[i * columns + j] = good;
        }
    }
    const bool good = meet[0];
    free(meet);
    return good;
}

/* As glob(), over a text whose stars only a star takes. */
bool glob_covers(const char *wide, const char *narrow)
{
    const char *star = NULL;
    const char *resume = NULL;
    while (*narrow != '\0') {
        if (*wide == '*') {
            star = ++wide;
            resume = narrow;
        } else if (*narrow != '*' && *wide != '\0' && (*wide == '?' || *wide == *narrow)) {
            wide++;
            narrow++;
        } else if (star != NULL) {
            wide = star;
            narrow = ++resume;
        } else {
            return false;
        }
    }
    while (*wide == '*') {
        wide++;
    }
    return *wide == '\0';
}
