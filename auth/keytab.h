/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a keytab file holds, without its keys: for those who look whether it is the right one (`setu doctor`). The file
 * is judged as kerberos.h says. Blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "auth/kerberos.h"

enum { KEYTAB_NAME_BYTES = 256, KEYTAB_ENCTYPE_BYTES = 64 };

struct keytab_entry {
    char principal[KEYTAB_NAME_BYTES]; /* "kafka/host@REALM"; cut when it is longer */
    char service[KEYTAB_NAME_BYTES], host[KEYTAB_NAME_BYTES]; /* "" but for two components */
    uint32_t kvno;
    char enctype[KEYTAB_ENCTYPE_BYTES]; /* "aes256-cts-hmac-sha1-96" */
    bool weak; /* deprecated or switched off: DES, 3DES, RC4 (RFC 6649, RFC 8429) */
};

typedef void (*keytab_fn)(void *context, const struct keytab_entry *entry);

/* Each entry, as they stand in the file. False and *fault_r: the file is not safe, or no keytab. */
bool keytab_each(const char *path, keytab_fn fn, void *context, struct kerberos_fault *fault_r)
    __attribute__((warn_unused_result));
