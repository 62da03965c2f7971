/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The legacy-credentials file: the passwords Setu itself presents to brokers of a generation with
 * `login: sasl`, one per principal. Immutable once loaded, reference-counted, shared by all
 * workers; wiped with the last reference.
 *
 *     credentials:
 *       - {principal: orders, username: orders, password_file: /etc/setu/orders.password}
 */
#pragma once

#include <stddef.h>

#include "auth/secret.h"

struct conf_errors;
struct passwords;

struct password {
    const char *principal;
    const char *username;
    struct secret secret;
};

enum { PASSWORDS_FILE_BYTES_MAX = 4194304, PASSWORDS_MAX = 10000 };

/* Reads the file and every password file it names; permissions are checked on both. NULL with
 * errors added. */
struct passwords *passwords_load(const char *path, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* Thread-safe. passwords_unref nulls the pointer, accepts NULL. */
struct passwords *passwords_ref(const struct passwords *passwords);
void passwords_unref(struct passwords **passwords);

size_t passwords_count(const struct passwords *passwords);

/* The password for exactly this principal; NULL: none, so no login. Lives as long as passwords. */
const struct password *passwords_find(const struct passwords *passwords, const char *principal);
