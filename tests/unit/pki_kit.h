/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate authority for tests: makes keys, certificates and lists, and the files of them. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pki_cert {
    X509 *cert;
    EVP_PKEY *key;
};

struct pki_options {
    const char *common_name;
    const char *organization; /* NULL = none */
    const char *alt_name;     /* "DNS:x,IP:127.0.0.1"; NULL = none */
    const char *ext_usage;    /* "clientAuth"; NULL = none */
    const char *usage;        /* "digitalSignature"; NULL = none */
    bool authority;           /* CA:TRUE */
    int64_t from_s, to_s;     /* around now; 0 = a day before, 90 days after */
    int rsa_bits;             /* 0 = a P-256 key */
    const char *digest;       /* NULL = SHA256 */
};

/* `issuer` NULL = self-signed. Freed with pki_free. */
struct pki_cert pki_make(const struct pki_options *options, const struct pki_cert *issuer);
void pki_free(struct pki_cert *cert);

/* A list of `issuer`, `revoked` may be NULL; `to_s` 0 = a day from now. */
X509_CRL *pki_crl(const struct pki_cert *issuer, const X509 *revoked, int64_t to_s);

/* A directory of its own for every test; pki_path gives a name in it (static, eight in turn). */
void pki_open(void);
void pki_close(void); /* removes the directory and all in it */
const char *pki_path(const char *name);

/* Write PEM to a name in the directory and give it a mode. `chain` ends with NULL. */
void pki_write_certs(const char *name, mode_t mode, X509 *const *chain);
void pki_write_cert(const char *name, const X509 *cert);
void pki_write_key(const char *name, mode_t mode, const EVP_PKEY *key, const char *password);
void pki_write_crl(const char *name, const X509_CRL *crl);
void pki_write_text(const char *name, mode_t mode, const char *text);
