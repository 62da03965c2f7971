/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only type that holds a credential. A secret is copied in, compared in constant time, wiped
 * when dropped, and has no formatter: nothing prints it. Keys of fixed size that live in a struct
 * or on the stack are wiped with secret_cleanse() by the scope that made them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum {
    SECRET_BYTES_MAX = 12288 /* longest secret held, a token; passwords on the wire have 255 */
};

struct secret {
    uint8_t *at; /* owned; NULL when empty */
    size_t length;
};

enum secret_file_status {
    SECRET_FILE_OK,
    SECRET_FILE_UNREADABLE, /* errno says why */
    SECRET_FILE_UNSAFE,     /* an unsafe link, no plain file, a foreign owner, or too open */
    SECRET_FILE_TOO_LARGE,
    SECRET_FILE_EMPTY
};

/* Copies bytes (at most SECRET_BYTES_MAX) into *secret_r, which need not be initialised and is
 * empty on failure. False: too long, or no memory. An empty view gives an empty secret. */
bool secret_from(struct secret *secret_r, struct view bytes) __attribute__((warn_unused_result));

/* Borrowed bytes of a secret; dies with the next secret_wipe. */
struct view secret_view(const struct secret *secret);

/* Zeroes and frees; *secret is empty afterwards. Accepts an empty secret; a second call does
 * nothing. */
void secret_wipe(struct secret *secret);

/* Zeroes memory in a way no optimiser removes. */
void secret_cleanse(void *at, size_t length);

/* Compares in time that depends on the lengths only. Different lengths are unequal. Two empty views
 * are equal. */
bool secret_equal(struct view a, struct view b) __attribute__((warn_unused_result));

/* Reads a whole file of at most bytes_max into *secret_r (empty unless SECRET_FILE_OK), following
 * symbolic links only as safe_file.h allows. The open file, not the name, is judged: a plain file,
 * owned by root or by us, with no permission for others and none to write for the group
 * (0400, 0440, 0600, 0640). bytes_max may exceed SECRET_BYTES_MAX: users files and key files go
 * through here too. */
enum secret_file_status secret_read_file(struct secret *secret_r, const char *path,
                                         size_t bytes_max) __attribute__((warn_unused_result));

/* Opens a file that secret_read_file would read, for a library that reads by itself. -1 with
 * *status_r (and errno for UNREADABLE); otherwise the descriptor is the caller's to close. */
int secret_open_file(const char *path, size_t bytes_max, enum secret_file_status *status_r)
    __attribute__((warn_unused_result));

/* As secret_read_file, for a file that holds one password: one trailing newline (LF or CR LF) is
 * not part of it. */
enum secret_file_status secret_read_password(struct secret *secret_r, const char *path)
    __attribute__((warn_unused_result));

/* What is wrong and how to mend it, for "file:line:col: …". Static text, without the path. */
const char *secret_file_text(enum secret_file_status status);
