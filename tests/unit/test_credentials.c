/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/credentials.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/login_kit.h"

#define SALT "salt=MWloazljN21mNHEyczhyMHQ2djV4M3oxeTA=,"
#define R256                                                                                       \
    SALT "stored_key=Qr/74keHHL1JqWXyfNrUXvpygrwOzpfe04p3XxwN/gA=,"                                \
         "server_key=NirG6qAtbQKeCg60dl5ZXoGd9Ji/bDZxSu+rLLaEcb8=,iterations=8192"
#define R512                                                                                       \
    SALT "stored_key=f+kN+k3PAlIp/YTE30OOMnZoBEaGQHd2GNUy+BU4oAj38/"                               \
         "2mnPbZRU1Y7P+lwhGQLMaZg6Y4k4wjM1x85"                                                     \
         "o/iKA==,server_key=/e4uLUms5C7WXUs+Yhs//"                                                \
         "Ep+RcSJEfEu0lQV9Sd+CMKy+jIcDGIoJGPHCm+QBUzBsdR7gQwnZ"                                    \
         "CSMTdEd1TuyiQ==,iterations=8192"

static void refused(const char *yaml, int line, const char *why)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct credentials *users = credentials_parse(view_from_string(yaml), "u.yaml", &errors);
    cr_assert_null(users, "%s", yaml);
    cr_assert_gt(errors.count, 0);
    cr_assert_eq(errors.items[0].line, line, "%s: line %d: %s", yaml, errors.items[0].line,
                 errors.items[0].text);
    cr_assert_not_null(strstr(errors.items[0].text, why), "%s", errors.items[0].text);
    for (size_t i = 0; i < errors.count; i++) {
        cr_assert_null(strstr(errors.items[i].text, "Qr/74"), "errors never quote a key");
    }
    conf_errors_deinit(&errors);
}

Test(credentials, every_mistake_has_its_place)
{
    refused("", 0, "no values");
    refused("users: 5\n", 1, "list");
    refused("user: []\n", 1, "user");
    refused("{}\n", 1, "no users");
    refused("users:\n  - orders\n", 2, "");
    refused("users:\n  - scram-sha-256: \"" R256 "\"\n", 2, "without a name");
    refused("users:\n  - name: orders\n", 2, "without a record");
    refused("users:\n  - name: orders\n    password: x\n", 3, "password");
    refused("users:\n  - name: \"or\\u00ADders\"\n    scram-sha-256: \"" R256 "\"\n", 2, "name");
    refused("users:\n  - name: orders\n    scram-sha-256: \"" R512 "\"\n", 3, "32 bytes");
    refused("users:\n  - name: orders\n    scram-sha-512: \"" R256 "\"\n", 3, "64 bytes");
    refused("users:\n  - name: orders\n    plain: \"secret\"\n", 3, "form");
    refused("users:\n  - name: orders\n    plain: \"" SALT "stored_key=Zg==,server_key=Zg==,"
            "iterations=4096\"\n",
            3, "32 or 64");
    refused("users:\n  - name: a\n    scram-sha-256: \"" R256 "\"\n"
            "  - name: b\n    scram-sha-256: \"" R256 "\"\n"
            "  - name: a\n    scram-sha-256: \"" R256 "\"\n",
            6, "already");
    refused("users:\n  - name: a\n    scram-sha-256: \"" R256 "\"\n"
            "    mechanisms: [SCRAM-SHA-512]\n",
            4, "no record");
    refused("users:\n  - name: a\n    scram-sha-256: \"" R256 "\"\n"
            "    mechanisms: [SCRAM]\n",
            4, "unknown mechanism");
    refused("users:\n  - name: a\n    scram-sha-256: \"" R256 "\"\n"
            "    mechanisms: []\n",
            4, "empty");
    refused("phantom_key: c2hvcnQ=\nusers:\n  - name: a\n    scram-sha-256: \"" R256 "\"\n", 1,
            "phantom_key");
}

Test(credentials, errors_of_other_files_in_the_same_list_are_not_ours)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    conf_errors_add(&errors, (struct conf_place){.file = "other"}, "something else");
    struct credentials *users = credentials_parse(
        view_from_string("users:\n  - name: a\n    scram-sha-256: \"" R256 "\"\n"), "u", &errors);
    cr_assert_not_null(users);
    struct credentials_match match;
    cr_assert(credentials_find_scram(users, SCRAM_SHA_256, view_from_string("a"), &match));
    cr_assert(match.record_real);
    credentials_unref(&users);
    conf_errors_deinit(&errors);
}

Test(credentials, an_empty_list_is_a_warning_and_knows_nobody)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct credentials *users =
        credentials_parse(view_from_string("users: []\n"), "u.yaml", &errors);
    cr_assert_not_null(users);
    cr_assert_eq(errors.warnings, 1);
    cr_assert_eq(credentials_count(users), 0);
    cr_assert_not(credentials_serve(users, "SCRAM-SHA-512"));
    struct credentials_match match;
    cr_assert(credentials_find_plain(users, view_from_string("a"), &match));
    cr_assert_not(match.user_known || match.record_real);
    cr_assert_eq(match.record.iterations, 4096);
    credentials_unref(&users);
    conf_errors_deinit(&errors);
}

static struct credentials_match scram(const struct credentials *users, enum scram_hash hash,
                                      const char *name)
{
    struct credentials_match match;
    cr_assert(credentials_find_scram(users, hash, view_from_string(name), &match));
    cr_assert_eq(match.record.hash, hash);
    return match;
}

static struct credentials_match plain(const struct credentials *users, const char *name)
{
    struct credentials_match match;
    cr_assert(credentials_find_plain(users, view_from_string(name), &match));
    return match;
}

Test(credentials, finds_users_by_their_exact_name)
{
    struct credentials *users = kit_users();
    cr_assert_eq(credentials_count(users), 4);
    cr_assert_str_eq(credentials_name(users, 0), "alice");
    cr_assert_str_eq(credentials_name(users, 3), "d=,e");
    cr_assert_null(credentials_name(users, 4));
    struct credentials_match match = scram(users, SCRAM_SHA_256, "alice");
    cr_assert(match.user_known && match.record_real);
    cr_assert(scram_record_matches(&match.record, view_from_string("wonderland")));
    static const char *const others[] = {"Alice", "alic", "alice2", "", "alice ", "mallory"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        match = scram(users, SCRAM_SHA_256, others[i]);
        cr_assert_not(match.user_known || match.record_real, "%s", others[i]);
        cr_assert_not(scram_record_matches(&match.record, view_from_string("wonderland")));
        cr_assert_eq(credentials_judge(&match, true), AUTH_REASON_UNKNOWN_USER,
                     "even if its proof held");
    }
    cr_assert(credentials_serve(users, "SCRAM-SHA-256") && credentials_serve(users, "PLAIN"));
    cr_assert_not(credentials_serve(users, "GSSAPI"));
    credentials_unref(&users);
}

Test(credentials, a_name_longer_than_any_user_is_refused)
{
    struct credentials *users = kit_users();
    char name[300];
    memset(name, 'a', sizeof name);
    struct credentials_match match;
    cr_assert(credentials_find_plain(users, view_of(name, 255), &match));
    cr_assert_not(credentials_find_plain(users, view_of(name, 256), &match));
    credentials_unref(&users);
}

Test(credentials, t30_each_mechanism_has_its_own_record)
{
    struct credentials *users = kit_users();
    struct credentials_match match = scram(users, SCRAM_SHA_512, "bob");
    cr_assert(match.user_known && !match.record_real);
    cr_assert_eq(credentials_judge(&match, true), AUTH_REASON_MECHANISM_NOT_ALLOWED);
    match = plain(users, "carol");
    cr_assert(match.user_known && !match.record_real);
    match = plain(users, "bob");
    cr_assert(match.record_real);
    cr_assert_eq(match.record.hash, SCRAM_SHA_256);
    match = plain(users, "alice");
    cr_assert_eq(match.record.hash, SCRAM_SHA_512, "the stronger record judges PLAIN");
    cr_assert_eq(credentials_judge(&match, true), AUTH_REASON_NONE);
    cr_assert_eq(credentials_judge(&match, false), AUTH_REASON_BAD_PASSWORD);
    credentials_unref(&users);
}

Test(credentials, a_plain_record_of_its_own_judges_plain)
{
    struct credentials *users = kit_parse("users:\n"
                                          "  - name: a\n"
                                          "    plain: \"" R256 "\"\n"
                                          "  - name: b\n"
                                          "    plain: \"" R512 "\"\n"
                                          "    scram-sha-256: \"" R256 "\"\n");
    cr_assert_eq(plain(users, "a").record.hash, SCRAM_SHA_256);
    cr_assert_eq(plain(users, "b").record.hash, SCRAM_SHA_512);
    cr_assert_not(scram(users, SCRAM_SHA_256, "a").record_real);
    cr_assert(scram(users, SCRAM_SHA_256, "b").record_real);
    credentials_unref(&users);
}

static bool same_salt(const struct credentials_match *a, const struct credentials_match *b)
{
    return view_equal(view_of(a->record.salt, a->record.salt_length),
                      view_of(b->record.salt, b->record.salt_length));
}

Test(credentials, t28_a_phantom_is_stable_and_different_by_name_and_mechanism)
{
    struct credentials *users = kit_users(), *again = kit_users();
    struct credentials_match a = scram(users, SCRAM_SHA_256, "mallory");
    struct credentials_match b = scram(again, SCRAM_SHA_256, "mallory");
    struct credentials_match c = scram(users, SCRAM_SHA_256, "mallorz");
    struct credentials_match d = scram(users, SCRAM_SHA_512, "mallory");
    cr_assert(same_salt(&a, &b));
    cr_assert_not(same_salt(&a, &c));
    cr_assert_not(same_salt(&a, &d));
    credentials_unref(&users);
    credentials_unref(&again);
}

Test(credentials, t28_with_a_phantom_key_phantoms_outlive_changes_of_the_file)
{
#define PHANTOM_KEY "phantom_key: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
#define A "  - name: a\n    scram-sha-256: \"" R256 "\"\n"
#define B "  - name: b\n    scram-sha-256: \"" R256 "\"\n"
    struct credentials *one = kit_parse(PHANTOM_KEY "users:\n" A);
    struct credentials *two = kit_parse(PHANTOM_KEY "users:\n" B A);
    struct credentials *keyless = kit_parse("users:\n" A);
    struct credentials_match a = scram(one, SCRAM_SHA_256, "mallory");
    struct credentials_match b = scram(two, SCRAM_SHA_256, "mallory");
    struct credentials_match c = scram(keyless, SCRAM_SHA_256, "mallory");
    cr_assert(same_salt(&a, &b));
    cr_assert_not(same_salt(&a, &c));
    cr_assert_eq(a.record.iterations, 8192);
    credentials_unref(&one);
    credentials_unref(&two);
    credentials_unref(&keyless);
}

Test(credentials, many_users_are_all_found_and_nobody_else)
{
    enum { MANY = 1000 };
    char *yaml = malloc(MANY * 300 + 100);
    size_t length = (size_t)sprintf(yaml, "users:\n");
    for (int i = 0; i < MANY; i++) {
        length +=
            (size_t)sprintf(yaml + length, "  - {name: user-%d, scram-sha-256: \"%s\"}\n", i, R256);
    }
    struct credentials *users = kit_parse(yaml);
    for (int i = -100; i < MANY + 100; i++) {
        char name[32];
        sprintf(name, "user-%d", i);
        struct credentials_match match = scram(users, SCRAM_SHA_256, name);
        cr_assert_eq(match.record_real, i >= 0 && i < MANY, "%s", name);
        cr_assert_eq(match.user_known, match.record_real);
    }
    credentials_unref(&users);
    free(yaml);
}

Test(credentials, the_last_reference_frees)
{
    struct credentials *users = kit_users();
    struct credentials *second = credentials_ref(users);
    cr_assert_eq(users, second);
    credentials_unref(&users);
    cr_assert_null(users);
    cr_assert_eq(credentials_count(second), 4);
    credentials_unref(&second);
    credentials_unref(&second);
}

Test(credentials, t52_a_users_file_others_may_read_is_refused)
{
    char path[] = "/tmp/test_credentials_XXXXXX";
    int file = mkstemp(path);
    static const char yaml[] = "users:\n  - name: a\n    scram-sha-256: \"" R256 "\"\n";
    cr_assert_eq(write(file, yaml, sizeof yaml - 1), (ssize_t)sizeof yaml - 1);
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct credentials *users = credentials_load(path, &errors);
    cr_assert_not_null(users);
    cr_assert_eq(errors.errors, 0);
    credentials_unref(&users);
    cr_assert_eq(fchmod(file, 0644), 0);
    cr_assert_null(credentials_load(path, &errors));
    cr_assert_eq(errors.errors, 1);
    cr_assert_not_null(strstr(errors.items[0].text, "not safe"));
    cr_assert_str_eq(errors.items[0].file, path);
    cr_assert_null(credentials_load("/nonexistent/users.yaml", &errors));
    cr_assert_eq(errors.errors, 2);
    conf_errors_deinit(&errors);
    close(file);
    unlink(path);
}

Test(credentials, t30_a_user_is_held_to_his_mechanisms)
{
    struct credentials *users = kit_parse(
        "users:\n"
        "  - name: any\n    scram-sha-256: \"" R256 "\"\n"
        "  - name: one\n    scram-sha-256: \"" R256 "\"\n    mechanisms: [SCRAM-SHA-256]\n"
        "  - name: token\n    mechanisms: [OAUTHBEARER]\n"
        "  - name: ticket\n    mechanisms: [GSSAPI]\n"
        "  - name: two\n    scram-sha-256: \"" R256 "\"\n"
        "    mechanisms: [OAUTHBEARER, SCRAM-SHA-256]\n");
    static const struct {
        const char *name;
        bool scram_256, plain, oauth, gssapi;
    } cases[] = {{"any", true, true, true, true},
                 {"one", true, false, false, false},
                 {"token", false, false, true, false},
                 {"ticket", false, false, false, true},
                 {"two", true, false, true, false},
                 {"not there", true, true, true, true},
                 {"", true, true, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct view name = view_from_string(cases[i].name);
        cr_assert_eq(credentials_permit(users, name, "SCRAM-SHA-256"), cases[i].scram_256, "%s",
                     cases[i].name);
        cr_assert_eq(credentials_permit(users, name, "PLAIN"), cases[i].plain, "%s", cases[i].name);
        cr_assert_eq(credentials_permit(users, name, "OAUTHBEARER"), cases[i].oauth, "%s",
                     cases[i].name);
        cr_assert_eq(credentials_permit(users, name, "GSSAPI"), cases[i].gssapi, "%s",
                     cases[i].name);
    }
    /* Who has no record is a phantom to the mechanisms that ask for one. */
    struct credentials_match match;
    cr_assert(credentials_find_scram(users, SCRAM_SHA_256, view_from_string("token"), &match));
    cr_assert(match.user_known && !match.record_real);
    cr_assert_eq(credentials_judge(&match, true), AUTH_REASON_MECHANISM_NOT_ALLOWED);
    scram_record_wipe(&match.record);
    credentials_unref(&users);
}
