/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM files: certificates, revocation lists and private keys, judged by the open file and not by
 * the name. Blocking reads; start-up and reload only.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    PEM_FILE_BYTES_MAX = 1048576,
    PEM_ITEMS_MAX = 1024 /* certificates or lists in one file */
};

/* What is wrong and how to mend it, with the path in front. */
struct pem_fault {
    char text[512];
};

/*
 * Certificates in the order of the file, at least one. The file must be plain, owned by root or us,
 * not writable by group or others, and hold no private key; `link` says whether its name may be any
 * symbolic link; else safe_file.h judges it. The stack is the caller's. NULL and *fault_r on any fault.
 */
__attribute__((warn_unused_result)) STACK_OF(X509) *
    pem_read_certificates(const char *path, bool link, struct pem_fault *fault_r);

/* Revocation lists, at least one; otherwise as certificates with `link` true. */
__attribute__((warn_unused_result)) STACK_OF(X509_CRL) *
    pem_read_crls(const char *path, struct pem_fault *fault_r);

/* The one private key in a file that is safe by secret.h's rules and not encrypted. */
__attribute__((warn_unused_result)) EVP_PKEY *pem_read_key(const char *path,
                                                           struct pem_fault *fault_r);

/* The whole text of a file that needs no secrecy, with its rules (a link is followed), NUL-terminated;
 * free it. NULL and *fault_r on any fault. */
__attribute__((warn_unused_result)) char *pem_read_public(const char *path,
                                                          struct pem_fault *fault_r);
