/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The legacy-credentials file: the passwords Setu itself presents to brokers of a generation with
 * `login: sasl`, one per principal. Immutable once loaded, reference-counted, shared by all
 * workers; wiped with the last reference.
 *
 *     credentials:
 *       - {principal: orders, username: orders, password_file: /etc/setu/orders.password}
 *
 * For mechanism OAUTHBEARER tokens take the place of passwords. They expire, so their files are read
 * anew for each login, off the loop; at the load it is only seen that they can be read.
 *
 *       - {principal: orders, token_file: /run/setu/orders.jwt}
 *
 * For GSSAPI it is the keys of a Kerberos principal:
 *
 *       - {principal: orders, username: orders@EXAMPLE.COM, keytab: /etc/setu/orders.keytab}
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/secret.h"

struct conf_errors;
struct kerberos_login;
struct passwords;

struct password {
    const char *principal;
    const char *username;            /* with a token: the principal */
    const char *token_file;          /* NULL: it is a password */
    struct secret secret;            /* the password */
    struct kerberos_login *kerberos; /* or the keys; else NULL */
};

enum passwords_kind { PASSWORDS_SECRETS, PASSWORDS_TOKENS, PASSWORDS_KEYTABS };

enum { PASSWORDS_FILE_BYTES_MAX = 4194304, PASSWORDS_MAX = 10000 };

/* What a mechanism of mech.h shows. */
enum passwords_kind passwords_kind_of(const char *mechanism);

/* Reads the file, whose entries must be of this kind, and every file it names; permissions are checked
 * on both. NULL with errors added. */
struct passwords *passwords_load(const char *path, enum passwords_kind kind,
                                 struct conf_errors *errors) __attribute__((warn_unused_result));

/* Thread-safe. passwords_unref nulls the pointer, accepts NULL. */
struct passwords *passwords_ref(const struct passwords *passwords);
void passwords_unref(struct passwords **passwords);

size_t passwords_count(const struct passwords *passwords);

/* The files that it named, each password's, token's or keytab's; NULL has none. */
void passwords_files(const struct passwords *passwords,
                     void (*fn)(void *context, const char *path), void *context);

/* The password for exactly this principal; NULL: none, so no login. Lives as long as passwords. */
const struct password *passwords_find(const struct passwords *passwords, const char *principal);

/* Reads the token of an entry that has a file for it, as secret_read_password does; errno for
 * UNREADABLE. Blocks: off the loop. */
enum secret_file_status passwords_read_token(const struct password *password,
                                             struct secret *token_r)
    __attribute__((warn_unused_result));
