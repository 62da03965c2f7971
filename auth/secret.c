/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "auth/safe_file.h"

bool secret_from(struct secret *secret_r, struct view bytes)
{
    *secret_r = (struct secret){0};
    if (bytes.length == 0) {
        return true;
    }
    if (bytes.length > SECRET_BYTES_MAX) {
        return false;
    }
    uint8_t *copy = malloc(bytes.length);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, bytes.at, bytes.length);
    *secret_r = (struct secret){.at = copy, .length = bytes.length};
    return true;
}

struct view secret_view(const struct secret *secret)
{
    return (struct view){.at = secret->at, .length = secret->length};
}

void secret_wipe(struct secret *secret)
{
    if (secret->at != NULL) {
        OPENSSL_cleanse(secret->at, secret->length);
        free(secret->at);
    }
    *secret = (struct secret){0};
}

void secret_cleanse(void *at, size_t length)
{
    OPENSSL_cleanse(at, length);
}

bool secret_equal(struct view a, struct view b)
{
    if (a.length != b.length) {
        return false;
    }
    return a.length == 0 || CRYPTO_memcmp(a.at, b.at, a.length) == 0;
}

static enum secret_file_status file_judge(int file, size_t bytes_max)
{
    struct stat st;
    if (fstat(file, &st) != 0) {
        return SECRET_FILE_UNREADABLE;
    }
    if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid())) {
        return SECRET_FILE_UNSAFE;
    }
    if ((st.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0) {
        return SECRET_FILE_UNSAFE;
    }
    if (st.st_size < 0 || (uintmax_t)st.st_size > bytes_max) {
        return SECRET_FILE_TOO_LARGE;
    }
    return SECRET_FILE_OK;
}

/* Reads up to one byte beyond bytes_max, so that a file that grew since fstat is noticed. */
static enum secret_file_status file_read(int file, size_t bytes_max, struct secret *secret_r)
{
    struct stat st;
    if (fstat(file, &st) != 0) {
        return SECRET_FILE_UNREADABLE;
    }
    size_t room = (size_t)st.st_size < bytes_max ? (size_t)st.st_size + 1 : bytes_max + 1;
    struct secret whole = {.at = calloc(1, room), .length = room};
    if (whole.at == NULL) {
        errno = ENOMEM;
        return SECRET_FILE_UNREADABLE;
    }
    size_t used = 0;
    while (used < room) {
        ssize_t n = read(file, whole.at + used, room - used);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int error = errno;
            secret_wipe(&whole);
            errno = error;
            return SECRET_FILE_UNREADABLE;
        }
        if (n == 0) {
            break;
        }
        used += (size_t)n;
    }
    if (used == 0 || used == room) {
        secret_wipe(&whole);
        return used == 0 ? SECRET_FILE_EMPTY : SECRET_FILE_TOO_LARGE;
    }
    whole.length = used; /* the slack behind is zero and holds nothing */
    *secret_r = whole;
    return SECRET_FILE_OK;
}

int secret_open_file(const char *path, size_t bytes_max, enum secret_file_status *status_r)
{
    int file = safe_file_open(path);
    if (file < 0) {
        *status_r = errno == ELOOP ? SECRET_FILE_UNSAFE : SECRET_FILE_UNREADABLE;
        return -1;
    }
    *status_r = file_judge(file, bytes_max);
    if (*status_r != SECRET_FILE_OK) {
        int error = errno;
        close(file);
        errno = error;
        return -1;
    }
    return file;
}

enum secret_file_status secret_read_file(struct secret *secret_r, const char *path,
                                         size_t bytes_max)
{
    enum secret_file_status status;
    *secret_r = (struct secret){0};
    int file = secret_open_file(path, bytes_max, &status);
    if (file < 0) {
        return status;
    }
    status = file_read(file, bytes_max, secret_r);
    int error = errno;
    close(file);
    errno = error;
    return status;
}

enum secret_file_status secret_read_password(struct secret *secret_r, const char *path)
{
    enum secret_file_status status = secret_read_file(secret_r, path, SECRET_BYTES_MAX);
    if (status != SECRET_FILE_OK) {
        return status;
    }
    size_t length = secret_r->length;
    if (length > 0 && secret_r->at[length - 1] == '\n') {
        length--;
        if (length > 0 && secret_r->at[length - 1] == '\r') {
            length--;
        }
    }
    OPENSSL_cleanse(secret_r->at + length, secret_r->length - length);
    secret_r->length = length;
    if (length == 0) {
        secret_wipe(secret_r);
        return SECRET_FILE_EMPTY;
    }
    return SECRET_FILE_OK;
}

const char *secret_file_text(enum secret_file_status status)
{
    switch (status) {
    case SECRET_FILE_OK:
        return "is in order";
    case SECRET_FILE_UNREADABLE:
        return "cannot be read (check the path and who runs setu)";
    case SECRET_FILE_UNSAFE:
        return "is not safe (it must be a plain file, or a link that nobody else could have "
               "made, owned by root or by the user setu runs as, chmod 0400, 0440, 0600 or 0640)";
    case SECRET_FILE_TOO_LARGE:
        return "is too large";
    case SECRET_FILE_EMPTY:
        return "is empty";
    }
    return "cannot be judged";
}
