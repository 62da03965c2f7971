/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pem.h"

#include "auth/safe_file.h"
#include "auth/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static bool fail(struct pem_fault *fault, const char *path,
                                                       const char *format, ...)
{
    char what[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    snprintf(fault->text, sizeof(fault->text), "%.180s: %s", path, what);
    ERR_clear_error();
    return false;
}

/* Files that need no secrecy ----------------------------------------------------------------- */

static bool judge(int file, const char *path, struct stat *st, struct pem_fault *fault)
{
    if (fstat(file, st) != 0) {
        return fail(fault, path, "cannot be examined: %s", strerror(errno));
    }
    if (!S_ISREG(st->st_mode)) {
        return fail(fault, path, "is not a plain file");
    }
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return fail(fault, path, "belongs to neither root nor the user setu runs as (chown it)");
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fail(fault, path, "may be written by others (chmod go-w)");
    }
    if (st->st_size <= 0 || st->st_size > PEM_FILE_BYTES_MAX) {
        return fail(fault, path, "is empty or larger than %d bytes", PEM_FILE_BYTES_MAX);
    }
    return true;
}

/* Read exactly what fstat saw: a file that changes meanwhile is refused, not read half and half. */
static bool read_all(int file, const char *path, char *text, size_t length, struct pem_fault *fault)
{
    size_t used = 0;
    for (;;) {
        const ssize_t count = read(file, text + used, length + 1 - used);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail(fault, path, "cannot be read: %s", strerror(errno));
        }
        used += (size_t)count;
        if (used > length || (count == 0 && used < length)) {
            return fail(fault, path, "changed while it was read (try again)");
        }
        if (count == 0) {
            return true;
        }
    }
}

/* The text of a public file, NUL-terminated; NULL on a fault. */
static char *read_public(const char *path, bool link, struct pem_fault *fault)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    const int file = link ? open(path, flags) : safe_file_open(path);
    if (file < 0) {
        (void)fail(fault, path,
                   errno == ELOOP
                       ? "is a symbolic link that others could have made (name the file itself)"
                       : "cannot be opened: %s",
                   strerror(errno));
        return NULL;
    }
    struct stat st;
    char *text = NULL;
    if (judge(file, path, &st, fault)) {
        const size_t length = (size_t)st.st_size;
        text = calloc(1, length + 1);
        if (text == NULL) {
            abort();
        }
        if (!read_all(file, path, text, length, fault)) {
            free(text);
            text = NULL;
        } else if (strstr(text, "PRIVATE KEY-----") != NULL) {
            (void)fail(fault, path, "holds a private key (keep keys in files of their own)");
            OPENSSL_cleanse(text, length);
            free(text);
            text = NULL;
        }
    }
    close(file);
    return text;
}

char *pem_read_public(const char *path, struct pem_fault *fault_r)
{
    return read_public(path, true, fault_r);
}

/* Nothing may ask for a password: there is nobody to answer. */
static int no_password(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    if (asked != NULL) {
        *(bool *)asked = true;
    }
    return -1;
}

/* After the last item PEM reports "no start line"; anything else is damage. */
static bool at_end(void)
{
    const unsigned long error = ERR_peek_last_error();
    const bool end =
        ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    return end;
}

static BIO *open_text(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    if (bio == NULL) {
        abort();
    }
    ERR_clear_error();
    return bio;
}

static void say_damaged(struct pem_fault *fault, const char *path, const char *what, int count)
{
    char reason[160] = "";
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    (void)fail(fault, path, "%s %d cannot be read: %s", what, count + 1, reason);
}

static STACK_OF(X509) *
    parse_certificates(const char *path, const char *text, struct pem_fault *fault)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = open_text(text);
    X509 *cert = NULL;
    while (sk_X509_num(certs) < PEM_ITEMS_MAX &&
           (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        if (sk_X509_push(certs, cert) == 0) {
            abort();
        }
    }
    bool good = false;
    if (sk_X509_num(certs) == PEM_ITEMS_MAX) {
        (void)fail(fault, path, "holds %d certificates or more", PEM_ITEMS_MAX);
    } else if (!at_end()) {
        say_damaged(fault, path, "certificate", sk_X509_num(certs));
    } else if (sk_X509_num(certs) == 0) {
        (void)fail(fault, path, "holds no certificate in PEM form");
    } else {
        good = true;
    }
    BIO_free(bio);
    ERR_clear_error();
    if (!good) {
        sk_X509_pop_free(certs, X509_free);
        return NULL;
    }
    return certs;
}

STACK_OF(X509) * pem_read_certificates(const char *path, bool link, struct pem_fault *fault_r)
{
    char *text = read_public(path, link, fault_r);
    if (text == NULL) {
        return NULL;
    }
    STACK_OF(X509) *certs = parse_certificates(path, text, fault_r);
    free(text);
    return certs;
}

static STACK_OF(X509_CRL) * parse_crls(const char *path, const char *text, struct pem_fault *fault)
{
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    BIO *bio = open_text(text);
    X509_CRL *crl = NULL;
    while (sk_X509_CRL_num(crls) < PEM_ITEMS_MAX &&
           (crl = PEM_read_bio_X509_CRL(bio, NULL, no_password, NULL)) != NULL) {
        if (sk_X509_CRL_push(crls, crl) == 0) {
            abort();
        }
    }
    bool good = false;
    if (sk_X509_CRL_num(crls) == PEM_ITEMS_MAX) {
        (void)fail(fault, path, "holds %d revocation lists or more", PEM_ITEMS_MAX);
    } else if (!at_end()) {
        say_damaged(fault, path, "revocation list", sk_X509_CRL_num(crls));
    } else if (sk_X509_CRL_num(crls) == 0) {
        (void)fail(fault, path, "holds no revocation list in PEM form");
    } else {
        good = true;
    }
    BIO_free(bio);
    ERR_clear_error();
    if (!good) {
        sk_X509_CRL_pop_free(crls, X509_CRL_free);
        return NULL;
    }
    return crls;
}

STACK_OF(X509_CRL) * pem_read_crls(const char *path, struct pem_fault *fault_r)
{
    char *text = read_public(path, true, fault_r);
    if (text == NULL) {
        return NULL;
    }
    STACK_OF(X509_CRL) *crls = parse_crls(path, text, fault_r);
    free(text);
    return crls;
}

/* Keys --------------------------------------------------------------------------------------- */

EVP_PKEY *pem_read_key(const char *path, struct pem_fault *fault_r)
{
    struct secret text;
    errno = 0;
    const enum secret_file_status status = secret_read_file(&text, path, PEM_FILE_BYTES_MAX);
    if (status != SECRET_FILE_OK) {
        const bool reason = status == SECRET_FILE_UNREADABLE && errno != 0;
        (void)fail(fault_r, path, "%s%s%s", secret_file_text(status), reason ? ": " : "",
                   reason ? strerror(errno) : "");
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(text.at, (int)text.length);
    if (bio == NULL) {
        abort();
    }
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
    if (key == NULL) {
        (void)fail(fault_r, path,
                   asked ? "the key is encrypted (store it without a pass phrase, mode 0400)"
                         : "holds no private key in PEM form");
    }
    BIO_free(bio);
    secret_wipe(&text);
    ERR_clear_error();
    return key;
}
