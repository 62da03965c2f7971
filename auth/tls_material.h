/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything TLS that a configuration names, read from its files at one moment: what contexts are made of afterwards,
 * in every worker, without touching a file.
 *
 *   certificates[]        the identities shown to brokers         certificates.h
 *   clusters[]...tls      whom brokers are believed by            trust.h, one for each pair of ca and crl
 *   listeners[].tls       what clients are shown, and believed by
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/key_pair.h"

struct certificates;
struct conf_errors;
struct config;
struct trust;

/* A listener's side. Empty when it speaks plaintext. */
struct tls_side {
    struct key_pair pair;
    char fingerprint[65]; /* of the leaf, as in certificates.h */
    char subject[1024];   /* "" when it is longer, or nothing */
    int64_t not_before_s, not_after_s;
    struct trust *clients; /* NULL: no client is asked for a certificate */
};

/* Immutable, counted (atomic). */
struct tls_material {
    struct config *config; /* holds names and paths */
    struct certificates *certificates;
    struct trust **trusts;
    size_t trusts_count;
    struct tls_side *sides; /* by listener of the configuration */
};

/* NULL: every problem found is in errors. Blocking reads: start-up, checks, reloads and rotations off the workers. */
struct tls_material *tls_material_load(const struct config *config, int64_t now_s,
                                       struct conf_errors *errors)
    __attribute__((warn_unused_result));
struct tls_material *tls_material_ref(struct tls_material *material);
void tls_material_unref(struct tls_material **material); /* nulls; NULL is fine */

/* The one of these two files; NULL: nobody in that configuration names them. */
const struct trust *tls_material_trust(const struct tls_material *material, const char *ca,
                                       const char *crl);

enum tls_change_kind {
    TLS_CHANGE_IDENTITY,       /* name: the certificate's */
    TLS_CHANGE_LISTENER,       /* name: the listener's; its certificate */
    TLS_CHANGE_CLIENT_TRUST,   /* name: the listener's; by whom its clients are believed */
    TLS_CHANGE_BROKER_TRUST,   /* name: the ca's path; by whom brokers are believed */
};

struct tls_change {
    enum tls_change_kind kind;
    const char *name;           /* of `now` */
    const char *before, *after; /* fingerprints of leaves; NULL for trust */
};

typedef void (*tls_change_fn)(void *context, const struct tls_change *change);

/* What differs, in what both configurations have and in identities that came; how many. fn may be NULL. */
size_t tls_material_compare(const struct tls_material *before, const struct tls_material *now,
                            tls_change_fn fn, void *context);

/*
 * May `now` take the place of `before` with nobody looking? It may not where a certificate speaks for somebody else
 * (its subject is another) or is older than the one in use, where an authority is new, or where a revocation list is
 * older than the one in use, missing, or has ended: then errors say so.
 */
bool tls_material_may_follow(const struct tls_material *before, const struct tls_material *now,
                             int64_t now_s, struct conf_errors *errors);
