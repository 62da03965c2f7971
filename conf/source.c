/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/utf8.h"

enum { FIRST_BYTES = 16 * 1024 };

static void report_size(struct conf_errors *errors, const char *file)
{
    conf_errors_add(errors, (struct conf_place){.file = file},
                    "file is larger than %d bytes (split or shorten it)", SOURCE_BYTES_MAX);
}

/* Reads to the end or one byte past the cap; -1 = errno says why. */
static ssize_t read_all(int fd, char **text)
{
    size_t used = 0;
    size_t size = FIRST_BYTES;
    *text = NULL;
    for (;;) {
        char *grown = realloc(*text, size + 1);
        if (grown == NULL) {
            abort();
        }
        *text = grown;
        while (used < size) {
            ssize_t got = read(fd, *text + used, size - used);
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return got < 0 ? -1 : (ssize_t)used;
            }
            used += (size_t)got;
        }
        if (used > SOURCE_BYTES_MAX) {
            return (ssize_t)used;
        }
        size = size * 2 <= SOURCE_BYTES_MAX ? size * 2 : SOURCE_BYTES_MAX + 1;
    }
}

/* Whatever else it is, a pipe nobody writes to or a device without end, is not waited for. */
static int open_regular(const char *path, struct conf_errors *errors)
{
    struct conf_place place = {.file = path};
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        conf_errors_add(errors, place, "cannot open: %s (check the path and its permissions)",
                        strerror(errno));
        return -1;
    }
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        conf_errors_add(errors, place, "cannot read: %s (name a file)",
                        S_ISDIR(file.st_mode) ? strerror(EISDIR) : "it is no regular file");
        close(fd);
        return -1;
    }
    return fd;
}

bool source_read(const char *path, struct conf_errors *errors, char **text_r, size_t *length_r)
{
    struct conf_place place = {.file = path};
    int fd = open_regular(path, errors);
    if (fd < 0) {
        return false;
    }
    char *text = NULL;
    ssize_t length = read_all(fd, &text);
    int reason = errno;
    close(fd);
    if (length < 0 || length > SOURCE_BYTES_MAX) {
        if (length < 0) {
            conf_errors_add(errors, place, "cannot read: %s", strerror(reason));
        } else {
            report_size(errors, path);
        }
        free(text);
        return false;
    }
    text[length] = '\0';
    *text_r = text;
    *length_r = (size_t)length;
    return true;
}

/* NULL = harmless. */
static const char *character_problem(uint32_t code, uint32_t next)
{
    switch (code) {
    case '\n':
        return NULL;
    case '\r':
        return next == '\n' ? NULL : "carriage return without line feed (save with Unix line ends)";
    case '\t':
        return "tab character (use spaces)";
    case 0:
        return "NUL character (remove it)";
    case 0xfeff:
        return "byte order mark (save the file as UTF-8 without one)";
    case 0x85:
    case 0x2028:
    case 0x2029:
        return "invisible line break (use a plain line feed)";
    default:
        break;
    }
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool noncharacter = (code & 0xfffe) == 0xfffe;
    return control || noncharacter ? "control character (remove it)" : NULL;
}

bool source_check(const char *text, size_t length, const char *file, struct conf_errors *errors)
{
    if (length > SOURCE_BYTES_MAX) {
        report_size(errors, file);
        return false;
    }
    struct conf_place place = {.line = 1, .column = 1, .file = file};
    bool good = true;
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t size = utf8_next(text + at, length - at, &code);
        if (size == 0) {
            conf_errors_add(errors, place, "not valid UTF-8 (save the file as UTF-8)");
            return false;
        }
        at += size;
        uint32_t next = at < length ? (unsigned char)text[at] : 0;
        const char *problem = character_problem(code, next);
        if (problem != NULL) {
            conf_errors_add(errors, place, "%s", problem);
            good = false;
        }
        place.column++;
        if (code == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return good;
}
