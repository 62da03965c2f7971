/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <stdio.h>

#include "auth/certificates.h"
#include "auth/credentials.h"
#include "auth/mapping.h"
#include "conf/config.h"
#include "proxy/cli/cli_failure.h"
#include "proxy/cli/cli_out.h"
#include "proxy/privileges.h"
#include "proxy/shared.h"

enum { DUMP };

const struct cli_option cli_check_options[] = {
    [DUMP] = {"dump", NULL, "print the whole configuration, defaults included"},
    {NULL, NULL, NULL},
};

static void print_json(const struct shared *shared, const struct conf_errors *errors, bool good)
{
    json_t *root = json_object();
    json_object_set_new(root, "ok", json_boolean(good));
    json_object_set_new(root, "errors", json_integer((json_int_t)errors->errors));
    json_object_set_new(root, "warnings", json_integer((json_int_t)errors->warnings));
    json_object_set_new(root, "problems", cli_out_problems(errors));
    if (good) {
        json_object_set_new(root, "config_hash", json_string(shared->config_hash));
        json_object_set_new(root, "mapping_hash", json_string(mapping_hash(shared->mapping)));
    }
    cli_failure_keep_problems(errors);
    cli_out_json(root);
}

static void print_text(const struct cli_call *call, const struct shared *shared,
                       const struct conf_errors *errors, bool good)
{
    conf_errors_print(errors, stderr);
    if (!good) {
        fprintf(stderr, "%s: %zu error%s, %zu warning%s\n", call->config_file, errors->errors,
                errors->errors == 1 ? "" : "s", errors->warnings, errors->warnings == 1 ? "" : "s");
        return;
    }
    const struct config *config = shared->config;
    printf("%s: ok: %zu listener%s, %zu cluster%s, %zu certificate%s, %zu user%s, %zu mapping "
           "rule%s, %zu warning%s\n",
           call->config_file, config->listeners_count, config->listeners_count == 1 ? "" : "s",
           config->clusters_count, config->clusters_count == 1 ? "" : "s",
           certificates_count(shared->certificates),
           certificates_count(shared->certificates) == 1 ? "" : "s",
           shared->users != NULL ? credentials_count(shared->users) : 0,
           shared->users != NULL && credentials_count(shared->users) == 1 ? "" : "s",
           mapping_count(shared->mapping), mapping_count(shared->mapping) == 1 ? "" : "s",
           errors->warnings, errors->warnings == 1 ? "" : "s");
}

int cli_check(const struct cli_call *call)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    privileges_judge(call->config_file, &errors);
    struct shared *shared = shared_load(call->config_file, &errors);
    bool good = shared != NULL;
    if (call->json) {
        print_json(shared, &errors, good);
    } else if (call->values[DUMP] != NULL && good) {
        conf_errors_print(&errors, stderr);
        config_dump(shared->config, stdout);
    } else {
        print_text(call, shared, &errors, good);
    }
    shared_unref(&shared);
    conf_errors_deinit(&errors);
    return good ? CLI_OK : CLI_BAD_CONFIG;
}
