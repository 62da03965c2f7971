/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <uv.h>

#include "proxy/cli/cli_out.h"

int cli_version(const struct cli_call *call)
{
    if (call->json) {
        json_t *root = json_object();
        json_object_set_new(root, "version", json_string(SETU_VERSION));
        json_object_set_new(root, "openssl", json_string(OpenSSL_version(OPENSSL_VERSION)));
        json_object_set_new(root, "libuv", json_string(uv_version_string()));
        json_object_set_new(root, "compiler", json_string(__VERSION__));
        cli_out_json(root);
    } else {
        printf("setu %s\n%s\nlibuv %s\ncompiled by %s\n", SETU_VERSION,
               OpenSSL_version(OPENSSL_VERSION), uv_version_string(), __VERSION__);
    }
    return CLI_OK;
}
