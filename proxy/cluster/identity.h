/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity: what Setu itself shows to the brokers of one cluster when it looks at them: a
 * certificate for SSL, a user and password for SASL, either or both or none. One per worker.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "auth/scram.h"
#include "auth/secret.h"

struct kerberos_login;
struct conf_cluster;
struct conf_errors;
struct conf_generation;
struct tls_material;

struct identity {
    const struct conf_cluster *conf;
    const char *certificate; /* configured name; NULL: none */
    const char *mechanism;   /* NULL: no SASL */
    const char *username;
    struct secret password;          /* or, with GSSAPI: */
    struct kerberos_login *kerberos;
    const char *service;
    struct scram_keys keys; /* of the last SCRAM login: spares PBKDF2 */
    bool keys_known;
    SSL_CTX **contexts; /* by index of conf->generations; NULL for plaintext */
};

/* Reads the password file or keytab and makes the contexts. False with errors added. conf outlives identity;
 * material is of the same configuration, and is not needed afterwards; NULL: no generation speaks TLS. */
bool identity_load(struct identity *identity_r, const struct conf_cluster *conf,
                   const struct tls_material *material, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* The contexts anew, of what was read later: looks that begin from now on use them. False: some stay as they were. */
bool identity_rotate(struct identity *identity, const struct tls_material *material,
                     struct conf_errors *errors) __attribute__((warn_unused_result));

/* The file of a token, which is read anew before each login, since tokens expire (token_read.h); the configuration's.
 * NULL: there is none. */
const char *identity_token_file(const struct identity *identity);

/* Takes over what reading it came to. What failed is logged, and the old token stays. */
void identity_take_token(struct identity *identity, enum secret_file_status status,
                         struct secret *token);

/* It did not come to that: logged, and the old token stays. */
void identity_miss_token(const struct identity *identity, const char *why);

/* NULL for a generation that speaks plaintext. */
SSL_CTX *identity_context(const struct identity *identity,
                          const struct conf_generation *generation);

/* Can Setu log in to brokers of this generation at all? Without, it still asks a SASL listener for
 * its ApiVersions. */
bool identity_serves(const struct identity *identity, const struct conf_generation *generation);

/* Wipes and frees. Safe on a zeroed struct. */
void identity_free(struct identity *identity);
