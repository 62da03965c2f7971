/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom one leg believes: the authorities and revocation lists of one `tls` block, read once and shared by every SSL_CTX
 * made of them, in all workers.
 *
 *   authorities   every certificate of the file is an anchor, root or not, as in a Java trust store
 *   lists         with any, each certificate of a peer's chain needs a list that is valid now: an expired or missing
 *                 one refuses the peer. Full ones: a delta counts for nothing, and the file is refused
 */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf/errors.h"

/* Immutable, counted (atomic). */
struct trust {
    const char *ca, *crl; /* the files; "" is none */
    X509_STORE *store;
    STACK_OF(X509_CRL) * lists; /* NULL: none are asked for */
    uint8_t hash[32];           /* of what was read: two with the same believe the same */
    uint8_t authorities_hash[32]; /* of the authorities alone */
    int64_t lists_begin_s;      /* last thisUpdate, seconds since 1970 UTC; INT64_MIN: no list */
    int64_t lists_end_s;        /* first nextUpdate; INT64_MAX: no list */
    int64_t ends_s;             /* when the first authority's certificate ends */
};

/* NULL: what is wrong is in errors at place. Blocking reads: start-up and reload only. crl may be "" or NULL. */
struct trust *trust_load(const char *ca, const char *crl, struct conf_place place,
                         struct conf_errors *errors) __attribute__((warn_unused_result));
struct trust *trust_ref(const struct trust *trust);
void trust_unref(struct trust **trust); /* nulls; NULL is fine */

/* Is the certificate on one of the lists? Looks only: no signature, no time. */
bool trust_revokes(const struct trust *trust, X509 *cert);

/*
 * Would a peer that has been let in with this leaf and chain be let in again, but for what time has done since? false:
 * the leaf is on any of the lists, or another of the chain on the newest, or their authority is not believed any more.
 * `server`: the peer is a broker.
 */
bool trust_holds(const struct trust *trust, X509 *leaf, STACK_OF(X509) * chain, bool server);

/* Has one of the lists ended before now_s? */
bool trust_is_stale(const struct trust *trust, int64_t now_s);

/* Is one of the lists made only after now_s? Until then it counts for nothing: another of its issuer is in force, or
 * nobody of his is let in. */
bool trust_is_early(const struct trust *trust, int64_t now_s);

/*
 * Is one of the lists signed by none of the authorities that bear its issuer's name? Of an issuer who is not among the
 * authorities, whom peers send along, nobody can tell here: that is no.
 */
bool trust_is_forged(const struct trust *trust);

/*
 * Does `now` hold an older list of some issuer than `before`, so that somebody might be back who was revoked? Or none
 * any more of the same key and the same certificates (all, authorities' …), so that nobody of that issuer would be let
 * in? Each that comes has to be as new as the newest before, and where not all of an issuer's lists are kept, each of
 * him.
 */
bool trust_goes_back(const struct trust *before, const struct trust *now);

/* Does `now` believe an authority that `before` does not? */
bool trust_widens(const struct trust *before, const struct trust *now);
