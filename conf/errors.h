/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems found in files: a growing list of `file:line:col: what (how to fix)`. Every reader of a
 * file (configuration, users, credentials, certificates) adds to one list, so that a person sees
 * all problems at once, not only the first.
 *
 * The list copies every text it is given. It keeps CONF_ERRORS_MAX problems, errors rather than
 * warnings, and counts the rest, so that a hostile or hopeless file cannot fill memory. Texts are
 * escaped: a control character in a file never reaches a terminal.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CONF_ERRORS_MAX = 200 };

/*
 * Where something stands in a file. line and column count from 1, columns in characters; 0 = not
 * known (a default). file is borrowed from what was read (snapshot or tree) and lives as long; NULL
 * = not known.
 */
struct conf_place {
    int line, column;
    const char *file;
};

enum conf_severity { CONF_ERROR, CONF_WARNING };

struct conf_error {
    char *file; /* "" when not known */
    int line, column;
    enum conf_severity severity;
    char *text;
};

/* Readable by anybody; written only by the functions below. */
struct conf_errors {
    struct conf_error *items;
    size_t count;    /* items kept */
    size_t errors;   /* errors seen, kept or not */
    size_t warnings; /* warnings seen, kept or not */
};

void conf_errors_init(struct conf_errors *errors);
/* Frees what the list holds; the list is empty and usable again. */
void conf_errors_deinit(struct conf_errors *errors);

/* Adds an error. The text says what is wrong and, in brackets, how to fix it; no file name, no
 * final full stop. */
void conf_errors_add(struct conf_errors *errors, struct conf_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a warning: the file is usable, yet probably not what was meant. */
void conf_errors_warn(struct conf_errors *errors, struct conf_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_errors_add_va(struct conf_errors *errors, enum conf_severity severity,
                        struct conf_place place, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

/* At least one error (warnings do not count). */
bool conf_errors_failed(const struct conf_errors *errors);

/* Puts the kept problems from index `from` on into the order of their places; equal places keep
 * their order. */
void conf_errors_sort(struct conf_errors *errors, size_t from);

/* One line per problem: `file:line:col: text`, warnings as `file:line:col: warning: text`. */
void conf_errors_print(const struct conf_errors *errors, FILE *out);
