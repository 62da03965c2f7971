/* SPDX-License-Identifier: Apache-2.0 */
/* The names that one list of the configuration gives, sorted: duplicates, references to them, names
 * never used. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "conf/errors.h"

struct name {
    const char *text; /* borrowed */
    struct conf_place place;
    bool used;
};

struct names {
    const char *what; /* "certificate": for messages */
    struct name *items;
    size_t count;
};

/* Room for at most size names. */
void names_init(struct names *names, const char *what, size_t size);
void names_deinit(struct names *names);
/* An empty text is ignored: that it is missing has been reported. */
void names_add(struct names *names, const char *text, struct conf_place place);
/* Sorts; must come between adding and asking. Reports every name that stands there again. */
void names_seal(struct names *names, struct conf_errors *errors);
/* Marks a name as used; reports it, at the place of the reference, when there is no such name. */
void names_refer(struct names *names, const char *text, struct conf_place place,
                 struct conf_errors *errors);
/* Warns of every name that nothing referred to. */
void names_warn_unused(const struct names *names, struct conf_errors *errors);
