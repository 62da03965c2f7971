/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of SASL mechanisms Setu speaks. How one is built stands in mech_end.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* All names in Kafka's spelling, strongest first, NULL-terminated; *count_r (may be NULL) without
 * the NULL. Static. */
const char *const *mech_names(size_t *count_r);

/* Exact spelling, as in Kafka. */
bool mech_known(const char *name);

/* Clients are verified against the users file. False for an unknown name. */
bool mech_needs_users(const char *name);

/* The password, or the token that is one, crosses the wire: the mechanism wants TLS. False for an
 * unknown name. */
bool mech_cleartext(const char *name);
