/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rule_text.h"

#include "auth/java_pattern.h"

#include <string.h>

bool rule_text_take(struct rule_text *it, const char *word)
{
    const size_t length = strlen(word);
    if (length > it->length - it->at || memcmp(it->text + it->at, word, length) != 0) {
        return false;
    }
    it->at += length;
    return true;
}

enum casing rule_text_take_casing(struct rule_text *it)
{
    return rule_text_take(it, "L")   ? CASING_LOWER
           : rule_text_take(it, "U") ? CASING_UPPER
                                     : CASING_KEEP;
}

static size_t offset_of(const struct rule_text *it, struct view part)
{
    return (size_t)((const char *)part.at - it->text);
}

bool rule_text_pattern(struct rule_text *it, struct view part, struct rule_pattern *pattern_r)
{
    const size_t offset = offset_of(it, part);
    struct java_pattern java = {false};
    struct java_pattern_error java_error;
    if (!java_pattern_check(part, &java, &java_error)) {
        return rule_fault_set(it->fault, offset + java_error.offset, "%s", java_error.text);
    }
    struct pattern_error error;
    pattern_r->ignores_case = java.ignores_case;
    pattern_r->pattern = pattern_compile(part, &error);
    return pattern_r->pattern != NULL ||
           rule_fault_set(it->fault, offset + error.offset, "%s", error.text);
}

struct java_replacement *rule_text_replacement(struct rule_text *it, struct view part,
                                               const struct rule_pattern *pattern,
                                               enum java_strays strays)
{
    struct java_replacement *made =
        java_replacement_parse(part, pattern->pattern, strays, it->fault);
    if (made == NULL) {
        it->fault->offset += offset_of(it, part);
    }
    return made;
}

static bool is_sure(const struct rule_pattern *pattern, struct view subject)
{
    for (size_t i = 0; pattern->ignores_case && i < subject.length; i++) {
        if (subject.at[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

enum pattern_status rule_pattern_matches(const struct rule_pattern *pattern, struct view subject)
{
    return is_sure(pattern, subject) ? pattern_matches(pattern->pattern, subject) : PATTERN_BAD;
}

enum pattern_status rule_pattern_replace(const struct rule_pattern *pattern,
                                         const struct java_replacement *replacement, bool all,
                                         struct view subject, struct writer *out)
{
    return is_sure(pattern, subject)
               ? java_replace(pattern->pattern, replacement, all, subject, out)
               : PATTERN_BAD;
}
