/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/glob.h"

#include <stddef.h>

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
