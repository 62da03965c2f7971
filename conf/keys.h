/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of configuration keys. Parser, defaults, dump, reference page and example file all
 * read it, so that they cannot disagree. A section is a struct; its keys are the fields of that
 * struct under the same names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/forms.h"

enum key_type {
    KEY_TEXT,      /* const char * */
    KEY_BOOL,      /* bool */
    KEY_INT,       /* int */
    KEY_SIZE,      /* size_t */
    KEY_MS,        /* uint64_t, milliseconds */
    KEY_CHOICE,    /* an enum whose values are the indices of words */
    KEY_WORD,      /* const char *, one of words */
    KEY_WORDS,     /* list of KEY_WORD: const char *const * and a count */
    KEY_TEXTS,     /* list of KEY_TEXT, none of them empty: the same */
    KEY_ONE_OR_MORE, /* KEY_TEXT, or a list of them: the same */
    KEY_ADDRESSES, /* list of HOST:PORT: struct conf_address and a count */
    KEY_RANGES,    /* text of node ids: struct conf_range and a count */
    KEY_SECTION,   /* embedded struct */
    KEY_ITEMS,     /* list of sections: an array of structs and a count */
};

enum { KEY_NO_OFFSET = -1 };

struct key_section;

struct key {
    const char *name;
    enum key_type type;
    bool required;            /* wherever its section is present */
    bool written;             /* a path that is written to */
    size_t offset;            /* in the struct of its section */
    size_t count_offset;      /* lists: of the size_t beside it */
    const char *fallback;     /* the default as written in a file; NULL = nothing: "", 0, empty */
    int64_t min, max;         /* of a number, or of the number of items */
    const char *const *words; /* ended by NULL */
    form_fn form;             /* NULL = any text */
    const struct key_section *section; /* KEY_SECTION, KEY_ITEMS */
    const char *doc;                   /* one sentence */
};

/* A key of earlier versions. */
struct key_gone {
    const char *name;
    bool so_now;     /* the value that says what is so now: that is only a warning */
    const char *doc; /* what is so now */
};

struct key_section {
    const char *path; /* "clusters[].generations[]"; "" = the file itself */
    size_t size;
    ptrdiff_t place_offset;   /* of its struct conf_place, or KEY_NO_OFFSET */
    ptrdiff_t present_offset; /* of its bool present, or KEY_NO_OFFSET: always there */
    const struct key *keys;
    size_t keys_count; /* at most 64 */
    const struct key_gone *gone; /* ended by a NULL name; NULL = none */
};

extern const struct key_section keys_root;

/* The index of a key in its section; keys_count = unknown. */
size_t keys_find(const struct key_section *section, const char *name);
/* The key whose name is near enough to be a typing slip; keys_count = none. */
size_t keys_nearest(const struct key_section *section, const char *name);
/* NULL = there never was such a key there, or there still is. */
const struct key_gone *keys_gone(const struct key_section *section, const char *name);
