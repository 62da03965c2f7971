/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit_key.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/setu-audit-key-XXXXXX";
static char path[80], public_path[96];

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/audit.key", folder);
    snprintf(public_path, sizeof public_path, "%s.pub", path);
}

static void teardown(void)
{
    unlink(path);
    unlink(public_path);
    rmdir(folder);
}

TestSuite(audit_key, .init = setup, .fini = teardown);

static void write_text(const char *to, const char *text)
{
    FILE *file = fopen(to, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

Test(audit_key, what_is_made_is_loaded_and_signs)
{
    struct pem_fault fault;
    struct stat st;
    char pem[512];
    uint8_t signature[AUDIT_SIGNATURE_BYTES];
    struct audit_key *keys[AUDIT_KEYS_MAX];
    const struct view message = view_from_string("what is signed");
    cr_assert(audit_key_generate(path, &fault), "%s", fault.text);
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0400);
    cr_assert_not(audit_key_generate(path, &fault), "never over another one");
    cr_assert_not_null(strstr(fault.text, "exists"), "%s", fault.text);
    struct audit_key *key = audit_key_load(path, &fault);
    cr_assert_not_null(key, "%s", fault.text);
    cr_assert_eq(strlen(audit_key_id(key)), 64);
    cr_assert(audit_key_public_pem(key, pem, sizeof pem));
    cr_assert_not(audit_key_public_pem(key, pem, 20));
    write_text(public_path, pem);
    cr_assert_eq(audit_key_load_public(public_path, keys, &fault), 1, "%s", fault.text);
    cr_assert_str_eq(audit_key_id(keys[0]), audit_key_id(key));
    cr_assert(audit_key_sign(key, message, signature));
    cr_assert(audit_key_verify(keys[0], message, view_of(signature, sizeof signature)));
    cr_assert_not(audit_key_sign(keys[0], message, signature), "it has no private half");
    for (size_t i = 0; i < sizeof signature; i++) {
        signature[i] ^= 1;
        cr_assert_not(audit_key_verify(keys[0], message, view_of(signature, sizeof signature)));
        signature[i] ^= 1;
    }
    cr_assert_not(audit_key_verify(keys[0], message, view_of(signature, 63)));
    audit_key_unref(&key);
    audit_key_unref(&keys[0]);
    audit_key_unref(&keys[0]);
}

Test(audit_key, t52_a_key_file_that_others_may_read_is_refused)
{
    struct pem_fault fault;
    cr_assert(audit_key_generate(path, &fault));
    static const struct {
        mode_t mode;
        bool good;
    } cases[] = {{0400, true},  {0440, true},  {0600, true},  {0640, true},
                 {0644, false}, {0660, false}, {0604, false}, {0777, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(chmod(path, cases[i].mode), 0);
        struct audit_key *key = audit_key_load(path, &fault);
        cr_assert_eq(key != NULL, cases[i].good, "%o", cases[i].mode);
        audit_key_unref(&key);
    }
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert_eq(symlink("/dev/null", public_path), 0);
    cr_assert_null(audit_key_load(public_path, &fault), "a link to what is no file");
}

Test(audit_key, other_keys_are_refused)
{
    struct pem_fault fault;
    struct audit_key *keys[AUDIT_KEYS_MAX];
    static const char *const kinds[] = {"-algorithm X25519",
                                        "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"};
    for (size_t i = 0; i < 2; i++) {
        char command[512];
        unlink(path);
        snprintf(command, sizeof command,
                 "openssl genpkey %s -out %s 2>/dev/null && chmod 600 %s && "
                 "openssl pkey -in %s -pubout -out %s",
                 kinds[i], path, path, path, public_path);
        cr_assert_eq(system(command), 0); /* NOLINT: a fixed text */
        cr_assert_null(audit_key_load(path, &fault));
        cr_assert_not_null(strstr(fault.text, "Ed25519"), "%s", fault.text);
        cr_assert_eq(audit_key_load_public(public_path, keys, &fault), 0);
        cr_assert_not_null(strstr(fault.text, "Ed25519"), "%s", fault.text);
    }
    write_text(public_path, "no key at all\n");
    cr_assert_eq(audit_key_load_public(public_path, keys, &fault), 0);
    cr_assert_not_null(strstr(fault.text, "public key"), "%s", fault.text);
    cr_assert_eq(audit_key_load_public("/nonexistent", keys, &fault), 0);
}

/* OpenSSL's own words for the same things: what the documentation tells auditors to type. */
Test(audit_key, openssl_says_the_same)
{
    struct pem_fault fault;
    char command[512], line[80] = "";
    cr_assert(audit_key_generate(path, &fault));
    struct audit_key *key = audit_key_load(path, &fault);
    snprintf(command, sizeof command, "openssl pkey -in %s -pubout -outform DER | sha256sum", path);
    FILE *pipe = popen(command, "r"); /* NOLINT: a fixed text */
    cr_assert_not_null(fgets(line, sizeof line, pipe));
    pclose(pipe);
    line[64] = '\0';
    cr_assert_str_eq(line, audit_key_id(key));
    audit_key_unref(&key);
}
