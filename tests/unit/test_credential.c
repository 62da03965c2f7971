/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/credential.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "conf/forms.h"

static const char text[] =
    "audit: {file: a.log, signing_key: 'credential:audit.key'}\n"     /* 1 */
    "certificates:\n"                                                 /* 2 */
    "  - {name: o, chain: o.pem, key: 'credential:o.key'}\n"          /* 3 */
    "users: {file: 'credential:users.yaml'}\n"                        /* 4 */
    "mapping: [{principal: o, certificate: o}]\n"                     /* 5 */
    "clusters:\n"                                                     /* 6 */
    "  - name: main\n"                                                /* 7 */
    "    bootstrap: ['127.0.0.1:9092']\n"                             /* 8 */
    "    identity: {certificate: o}\n"                                /* 9 */
    "    generations:\n"                                              /* 10 */
    "      - {name: all, protocol: SSL, login: mapped-certificate,\n" /* 11 */
    "         tls: {ca: ca.pem}}\n"                                   /* 12 */
    "listeners:\n"                                                    /* 13 */
    "  - {name: in, cluster: main, bind: 127.0.0.1, port: 19092,\n"   /* 14 */
    "     advertised_host: localhost, node_base_port: 19100,\n"       /* 15 */
    "     mechanisms: [SCRAM-SHA-512]}\n";                            /* 16 */

static struct conf_errors errors;

static void setup(void)
{
    conf_errors_init(&errors);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void teardown(void)
{
    conf_errors_deinit(&errors);
}

TestSuite(credential, .init = setup, .fini = teardown);

static void folder(const char *path)
{
    cr_assert_eq(setenv("CREDENTIALS_DIRECTORY", path, 1), 0);
}

Test(credential, a_name_is_a_file_of_that_folder)
{
    char path[PATH_MAX];
    folder("/run/credentials/setu.service");
    cr_expect_null(credential_resolve("credential:orders.key", path));
    cr_expect_str_eq(path, "/run/credentials/setu.service/orders.key");
    cr_expect_null(credential_resolve("credential:..key", path));
    cr_expect_str_eq(path, "/run/credentials/setu.service/..key");
    cr_expect_null(credential_resolve("/etc/setu/orders.key", path));
    cr_expect_str_eq(path, "/etc/setu/orders.key");
    cr_expect_null(credential_resolve("./credential:x", path));
    cr_expect_str_eq(path, "./credential:x");
}

Test(credential, what_leads_elsewhere_is_none)
{
    static const char *const bad[] = {"credential:",    "credential:.",   "credential:..",
                                      "credential:a/b", "credential:../a", "credential:/etc/x",
                                      "credential:a/"};
    char path[PATH_MAX], big[300] = "credential:";
    folder("/run/credentials/setu.service");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_not_null(form_path(bad[i]), "%s", bad[i]);
        cr_expect_not_null(form_key(bad[i]), "%s", bad[i]);
        cr_expect_not_null(credential_resolve(bad[i], path), "%s", bad[i]);
        cr_expect_str_eq(path, bad[i]);
    }
    memset(big + 11, 'a', 255);
    cr_expect_null(form_path(big));
    big[266] = 'a';
    cr_expect_not_null(form_path(big));
}

Test(credential, without_its_folder_it_is_a_problem)
{
    static const char *const bad[] = {"", "relative/credentials"};
    char path[PATH_MAX], big[PATH_MAX];
    cr_expect_not_null(credential_resolve("credential:o.key", path));
    cr_expect_str_eq(path, "credential:o.key");
    cr_expect_null(credential_resolve("o.key", path));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        folder(bad[i]);
        cr_expect_not_null(credential_resolve("credential:o.key", path), "'%s'", bad[i]);
    }
    memset(big, '/', sizeof big);
    big[sizeof big - 2] = '\0';
    folder(big);
    cr_expect_str_eq(credential_resolve("credential:o.key", path), "is too long for a path");
}

Test(credential, a_configuration_holds_the_paths)
{
    folder("/run/credentials/setu.service");
    struct config *config = config_parse(text, strlen(text), "t.yaml", &errors);
    cr_assert_not_null(config);
    cr_expect(credential_check(config, &errors));
    cr_expect_str_eq(config->audit.signing_key, "/run/credentials/setu.service/audit.key");
    cr_expect_str_eq(config->certificates[0].key, "/run/credentials/setu.service/o.key");
    cr_expect_str_eq(config->certificates[0].chain, "o.pem");
    cr_expect_str_eq(config->users.file, "/run/credentials/setu.service/users.yaml");
    cr_expect_eq(errors.count, 0);
    config_unref(&config);
}

/* `setu status` must find the socket, `setu map` the rules. */
Test(credential, without_the_folder_a_configuration_can_be_looked_at)
{
    struct config *config = config_parse(text, strlen(text), "t.yaml", &errors);
    cr_assert_not_null(config);
    cr_expect_eq(errors.count, 0);
    cr_expect_str_eq(config->certificates[0].key, "credential:o.key");
    cr_expect_not(credential_check(config, &errors));
    cr_assert_eq(errors.errors, 3);
    static const int lines[] = {1, 3, 4};
    static const int columns[] = {35, 34, 15};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_str_eq(errors.items[i].file, "t.yaml");
        cr_expect_eq(errors.items[i].line, lines[i]);
        cr_expect_eq(errors.items[i].column, columns[i], "%d", errors.items[i].column);
        cr_expect_not_null(strstr(errors.items[i].text, "CREDENTIALS_DIRECTORY"));
    }
    config_unref(&config);
}

static void refuse(const char *from, const char *to, const char *why)
{
    const char *at = strstr(text, from);
    char changed[sizeof text + 100];
    cr_assert_not_null(at);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    conf_errors_deinit(&errors);
    cr_expect_null(config_parse(changed, strlen(changed), "t.yaml", &errors));
    cr_assert_eq(errors.errors, 1);
    cr_expect_not_null(strstr(errors.items[0].text, why), "%s", errors.items[0].text);
}

Test(credential, a_file_that_is_written_is_none)
{
    folder("/run/credentials/setu.service");
    refuse("file: a.log", "file: 'credential:a.log'", "cannot be written to");
    refuse("credential:o.key", "credential:../o.key", "is no name of a credential");
    refuse("credential:users.yaml", "credential:", "names no credential");
}
