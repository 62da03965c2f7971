/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL GSSAPI (RFC 4752) towards clients, by libsasl2: its only caller.
 *
 * libsasl2 is one per process. It is begun once, by the first snapshot that offers GSSAPI, and takes
 * nothing from its surroundings (T67): plugins come from one folder, known when Setu was built, and
 * of those only libgssapiv2 is opened, if it belongs to root and nobody else may write it; SASL_PATH
 * and configuration files are not looked at; the only mechanism is GSSAPI. Its mutexes are ours, so
 * that exchanges may run on several threads, each exchange on one at a time.
 *
 * The keys are given to each exchange (SASL_GSS_CREDS), so listeners may have keytabs of their own.
 * No security layer is offered (Kafka has none): maximum strength 0, buffer 0.
 *
 * libsasl2 cuts krb5.conf's default realm off the client's name; cyrus_server_principal has it put
 * back. The authorization id must be empty, or the client's own principal with or without its
 * realm: Java sends the whole principal.
 */
#pragma once

#include <stdbool.h>

#include "auth/kerberos.h"
#include "protocol/bytes.h"

enum cyrus_status {
    CYRUS_MORE,    /* send the reply, step with the answer */
    CYRUS_DONE,    /* no reply; the principal is known */
    CYRUS_REFUSED, /* a ticket or token that does not hold; the fault says why */
    CYRUS_AUTHZID  /* the client asked to act for somebody else */
};

struct cyrus_server;

/* Once is enough; more do no harm. Any thread. False and *fault_r: no plugin, or no memory. */
bool cyrus_begin(struct kerberos_fault *fault_r) __attribute__((warn_unused_result));

/* One login at a listener. After cyrus_begin. Takes a reference. NULL: no memory. Does not block. */
struct cyrus_server *cyrus_server_new(const struct kerberos_acceptor *acceptor)
    __attribute__((warn_unused_result));

/* One token, never empty in the first step. The reply dies with the next step. Reads and writes the
 * replay cache, so off the loop. *fault_r after REFUSED and AUTHZID. */
enum cyrus_status cyrus_server_step(struct cyrus_server *server, struct view token,
                                    struct view *reply_r, struct kerberos_fault *fault_r)
    __attribute__((warn_unused_result));

/* After CYRUS_DONE: "alice@REALM". */
const char *cyrus_server_principal(const struct cyrus_server *server);

/* Nulls *server; accepts NULL. */
void cyrus_server_free(struct cyrus_server **server);
