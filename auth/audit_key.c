/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct audit_key {
    atomic_uint references;
    EVP_PKEY *pkey;
    bool private_half;
    char id[AUDIT_KEY_ID_SIZE];
};

enum { PUBLIC_FILE_BYTES_MAX = 65536 };

static void say(struct pem_fault *fault, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct pem_fault *fault, const char *path, const char *format, ...)
{
    int used = snprintf(fault->text, sizeof(fault->text), "%s: ", path);
    va_list arguments;
    va_start(arguments, format);
    if (used > 0 && (size_t)used < sizeof(fault->text)) {
        vsnprintf(fault->text + used, sizeof(fault->text) - (size_t)used, format, arguments);
    }
    va_end(arguments);
}

/* Making ------------------------------------------------------------------------------------- */

static void name_key(struct audit_key *key)
{
    unsigned char *der = NULL;
    unsigned char digest[AUDIT_HASH_BYTES];
    const int length = i2d_PUBKEY(key->pkey, &der);
    if (length <= 0 || EVP_Digest(der, (size_t)length, digest, NULL, EVP_sha256(), NULL) != 1) {
        abort();
    }
    OPENSSL_free(der);
    for (size_t i = 0; i < sizeof(digest); i++) {
        snprintf(key->id + 2 * i, 3, "%02x", digest[i]);
    }
}

/* Takes the reference of pkey. */
static struct audit_key *make(EVP_PKEY *pkey, bool private_half)
{
    struct audit_key *key = calloc(1, sizeof(*key));
    if (key == NULL) {
        abort();
    }
    atomic_init(&key->references, 1);
    key->pkey = pkey;
    key->private_half = private_half;
    name_key(key);
    return key;
}

static bool is_ed25519(EVP_PKEY *pkey, const char *path, struct pem_fault *fault)
{
    if (EVP_PKEY_is_a(pkey, "ED25519") == 1) {
        return true;
    }
    say(fault, path, "holds a key of another kind (make an Ed25519 key: setu audit keygen FILE)");
    return false;
}

struct audit_key *audit_key_load(const char *path, struct pem_fault *fault_r)
{
    EVP_PKEY *pkey = pem_read_key(path, fault_r);
    if (pkey == NULL) {
        return NULL;
    }
    if (!is_ed25519(pkey, path, fault_r)) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    return make(pkey, true);
}

struct audit_key *audit_key_of(const uint8_t bytes[32])
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes, 32);
    if (pkey == NULL) {
        abort();
    }
    return make(pkey, true);
}

size_t audit_key_read_public(const char *name, struct view text,
                             struct audit_key *keys_r[AUDIT_KEYS_MAX], struct pem_fault *fault_r)
{
    size_t count = 0;
    bool good = true;
    BIO *bio = BIO_new_mem_buf(text.length == 0 ? "" : (const void *)text.at, (int)text.length);
    if (bio == NULL) {
        abort();
    }
    while (good && count < AUDIT_KEYS_MAX) {
        EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        if (pkey == NULL) {
            break;
        }
        good = is_ed25519(pkey, name, fault_r);
        if (good) {
            keys_r[count++] = make(pkey, false);
        } else {
            EVP_PKEY_free(pkey);
        }
    }
    if (good && count == 0) {
        say(fault_r, name, "holds no public key in PEM form (openssl pkey -in KEY -pubout)");
    }
    for (; !good && count > 0; count--) {
        audit_key_unref(&keys_r[count - 1]);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count;
}

size_t audit_key_load_public(const char *path, struct audit_key *keys_r[AUDIT_KEYS_MAX],
                             struct pem_fault *fault_r)
{
    static const char none[] = "cannot be read";
    char *text = malloc(PUBLIC_FILE_BYTES_MAX);
    if (text == NULL) {
        abort();
    }
    FILE *file = fopen(path, "rbe");
    const size_t length = file == NULL ? 0 : fread(text, 1, PUBLIC_FILE_BYTES_MAX, file);
    size_t count = 0;
    if (file == NULL || ferror(file) != 0) {
        say(fault_r, path, "%s: %s", none, strerror(errno));
    } else if (length == PUBLIC_FILE_BYTES_MAX) {
        say(fault_r, path, "is too large for a few public keys");
    } else {
        count = audit_key_read_public(path, (struct view){(const uint8_t *)text, length}, keys_r,
                                      fault_r);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(text);
    return count;
}

bool audit_key_generate(const char *path, struct pem_fault *fault_r)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (pkey == NULL) {
        say(fault_r, path, "OpenSSL makes no Ed25519 key");
        return false;
    }
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    bool good = file != NULL && PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL) == 1;
    if (file != NULL) {
        good = fflush(file) == 0 && fsync(fd) == 0 && good;
        good = fclose(file) == 0 && good;
    }
    if (!good) {
        say(fault_r, path, "cannot be written: %s", strerror(errno));
        if (fd >= 0) {
            (void)unlink(path);
        }
    }
    EVP_PKEY_free(pkey);
    return good;
}

/* Holding ------------------------------------------------------------------------------------ */

struct audit_key *audit_key_ref(struct audit_key *key)
{
    atomic_fetch_add(&key->references, 1);
    return key;
}

void audit_key_unref(struct audit_key **key)
{
    struct audit_key *gone = *key;
    *key = NULL;
    if (gone != NULL && atomic_fetch_sub(&gone->references, 1) == 1) {
        EVP_PKEY_free(gone->pkey); /* wipes the private half */
        free(gone);
    }
}

const char *audit_key_id(const struct audit_key *key)
{
    return key->id;
}

bool audit_key_public_pem(const struct audit_key *key, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio == NULL || PEM_write_bio_PUBKEY(bio, key->pkey) != 1) {
        abort();
    }
    const long length = BIO_get_mem_data(bio, &text);
    const bool fits = length >= 0 && (size_t)length < size;
    if (fits) {
        memcpy(out, text, (size_t)length);
        out[length] = '\0';
    }
    BIO_free(bio);
    return fits;
}

/* Using -------------------------------------------------------------------------------------- */

bool audit_key_sign(const struct audit_key *key, struct view message,
                    uint8_t signature_r[AUDIT_SIGNATURE_BYTES])
{
    size_t length = AUDIT_SIGNATURE_BYTES;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool good =
        key->private_half && context != NULL &&
        EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
        EVP_DigestSign(context, signature_r, &length, message.at, message.length) == 1 &&
        length == AUDIT_SIGNATURE_BYTES;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

bool audit_key_verify(const struct audit_key *key, struct view message, struct view signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool good =
        context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
        EVP_DigestVerify(context, signature.at, signature.length, message.at, message.length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}
