/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/fast_aes_provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/fast_aes_code.h"

enum {
    IV_BYTES = 12,
    TAG_BYTES = 16,
    FIXED_BYTES = EVP_GCM_TLS_FIXED_IV_LEN,
    EXPLICIT_BYTES = EVP_GCM_TLS_EXPLICIT_IV_LEN,
    TLS_AAD_BYTES = EVP_AEAD_TLS1_AAD_LEN,
};

/* SP 800-38D: at most 2^39 - 256 bits under one IV. */
static const uint64_t message_bytes_max = (UINT64_C(1) << 36) - 32;

enum message_state {
    MESSAGE_NONE,    /* no IV */
    MESSAGE_READY,   /* IV set, AAD may come */
    MESSAGE_RUNNING, /* data has come */
    MESSAGE_OVER     /* ended: another IV is needed */
};

struct gcm {
    _Alignas(64) struct gcm_key_data key;
    struct gcm_context_data run;
    const struct fast_aes_cipher *cipher;
    enum message_state state;
    bool encrypting;
    bool key_set;
    bool tag_set;   /* the tag to expect, or the one made */
    bool tls;       /* the next update is a whole TLS 1.2 record */
    bool generates; /* a fixed part of the IV is set, the rest counts */
    uint8_t iv[IV_BYTES];
    uint8_t counter[IV_BYTES]; /* fixed part and the next explicit part */
    uint8_t tag[TAG_BYTES];
    uint8_t tls_aad[TLS_AAD_BYTES];
    uint8_t aad[FAST_AES_AAD_MAX];
    size_t aad_bytes;
    uint64_t data_bytes;
};

/* Life --------------------------------------------------------------------------------------- */

static struct gcm *gcm_alloc(void)
{
    struct gcm *gcm = aligned_alloc(_Alignof(struct gcm), sizeof *gcm);
    if (gcm == NULL) {
        ERR_raise(ERR_LIB_PROV, ERR_R_MALLOC_FAILURE);
    }
    return gcm;
}

static void *gcm_new(const struct fast_aes_cipher *cipher)
{
    struct gcm *gcm = gcm_alloc();
    if (gcm != NULL) {
        memset(gcm, 0, sizeof *gcm);
        gcm->cipher = cipher;
    }
    return gcm;
}

static void *gcm_new_128(void *context)
{
    const struct fast_aes_code *code = context;
    return gcm_new(&code->aes128);
}

static void *gcm_new_256(void *context)
{
    const struct fast_aes_code *code = context;
    return gcm_new(&code->aes256);
}

static void gcm_free(void *context)
{
    if (context != NULL) {
        OPENSSL_cleanse(context, sizeof(struct gcm));
        free(context);
    }
}

/* No pointers inside but the one to constants. */
static void *gcm_dup(void *context)
{
    struct gcm *copy = gcm_alloc();
    if (copy != NULL) {
        memcpy(copy, context, sizeof *copy);
    }
    return copy;
}

/* One message ------------------------------------------------------------------------------- */

static void set_iv(struct gcm *gcm, const uint8_t iv[IV_BYTES])
{
    memcpy(gcm->iv, iv, IV_BYTES);
    /* A tag to expect may be given before the IV; a tag made belongs to the message before. */
    gcm->tag_set = gcm->tag_set && !gcm->encrypting;
    gcm->state = MESSAGE_READY;
    gcm->aad_bytes = 0;
    gcm->data_bytes = 0;
}

static bool add_aad(struct gcm *gcm, const uint8_t *in, size_t length)
{
    if (gcm->state != MESSAGE_READY || length > FAST_AES_AAD_MAX - gcm->aad_bytes) {
        return false;
    }
    memcpy(gcm->aad + gcm->aad_bytes, in, length);
    gcm->aad_bytes += length;
    return true;
}

static void start(struct gcm *gcm)
{
    if (gcm->state == MESSAGE_READY) {
        gcm->cipher->begin(&gcm->key, &gcm->run, gcm->iv, gcm->aad, gcm->aad_bytes);
        gcm->state = MESSAGE_RUNNING;
    }
}

static bool add_data(struct gcm *gcm, uint8_t *out, const uint8_t *in, size_t length)
{
    if ((gcm->state != MESSAGE_READY && gcm->state != MESSAGE_RUNNING) ||
        length > message_bytes_max - gcm->data_bytes) {
        return false;
    }
    start(gcm);
    gcm->data_bytes += length;
    (gcm->encrypting ? gcm->cipher->encrypt : gcm->cipher->decrypt)(&gcm->key, &gcm->run, out, in,
                                                                    length);
    return true;
}

static void finish(struct gcm *gcm, uint8_t tag[TAG_BYTES])
{
    start(gcm);
    (gcm->encrypting ? gcm->cipher->encrypt_end : gcm->cipher->decrypt_end)(&gcm->key, &gcm->run,
                                                                            tag, TAG_BYTES);
    gcm->state = MESSAGE_OVER;
}

/* Encrypting: keeps the tag. Decrypting: true when it is the tag given, which is used up. */
static bool end_message(struct gcm *gcm)
{
    uint8_t tag[TAG_BYTES];
    if (gcm->state != MESSAGE_READY && gcm->state != MESSAGE_RUNNING) {
        return false;
    }
    if (!gcm->encrypting && !gcm->tag_set) {
        ERR_raise(ERR_LIB_PROV, PROV_R_TAG_NOT_SET);
        return false;
    }
    finish(gcm, tag);
    const bool good = gcm->encrypting || CRYPTO_memcmp(tag, gcm->tag, TAG_BYTES) == 0;
    if (gcm->encrypting) {
        memcpy(gcm->tag, tag, TAG_BYTES);
    }
    gcm->tag_set = gcm->encrypting;
    OPENSSL_cleanse(tag, sizeof tag); /* the right tag of a forged message is nobody's business */
    return good;
}

/* IVs that count (TLS 1.2, RFC 5288) -------------------------------------------------------- */

static bool set_fixed(struct gcm *gcm, const uint8_t *fixed, size_t length)
{
    if (length != FIXED_BYTES) {
        return false;
    }
    memcpy(gcm->counter, fixed, FIXED_BYTES);
    if (gcm->encrypting && RAND_bytes(gcm->counter + FIXED_BYTES, EXPLICIT_BYTES) != 1) {
        return false;
    }
    gcm->generates = true;
    gcm->state = MESSAGE_NONE;
    return true;
}

/* Takes the next IV for the coming message and gives its last `length` bytes. */
static bool generate_iv(struct gcm *gcm, uint8_t *out, size_t length)
{
    if (!gcm->generates || !gcm->key_set || !gcm->encrypting) {
        return false;
    }
    if (length == 0 || length > IV_BYTES) {
        length = IV_BYTES;
    }
    set_iv(gcm, gcm->counter);
    memcpy(out, gcm->iv + IV_BYTES - length, length);
    for (size_t i = IV_BYTES; i > FIXED_BYTES && ++gcm->counter[i - 1] == 0; i--) {
    }
    return true;
}

/* The peer's explicit part, for the coming message. */
static bool take_iv(struct gcm *gcm, const uint8_t *explicit_part, size_t length)
{
    if (!gcm->generates || !gcm->key_set || gcm->encrypting || length != EXPLICIT_BYTES) {
        return false;
    }
    memcpy(gcm->counter + FIXED_BYTES, explicit_part, EXPLICIT_BYTES);
    set_iv(gcm, gcm->counter);
    return true;
}

/*
 * The AAD of the next record: its last two bytes are the length as OpenSSL sees it, with the
 * explicit IV and, on the way in, the tag; under the tag goes the length of the plaintext.
 */
static bool set_tls_aad(struct gcm *gcm, const uint8_t *aad, size_t length)
{
    const size_t overhead = EXPLICIT_BYTES + (gcm->encrypting ? 0U : TAG_BYTES);
    if (length != TLS_AAD_BYTES) {
        return false;
    }
    size_t bytes = (size_t)aad[TLS_AAD_BYTES - 2] << 8 | aad[TLS_AAD_BYTES - 1];
    if (bytes < overhead) {
        return false;
    }
    bytes -= overhead;
    memcpy(gcm->tls_aad, aad, TLS_AAD_BYTES);
    gcm->tls_aad[TLS_AAD_BYTES - 2] = (uint8_t)(bytes >> 8);
    gcm->tls_aad[TLS_AAD_BYTES - 1] = (uint8_t)bytes;
    gcm->tls = true;
    return true;
}

static bool tls_encrypt(struct gcm *gcm, uint8_t *record, size_t bytes)
{
    uint8_t *data = record + EXPLICIT_BYTES;
    if (!generate_iv(gcm, record, EXPLICIT_BYTES) || !add_aad(gcm, gcm->tls_aad, TLS_AAD_BYTES) ||
        !add_data(gcm, data, data, bytes)) {
        return false;
    }
    finish(gcm, data + bytes);
    return true;
}

static bool tls_decrypt(struct gcm *gcm, uint8_t *record, size_t bytes)
{
    uint8_t tag[TAG_BYTES];
    uint8_t *data = record + EXPLICIT_BYTES;
    if (!take_iv(gcm, record, EXPLICIT_BYTES) || !add_aad(gcm, gcm->tls_aad, TLS_AAD_BYTES) ||
        !add_data(gcm, data, data, bytes)) {
        return false;
    }
    finish(gcm, tag);
    const bool good = CRYPTO_memcmp(tag, data + bytes, TAG_BYTES) == 0;
    OPENSSL_cleanse(tag, sizeof tag);
    if (!good) {
        OPENSSL_cleanse(data, bytes);
    }
    return good;
}

/*
 * A whole TLS 1.2 record in place: explicit IV, data, tag. *length_r: what went out when
 * encrypting, the data when decrypting, as libssl expects it.
 */
static bool tls_record(struct gcm *gcm, uint8_t *out, size_t *length_r, const uint8_t *in,
                       size_t length)
{
    gcm->tls = false;
    *length_r = 0;
    if (!gcm->key_set || out != in || length < EXPLICIT_BYTES + TAG_BYTES) {
        return false;
    }
    const size_t bytes = length - EXPLICIT_BYTES - TAG_BYTES;
    if (!(gcm->encrypting ? tls_encrypt : tls_decrypt)(gcm, out, bytes)) {
        return false;
    }
    *length_r = gcm->encrypting ? length : bytes;
    return true;
}

/* What OpenSSL calls ------------------------------------------------------------------------ */

static int gcm_set_params(void *context, const OSSL_PARAM params[]);

static int gcm_init(struct gcm *gcm, const unsigned char *key, size_t key_bytes,
                    const unsigned char *iv, size_t iv_bytes, const OSSL_PARAM params[])
{
    if (key != NULL && key_bytes != gcm->cipher->key_bytes) {
        ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_KEY_LENGTH);
        return 0;
    }
    if (iv != NULL && iv_bytes != IV_BYTES) {
        ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_IV_LENGTH);
        return 0;
    }
    gcm->tls = false;
    if (key != NULL) {
        gcm->cipher->expand(key, &gcm->key);
        gcm->key_set = true;
        /* Nothing begun under the old key goes on under the new one. */
        gcm->state = gcm->state == MESSAGE_READY ? MESSAGE_READY : MESSAGE_NONE;
        gcm->generates = false;
    }
    if (iv != NULL) {
        set_iv(gcm, iv);
    }
    return params == NULL ? 1 : gcm_set_params(gcm, params);
}

/* What was begun in one direction does not go on in the other. */
static void turn(struct gcm *gcm, bool encrypting)
{
    if (gcm->encrypting != encrypting) {
        gcm->encrypting = encrypting;
        gcm->tag_set = false;
        gcm->generates = false;
        gcm->state = MESSAGE_NONE;
    }
}

static int gcm_encrypt_init(void *context, const unsigned char *key, size_t key_bytes,
                            const unsigned char *iv, size_t iv_bytes, const OSSL_PARAM params[])
{
    turn(context, true);
    return gcm_init(context, key, key_bytes, iv, iv_bytes, params);
}

static int gcm_decrypt_init(void *context, const unsigned char *key, size_t key_bytes,
                            const unsigned char *iv, size_t iv_bytes, const OSSL_PARAM params[])
{
    turn(context, false);
    return gcm_init(context, key, key_bytes, iv, iv_bytes, params);
}

static int gcm_update(void *context, unsigned char *out, size_t *length_r, size_t capacity,
                      const unsigned char *in, size_t length)
{
    struct gcm *gcm = context;
    bool good = false;
    *length_r = 0;
    if (length == 0) {
        return 1;
    }
    if (out != NULL && capacity < length) {
        ERR_raise(ERR_LIB_PROV, PROV_R_OUTPUT_BUFFER_TOO_SMALL);
        return 0;
    }
    if (gcm->tls) {
        good = tls_record(gcm, out, length_r, in, length);
    } else if (gcm->key_set) {
        good = out == NULL ? add_aad(gcm, in, length) : add_data(gcm, out, in, length);
        *length_r = good ? length : 0;
    }
    if (!good) {
        ERR_raise(ERR_LIB_PROV, PROV_R_CIPHER_OPERATION_FAILED);
    }
    return good;
}

static int gcm_final(void *context, unsigned char *out, size_t *length_r, size_t capacity)
{
    struct gcm *gcm = context;
    (void)out;
    (void)capacity;
    *length_r = 0;
    return gcm->key_set && !gcm->tls && end_message(gcm);
}

/* Parameters -------------------------------------------------------------------------------- */

static bool set_tag(struct gcm *gcm, const OSSL_PARAM *param)
{
    if (gcm->encrypting) {
        ERR_raise(ERR_LIB_PROV, PROV_R_TAG_NOT_NEEDED);
        return false;
    }
    if (param->data == NULL || param->data_size != TAG_BYTES) {
        ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_TAG_LENGTH);
        return false;
    }
    memcpy(gcm->tag, param->data, TAG_BYTES);
    gcm->tag_set = true;
    return true;
}

static bool set_length(const OSSL_PARAM *param, size_t wanted, int reason)
{
    size_t length = 0;
    if (!OSSL_PARAM_get_size_t(param, &length) || length != wanted) {
        ERR_raise(ERR_LIB_PROV, reason);
        return false;
    }
    return true;
}

static bool set_octets(struct gcm *gcm, const OSSL_PARAM *param)
{
    const char *key = param->key;
    if (strcmp(key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0) {
        return set_tag(gcm, param);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD) == 0) {
        return param->data != NULL && set_tls_aad(gcm, param->data, param->data_size);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED) == 0) {
        return param->data != NULL && set_fixed(gcm, param->data, param->data_size);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV) == 0) {
        return param->data != NULL && take_iv(gcm, param->data, param->data_size);
    }
    return true; /* unknown ones are no error, as everywhere in OpenSSL */
}

static int gcm_set_params(void *context, const OSSL_PARAM params[])
{
    struct gcm *gcm = context;
    bool good = true;
    for (const OSSL_PARAM *p = params; good && p != NULL && p->key != NULL; p++) {
        if (p->data_type == OSSL_PARAM_OCTET_STRING) {
            good = set_octets(gcm, p);
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN) == 0) {
            good = set_length(p, IV_BYTES, PROV_R_INVALID_IV_LENGTH);
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN) == 0) {
            good = set_length(p, gcm->cipher->key_bytes, PROV_R_INVALID_KEY_LENGTH);
        }
    }
    return good;
}

static bool get_tag(const struct gcm *gcm, OSSL_PARAM *param)
{
    if (!gcm->encrypting || !gcm->tag_set || gcm->state != MESSAGE_OVER) {
        ERR_raise(ERR_LIB_PROV, PROV_R_TAG_NOT_SET);
        return false;
    }
    if (param->data_size != TAG_BYTES) {
        ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_TAG_LENGTH);
        return false;
    }
    return OSSL_PARAM_set_octet_string(param, gcm->tag, TAG_BYTES);
}

static bool get_iv(const struct gcm *gcm, OSSL_PARAM *param)
{
    return gcm->state != MESSAGE_NONE && (OSSL_PARAM_set_octet_string(param, gcm->iv, IV_BYTES) ||
                                          OSSL_PARAM_set_octet_ptr(param, gcm->iv, IV_BYTES));
}

static bool get_param(struct gcm *gcm, OSSL_PARAM *param)
{
    const char *key = param->key;
    if (strcmp(key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0) {
        return get_tag(gcm, param);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_IVLEN) == 0) {
        return OSSL_PARAM_set_size_t(param, IV_BYTES);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD) == 0 ||
        strcmp(key, OSSL_CIPHER_PARAM_AEAD_TAGLEN) == 0) {
        return OSSL_PARAM_set_size_t(param, TAG_BYTES);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_KEYLEN) == 0) {
        return OSSL_PARAM_set_size_t(param, gcm->cipher->key_bytes);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN) == 0) {
        return param->data != NULL && param->data_type == OSSL_PARAM_OCTET_STRING &&
               generate_iv(gcm, param->data, param->data_size);
    }
    if (strcmp(key, OSSL_CIPHER_PARAM_IV) == 0 || strcmp(key, OSSL_CIPHER_PARAM_UPDATED_IV) == 0) {
        return get_iv(gcm, param);
    }
    return true;
}

static int gcm_get_params(void *context, OSSL_PARAM params[])
{
    bool good = true;
    for (OSSL_PARAM *p = params; good && p->key != NULL; p++) {
        good = get_param(context, p);
    }
    return good;
}

static const OSSL_PARAM *gcm_gettable(void *context, void *provider)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TAGLEN, NULL),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_IV, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_UPDATED_IV, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD, NULL),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context;
    (void)provider;
    return list;
}

static const OSSL_PARAM *gcm_settable(void *context, void *provider)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context;
    (void)provider;
    return list;
}

/* What the algorithm is, before there is a key; OpenSSL keeps the answers. */
static int algorithm_params(OSSL_PARAM params[], size_t key_bytes)
{
    const struct {
        const char *key;
        size_t value;
    } numbers[] = {{OSSL_CIPHER_PARAM_KEYLEN, key_bytes},
                   {OSSL_CIPHER_PARAM_IVLEN, IV_BYTES},
                   {OSSL_CIPHER_PARAM_BLOCK_SIZE, 1}};
    static const char *const truths[] = {OSSL_CIPHER_PARAM_AEAD, OSSL_CIPHER_PARAM_CUSTOM_IV};
    bool good = true;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        OSSL_PARAM *p = OSSL_PARAM_locate(params, numbers[i].key);
        good = good && (p == NULL || OSSL_PARAM_set_size_t(p, numbers[i].value));
    }
    for (size_t i = 0; i < sizeof truths / sizeof truths[0]; i++) {
        OSSL_PARAM *p = OSSL_PARAM_locate(params, truths[i]);
        good = good && (p == NULL || OSSL_PARAM_set_int(p, 1));
    }
    OSSL_PARAM *mode = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_MODE);
    return good && (mode == NULL || OSSL_PARAM_set_uint(mode, EVP_CIPH_GCM_MODE));
}

static int algorithm_params_128(OSSL_PARAM params[])
{
    return algorithm_params(params, IMB_GCM_128_KEY_LEN);
}

static int algorithm_params_256(OSSL_PARAM params[])
{
    return algorithm_params(params, IMB_GCM_256_KEY_LEN);
}

/* Tables ------------------------------------------------------------------------------------ */

typedef void (*any_fn)(void);

#define FAST_AES_FUNCTIONS(bits)                                                                   \
    {                                                                                              \
        {OSSL_FUNC_CIPHER_NEWCTX, (any_fn)gcm_new_##bits},                                         \
            {OSSL_FUNC_CIPHER_FREECTX, (any_fn)gcm_free},                                          \
            {OSSL_FUNC_CIPHER_DUPCTX, (any_fn)gcm_dup},                                            \
            {OSSL_FUNC_CIPHER_ENCRYPT_INIT, (any_fn)gcm_encrypt_init},                             \
            {OSSL_FUNC_CIPHER_DECRYPT_INIT, (any_fn)gcm_decrypt_init},                             \
            {OSSL_FUNC_CIPHER_UPDATE, (any_fn)gcm_update},                                         \
            {OSSL_FUNC_CIPHER_FINAL, (any_fn)gcm_final},                                           \
            {OSSL_FUNC_CIPHER_GET_PARAMS, (any_fn)algorithm_params_##bits},                        \
            {OSSL_FUNC_CIPHER_GET_CTX_PARAMS, (any_fn)gcm_get_params},                             \
            {OSSL_FUNC_CIPHER_SET_CTX_PARAMS, (any_fn)gcm_set_params},                             \
            {OSSL_FUNC_CIPHER_GETTABLE_CTX_PARAMS, (any_fn)gcm_gettable},                          \
            {OSSL_FUNC_CIPHER_SETTABLE_CTX_PARAMS, (any_fn)gcm_settable}, {0, NULL},               \
    }

static const OSSL_DISPATCH functions_128[] = FAST_AES_FUNCTIONS(128);
static const OSSL_DISPATCH functions_256[] = FAST_AES_FUNCTIONS(256);

#undef FAST_AES_FUNCTIONS

/* The names are those of OpenSSL's own algorithms, all of them, or it would take them for others. */
static const OSSL_ALGORITHM ciphers[] = {
    {"AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", "provider=" FAST_AES_PROVIDER,
     functions_256, "AES-256-GCM of libipsec-mb"},
    {"AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", "provider=" FAST_AES_PROVIDER,
     functions_128, "AES-128-GCM of libipsec-mb"},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *provider_query(void *context, int operation, int *no_cache)
{
    (void)context;
    *no_cache = 0;
    return operation == OSSL_OP_CIPHER ? ciphers : NULL;
}

static void provider_teardown(void *context)
{
    (void)context; /* constants */
}

int fast_aes_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
                           const OSSL_DISPATCH **functions_r, void **context_r)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (any_fn)provider_query},
        {OSSL_FUNC_PROVIDER_TEARDOWN, (any_fn)provider_teardown},
        {0, NULL},
    };
    char why[1];
    (void)handle;
    (void)core;
    const struct fast_aes_code *code = fast_aes_code(why, sizeof why);
    if (code == NULL) {
        return 0;
    }
    *functions_r = functions;
    *context_r = (void *)(uintptr_t)code; /* OpenSSL hands it back, nobody writes through it */
    return 1;
}
