/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a Kerberos principal to a short name: Kafka's sasl.kerberos.principal.to.local.rules, as its
 * KerberosShortNamer reads them (2.4 and later, with /U).
 *
 *   DEFAULT                                the first component, if the realm is the default one
 *   RULE:[n:format](match)s/from/to/g/L    for principals of n components: the format gives a text
 *                                          ($0 the realm, $1 and $2 the components), which match
 *                                          must match as a whole; then from is replaced by to, once
 *                                          or (g) everywhere; then lower (L) or upper (U) case
 *
 * (match), s/from/to/g and /L may each be left out. The first rule that applies gives the name.
 * No part can hold the character that ends it: no ")" in match, no "/" in from and to.
 *
 * The patterns are Java's and matching is bounded, as in rules.h. Where Kafka would fail at a login
 * because of the rule itself ($3, "s/a/$1/"), the rule is refused when it is read.
 */
#pragma once

#include "auth/rule_fault.h"
#include "protocol/bytes.h"

#include <stddef.h>

enum {
    KERBEROS_NAME_BYTES_MAX = 1024,      /* longest principal that is looked at */
    KERBEROS_NAME_RULE_BYTES_MAX = 4096, /* one rule */
    KERBEROS_NAME_RULES_MAX = 256
};

enum kerberos_name_status {
    KERBEROS_NAME_OK,
    KERBEROS_NAME_NO_RULE,    /* no rule applies; Kafka fails the login (NoMatchingRule) */
    KERBEROS_NAME_NOT_SIMPLE, /* the rule left a "/" or "@"; Kafka fails the login, too */
    KERBEROS_NAME_LIMIT,      /* match, depth or heap limit reached */
    KERBEROS_NAME_BAD         /* no principal of one or two components, or no room for the name */
};

/* Immutable once all rules are in; may then be used by several threads at once. */
struct kerberos_rules;

/* No rules yet. `realm` is what DEFAULT compares with; copied. Aborts without memory. */
struct kerberos_rules *kerberos_rules_new(const char *realm);

/* Adds one rule behind those there are. False and *fault_r filled: nothing was added. */
__attribute__((warn_unused_result)) bool
kerberos_rules_add(struct kerberos_rules *rules, struct view text, struct rule_fault *fault_r);
void kerberos_rules_free(struct kerberos_rules **rules); /* NULL is allowed; sets NULL */
size_t kerberos_rules_count(const struct kerberos_rules *rules);

/*
 * The short name of `principal` ("alice@REALM", "kafka/host@REALM"). On KERBEROS_NAME_OK `out` is
 * NUL-terminated and *rule_r (may be NULL) is the index of the rule; otherwise `out` is "". A
 * result that is empty is OK with "": principal_canonical refuses it later.
 *
 * A principal without "@" is its own short name and needs no rule (*rule_r is the count of rules).
 * Stricter than Kafka: a principal that is not UTF-8, or has control characters or a backslash (an
 * escaped "/" or "@" in a component), is BAD.
 */
__attribute__((warn_unused_result)) enum kerberos_name_status
kerberos_name_short(const struct kerberos_rules *rules, struct view principal, char *out,
                    size_t capacity, size_t *rule_r);
