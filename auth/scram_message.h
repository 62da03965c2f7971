/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of the four SCRAM messages (RFC 5802 §7) as Kafka speaks it: no cryptography, no
 * state, no allocation. All views point into the message.
 *
 *     client-first   n,[a=authzid],n=user,r=cnonce[,extensions]       gs2 header, then "bare"
 *     server-first   r=cnonce+snonce,s=salt,i=iterations[,extensions]
 *     client-final   c=gs2-header,r=cnonce+snonce[,extensions],p=proof
 *     server-final   v=signature[,extensions]  or  e=error
 *
 * Stricter than Kafka's own parser in this, each time on the side of refusing:
 *   - m= (an extension the peer must not ignore) is refused wherever it stands, as the RFC says;
 *     Kafka skips it.
 *   - y,, (the client could bind to a channel, but thinks the server cannot) is refused, as Kafka
 *     does and the RFC would not: there is no -PLUS mechanism a Kafka client could have meant, and
 *     none in the field sends it. p= is refused by both.
 *   - an attribute with a meaning of its own (a, c, e, i, n, p, r, s, v) may not return as an
 *     extension.
 * Unknown extensions are skipped, as in Kafka, whose own have names of several letters; of those
 * only tokenauth=true (KIP-48: the user is a delegation token) is known, and refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/reason.h"
#include "protocol/bytes.h"

struct scram_client_first {
    struct view gs2_header; /* up to and with its second comma */
    struct view authzid;    /* as sent, escaped; empty when absent */
    struct view bare;       /* the rest of the message */
    struct view user;       /* as sent, escaped; never empty */
    struct view nonce;      /* printable ASCII without comma; never empty */
    bool tokenauth;
};

struct scram_server_first {
    struct view nonce;
    struct view salt; /* base64 text */
    uint32_t iterations;
};

struct scram_client_final {
    struct view channel_binding; /* base64 text */
    struct view nonce;
    struct view proof;         /* base64 text */
    struct view without_proof; /* the message up to ",p=" */
};

struct scram_server_final {
    struct view signature; /* base64 text; empty when the server reports an error */
    struct view error;     /* e= value, hostile text; empty when it does not */
};

/* AUTH_REASON_NONE, or why the message is refused; the output is meaningful only for NONE. In
 * client-first the fields that come before the fault may be used for the log. */
enum auth_reason scram_client_first_parse(struct view message, struct scram_client_first *out)
    __attribute__((warn_unused_result));
enum auth_reason scram_server_first_parse(struct view message, struct scram_server_first *out)
    __attribute__((warn_unused_result));
enum auth_reason scram_client_final_parse(struct view message, struct scram_client_final *out)
    __attribute__((warn_unused_result));
enum auth_reason scram_server_final_parse(struct view message, struct scram_server_final *out)
    __attribute__((warn_unused_result));

/* Undoes =2C and =3D into name_r (capacity bytes at most, not terminated). False: another =, a NUL,
 * empty, or too long. */
bool scram_name_read(struct view escaped, char *name_r, size_t capacity, size_t *length_r)
    __attribute__((warn_unused_result));

/* Appends a name with = and , escaped. */
void scram_name_write(struct writer *out, struct view name);
