/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit_event.h"

#include "auth/audit_private.h"
#include "conf/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table of events ------------------------------------------------------------------------ */

static const struct event_row {
    enum audit_code code;
    const char *text, *meaning, *name;
} rows[] = {
#define AUDIT_EVENT(name, number, severity, meaning)                                               \
    {AUDIT_##name, "SETU" #number #severity, meaning, #name},
#include "auth/audit_event.def"
#undef AUDIT_EVENT
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct event_row *find_row(enum audit_code code)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return NULL;
}

enum audit_code audit_code_find(const char *text)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].text, text) == 0) {
            return rows[i].code;
        }
    }
    return (enum audit_code)0;
}

const char *audit_code_text(enum audit_code code)
{
    const struct event_row *row = find_row(code);
    return row == NULL ? "SETU0000E" : row->text;
}

const char *audit_code_meaning(enum audit_code code)
{
    const struct event_row *row = find_row(code);
    return row == NULL ? "" : row->meaning;
}

const char *audit_code_name(enum audit_code code)
{
    const struct event_row *row = find_row(code);
    return row == NULL ? "" : row->name;
}

bool audit_code_at(size_t index, enum audit_code *code_r)
{
    if (index >= ROWS) {
        return false;
    }
    *code_r = rows[index].code;
    return true;
}

const char *audit_outcome_name(enum audit_outcome outcome)
{
    switch (outcome) {
    case AUDIT_OUTCOME_NONE:
        return "";
    case AUDIT_ALLOWED:
        return "allowed";
    case AUDIT_DENIED:
        return "denied";
    case AUDIT_FAILED:
        break;
    }
    return "failed";
}

/* Events ------------------------------------------------------------------------------------- */

struct audit_event audit_event_init(enum audit_code code)
{
    return (struct audit_event){.code = code, .broker_node = -1};
}

size_t audit_clean(const char *text, size_t max, char *out)
{
    size_t used = 0;
    const size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        const size_t valid = utf8_next(text + i, length - i, &point);
        const size_t need = valid == 0 ? 4 : valid;
        if (need > max - used) {
            break;
        }
        if (out != NULL && valid != 0) {
            memcpy(out + used, text + i, valid);
        } else if (out != NULL) {
            char escaped[5];
            snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)text[i]);
            memcpy(out + used, escaped, 4);
        }
        used += need;
        i += valid == 0 ? 1 : valid;
    }
    return used;
}

static size_t clean_size(const char *text)
{
    return text == NULL || *text == '\0' ? 0 : audit_clean(text, AUDIT_TEXT_BYTES_MAX, NULL) + 1;
}

static const char *clean_copy(const char *text, char **room)
{
    if (text == NULL || *text == '\0') {
        return NULL;
    }
    char *copy = *room;
    const size_t length = audit_clean(text, AUDIT_TEXT_BYTES_MAX, copy);
    copy[length] = '\0';
    *room += length + 1;
    return copy;
}

struct audit_event *audit_event_clone(const struct audit_event *event)
{
    size_t size = sizeof(*event);
#define SIZE(name) size += clean_size(event->name);
    EACH_STRING(SIZE)
#undef SIZE
    struct audit_event *copy = malloc(size);
    if (copy == NULL) {
        abort();
    }
    *copy = *event;
    char *room = (char *)(copy + 1);
#define COPY(name) copy->name = clean_copy(event->name, &room);
    EACH_STRING(COPY)
#undef COPY
    return copy;
}

void audit_event_free(struct audit_event **event)
{
    free(*event);
    *event = NULL;
}
