/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pki_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char directory[64];
static long serial = 1000;

static void must(bool good)
{
    if (!good) {
        fprintf(stderr, "the test's own authority failed\n");
        abort();
    }
}

static void set_time(ASN1_TIME *time, int64_t when)
{
    must(ASN1_TIME_set(time, (time_t)when) != NULL);
}

static void add_extension(X509 *cert, const X509 *issuer, int nid, const char *value)
{
    if (value == NULL) {
        return;
    }
    X509V3_CTX context;
    X509V3_set_ctx(&context, (X509 *)(uintptr_t)issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_name(X509 *cert, const struct pki_options *options)
{
    X509_NAME *name = X509_get_subject_name(cert);
    const unsigned char *text = (const unsigned char *)options->organization;
    must(text == NULL ||
         X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, text, -1, -1, 0) == 1);
    text = (const unsigned char *)options->common_name;
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1);
}

struct pki_cert pki_make(const struct pki_options *options, const struct pki_cert *issuer)
{
    struct pki_cert made = {.cert = X509_new()};
    made.key =
        options->rsa_bits != 0 ? EVP_RSA_gen((unsigned)options->rsa_bits) : EVP_EC_gen("P-256");
    must(made.cert != NULL && made.key != NULL);
    const struct pki_cert *signer = issuer == NULL ? &made : issuer;
    const int64_t now = (int64_t)time(NULL);
    X509_set_version(made.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), ++serial);
    set_time(X509_getm_notBefore(made.cert), options->from_s != 0 ? options->from_s : now - 86400);
    set_time(X509_getm_notAfter(made.cert), options->to_s != 0 ? options->to_s : now + 90 * 86400);
    set_name(made.cert, options);
    must(X509_set_issuer_name(made.cert, X509_get_subject_name(signer->cert)) == 1);
    must(X509_set_pubkey(made.cert, made.key) == 1);
    add_extension(made.cert, signer->cert, NID_basic_constraints,
                  options->authority ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(made.cert, signer->cert, NID_key_usage, options->usage);
    add_extension(made.cert, signer->cert, NID_ext_key_usage, options->ext_usage);
    add_extension(made.cert, signer->cert, NID_subject_alt_name, options->alt_name);
    const char *digest = options->digest == NULL ? "SHA256" : options->digest;
    must(X509_sign(made.cert, signer->key, EVP_get_digestbyname(digest)) > 0);
    return made;
}

void pki_free(struct pki_cert *cert)
{
    X509_free(cert->cert);
    EVP_PKEY_free(cert->key);
    *cert = (struct pki_cert){0};
}

X509_CRL *pki_crl(const struct pki_cert *issuer, const X509 *revoked, int64_t to_s)
{
    X509_CRL *crl = X509_CRL_new();
    const int64_t now = (int64_t)time(NULL);
    ASN1_TIME *from = ASN1_TIME_new(), *to = ASN1_TIME_new();
    set_time(from, now - 2 * 86400);
    set_time(to, to_s != 0 ? to_s : now + 86400);
    must(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
         X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->cert)) == 1 &&
         X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, to) == 1);
    if (revoked != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        must(X509_REVOKED_set_serialNumber(
                 entry, (ASN1_INTEGER *)(uintptr_t)X509_get0_serialNumber(revoked)) == 1 &&
             X509_REVOKED_set_revocationDate(entry, from) == 1 &&
             X509_CRL_add0_revoked(crl, entry) == 1);
    }
    must(X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    return crl;
}

void pki_open(void)
{
    snprintf(directory, sizeof(directory), "/tmp/setu-pki-XXXXXX");
    must(mkdtemp(directory) != NULL);
}

void pki_close(void)
{
    DIR *open = opendir(directory);
    must(open != NULL);
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(open), entry->d_name,
                     strcmp(entry->d_name, "dir") == 0 ? AT_REMOVEDIR : 0);
        }
    }
    closedir(open);
    must(rmdir(directory) == 0);
}

const char *pki_path(const char *name)
{
    static char paths[8][128];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static FILE *create(const char *name)
{
    FILE *file = fopen(pki_path(name), "w");
    must(file != NULL);
    return file;
}

static void finish(FILE *file, const char *name, mode_t mode)
{
    must(fclose(file) == 0 && chmod(pki_path(name), mode) == 0);
}

void pki_write_certs(const char *name, mode_t mode, X509 *const *chain)
{
    FILE *file = create(name);
    for (size_t i = 0; chain[i] != NULL; i++) {
        must(PEM_write_X509(file, chain[i]) == 1);
    }
    finish(file, name, mode);
}

void pki_write_cert(const char *name, const X509 *cert)
{
    X509 *const chain[] = {(X509 *)(uintptr_t)cert, NULL};
    pki_write_certs(name, 0644, chain);
}

void pki_write_key(const char *name, mode_t mode, const EVP_PKEY *key, const char *password)
{
    FILE *file = create(name);
    must(PEM_write_PrivateKey(file, key, password == NULL ? NULL : EVP_aes_128_cbc(), NULL, 0, NULL,
                              (void *)(uintptr_t)password) == 1);
    finish(file, name, mode);
}

void pki_write_crl(const char *name, const X509_CRL *crl)
{
    FILE *file = create(name);
    must(PEM_write_X509_CRL(file, crl) == 1);
    finish(file, name, 0644);
}

void pki_write_text(const char *name, mode_t mode, const char *text)
{
    FILE *file = create(name);
    must(fputs(text, file) >= 0);
    finish(file, name, mode);
}
