/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/passwords.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/errors.h"

static char folder[64];
static struct conf_errors errors;

static void setup(void)
{
    strcpy(folder, "/tmp/test_passwords_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    conf_errors_init(&errors);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
    conf_errors_deinit(&errors);
}

TestSuite(passwords, .init = setup, .fini = teardown);

static void file_make(const char *name, const char *content, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(write(file, content, strlen(content)), (ssize_t)strlen(content));
    cr_assert_eq(fchmod(file, mode), 0);
    close(file);
}

/* Loads a file with this text, in which @ stands for the folder. */
static struct passwords *load_kind(const char *text, enum passwords_kind kind)
{
    char expanded[4096] = "", path[256];
    for (const char *at = text; *at != 0; at++) {
        char one[2] = {*at, 0};
        strcat(expanded, *at == '@' ? folder : one);
    }
    file_make("credentials.yaml", expanded, 0600);
    snprintf(path, sizeof path, "%s/credentials.yaml", folder);
    return passwords_load(path, kind, &errors);
}

static struct passwords *load(const char *text)
{
    return load_kind(text, PASSWORDS_SECRETS);
}

Test(passwords, one_for_each_principal)
{
    file_make("a", "secret of a\n", 0400);
    file_make("b", "secret of b", 0640);
    struct passwords *passwords = load("credentials:\n"
                                       "  - {principal: orders, username: o, password_file: @/b}\n"
                                       "  - {principal: app, username: app, password_file: @/a}\n");
    cr_assert_not_null(passwords);
    cr_assert_eq(passwords_count(passwords), 2);
    const struct password *password = passwords_find(passwords, "orders");
    cr_assert_not_null(password);
    cr_assert_str_eq(password->username, "o");
    cr_assert_str_eq(password->principal, "orders");
    cr_assert(view_is(secret_view(&password->secret), "secret of b"));
    cr_assert(view_is(secret_view(&passwords_find(passwords, "app")->secret), "secret of a"));
    cr_assert_null(passwords_find(passwords, "Orders"));
    cr_assert_null(passwords_find(passwords, "order"));
    cr_assert_null(passwords_find(passwords, ""));
    struct passwords *second = passwords_ref(passwords);
    passwords_unref(&passwords);
    cr_assert_not_null(passwords_find(second, "app"));
    passwords_unref(&second);
    cr_assert_null(second);
    passwords_unref(&second);
}

Test(passwords, a_credential_of_the_service_manager_is_a_file)
{
    static const char text[] = "credentials:\n"
                               "  - {principal: p, username: u, password_file: 'credential:a'}\n";
    cr_assert_null(load(text));
    cr_assert_eq(errors.count, 1);
    cr_expect_eq(errors.items[0].line, 2);
    cr_expect_not_null(strstr(errors.items[0].text, "CREDENTIALS_DIRECTORY"));
    conf_errors_deinit(&errors);
    cr_assert_eq(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    cr_assert_null(load(text));
    cr_expect_not_null(strstr(errors.items[0].text, "/a cannot be read"));
    conf_errors_deinit(&errors);
    file_make("a", "secret of a\n", 0444);
    cr_assert_null(load(text));
    cr_expect_not_null(strstr(errors.items[0].text, "not safe"));
    file_make("a", "secret of a\n", 0400);
    struct passwords *passwords = load(text);
    cr_assert_not_null(passwords);
    cr_expect(view_is(secret_view(&passwords_find(passwords, "p")->secret), "secret of a"));
    passwords_unref(&passwords);
}

static void refused(const char *text, const char *why)
{
    conf_errors_deinit(&errors);
    cr_assert_null(load(text), "%s", text);
    cr_assert_gt(errors.count, 0);
    bool found = false;
    for (size_t i = 0; i < errors.count; i++) {
        found = found || strstr(errors.items[i].text, why) != NULL;
        cr_assert_null(strstr(errors.items[i].text, "s3cret"), "errors never quote a secret");
    }
    cr_assert(found, "%s: %s", text, errors.items[0].text);
}

Test(passwords, every_mistake_is_named)
{
    file_make("a", "s3cret", 0600);
    file_make("open", "s3cret", 0644);
    file_make("empty", "\n", 0600);
    refused("", "");
    refused("credentials: x\n", "list");
    refused("users: []\n", "users");
    refused("credentials:\n  - {principal: a, password_file: @/a}\n", "username is missing");
    refused("credentials:\n  - {username: a, password_file: @/a}\n", "principal is missing");
    refused("credentials:\n  - {principal: a, username: a}\n", "password_file is missing");
    refused("credentials:\n  - {principal: a, username: a, password: s3cret}\n", "password");
    refused("credentials:\n  - {principal: a, username: a, password_file: @/none}\n",
            "cannot be read");
    refused("credentials:\n  - {principal: a, username: a, password_file: @/open}\n", "not safe");
    refused("credentials:\n  - {principal: a, username: a, password_file: @/empty}\n", "is empty");
    refused("credentials:\n"
            "  - {principal: a, username: a, password_file: @/a}\n"
            "  - {principal: a, username: b, password_file: @/a}\n",
            "already");
    refused("credentials:\n  - {principal: \" a\", username: a, password_file: @/a}\n",
            "principal is");
}

Test(passwords, none_is_fine)
{
    struct passwords *passwords = load("credentials: []\n");
    cr_assert_not_null(passwords);
    cr_assert_null(passwords_find(passwords, "a"));
    passwords_unref(&passwords);
}

Test(passwords, tokens_are_read_when_they_are_wanted)
{
    file_make("t", "first.token\n", 0600);
    struct passwords *passwords = load_kind("credentials:\n"
                                            "  - {principal: orders, token_file: @/t}\n",
                                            PASSWORDS_TOKENS);
    cr_assert_not_null(passwords);
    const struct password *password = passwords_find(passwords, "orders");
    cr_assert_str_eq(password->username, "orders");
    cr_assert_eq(password->secret.length, 0, "no token is kept");
    struct secret token;
    cr_assert_eq(passwords_read_token(password, &token), SECRET_FILE_OK);
    cr_assert(view_is(secret_view(&token), "first.token"));
    secret_wipe(&token);
    file_make("t", "second.token", 0600);
    cr_assert_eq(passwords_read_token(password, &token), SECRET_FILE_OK);
    cr_assert(view_is(secret_view(&token), "second.token"));
    secret_wipe(&token);
    file_make("t", "third.token", 0644);
    cr_assert_eq(passwords_read_token(password, &token), SECRET_FILE_UNSAFE);
    passwords_unref(&passwords);
}

static void refused_as_tokens(const char *text, const char *why)
{
    conf_errors_deinit(&errors);
    cr_assert_null(load_kind(text, PASSWORDS_TOKENS), "%s", text);
    cr_assert_not_null(strstr(errors.items[0].text, why), "%s", errors.items[0].text);
}

Test(passwords, a_file_holds_one_kind_only)
{
    file_make("a", "s3cret", 0600);
    file_make("open", "s3cret", 0644);
    refused("credentials:\n  - {principal: a, username: a, token_file: @/a}\n", "token_file");
    refused_as_tokens("credentials:\n  - {principal: a, username: a, password_file: @/a}\n",
                      "username");
    refused_as_tokens("credentials:\n  - {principal: a}\n", "token_file is missing");
    refused_as_tokens("credentials:\n  - {principal: a, token_file: @/open}\n", "not safe");
    refused_as_tokens("credentials:\n  - {principal: a, token_file: @/none}\n", "cannot be read");
}
