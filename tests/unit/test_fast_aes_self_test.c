/* SPDX-License-Identifier: Apache-2.0 */
/* Does the self-test find code that is wrong? A provider over ours that spoils what it is told to. */
#include "auth/fast_aes.h"

#include <criterion/criterion.h>
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <string.h>

#include "auth/fast_aes_provider.h"

enum fault { FAULT_NONE, FAULT_LONG_DATA, FAULT_EVERY_TAG_FITS, FAULT_TLS12_DATA, FAULTS };

enum { FUNCTIONS_MAX = 24, LONG = 700 };

static enum fault fault;
static OSSL_DISPATCH functions[2][FUNCTIONS_MAX];
static OSSL_FUNC_cipher_update_fn *real_update;
static OSSL_FUNC_cipher_final_fn *real_final;
static OSSL_FUNC_provider_query_operation_fn *real_query;

static int update(void *context, unsigned char *out, size_t *length, size_t capacity,
                  const unsigned char *in, size_t in_length)
{
    int good = real_update(context, out, length, capacity, in, in_length);
    /* What went out is longer than the data only for a TLS 1.2 record: it is not in a message. */
    const bool record = out == in && in_length >= 24 && *length != 0 && out != NULL;
    if (good && out != NULL && fault == FAULT_LONG_DATA && in_length > LONG) {
        out[LONG] ^= 1;
    } else if (good && fault == FAULT_TLS12_DATA && record && *length + 24 == in_length) {
        out[8] ^= 1;
    }
    return good;
}

static int final(void *context, unsigned char *out, size_t *length, size_t capacity)
{
    int good = real_final(context, out, length, capacity);
    return fault == FAULT_EVERY_TAG_FITS ? 1 : good;
}

static void copy_functions(const OSSL_DISPATCH *from, OSSL_DISPATCH *to)
{
    for (size_t i = 0; i < FUNCTIONS_MAX - 1 && from[i].function_id != 0; i++) {
        to[i] = from[i];
        if (from[i].function_id == OSSL_FUNC_CIPHER_UPDATE) {
            real_update = OSSL_FUNC_cipher_update(&from[i]);
            to[i].function = (void (*)(void))update;
        } else if (from[i].function_id == OSSL_FUNC_CIPHER_FINAL) {
            real_final = OSSL_FUNC_cipher_final(&from[i]);
            to[i].function = (void (*)(void)) final;
        }
    }
}

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
    static OSSL_ALGORITHM spoilt[3];
    const OSSL_ALGORITHM *real = real_query(context, operation, no_cache);
    for (size_t i = 0; real != NULL && i < 2; i++) {
        copy_functions(real[i].implementation, functions[i]);
        spoilt[i] = real[i];
        spoilt[i].property_definition = "provider=spoilt";
        spoilt[i].implementation = functions[i];
    }
    return real == NULL ? NULL : spoilt;
}

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
                const OSSL_DISPATCH **functions_r, void **context_r)
{
    static const OSSL_DISPATCH own[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
                                        {0, NULL}};
    const OSSL_DISPATCH *real = NULL;
    if (fast_aes_provider_init(handle, core, &real, context_r) != 1) {
        return 0;
    }
    for (; real->function_id != 0; real++) {
        if (real->function_id == OSSL_FUNC_PROVIDER_QUERY_OPERATION) {
            real_query = OSSL_FUNC_provider_query_operation(real);
        }
    }
    *functions_r = own;
    return 1;
}

Test(fast_aes_self_test, finds_wrong_code)
{
    static const char *const expected[FAULTS] = {"", "differs from OpenSSL",
                                                 "a forgery was accepted", "differs from OpenSSL"};
    char why[192];
    if (!fast_aes_provider_load(why, sizeof why)) {
        fprintf(stderr, "SKIPPED: no fast AES here: %s\n", why);
        cr_skip("%s", why);
    }
    cr_assert_eq(OSSL_PROVIDER_add_builtin(NULL, "spoilt", init), 1);
    OSSL_PROVIDER *provider = OSSL_PROVIDER_try_load(NULL, "spoilt", 1);
    cr_assert_not_null(provider);
    for (fault = FAULT_NONE; fault < FAULTS; fault++) {
        why[0] = '\0';
        const bool good = fast_aes_self_test("provider=spoilt", why, sizeof why);
        cr_assert_eq(good, fault == FAULT_NONE, "fault %d: %s", (int)fault, why);
        cr_assert_not_null(strstr(why, expected[fault]), "fault %d: %s", (int)fault, why);
    }
    OSSL_PROVIDER_unload(provider);
}
