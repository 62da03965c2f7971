/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/fast_aes_code.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char library_name[] = "libIPSec_MB.so.1";

typedef unsigned (*version_fn)(void);
typedef const char *(*version_text_fn)(void);
typedef IMB_MGR *(*alloc_fn)(uint64_t flags);
typedef void (*init_fn)(IMB_MGR *manager);
typedef void (*free_fn)(IMB_MGR *manager);

struct library {
    void *handle;
    version_fn version;
    version_text_fn version_text;
    alloc_fn alloc;
    init_fn init_avx2, init_avx512;
    free_fn free;
};

static void *symbol(const struct library *library, const char *name, bool *good)
{
    void *found = dlsym(library->handle, name);
    *good = *good && found != NULL;
    return found;
}

static bool open_library(struct library *library, char *why_r, size_t capacity)
{
    bool good = true;
    library->handle = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (library->handle == NULL) {
        snprintf(why_r, capacity, "%s is not installed (package libipsec-mb1)", library_name);
        return false;
    }
    library->version = (version_fn)symbol(library, "imb_get_version", &good);
    library->version_text = (version_text_fn)symbol(library, "imb_get_version_str", &good);
    library->alloc = (alloc_fn)symbol(library, "alloc_mb_mgr", &good);
    library->init_avx2 = (init_fn)symbol(library, "init_mb_mgr_avx2", &good);
    library->init_avx512 = (init_fn)symbol(library, "init_mb_mgr_avx512", &good);
    library->free = (free_fn)symbol(library, "free_mb_mgr", &good);
    if (!good) {
        snprintf(why_r, capacity, "%s lacks a function", library_name);
    } else if (library->version() >> 8 != IMB_VERSION_NUM >> 8) {
        snprintf(why_r, capacity, "%s is version %s, built against %s", library_name,
                 library->version_text(), IMB_VERSION_STR);
        good = false;
    }
    return good;
}

/*
 * The library asks the CPU only. The compiler's functions ask the system as well, whether it saves
 * the registers.
 */
static init_fn choose_init(const struct library *library)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul") ||
        !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
        return NULL;
    }
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
    return wide ? library->init_avx512 : library->init_avx2;
}

static void copy_functions(const IMB_MGR *from, struct fast_aes_code *to)
{
    to->aes128 = (struct fast_aes_cipher){
        .key_bytes = IMB_GCM_128_KEY_LEN,
        .expand = from->gcm128_pre,
        .begin = from->gcm128_init,
        .encrypt = from->gcm128_enc_update,
        .decrypt = from->gcm128_dec_update,
        .encrypt_end = from->gcm128_enc_finalize,
        .decrypt_end = from->gcm128_dec_finalize,
    };
    to->aes256 = (struct fast_aes_cipher){
        .key_bytes = IMB_GCM_256_KEY_LEN,
        .expand = from->gcm256_pre,
        .begin = from->gcm256_init,
        .encrypt = from->gcm256_enc_update,
        .decrypt = from->gcm256_dec_update,
        .encrypt_end = from->gcm256_enc_finalize,
        .decrypt_end = from->gcm256_dec_finalize,
    };
}

static const char *path_name(const struct library *library, init_fn init, uint64_t features)
{
    const uint64_t vaes = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
    if (init != library->init_avx512) {
        return "avx2";
    }
    return (features & vaes) == vaes ? "avx512-vaes" : "avx512";
}

static bool take_functions(const struct library *library, init_fn init, struct fast_aes_code *code,
                           char *why_r, size_t capacity)
{
    IMB_MGR *manager = library->alloc(0);
    if (manager == NULL) {
        snprintf(why_r, capacity, "%s: no memory", library_name);
        return false;
    }
    init(manager);
    const bool clean = (manager->features & IMB_FEATURE_SAFE_DATA) != 0;
    const bool whole = manager->imb_errno == 0 && manager->gcm128_pre != NULL &&
                       manager->gcm256_dec_finalize != NULL;
    if (!clean) {
        snprintf(why_r, capacity, "%s leaves keys in registers and stack (built without SAFE_DATA)",
                 library_name);
    } else if (!whole) {
        snprintf(why_r, capacity, "%s could not be initialised", library_name);
    } else {
        copy_functions(manager, code);
        code->path = path_name(library, init, manager->features);
        code->version = library->version_text();
    }
    library->free(manager);
    return clean && whole;
}

const struct fast_aes_code *fast_aes_code(char *why_r, size_t capacity)
{
    static struct fast_aes_code code;
    struct library library = {0};
    if (code.version != NULL) {
        return &code;
    }
    if (!open_library(&library, why_r, capacity)) {
        /* A handle stays open: unloading code somebody may have looked up is not worth a page. */
        return NULL;
    }
    init_fn init = choose_init(&library);
    if (init == NULL) {
        snprintf(why_r, capacity, "the CPU lacks one of aes, pclmul, avx2, bmi2");
        return NULL;
    }
    return take_functions(&library, init, &code, why_r, capacity) ? &code : NULL;
}
