/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/errors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/utf8.h"

enum { TEXT_BYTES_MAX = 1024, ESCAPE_BYTES = 4 };

void conf_errors_init(struct conf_errors *errors)
{
    *errors = (struct conf_errors){0};
}

void conf_errors_deinit(struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        free(errors->items[i].file);
        free(errors->items[i].text);
    }
    free(errors->items);
    conf_errors_init(errors);
}

/* Whether size bytes may reach a terminal as they are: one whole character that is no control. */
static bool printable(uint32_t code, size_t size)
{
    return size > 0 && code >= 0x20 && !(code >= 0x7f && code < 0xa0);
}

/* Copies text with control characters and broken ones (a text cut short) as \xNN. */
static char *escaped(const char *text)
{
    size_t length = strlen(text);
    size_t size = length * ESCAPE_BYTES + 1;
    char *copy = malloc(size);
    if (copy == NULL) {
        abort();
    }
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t bytes = utf8_next(text + at, length - at, &code);
        if (printable(code, bytes)) {
            memcpy(copy + used, text + at, bytes);
            used += bytes;
            at += bytes;
        } else {
            snprintf(copy + used, size - used, "\\x%02x", (unsigned char)text[at]);
            used += ESCAPE_BYTES;
            at++;
        }
    }
    copy[used] = '\0';
    return copy;
}

/* The slot for one more problem; NULL = the list is full of what matters as much. */
static struct conf_error *slot(struct conf_errors *errors, enum conf_severity severity)
{
    if (errors->items == NULL) {
        errors->items = calloc(CONF_ERRORS_MAX, sizeof *errors->items);
        if (errors->items == NULL) {
            abort();
        }
    }
    if (errors->count < CONF_ERRORS_MAX) {
        return &errors->items[errors->count++];
    }
    for (size_t i = errors->count; severity == CONF_ERROR && i-- > 0;) {
        if (errors->items[i].severity == CONF_WARNING) {
            free(errors->items[i].file);
            free(errors->items[i].text);
            return &errors->items[i];
        }
    }
    return NULL;
}

void conf_errors_add_va(struct conf_errors *errors, enum conf_severity severity,
                        struct conf_place place, const char *format, va_list arguments)
{
    if (severity == CONF_ERROR) {
        errors->errors++;
    } else {
        errors->warnings++;
    }
    struct conf_error *error = slot(errors, severity);
    if (error == NULL) {
        return;
    }
    char text[TEXT_BYTES_MAX];
    vsnprintf(text, sizeof text, format, arguments);
    *error = (struct conf_error){
        .file = escaped(place.file != NULL ? place.file : ""),
        .line = place.line,
        .column = place.column,
        .severity = severity,
        .text = escaped(text),
    };
}

void conf_errors_add(struct conf_errors *errors, struct conf_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    conf_errors_add_va(errors, CONF_ERROR, place, format, arguments);
    va_end(arguments);
}

void conf_errors_warn(struct conf_errors *errors, struct conf_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    conf_errors_add_va(errors, CONF_WARNING, place, format, arguments);
    va_end(arguments);
}

bool conf_errors_failed(const struct conf_errors *errors)
{
    return errors->errors > 0;
}

static bool placed_after(const struct conf_error *a, const struct conf_error *b)
{
    int order = strcmp(a->file, b->file);
    if (order != 0) {
        return order > 0;
    }
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

/* Insertion sort: stable, and the list is short. */
void conf_errors_sort(struct conf_errors *errors, size_t from)
{
    for (size_t i = from + 1; i < errors->count; i++) {
        struct conf_error item = errors->items[i];
        size_t at = i;
        while (at > from && placed_after(&errors->items[at - 1], &item)) {
            errors->items[at] = errors->items[at - 1];
            at--;
        }
        errors->items[at] = item;
    }
}

static void print_place(const struct conf_error *error, FILE *out)
{
    if (error->file[0] != '\0') {
        fprintf(out, "%s:", error->file);
    }
    if (error->line > 0) {
        fprintf(out, "%d:%d:", error->line, error->column);
    }
    if (error->file[0] != '\0' || error->line > 0) {
        fputc(' ', out);
    }
}

void conf_errors_print(const struct conf_errors *errors, FILE *out)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct conf_error *error = &errors->items[i];
        print_place(error, out);
        fprintf(out, "%s%s\n", error->severity == CONF_WARNING ? "warning: " : "", error->text);
    }
    size_t seen = errors->errors + errors->warnings;
    if (seen > errors->count) {
        fprintf(out, "%zu more problems are not shown\n", seen - errors->count);
    }
}
