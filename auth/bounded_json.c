/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/bounded_json.h"

/* Brackets in strings do not nest. Whether they match is the parser's business. */
static bool is_shallow(struct view text)
{
    bool quoted = false;
    int depth = 0;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.at[i];
        if (quoted) {
            i += c == '\\' ? 1 : 0;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
            if (depth > BOUNDED_JSON_DEPTH_MAX) {
                return false;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

json_t *bounded_json_object(struct view text)
{
    if (text.length == 0 || !is_shallow(text)) {
        return NULL;
    }
    json_t *value = json_loadb((const char *)text.at, text.length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(value)) {
        json_decref(value);
        return NULL;
    }
    return value;
}

const char *bounded_json_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}
