/* SPDX-License-Identifier: Apache-2.0 */
/* Instead of fast_aes_code, _load and _provider, when libipsec-mb's header was not there. */
#include "auth/fast_aes_provider.h"

#include <stdio.h>

bool fast_aes_provider_load(char *why_r, size_t capacity)
{
    snprintf(why_r, capacity, "this binary was built without libipsec-mb-dev");
    return false;
}

void fast_aes_provider_unload(void)
{
}

const char *fast_aes_provider_detail(void)
{
    return "";
}

int fast_aes_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
                           const OSSL_DISPATCH **functions_r, void **context_r)
{
    (void)handle;
    (void)core;
    *functions_r = NULL;
    *context_r = NULL;
    return 0;
}
