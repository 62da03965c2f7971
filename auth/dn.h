/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distinguished names, printed byte for byte as the broker sees them.
 *
 * A Kafka broker names an mTLS peer by Java's X500Principal.getName(), which is RFC 2253 with
 * habits of its own; ssl.principal.mapping.rules and every ACL work on that text. OpenSSL's
 * XN_FLAG_RFC2253 prints other keywords and other escapes, so it cannot predict a principal.
 *
 *   - most specific RDN first, joined by "," ; members of one RDN joined by "+" in encoded order
 *   - keywords only CN C L ST O OU STREET DC UID; any other type is  dotted.oid=#<hex of the DER>
 *   - values are read as UTF-8 whatever their string type, malformed bytes become U+FFFD
 *   - "\" before each of  , = + < > # ; " \  ; NUL is "\00"; leading and trailing blanks escaped
 */
#pragma once

#include "protocol/bytes.h"

#include <openssl/x509.h>
#include <stddef.h>

enum {
    DN_BYTES_MAX = 4096, /* longest text printed; longer names are refused, not cut */
    DN_RDNS_MAX = 64     /* RDNs in one name */
};

enum dn_status {
    DN_OK,
    DN_TOO_LONG, /* the text with its NUL does not fit, or a limit above is passed */
    DN_BAD       /* not the DER of a Name, or a form Java refuses too */
};

/*
 * Print `name` into `out` (NUL-terminated on DN_OK, empty string otherwise). `length_r` may be
 * NULL. An empty name prints as "". The text never holds a NUL: Java's "\00" is three characters.
 */
__attribute__((warn_unused_result)) enum dn_status dn_print(const X509_NAME *name, char *out,
                                                            size_t capacity, size_t *length_r);

/* The same from the DER of a Name (SEQUENCE OF RDN), which may come from an untrusted peer. */
__attribute__((warn_unused_result)) enum dn_status dn_print_der(struct view der, char *out,
                                                                size_t capacity, size_t *length_r);
