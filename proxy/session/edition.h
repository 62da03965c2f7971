/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edition: one snapshot of the configuration as one worker uses it, with what that worker has made of it. A session
 * keeps to the edition it began with; a reload makes a new one beside it, and the old one goes with its last session.
 *
 *   session ──▶ gate ──▶ edition ──▶ shared     all workers'; config, certificates, mapping, users
 *                           └──▶ contexts, keys  this worker's
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "auth/scram.h"
#include "auth/tls_origin.h"

struct conf_generation;
struct password;
struct passwords;
struct shared;

/** A broker-leg SSL_CTX of this worker: one per (generation, certificate), never shared between identities. */
struct edition_context {
    const struct conf_generation *generation;
    const char *certificate; /* NULL: none is shown */
    SSL_CTX *ctx;
    struct tls_facts facts;
    bool resumes;            /* its connections may be given sessions of world's tls_sessions */
    struct edition_context *next;
};

/**
 * What PBKDF2 gave for one stored password, kept so that only the first login of a principal to a broker pays for it.
 * As many as there are stored passwords; wiped with the edition.
 */
struct edition_keys {
    const struct password *password;
    struct scram_keys keys;
    struct edition_keys *next;
};

struct edition {
    size_t references;               /* one for each door, and its maker's */
    void (*on_unused)(struct edition *edition); /* with the last of them; NULL: nobody is told */
    struct shared *shared;           /* whoever makes the edition holds a reference for it */
    struct edition_context *contexts;
    struct edition_keys *keys;
};

/**
 * The context to show `certificate` (a configured name, or NULL) to brokers of generation; made at first use and kept.
 * NULL: it cannot be made; logged. Lives as long as the edition. generation may be of an earlier snapshot: a cluster
 * that a reload did not change lives on.
 */
const struct edition_context *edition_client_context(struct edition *edition,
                                                     const struct conf_generation *generation,
                                                     const char *certificate);

/**
 * `next` is about to take the place of edition->shared, by the same configuration: contexts of certificates that have
 * changed go (with their last connection), those that believe by other authorities or lists do so from now on, also in
 * handshakes under way; the others stay.
 */
void edition_rotate(struct edition *edition, const struct shared *next);

/** The stored passwords of a generation with `login: sasl`; NULL: none. */
const struct passwords *edition_passwords(const struct edition *edition,
                                          const struct conf_generation *generation);

/** The kept keys of a stored password, or NULL; valid until the next edition_keep_keys. */
const struct scram_keys *edition_find_keys(const struct edition *edition,
                                           const struct password *password);

/** Keeps a copy, in place of an earlier one of the same password. */
void edition_keep_keys(struct edition *edition, const struct password *password,
                       const struct scram_keys *keys);

/** This worker's thread only. edition_unref nulls. */
struct edition *edition_ref(struct edition *edition);
void edition_unref(struct edition **edition);

/** Frees the contexts, wipes the keys; shared is the caller's. */
void edition_free(struct edition *edition);
