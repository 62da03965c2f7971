/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an auditor wants to know of the configured certificates, read without judging: also of those
 * that `setu run` would refuse. Private keys are not read, only their files looked at, so that
 * whoever may not read them can audit all the same. Blocking reads; for commands only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/certificates.h"

struct conf_certificate;
struct conf_tls;
struct config;

/* Texts are owned by the facts; "" = none, or not known. */
struct mapping_certificate {
    const struct conf_certificate *conf;
    char problem[512];      /* why nothing below is known of the certificate; "" = it was read */
    char *subject, *issuer; /* as Java prints them */
    char *names;            /* subject alternative names: "DNS:a, URI:b" */
    char *serial;           /* hexadecimal */
    char *usages;           /* extended key usage: "clientAuth, serverAuth"; "" = any */
    char fingerprint[CERTIFICATES_FINGERPRINT_SIZE];
    char spki_fingerprint[CERTIFICATES_FINGERPRINT_SIZE];
    int64_t not_before_s, not_after_s;
    const char *key_type; /* "RSA", "EC", ... */
    int key_bits;
    char signature[32];  /* digest of its signature: "SHA256" */
    bool weak_signature; /* of it or of a certificate behind it: SHA-1 or worse; not of a root */
    bool may_be_client, may_be_server; /* what the extended key usage allows; none allows all */
    bool says_server;                  /* the extended key usage names serverAuth */
    bool key_on_token; /* then there is no file to look at, and the token is not asked */
    bool key_found;
    unsigned key_mode; /* permission bits */
    void *leaf;        /* X509 *, private */
};

struct mapping_facts {
    struct mapping_certificate *items; /* as config->certificates */
    size_t count;
};

struct mapping_facts *mapping_facts_new(const struct config *config);
void mapping_facts_free(struct mapping_facts **facts); /* NULL is allowed; sets NULL */

/* By configured name; NULL when there is none. */
const struct mapping_certificate *mapping_facts_find(const struct mapping_facts *facts,
                                                     const char *name);

enum mapping_revocation {
    MAPPING_REVOCATION_UNCHECKED, /* no list is configured, or none by its issuer, or unreadable */
    MAPPING_REVOCATION_GOOD,
    MAPPING_REVOKED
};

struct mapping_revocation_facts {
    enum mapping_revocation state;
    int64_t list_from_s, list_to_s; /* of the list that says so; 0 = none, or not said */
};

/* What the revocation lists that brokers' generation is configured with say of a certificate. */
void mapping_facts_revocation(const struct mapping_certificate *certificate,
                              const struct conf_tls *tls, struct mapping_revocation_facts *facts_r);
const char *mapping_revocation_name(enum mapping_revocation state); /* "unchecked", "good", ... */
