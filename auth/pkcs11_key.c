/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pkcs11_key.h"

#include "auth/secret.h"
#include "auth/pkcs11_refused.h"
#include "auth/pkcs11_way.h"
#include "conf/config.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WHY_BYTES = 160,
    PIN_BYTES_MAX = 255,
    SIGNATURE_BYTES_MAX = 2048,
};

/* CKR_… of PKCS#11; both ways pass them on as reasons. */
enum {
    CKR_PIN_INCORRECT = 0xa0,
    CKR_PIN_INVALID = 0xa1,
    CKR_PIN_LEN_RANGE = 0xa2,
    CKR_PIN_EXPIRED = 0xa3,
    CKR_PIN_LOCKED = 0xa4,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *module_in_use; /* the first one that could be opened; another one is refused */

__attribute__((format(printf, 3, 4))) static void fail(struct pem_fault *fault, const char *uri,
                                                       const char *format, ...)
{
    char what[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    snprintf(fault->text, sizeof(fault->text), "%.180s: %s", uri, what);
    ERR_clear_error();
}

/* The PIN ----------------------------------------------------------------------------------- */

static int answer(UI *ui, UI_STRING *string)
{
    const struct secret *pin = UI_get0_user_data(ui);
    if (pin == NULL || pin->at == NULL || UI_get_string_type(string) != UIT_PROMPT) {
        return 0;
    }
    return UI_set_result_ex(ui, string, (const char *)pin->at, (int)pin->length) >= 0;
}

static UI_METHOD *interface_of_ours(void)
{
    static UI_METHOD *made;
    if (made == NULL) {
        made = UI_create_method("setu");
        if (made == NULL || UI_method_set_reader(made, answer) != 0) {
            abort();
        }
    }
    return made;
}

static bool read_pin(const struct conf_pkcs11 *pkcs11, const char *uri, struct secret *pin_r,
                     struct pem_fault *fault)
{
    *pin_r = (struct secret){0};
    if (pkcs11->pin_file[0] == '\0') {
        return true;
    }
    errno = 0;
    const enum secret_file_status status = secret_read_password(pin_r, pkcs11->pin_file);
    if (status != SECRET_FILE_OK) {
        const bool reason = status == SECRET_FILE_UNREADABLE && errno != 0;
        fail(fault, uri, "pin_file %.120s %s%s%s", pkcs11->pin_file, secret_file_text(status),
             reason ? ": " : "", reason ? strerror(errno) : "");
        return false;
    }
    if (pin_r->length > PIN_BYTES_MAX || memchr(pin_r->at, '\0', pin_r->length) != NULL) {
        secret_wipe(pin_r);
        fail(fault, uri, "pin_file %.120s holds no PIN (one line of at most %d bytes)",
             pkcs11->pin_file, PIN_BYTES_MAX);
        return false;
    }
    return true;
}

/* What the token said ----------------------------------------------------------------------- */

struct told {
    int pin_reason;      /* a CKR_PIN_…, 0: none */
    char why[WHY_BYTES]; /* the first reason; "" none */
};

/* Empties the queue. Neither way puts anything secret into it; only fixed texts are taken all the same. */
static struct told hear(void)
{
    struct told told = {0};
    unsigned long error;
    while ((error = ERR_get_error()) != 0) {
        const int reason = ERR_GET_REASON(error);
        const char *text = ERR_reason_error_string(error);
        if (ERR_GET_LIB(error) >= ERR_LIB_USER && reason >= CKR_PIN_INCORRECT &&
            reason <= CKR_PIN_LOCKED) {
            told.pin_reason = reason;
        }
        if (told.why[0] == '\0' && text != NULL) {
            snprintf(told.why, sizeof told.why, "%s", text);
        }
    }
    return told;
}

static const char *pin_text(int reason)
{
    switch (reason) {
    case CKR_PIN_LOCKED:
        return "the token is locked after too many wrong PINs (have it unlocked)";
    case CKR_PIN_EXPIRED:
        return "the PIN has expired (set a new one on the token, and in 'pin_file')";
    default:
        return "the token does not take this PIN (mend 'pin_file'; the same PIN is not tried "
               "again)";
    }
}

/* Loading ----------------------------------------------------------------------------------- */

static EVP_PKEY *load(const struct pkcs11_ask *ask, const char **way_r, struct pem_fault *fault)
{
    char no_store[WHY_BYTES] = "", no_engine[WHY_BYTES] = "";
    if (pkcs11_store_there(ask, no_store, sizeof no_store)) {
        *way_r = "provider";
        return pkcs11_store_load(ask);
    }
    if (pkcs11_engine_there(ask, no_engine, sizeof no_engine)) {
        *way_r = "engine";
        return pkcs11_engine_load(ask);
    }
    *way_r = NULL;
    fail(fault, ask->uri, "OpenSSL cannot reach tokens here: %s; %s", no_store, no_engine);
    return NULL;
}

static bool may_ask(const char *uri, struct view pin, struct pem_fault *fault)
{
    switch (pkcs11_refused_before(uri, pin)) {
    case PKCS11_REFUSED_BEFORE:
        fail(fault, uri,
             "the token has refused this PIN before (mend 'pin_file', or start Setu "
             "anew to try it once more)");
        return false;
    case PKCS11_REFUSED_ROOM:
        fail(fault, uri,
             "%d other tokens have refused their PIN, and this one is not asked (mend "
             "'pin_file', and start Setu anew)",
             PKCS11_REFUSED_TOKENS);
        return false;
    case PKCS11_REFUSED_NEVER:
        break;
    }
    return true;
}

static void say_why(const struct pkcs11_ask *ask, const char *way, struct view pin,
                    struct pem_fault *fault)
{
    const struct told told = hear();
    if (told.pin_reason != 0) {
        pkcs11_refused_add(ask->uri, pin);
        fail(fault, ask->uri, "%s", pin_text(told.pin_reason));
    } else {
        fail(fault, ask->uri,
             "no such key by %s and module %.100s%s%s (is the token there, has "
             "it the key and its public half, is the PIN right?)",
             way, ask->module, told.why[0] != '\0' ? ": " : "", told.why);
    }
}

static EVP_PKEY *ask_token(const struct pkcs11_ask *ask, const struct secret *pin,
                           struct pem_fault *fault)
{
    const char *way = NULL;
    if (!may_ask(ask->uri, secret_view(pin), fault)) {
        return NULL;
    }
    ERR_clear_error();
    EVP_PKEY *key = load(ask, &way, fault);
    if (key == NULL && way != NULL) {
        say_why(ask, way, secret_view(pin), fault);
    }
    return key;
}

/* Whoever loads it for OpenSSL would not say why it cannot. It stays open. */
static bool open_module(const char *module, const char *uri, struct pem_fault *fault)
{
    if (module_in_use != NULL && strcmp(module_in_use, module) == 0) {
        return true;
    }
    if (module_in_use != NULL) {
        fail(fault, uri, "the process already uses the module %.120s (take over: send SIGUSR2, or "
                         "`setu run --takeover`)",
             module_in_use);
        return false;
    }
    void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL || dlsym(handle, "C_GetFunctionList") == NULL) {
        const char *why = handle == NULL ? dlerror() : NULL;
        fail(fault, uri, "module %.120s cannot be used: %.160s", module,
             why != NULL ? why : "it is no PKCS#11 module");
        if (handle != NULL) {
            dlclose(handle);
        }
        return false;
    }
    module_in_use = strdup(module);
    if (module_in_use == NULL) {
        abort();
    }
    return true;
}

EVP_PKEY *pkcs11_key_load(const struct conf_pkcs11 *pkcs11, const char *uri,
                         struct pem_fault *fault_r)
{
    struct secret pin;
    EVP_PKEY *key = NULL;
    if (!pkcs11->present) {
        fail(fault_r, uri, "nothing says how tokens are reached (add 'pkcs11')");
        return NULL;
    }
    if (!read_pin(pkcs11, uri, &pin, fault_r)) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    if (open_module(pkcs11->module, uri, fault_r)) {
        const struct pkcs11_ask ask = {pkcs11->module, uri, interface_of_ours(), &pin};
        key = ask_token(&ask, &pin, fault_r);
    }
    pthread_mutex_unlock(&lock);
    secret_wipe(&pin);
    return key;
}

/* Proof ------------------------------------------------------------------------------------- */

static bool set_padding(EVP_PKEY_CTX *ctx, int padding)
{
    return padding == 0 ||
           (EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0 &&
            (padding != RSA_PKCS1_PSS_PADDING ||
             EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0));
}

static bool sign(EVP_PKEY *key, int padding, const uint8_t *text, size_t length,
                 uint8_t *signature, size_t *signature_length)
{
    EVP_PKEY_CTX *ctx = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const bool good = md != NULL && EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, key) == 1 &&
                      set_padding(ctx, padding) &&
                      EVP_DigestSign(md, signature, signature_length, text, length) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

static bool verify(EVP_PKEY *key, int padding, const uint8_t *text, size_t length,
                   const uint8_t *signature, size_t signature_length)
{
    EVP_PKEY_CTX *ctx = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const bool good = md != NULL && EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key) == 1 &&
                      set_padding(ctx, padding) &&
                      EVP_DigestVerify(md, signature, signature_length, text, length) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

static enum pkcs11_key_proof prove(EVP_PKEY *key, EVP_PKEY *public, int padding)
{
    static const uint8_t text[] = "Setu: does this key belong to that certificate?";
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t length = sizeof signature;
    if (EVP_PKEY_get_size(key) > (int)sizeof signature ||
        !sign(key, padding, text, sizeof text, signature, &length)) {
        return PKCS11_KEY_SILENT;
    }
    return verify(public, padding, text, sizeof text, signature, length) ? PKCS11_KEY_PROVED
                                                                         : PKCS11_KEY_OTHER;
}

enum pkcs11_key_proof pkcs11_key_prove(EVP_PKEY *key, EVP_PKEY *public, const char *uri,
                                     struct pem_fault *fault_r)
{
    const bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
    /* TLS 1.3 wants PSS of an RSA key, TLS 1.2 may want PKCS #1. */
    enum pkcs11_key_proof proof = prove(key, public, rsa ? RSA_PKCS1_PSS_PADDING : 0);
    if (proof == PKCS11_KEY_PROVED && rsa) {
        proof = prove(key, public, RSA_PKCS1_PADDING);
    }
    const struct told told = hear();
    if (proof == PKCS11_KEY_SILENT) {
        fail(fault_r, uri, "the token does not sign with this key%s%s (TLS needs ECDSA, or RSA "
                           "with PSS and PKCS #1)",
             told.why[0] != '\0' ? ": " : "", told.why);
    }
    return proof;
}
