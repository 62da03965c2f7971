/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mapping rules are used, by the decisions that the audit log holds.
 *
 * A record names the principal, cluster, generation, listener and mechanism, and these are put to
 * the mapping of today: a rule is used by every decision it would take part in now, whatever line it
 * stood in then. So an edit of the file does not make a rule look unused.
 */
#pragma once

#include "auth/audit.h"

struct config;
struct mapping;

struct mapping_usage {
    uint64_t count;            /* decisions, over all time read */
    int64_t first_ns, last_ns; /* since 1970 UTC; 0 = never */
    char last_source[80];      /* the client's address at the last one */
};

struct mapping_usages {
    struct mapping_usage *rules; /* as the mapping's */
    size_t count;
    uint64_t decisions;        /* MAPPING_DECIDED records read */
    int64_t first_ns, last_ns; /* time of the first and last record of any kind; 0 = none */
};

struct mapping_usages *mapping_usages_new(const struct mapping *mapping);
void mapping_usages_free(struct mapping_usages **usages); /* NULL is allowed; sets NULL */

/*
 * Take the records of one audit file into account; may be called for several, in any order.
 * AUDIT_END: all was read. AUDIT_TORN or AUDIT_BROKEN: up to there; *seq_r is the number of the last
 * good record. The chain is not verified here, see audit_verify().
 */
enum audit_status mapping_usages_read(struct mapping_usages *usages, const struct config *config,
                                      const struct mapping *mapping, struct view log,
                                      uint64_t *seq_r);

/* Whether the rule took part in a decision at or after a time. */
bool mapping_usages_since(const struct mapping_usages *usages, size_t rule, int64_t since_ns);
