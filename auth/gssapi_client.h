/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL GSSAPI (RFC 4752) as a client of a broker, by libgssapi_krb5 itself.
 *
 *   ▶ AP-REQ   ◀ AP-REP   ▶ (empty)   ◀ wrapped: what layers there are   ▶ wrapped: none   ◀ (empty)
 *
 * Not by libsasl2, as the client leg's end is (cyrus.h): its plugin names the broker by
 * GSS_C_NT_HOSTBASED_SERVICE only, so that krb5.conf's dns_canonicalize_hostname, on by default,
 * would let whoever answers DNS choose which service's ticket is shown to a connection. Here the
 * ticket is for the host that was dialled, whatever DNS says. As the broker's listener speaks TLS
 * or nothing after the login, no security layer is asked for, and none is taken.
 */
#pragma once

#include "auth/kerberos.h"
#include "protocol/bytes.h"

enum gssapi_client_status {
    GSSAPI_CLIENT_MORE,      /* send the reply, which may be empty, and step with the answer */
    GSSAPI_CLIENT_DONE,      /* the broker has said all it had to */
    GSSAPI_CLIENT_NO_TICKET, /* ours: no key, no KDC, an expired principal, no such broker */
    GSSAPI_CLIENT_REFUSED    /* the broker's token is not what it must be */
};

struct gssapi_client;

/* Takes a reference on login. NULL: no memory. */
struct gssapi_client *gssapi_client_new(struct kerberos_login *login, const char *service,
                                        const char *host) __attribute__((warn_unused_result));

/* The first step takes an empty token. May wait for a KDC. *fault_r after NO_TICKET and REFUSED. */
enum gssapi_client_status gssapi_client_step(struct gssapi_client *client, struct view token,
                                             struct writer *reply, struct kerberos_fault *fault_r)
    __attribute__((warn_unused_result));

/* Nulls *client; accepts NULL. */
void gssapi_client_free(struct gssapi_client **client);
