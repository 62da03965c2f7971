/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identities Setu can show to brokers: per configured name one key and its chain.
 *
 * Checked when loaded, through one descriptor per file (safe_file.h, fstat, then read):
 *   key    regular file, owner root or us, mode within 0640, not encrypted
 *   chain  regular file, owner root or us, not writable by group or others; leaf first
 *   pair   as key_pair.h: the key belongs to the leaf, each certificate issued the one before it,
 * all are valid at `now`, extended key usage (when present) has clientAuth, and the like Any fault
 * refuses the whole set, so that a reload never serves half of one.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct conf_errors;

enum {
    CERTIFICATES_FINGERPRINT_SIZE = 65, /* SHA-256, 64 lower-case hex digits and a NUL */
    CERTIFICATES_WARN_DAYS = 30         /* nearer expiry is a warning */
};

/* Immutable; every pointer lives as long as the set. */
struct certificate {
    const char *name; /* as in the configuration */
    const char *path; /* of the chain file */
    const char *key_path;
    X509 *leaf;
    STACK_OF(X509) * issuers; /* what is sent after the leaf; may be empty, never NULL */
    EVP_PKEY *key;
    const char *subject; /* as Java prints it: what the broker takes as the principal (DEFAULT) */
    const char *issuer;
    char fingerprint[CERTIFICATES_FINGERPRINT_SIZE];      /* of the leaf's DER */
    char spki_fingerprint[CERTIFICATES_FINGERPRINT_SIZE]; /* of its SubjectPublicKeyInfo */
    int64_t not_before_s, not_after_s;                    /* seconds since 1970 UTC */
    int line, column;                                     /* of its entry in the configuration */
};

/* Immutable, reference-counted (atomic), shared by all workers. */
struct certificates;

/*
 * Load everything under config->certificates. `now_s`: seconds since 1970 UTC. NULL when anything
 * is wrong; each fault is in `errors` at the place of the field and names the path. Blocking file
 * reads: start-up and reload only.
 */
__attribute__((warn_unused_result)) struct certificates *
certificates_load(const struct config *config, int64_t now_s, struct conf_errors *errors);
struct certificates *certificates_ref(struct certificates *certs);
void certificates_unref(struct certificates **certs); /* NULL is allowed; sets NULL */

/* NULL when there is no such name. */
const struct certificate *certificates_find(const struct certificates *certs, const char *name);
size_t certificates_count(const struct certificates *certs);
const struct certificate *certificates_at(const struct certificates *certs, size_t index);

/* SHA-256 of the DER of any certificate, as in `fingerprint`. */
void certificates_fingerprint(const X509 *cert, char out[CERTIFICATES_FINGERPRINT_SIZE]);

/* SHA-256 of its SubjectPublicKeyInfo, as in `spki_fingerprint`. */
void certificates_spki_fingerprint(const X509 *cert, char out[CERTIFICATES_FINGERPRINT_SIZE]);

/* The same leaf, and the same certificates behind it. */
bool certificates_same(const struct certificate *a, const struct certificate *b);

/* Validity again at decision time: a set loaded long ago may have expired since. */
bool certificates_valid_at(const struct certificate *cert, int64_t now_s);
