/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generation: which generation of the configuration a broker belongs to. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct conf_cluster;
struct conf_generation;

/** What is known about a broker. */
struct generation_subject {
    int32_t node_id; /* -1 not known yet */
    const char *host;
    uint16_t port;
    const char *rack;
    bool rack_known;
};

enum generation_match {
    GENERATION_NO,
    GENERATION_MAYBE, /* nothing contradicts, but a key needs what is not known yet */
    GENERATION_LOOK,  /* every rule holds, and the generation is to be recognised by looking */
    GENERATION_YES,
};

enum generation_match generation_match(const struct conf_generation *generation,
                                       const struct generation_subject *subject);

/** What a look at a broker found. */
struct generation_look {
    bool tls;                /* it speaks TLS on this port */
    bool answered;           /* it answered a Kafka request (over TLS or plain) */
    bool certificate_wanted; /* TLS, and it refused us for want of an acceptable certificate */
    bool sasl;               /* it wants SASL */
    const char *const *mechanisms; /* that it offers; any order */
    size_t mechanism_count;
};

/** Does what was seen fit the generation's protocol and login? */
bool generation_fits(const struct conf_generation *generation, const struct generation_look *look);

/**
 * The generation by rules alone: the first YES, unless an earlier one is LOOK or MAYBE (that might
 * turn out to be the right one): then NULL and *look_r = true. NULL and *look_r = false: nothing
 * matches.
 */
const struct conf_generation *generation_by_rule(const struct conf_cluster *cluster,
                                                 const struct generation_subject *subject,
                                                 bool *look_r);

/** The generation after a look: the first that is not NO and fits; NULL when none does. */
const struct conf_generation *generation_by_look(const struct conf_cluster *cluster,
                                                 const struct generation_subject *subject,
                                                 const struct generation_look *look);

/** Shell-style `*` and `?`, ASCII letters regardless of case. */
bool generation_glob(const char *pattern, const char *text);
