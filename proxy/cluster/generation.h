/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generation: which generation of the configuration a broker belongs to. Pure.
 *
 *   rules (node id, host, port, rack) ──▶ NO | MAYBE | LOOK | YES ──▶ decided, or a look is needed
 *   look (TLS? SASL? which mechanisms?) ────────────────────────────▶ decided
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_cluster;
struct conf_generation;

/* What is known about a broker. */
struct generation_subject {
    int32_t node_id;  /* -1: not known yet */
    const char *host; /* as brokers or the configuration name it */
    uint16_t port;
    const char *rack; /* NULL: not known; "" known to have none */
};

enum generation_match {
    GENERATION_NO,
    GENERATION_MAYBE, /* nothing contradicts, but a rule asks for what is not known yet */
    GENERATION_LOOK,  /* all rules hold, and `probe: true` wants a look besides */
    GENERATION_YES
};

enum generation_match generation_match(const struct conf_generation *generation,
                                       const struct generation_subject *subject);

/* What a look at a broker found. */
struct generation_look {
    bool tls;                      /* it speaks TLS on this port */
    bool certificate_wanted;       /* it wants a client certificate that it accepts, and got none */
    bool sasl;                     /* it wants SASL */
    const char *const *mechanisms; /* that it offers, mechanism_count of them; borrowed */
    size_t mechanism_count;
};

/* Does what was seen fit the protocol of the generation, and, for a stored SASL login, its
 * mechanism? */
bool generation_fits(const struct conf_generation *generation, const struct generation_look *look);

/*
 * By rules alone: the first YES that no LOOK or MAYBE precedes. NULL and *look_r = true: a look has
 * to decide between the candidates. NULL and *look_r = false: nothing can match.
 */
const struct conf_generation *generation_by_rule(const struct conf_cluster *cluster,
                                                 const struct generation_subject *subject,
                                                 bool *look_r);

/* After a look: the first that is not NO, and fits. NULL: none. */
const struct conf_generation *generation_by_look(const struct conf_cluster *cluster,
                                                 const struct generation_subject *subject,
                                                 const struct generation_look *look);
