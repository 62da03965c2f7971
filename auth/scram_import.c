/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/scram_import.h"

#include <string.h>

/* Everything after the first occurrence of mark. */
static bool after(struct view text, const char *mark, struct view *rest_r)
{
    size_t length = strlen(mark);
    const uint8_t *at = text.length > 0 ? memmem(text.at, text.length, mark, length) : NULL;
    if (at == NULL) {
        return false;
    }
    *rest_r = view_from(text, (size_t)(at - text.at) + length);
    return true;
}

/* The line's user and what is said of it. Names hold any character, so the last "' are " ends one;
 * what follows it (base64 and numbers) never holds it. */
static bool line_split(struct view line, struct view *user_r, struct view *said_r)
{
    struct view rest;
    if (!after(line, "user-principal '", &rest) && !after(line, "user '", &rest)) {
        return false;
    }
    struct view said = rest;
    if (!after(rest, "' are ", &said)) {
        return false;
    }
    for (struct view next; after(said, "' are ", &next);) {
        said = next;
    }
    *user_r = view_of(rest.at, rest.length - said.length - strlen("' are "));
    *said_r = said;
    return user_r->length > 0;
}

/* The four fields at the front of text, up to the comma behind the last. */
static struct view record_text(struct view text)
{
    size_t fields = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] == ' ' || (text.at[i] == ',' && ++fields == 4)) {
            return view_of(text.at, i);
        }
    }
    return text;
}

struct tally {
    size_t given, without_keys;
};

static enum scram_import_status record_import(struct view user, enum scram_hash hash,
                                              struct view text, scram_import_fn found,
                                              void *context)
{
    struct scram_import import = {.user = user, .hash = hash};
    const char *error;
    if (!scram_record_parse(record_text(text), hash, &import.record, &error)) {
        return SCRAM_IMPORT_BAD;
    }
    bool more = found(context, &import);
    scram_record_wipe(&import.record);
    return more ? SCRAM_IMPORT_OK : SCRAM_IMPORT_STOPPED;
}

static enum scram_import_status line_import(struct view line, scram_import_fn found, void *context,
                                            struct tally *tally)
{
    struct view user, said, text;
    if (!line_split(line, &user, &said)) {
        return SCRAM_IMPORT_OK;
    }
    for (int hash = 0; hash < SCRAM_HASH_COUNT; hash++) {
        if (!after(said, scram_mechanism((enum scram_hash)hash), &text) || text.length == 0 ||
            text.at[0] != '=') {
            continue;
        }
        text = view_from(text, 1);
        /* kafka-configs --bootstrap-server: "SCRAM-SHA-256=iterations=4096, …" */
        if (text.length >= 11 && memcmp(text.at, "iterations=", 11) == 0 &&
            memmem(text.at, text.length, "stored_key=", 11) == NULL) {
            tally->without_keys++;
            continue;
        }
        enum scram_import_status status =
            record_import(user, (enum scram_hash)hash, text, found, context);
        if (status != SCRAM_IMPORT_OK) {
            return status;
        }
        tally->given++;
    }
    return SCRAM_IMPORT_OK;
}

enum scram_import_status scram_import(struct view text, scram_import_fn found, void *context,
                                      size_t *line_r)
{
    struct tally tally = {0};
    size_t without_keys_line = 0;
    *line_r = 0;
    while (text.length > 0) {
        const uint8_t *end = memchr(text.at, '\n', text.length);
        struct view line = view_of(text.at, end != NULL ? (size_t)(end - text.at) : text.length);
        text = view_from(text, line.length + 1);
        (*line_r)++;
        if (line.length > 0 && line.at[line.length - 1] == '\r') {
            line.length--;
        }
        size_t without_keys_before = tally.without_keys;
        enum scram_import_status status = line_import(line, found, context, &tally);
        if (status != SCRAM_IMPORT_OK) {
            return status;
        }
        if (tally.without_keys > without_keys_before) {
            without_keys_line = *line_r;
        }
    }
    if (tally.without_keys > 0) {
        *line_r = without_keys_line;
        return SCRAM_IMPORT_NO_KEYS;
    }
    return tally.given > 0 ? SCRAM_IMPORT_OK : SCRAM_IMPORT_NONE;
}
