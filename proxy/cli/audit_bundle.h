/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_bundle: an archive of evidence: files, their SHA-256s, one signature.
 *
 *   setu-evidence/<file> …
 *   setu-evidence/MANIFEST       as `sha256sum` prints it, for every other file but the next
 *   setu-evidence/MANIFEST.sig   Ed25519 over the bytes of MANIFEST
 *
 * So that it can be verified without Setu:
 *
 *   tar xf FILE; cd setu-evidence; sha256sum -c MANIFEST
 *   openssl pkeyutl -verify -rawin -pubin -inkey KEY -in MANIFEST -sigfile MANIFEST.sig
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "auth/audit_key.h"
#include "proxy/cli/tar.h"

struct audit_bundle_entry {
    char *name;        /* owned; without the folder */
    struct view bytes; /* owned when `owned` */
    bool owned;
};

struct audit_bundle {
    struct audit_bundle_entry *entries;
    size_t count;
};

/* Borrowed bytes; those given to audit_bundle_take are its own (malloc). */
void audit_bundle_add(struct audit_bundle *bundle, const char *name, struct view bytes);
void audit_bundle_take(struct audit_bundle *bundle, const char *name, char *bytes, size_t length);
void audit_bundle_free(struct audit_bundle *bundle);

/* NULL: there is none of that name. */
const struct audit_bundle_entry *audit_bundle_find(const struct audit_bundle *bundle,
                                                   const char *name);

/* The archive, with its manifest, signed. False: it could not be written. */
bool audit_bundle_write(const struct audit_bundle *bundle, const struct audit_key *key,
                        int64_t time_s, FILE *out) __attribute__((warn_unused_result));

/*
 * Reads an archive into an empty bundle, whose entries are views of it, and verifies it: signed by
 * one of the keys, every file listed once with its hash, nothing else in it. NULL: it is as it was
 * made; else what is wrong, in text_r where a name belongs to it.
 */
const char *audit_bundle_read(struct audit_bundle *bundle, struct view archive,
                              struct audit_key *const *keys, size_t key_count, char *text_r,
                              size_t text_size) __attribute__((warn_unused_result));
