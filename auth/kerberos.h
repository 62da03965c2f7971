/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kerberos keys and what is made of them: the only caller of libkrb5 (but for keytab.c, which
 * looks at files), and with gssapi_client.c of libgssapi_krb5.
 *
 *   keytab file ──▶ the wanted keys, in memory ──▶ kerberos_acceptor   a listener's: who is it?
 *                                              └─▶ kerberos_login      a principal's: tickets for brokers
 *
 * Files are read when a snapshot is loaded, by the rules for key files (secret.h), never afterwards:
 * a new keytab needs a reload. Only keys that are asked for by name are taken from it, so that a
 * ticket for another service of the same keytab opens nothing here. Nothing is set that belongs to
 * the whole process (KRB5_KTNAME, KRB5CCNAME, gsskrb5_register_acceptor_identity): key tables and
 * ticket caches are MEMORY ones with names of their own. krb5.conf is the machine's (KRB5_CONFIG).
 *
 * All of it may block but what says that it does not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/kerberos_name.h"
#include "protocol/bytes.h"

struct conf_errors;
struct conf_listener;
struct config;
struct kerberos_acceptor;
struct kerberos_login;

enum { KERBEROS_KEYTAB_BYTES_MAX = 1048576, KERBEROS_TEXT_BYTES = 256 };

/* What is wrong, in one line, for log and errors; never for a peer. */
struct kerberos_fault {
    char text[KERBEROS_TEXT_BYTES];
};

/*
 * The acceptor of a listener with a section `gssapi`: its keys for SERVICE/HOST of every host, and
 * its rules. NULL with errors added at their places. One reference, the caller's.
 */
struct kerberos_acceptor *kerberos_acceptor_load(const struct config *config,
                                                 const struct conf_listener *listener,
                                                 struct conf_errors *errors)
    __attribute__((warn_unused_result));
/* Thread-safe, do not block. kerberos_acceptor_unref nulls the pointer, accepts NULL. */
struct kerberos_acceptor *kerberos_acceptor_ref(const struct kerberos_acceptor *acceptor);
void kerberos_acceptor_unref(struct kerberos_acceptor **acceptor);

/* A gss_cred_id_t for accepting; the acceptor's. Does not block. */
void *kerberos_acceptor_credential(const struct kerberos_acceptor *acceptor);
const char *kerberos_acceptor_service(const struct kerberos_acceptor *acceptor);

/* krb5.conf's default_realm at the time of loading; "" = it has none. */
const char *kerberos_acceptor_system_realm(const struct kerberos_acceptor *acceptor);

/* kerberos_name_short by the listener's rules. Does not block. */
enum kerberos_name_status kerberos_acceptor_name(const struct kerberos_acceptor *acceptor,
                                                 struct view principal, char *out, size_t capacity)
    __attribute__((warn_unused_result));

/*
 * The keys of one principal of ours. NULL and *fault_r: the file is not safe, holds no key for it,
 * or no memory. One reference, the caller's. Asks no KDC yet.
 */
struct kerberos_login *kerberos_login_new(const char *principal, const char *keytab,
                                          struct kerberos_fault *fault_r)
    __attribute__((warn_unused_result));
struct kerberos_login *kerberos_login_ref(const struct kerberos_login *login);
void kerberos_login_unref(struct kerberos_login **login);

/* ---- for gssapi_client.c ---- */

/* Only one thread at a time may ask the KDC for one login: between these two. */
void kerberos_login_lock(struct kerberos_login *login);
void kerberos_login_unlock(struct kerberos_login *login);

/*
 * A gss_cred_id_t for initiating, to be released by the caller; between lock and unlock. Asks the
 * KDC for a first ticket, or for a new one when half of its time is over. NULL and *fault_r.
 */
void *kerberos_login_acquire(struct kerberos_login *login, struct kerberos_fault *fault_r)
    __attribute__((warn_unused_result));

/*
 * The gss_name_t of SERVICE/HOST as given, with the realm krb5.conf's domain_realm has for it:
 * neither DNS nor krb5.conf's dns_canonicalize_hostname has a say. The caller's.
 */
void *kerberos_service_name(const char *service, const char *host, struct kerberos_fault *fault_r)
    __attribute__((warn_unused_result));

/* The text of a failed GSSAPI call, as Kerberos has it ("Clock skew too great"). */
void kerberos_explain(uint32_t major, uint32_t minor, struct kerberos_fault *fault_r);
